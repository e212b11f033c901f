/** tabtensor for the tutorials: in Node the modules, which run.js has loaded, and in a page the one file that is made of them. */
const isNode = typeof process === 'object' && typeof process.versions?.node === 'string';

export const { FloatTensor, TensorKind, VirtualWorker, WebSocketWorker, func2plan, isTensor, nn, optim, tensor, tidy, torch } = await import(
  isNode ? '../tabtensor.js' : '../core/tabtensor.js'
);
