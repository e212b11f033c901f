// tab.js in a Worker of the user's own, where the core and the store are in the same thread.
const early = [];
let take = (message) => early.push(message);
self.onmessage = ({ data }) => take(data);

const { ask } = await import('./tab.js');
take = async ({ number, ...question }) => {
  try {
    self.postMessage({ number, value: await ask(question) });
  } catch (error) {
    self.postMessage({ number, error: String(error?.message ?? error) });
  }
};
for (const message of early.splice(0)) take(message);
