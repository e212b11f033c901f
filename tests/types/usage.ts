// Never run: TypeScript reads it to see that the types allow what users write, and refuse what they should not.
import { FloatTensor, loadSafetensors, np, saveSafetensors, LogTensor, TensorError, TensorKind, TorchHook, VirtualWorker, WebSocketWorker, tensor, tidy, torch } from 'tabtensor';
import type { Dtype, ElementArray, Tensor } from 'tabtensor';

export async function seedsExample(): Promise<string> {
  const hook = new TorchHook({ localWorker: new WebSocketWorker({ id: 0, url: 'ws://localhost:8080' }) });
  const remote = new WebSocketWorker({ hook, id: 2, port: 8181, isPointer: true });
  hook.localWorker.addWorker(remote);
  const x = new FloatTensor([1, 2, 3, 4, 5]).send(remote);
  const x2 = new FloatTensor([1, 2, 3, 4, 4]).send(remote);
  const y = x.add(x2).add(x);
  await y.get();
  return y.toString();
}

export async function values(controller: AbortController): Promise<void> {
  const a: Tensor = tensor([[1, 2], [3, 4]], { dtype: 'float64' });
  const dtype: Dtype = a.dtype;
  const data: ElementArray = await a.data({ signal: controller.signal });
  const sums: Tensor = a.sum(0, true);
  const [largest, where] = a.max(1) as [Tensor, Tensor];
  const parts: Tensor[] = a.split(1);
  const made = torch.zeros([2, 3]);
  const joined = torch.cat([a, a], 1);
  const kept = tidy(() => a.matmul(joined).mul(2));
  console.log(dtype, data.length, sums.shape, largest.ndim, where.text(), parts.length, made.numel(), kept.chainPrint());
}

export async function pointers(hook: TorchHook): Promise<number[]> {
  const [bob, alice] = [new VirtualWorker({ id: 'bob', hook }), new VirtualWorker({ id: 'alice', hook })];
  const x: Tensor = await tensor([1, 2]).send(bob).send(alice, { id: 7n }).endGet();
  x.send(bob).move('alice', { id: '8' });
  await x.configure({ policy: 'open', tags: '#shared' });
  const copies = await tensor([1, 2]).send(bob, alice, { policy: 'compute' }).get<Tensor[]>();
  const sum: Tensor = await tensor([1]).send(bob, alice).sumGet();
  const borrowed = hook.localWorker.createPointer({ location: alice, id: 8, dtype: 'float32', shape: [2] });
  return [copies.length, sum.numel() ?? 0, ...(await borrowed.getShape()), ...(x.children ?? []).map(({ location }) => (location === null ? 0 : 1))];
}

class Doubling extends TensorKind {
  static override readonly name = '_DoublingTensor';
  static override readonly rank = 400;

  add(self: Tensor, other: Tensor | number, options: { alpha: number }): Tensor {
    return self.add(other, options).mul(2);
  }
}

export function kinds(hook: TorchHook): string[] {
  hook.registerKind(Doubling);
  const x = LogTensor.wrap(Doubling.wrap(tensor([1, 2])));
  const below: Tensor | null = x.add(1).child;
  x.unwrap(Doubling).wrap('_PlusIsMinusTensor');
  return [...hook.kinds.keys(), ...LogTensor.commands(x), below?.chainPrint() ?? ''];
}

export async function failures(worker: VirtualWorker): Promise<string> {
  worker.addEventListener('error', (event) => console.log(event.detail.error.code));
  try {
    await worker.getObj('17');
    return '';
  } catch (error) {
    return error instanceof TensorError ? `${error.code} at ${error.worker}` : String(error);
  }
}

export function refused(a: Tensor): void {
  // @ts-expect-error: no such op
  a.frobnicate();
  // @ts-expect-error: a string is no operand
  a.add('2');
  // @ts-expect-error: no such dtype
  tensor([1], { dtype: 'float16' });
  // @ts-expect-error: its shape is not ours to set
  a.shape = [1];
  // @ts-expect-error: no kind
  a.wrap(TorchHook);
  // @ts-expect-error: a worker needs an id
  new VirtualWorker({});
}

export async function arrays(hook: TorchHook): Promise<void> {
  const bob = new VirtualWorker({ id: 'bob', hook });
  const a = np.array([[1, 2], [3, 4]], { dtype: np.float32 }).send(bob);
  const sums = a.sum({ axis: 0, keepdims: true }).reshape(2, 1).T;
  const [quotient, rest] = np.divmod(a, 2);
  const parts = np.split(np.concatenate([a, sums], { axis: null }), 2);
  const x = np.linalg.solve(a, np.add([1, 2], 1));
  const y = np.random.default_rng(1).normal(0, 1, [2, 2]);
  const bytes: Uint8Array = await np.savez({ x, y });
  const { x: again } = await np.load(bytes);
  const { tensors } = await loadSafetensors(await saveSafetensors({ w: a.tensor, v: torch.from_numpy(y) }));
  console.log(quotient.shape, rest.size, parts.length, again, tensors['w']?.numpy().astype('int64').flatten());
  // @ts-expect-error: there is no such axis
  a.mean({ axis: 'rows' });
}
