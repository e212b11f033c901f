// What a page has and Node has not, so that the page's side of the module can be tested without a browser: a window, and
// dedicated Workers (threads of Node's that run tabtensor_worker.js). Import it before the module.
import { Worker as Thread } from 'node:worker_threads';

export function becomePage(origin) {
  globalThis.window = globalThis;
  globalThis.document = {};
  globalThis.location = new URL(origin);
  globalThis.Worker = class {
    #thread;

    constructor(url) {
      this.#thread = new Thread(new URL('./thread_in_node.js', import.meta.url), { workerData: String(url) });
      this.#thread.on('message', (data) => this.onmessage?.({ data }));
      this.#thread.on('error', (error) => this.onerror?.({ message: error.message }));
      // As a page does, a test ends without asking its threads.
      this.#thread.unref();
      threads.add(this);
    }

    postMessage(message, transfer) {
      this.#thread.postMessage(message, transfer);
    }

    terminate() {
      return this.#thread.terminate();
    }

    /** For tests: the thread fails as one of a page would. */
    fail() {
      this.onerror({ message: 'it was made to' });
      return this.#thread.terminate();
    }

    /** For tests: a test that only waits for threads must not end before them. */
    hold() {
      this.#thread.ref();
    }
  };
}

export const threads = new Set();
