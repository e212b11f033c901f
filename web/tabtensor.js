/**
 * tabtensor: tensors that live where the data is, in browser tabs, Node and native processes.
 *
 *     import { TorchHook, WebSocketWorker, tensor } from 'tabtensor';
 *
 *     const hook = new TorchHook({ localWorker: new WebSocketWorker({ id: 'me' }) });
 *     const bob = await hook.localWorker.waitFor('bob');
 *     const x = tensor([1, 2, 3, 4, 5]).send(bob);
 *     const y = x.add(x);
 *     console.log(String(await y.get()));
 *
 * The core is loaded when this module is imported; from then on everything is synchronous but what waits for somebody else.
 */
import './start.js'; // first of all
export { TensorError } from './errors.js';
export { GradFn } from './autograd.js';
export { LogTensor, PlusIsMinusTensor, TensorKind } from './kinds.js';
export { nn } from './nn.js';
export { optim } from './optim.js';
import './schedules.js';
export { func2plan } from './plan.js';
export { tidy } from './scope.js';
export {
  BoolTensor,
  ByteTensor,
  DoubleTensor,
  FloatTensor,
  IntTensor,
  LongTensor,
  Tensor,
  isTensor,
  tensor,
  torch,
} from './tensor.js';
export { loadSafetensors, saveSafetensors } from './files.js';
export { np } from './numpy.js';
export { BaseWorker, TorchHook, VirtualWorker, WebSocketWorker, WorkerEvent } from './workers.js';

import { constants, core } from './core.js';

/** "tabtensor 0.1.0" */
export const version = constants.software;

/** How many threads have come to share large ops with this one (torch.set_num_threads). */
export const numThreadHelpers = () => core._tt_wasm_count_helpers();

/** How many tensors JavaScript holds: what has not been disposed of. */
export const numTensors = () => core._tt_wasm_n_tensors();
