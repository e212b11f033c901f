/**
 * The entry of a page's dedicated Worker, a script that loads modules. Messages may come before those are there: they are kept. One is the page's compiled
 * core, which start.js is waiting for.
 */
{
  const early = [];
  let giveModule;
  const compiled = new Promise((resolve) => (giveModule = resolve));
  let take = (message) => {
    if (message.module === undefined) early.push(message);
    else giveModule(message.module);
  };
  self.onmessage = ({ data }) => take(data);
  globalThis[Symbol.for('tabtensor')] = { compiled };

  import('./serve.js').then(({ serve }) => {
    take = serve(self);
    for (const message of early) take(message);
  });
}
