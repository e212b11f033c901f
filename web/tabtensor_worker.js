/**
 * The entry of a page's dedicated Worker. Messages may come before the other modules are there: they are kept, because a handler that is set later would miss
 * them. One is the page's compiled core, which start.js is waiting for.
 */
const early = [];
let giveModule;
const compiled = new Promise((resolve) => (giveModule = resolve));
let take = (message) => {
  if (message.module === undefined) early.push(message);
  else giveModule(message.module);
};
self.onmessage = ({ data }) => take(data);
globalThis[Symbol.for('tabtensor')] = { compiled };

const { serve } = await import('./serve.js');
take = serve(self);
for (const message of early) take(message);
