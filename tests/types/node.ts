// How 'tabtensor/node' is used, for the type checker alone.
import { SocketWorker, TorchHook, tensor, type Tensor } from '../../web/node.js';

const server = new SocketWorker({ id: 2, port: 0, tls: { cert: '', key: '', ca: '', requestCert: true } });
await server.ready;
const port: number | undefined = server.port;
const hook = new TorchHook({ localWorker: new SocketWorker({ id: 'me' }) });
const remote = new SocketWorker({ hook, id: 2, port, tls: { ca: '' }, isPointer: true });
const near = new SocketWorker({ hook, id: 'near', path: '/run/x.sock', isPointer: true });
const x: Tensor = tensor([1, 2]).send(remote);
// @ts-expect-error a port is a number
const wrong = new SocketWorker({ id: 3, port: '80' });
export { near, wrong, x };
