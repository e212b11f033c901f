/**
 * What pages do, which tells into which part of the core a function goes (wasm-build/to_web.js): `first` is what every page does, and in the file that they load
 * at once; `all` is what many do besides, such as training. The rest is what few do. A part is loaded when a function of it is first called. All belong to every
 * core: the tour decides about loading, never about what works.
 *
 *     node --import ./wasm-build/tour/watch.js wasm-build/tour/tour.js first|all here|page
 *
 * `page`: through a page's own worker in its thread, as tests/js/page_in_node.js has it; `here`: in this thread.
 */
import { once } from 'node:events';
import { becomePage, threads } from '../../tests/js/page_in_node.js';
import { startRelay } from './relay.js';

const [part, thread] = process.argv.slice(2);
const isPage = thread === 'page';
if (isPage) becomePage('http://localhost');
const { FloatTensor, LongTensor, TensorError, TorchHook, VirtualWorker, WebSocketWorker, func2plan, nn, optim, tensor, tidy, torch } = await import('../../web/tabtensor.js');

const relay = await startRelay();
const [me, other, gone] = ['me', 'there', 'gone'].map((id) => new WebSocketWorker({ id, url: relay.url }));
for (const thread of threads) thread.hold();
for (const worker of [me, other]) worker.addEventListener('error', () => {});
const hook = new TorchHook({ localWorker: me });
await Promise.all([me, other, gone].map((worker) => worker.ready));
const bob = new VirtualWorker({ hook, id: 'bob' });
const alice = new VirtualWorker({ hook, id: 'alice' });

async function refuses(call) {
  try {
    await call();
  } catch (error) {
    if (error instanceof TensorError) return;
    throw error;
  }
  throw new Error(`nothing refused ${call}`);
}

async function show(tensors) {
  for (const one of tensors) {
    if (one.location !== null) await one.get();
    await one.data();
  }
}

/** Arithmetic, element by element, on float32, wherever tensors are. */
async function arithmetic(at) {
  const of = (data) => at(tensor(data));
  const a = of([[1, 2, 3], [4, 5, 6]]);
  const b = of([[0.5, -1, 2], [1, 0.25, -3]]);
  const row = of([1, 2, 3]);
  await show([
    ...['add', 'sub', 'mul', 'div'].flatMap((op) => [a[op](b), a[op](2), a[op](row), a.clone()[`${op}_`](b)]),
    ...[a.sum(), a.t(), a.reshape([3, 2]), a.clone()],
  ]);
}

/** Other ops: float32 in full, indices and masks as far as they serve it. */
async function ops(at) {
  const of = (data) => at(tensor(data));
  const a = of([[1, 2, 3], [4, 5, 6]]);
  const b = of([[0.5, -1, 2], [1, 0.25, -3]]);
  const row = of([1, 2, 3]);
  await show([
    ...['add', 'sub', 'mul', 'div'].map((op) => a.t()[op](b.t())),
    ...['eq', 'gt', 'lt'].flatMap((op) => [a[op](b), a[op](1)]),
    ...['exp', 'log', 'sqrt', 'abs', 'neg', 'sigmoid', 'tanh', 'relu'].map((op) => a[op]()),
    ...[a.pow(2), a.clone().zero_(), a.clone().fill_(1), a.softmax(1), a.log_softmax(1)],
    ...[a.sum(), a.sum(0), a.sum(1, { keepdim: true }), a.mean(), a.mean(0), a.max(), a.min(), a.argmax(), a.argmax(1)],
    ...[a.matmul(b.t()), a.mm(b.t()), row.dot(row), a.mv(row)],
    ...[a.reshape([3, 2]), a.view(6), a.t(), a.t().contiguous(), a.transpose(0, 1), a.unsqueeze(0).squeeze(0), a.flatten(), a.select(0, 0), a.slice(1, 0, 2)],
    ...[torch.cat([a, b]), torch.stack([a, b])],
    ...[a.to('float64'), a.to('int64'), a.gt(1).to('float32'), a.detach()],
  ]);
}

/** Making, printing and reading tensors of this thread or page alone. */
async function values(made) {
  for (const one of made) {
    String(one);
    await one.text();
    await one.data();
    await one.array();
  }
  await tensor(3).item();
  tidy(() => made[0].add(1));
  for (const one of made) one.dispose();
}

async function makers() {
  torch.manual_seed(1);
  await values([
    ...[torch.arange(5), torch.rand([2]), torch.randn([2, 2]), torch.randint(0, 9, [4]), torch.randn([20, 60])],
    ...[LongTensor([1, 2]), tensor([true, false]), tensor([1, 2], { dtype: 'float64' })],
  ]);
}

/** Both parts of a training step, with what is usual in it. */
async function training(place) {
  class Net extends nn.Module {
    constructor() {
      super();
      this.first = new nn.Linear(6, 8);
      this.second = new nn.Linear(8, 4, { bias: false });
    }

    forward(x) {
      return this.second.call(this.first.call(x).relu());
    }
  }
  const net = new Net();
  String(net);
  const layers = new nn.Sequential(new nn.Linear(6, 8), new nn.ReLU(), new nn.Linear(8, 8), new nn.Tanh(), new nn.Linear(8, 4), new nn.Sigmoid(), new nn.LogSoftmax(1));
  const optimizers = [
    [net, new optim.SGD(net.parameters(), { lr: 0.1, momentum: 0.9 }), new nn.CrossEntropyLoss()],
    [layers, new optim.Adam(layers.parameters(), { lr: 0.1 }), new nn.NLLLoss()],
    [layers, new optim.SGD(layers.parameters(), { lr: 0.1 }), new nn.MSELoss()],
  ];
  for (const [model, optimizer, lossOf] of optimizers) {
    if (place !== undefined) model.send(place);
    const at = (value) => (place === undefined ? value : value.send(place));
    const x = at(torch.randn([2, 6]));
    const y = at(lossOf instanceof nn.MSELoss ? torch.randn([2, 4]) : torch.randint(0, 4, [2]));
    const body = (inputs, targets) => {
      optimizer.zero_grad();
      const loss = lossOf.call(model.call(inputs), targets);
      loss.backward();
      optimizer.step();
      return loss.detach();
    };
    const step = place === undefined ? body : func2plan(body, { state: [model, optimizer] });
    for (let i = 0; i < 4; i++) {
      const loss = step(x, y);
      await (place === undefined ? loss : await loss.get()).item();
    }
    step.dispose?.();
    if (place !== undefined) await model.get();
    model.eval();
    torch.no_grad(() => model.call(torch.randn([2, 6])));
  }
}

async function gradients() {
  const x = tensor([[1, 2], [3, 4]], { requires_grad: true });
  const w = tensor([[0.5], [0.25]], { requires_grad: true });
  const y = x.matmul(w).add(1).exp().div(2).log().sub(1).mul(3).pow(2).sigmoid().tanh();
  y.reshape([2]).sum().add(x.sum()).add(x.t().mean()).add(x.relu().softmax(0).mean()).backward();
  await x.grad.data();
  x.grad.zero_();
  x.mul(x).sum().backward();
  String(x);
  x.detach();
}

/** To another worker and back. */
async function sending() {
  const x = FloatTensor([1, 2, 3]).send(bob, { tags: ['#x'] });
  String(x);
  await x.add(x).mul(2).get();
  await bob.search('#x');
  await bob.whoami();
  await me.whoami();
}

async function remote() {
  const [y, z] = [FloatTensor([1, 2, 3]).send(bob), FloatTensor([1, 2, 3])];
  y.add(1);
  await refuses(() => y.matmul(FloatTensor([1, 2]).send(bob)).get());
  await refuses(() => z.add(FloatTensor([1, 2])));
  await refuses(() => z.add(y));
  await refuses(() => FloatTensor([1, 2, 3]).send(bob).select(0, 9).get());
  const moved = FloatTensor([1, 2]).send(bob);
  await moved.move(alice);
  await moved.get();
  const w = tensor([1, 2], { requires_grad: true }).send(bob);
  w.mul(w).sum().backward();
  await w.get();
  await w.grad.data();
  for (let i = 0; i < 3; i++) FloatTensor(new Array(70000).fill(1)).send(bob).dispose();
  await FloatTensor(new Array(70000).fill(1)).send(bob).get();
}

/** With a worker at a relay. */
async function overRelay() {
  const there = await me.waitFor('there');
  await gone.close();
  const x = FloatTensor([1, 2, 3]).send(there);
  await x.add(x).get();
  await x.get();
}

/** The relay ends. */
async function withoutRelay() {
  const there = me.getWorker('there');
  for (const type of ['object', 'command']) me.addEventListener(type, () => {});
  const kept = FloatTensor([1, 2, 3]).send(there);
  const lost = [me, other].map((worker) => once(worker, 'disconnected'));
  relay.stop();
  await Promise.all(lost);
  await refuses(() => kept.add(1).get());
}

await arithmetic((value) => value);
await arithmetic((value) => value.send(bob));
await values([torch.zeros([2, 3]), torch.ones([2]), FloatTensor([1, 2.5, -3e-7]), tensor(3), tensor(new Float32Array([1, 2]))]);
await sending();
await overRelay();
if (part === 'all') {
  await ops((value) => value);
  await ops((value) => value.send(bob));
  await makers();
  await training();
  await training(bob);
  await gradients();
  await remote();
  await withoutRelay();
}
await me.close();
await other.close();
if (part !== 'all') relay.stop();
