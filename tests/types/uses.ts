// What the types must allow, and what they must not: looked at by tsc alone.
import { FloatTensor, TensorError, TorchHook, VirtualWorker, WebSocketWorker, numTensors, tensor, tidy, torch } from '../../web/index.js';
import type { BaseWorker, Tensor } from '../../web/index.js';

const hook = new TorchHook({ localWorker: new WebSocketWorker({ id: 'me', url: 'ws://localhost:8080/' }) });
const bob: BaseWorker = await hook.localWorker.waitFor('bob', { signal: AbortSignal.timeout(1000) });
const native = new WebSocketWorker({ hook, id: 2, port: 8181, isPointer: true });
new VirtualWorker({ id: 'alice', hook });

const x: Tensor = new FloatTensor([1, 2, 3, 4, 5]).send(bob);
const y = x.add(FloatTensor([1, 2, 3, 4, 4]).send(bob, { tags: ['#x2'] })).add(x);
console.log(String(await y.get()), y.shape, y.dtype, native.url);

const kept: Tensor = tidy(() => tensor([[1, 2], [3n, true]], { dtype: 'float64' }).sum(0, { keepdim: true }));
torch.zeros(2, 3).view(3, 2).permute(1, 0);
torch.zeros([2, 3], { dtype: 'int64' });
torch.ones(2, 3, { dtype: torch.float64 });
const [values, indices] = kept.max(0);
values.mul(indices).clamp({ min: 0 });
kept.max().add(1);
kept.max(0).values.sub(kept.topk(1).indices);
kept.tags = '#kept';
console.log(kept.tags.length, kept.T.mT.size(0), kept.size()?.length, kept.dim(), await kept.tolist());
torch.linalg.solve(torch.linalg.inv(kept), torch.linalg.cholesky(kept)).add(torch.linalg.det(kept));
torch.randint(10, [3]).add(torch.randint(0, 10, [3], { dtype: 'int32' }));
if (torch.Tensor([1]) instanceof torch.Tensor) new torch.Tensor([1]).add(1);
torch.cat([kept, kept], 1);
kept.add_(1).mul(2n);

hook.localWorker.addEventListener('error', ({ error, detail }) => console.log(error?.code, detail.peer));
hook.localWorker.addEventListener('object', ({ detail }) => console.log(detail.action, detail.shape));
await hook.localWorker.setObj(kept, { tags: '#kept', policy: 'compute' });
try {
  await bob.getObj('17');
} catch (error) {
  if (error instanceof TensorError) console.log(error.code, error.shapes, numTensors());
}

// @ts-expect-error a dtype that there is not
tensor([1], { dtype: 'float16' });
// @ts-expect-error an op that there is not
kept.frobnicate();
// @ts-expect-error an option that there is not
tensor([1], { requiresGrad: true });
// @ts-expect-error the dtype is in the options
tensor([1], 'int32');
// @ts-expect-error a tensor is wanted
kept.matmul('x');
