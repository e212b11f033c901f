// A contestant's thread: opens it, prepares tasks, and times them where they run.
import { fingerprint } from './data.js';

let contestant;
let task;

const verbs = {
  async open({ module, options }) {
    const { open } = await import(module);
    contestant = await open(options);
    return { version: contestant.version };
  },
  async prepare({ task: asked }) {
    await task?.close?.();
    task = undefined;
    const make = contestant.tasks[asked.op];
    if (make === undefined) throw new Error(`it has no ${asked.op}`);
    task = await make(asked);
  },
  /**
   * Runs the task n times and reads the last result back; milliseconds in all. One run goes before, so that the others are not the first after a pause; then the task makes
   * itself ready for n.
   */
  async sample({ n }) {
    await task.run(1);
    await task.ready?.(n);
    const begins = performance.now();
    const result = await task.run(n);
    const ms = performance.now() - begins;
    return { ms, result: fingerprint(result) };
  },
};

// One question at a time, and messages that come while this module loads are kept by the browser.
self.onmessage = async ({ data: { number, verb, ...question } }) => {
  try {
    self.postMessage({ number, answer: await verbs[verb](question) });
  } catch (error) {
    self.postMessage({ number, error: String(error?.message ?? error) });
  }
};
