// A dedicated Worker's global scope, as far as tabtensor_worker.js needs it.
import { parentPort, workerData } from 'node:worker_threads';

globalThis.self = globalThis;
globalThis.postMessage = (message, transfer) => parentPort.postMessage(message, transfer);
globalThis.close = () => process.exit();
// Messages begin to come when there is a handler.
Object.defineProperty(globalThis, 'onmessage', {
  set(handler) {
    parentPort.on('message', (data) => handler({ data }));
  },
});
await import(workerData);
