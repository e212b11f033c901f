// The bench page: starts a Worker for each contestant and carries questions to it.
const workers = new Map();
let lastQuestion = 0;

/** Starts a Worker; settles with what its contestant says of itself. */
window.openContestant = (name, options) => {
  // tabtensor's Workers say in their address how many threads they want.
  const worker = new Worker(`worker.js?threads=${options.options.nThreads ?? 1}`, { type: 'module' });
  workers.set(name, worker);
  return window.askContestant(name, { verb: 'open', ...options });
};

window.askContestant = (name, question) => {
  const worker = workers.get(name);
  const number = ++lastQuestion;
  return new Promise((resolve, reject) => {
    const settle = (fn) => {
      worker.removeEventListener('message', onMessage);
      worker.removeEventListener('error', onError);
      fn();
    };
    const onMessage = ({ data }) => {
      if (data.number !== number) return;
      settle(() => (data.error === undefined ? resolve(data.answer) : reject(new Error(data.error))));
    };
    const onError = (event) => settle(() => reject(new Error(event.message)));
    worker.addEventListener('message', onMessage);
    worker.addEventListener('error', onError);
    worker.postMessage({ number, ...question });
  });
};

window.isReady = true;
