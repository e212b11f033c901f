/**
 * tabtensor for Node: all of tabtensor.js, and the workers that only Node can have.
 *
 *     import { TorchHook, SocketWorker, tensor } from 'tabtensor/node';
 */
export * from './tabtensor.js';
export { SocketWorker } from './socket.js';
