/**
 * The entry of a page's dedicated Worker. Messages may come before the core is loaded: they are kept, because a handler that is
 * set later would miss them.
 */
const early = [];
let take = (message) => early.push(message);
self.onmessage = ({ data }) => take(data);

const { serve } = await import('./serve.js');
take = serve(self);
for (const message of early.splice(0)) take(message);
