// Pointers in full from a page: it commands its own worker, in a thread, which does for it what it would do for itself. (Real tabs:
// tests/browser.)
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startNative } from './native.js';
import { becomePage, threads } from './page_in_node.js';
import { failure } from './failures.js';

const relay = await startNative(['relay', '--port', '0']);
becomePage(relay.url);
const { FloatTensor, TorchHook, VirtualWorker, WebSocketWorker, tensor, torch } = await import(
  '../../web/tabtensor.js'
);

const me = new WebSocketWorker({ id: 'me' });
for (const thread of threads) thread.hold();
const hook = new TorchHook({ localWorker: me });
const unheard = [];
me.addEventListener('error', ({ error }) => unheard.push(error));
// Other tabs: this process has one page only, so their workers are beside the first.
const tabs = ['bob', 'alice', 'james'].map((id) => new WebSocketWorker({ id }));
let bob;
let alice;
let james;

before(async () => {
  await Promise.all([me, ...tabs].map((worker) => worker.ready));
  [bob, alice, james] = await Promise.all(tabs.map(({ id }) => me.waitFor(id)));
});
after(async () => {
  assert.deepEqual(unheard, []);
  for (const worker of [me, ...tabs]) await worker.close();
  await relay.stop();
});
/** Freeing goes along a chain, from worker to worker: that it is done there tells nobody here. */
const allEmpty = async () => {
  while ((await Promise.all([me, ...tabs].map((worker) => worker.list()))).flat().length > 0);
};

test('S16 pointer to pointer from a page: there, ops on it, and back by three gets', async () => {
  const x = FloatTensor([1, 2, 3]).send(bob);
  const atBob = x.idAtLocation;
  x.send(alice);
  assert.notEqual(x.idAtLocation, atBob);
  assert.equal(x.chainPrint(), `FloatTensor > _PointerTensor(alice, ${x.idAtLocation})`);
  x.send(james);
  const y = x.add(x);
  assert.equal(x.add_(1), x);
  assert.deepEqual(await y.array(), [2, 4, 6]);
  assert.equal(await x.text(), 'tensor([2., 3., 4.])');
  assert.equal(await x.ready(), x);
  assert.ok((await tabs[2].list()).some(({ id, location }) => id === x.idAtLocation && location === 'alice'));
  await x.get();
  assert.equal(x.location, alice);
  await x.get();
  assert.equal(x.location, bob);
  assert.equal(x.idAtLocation, atBob);
  await x.get();
  assert.equal(x.location, null);
  assert.equal(String(x), 'tensor([2., 3., 4.])');
  assert.equal(x.chainPrint(), 'FloatTensor > _LocalTensor');
  assert.equal(String(await y.endGet()), 'tensor([2., 4., 6.])');
  x.dispose();
  y.dispose();
  await allEmpty();
});

test('S13, S16 from a page: move, directly from bob to alice', async () => {
  const n = 100_000;
  const x = await torch.ones(n).send(bob).ready();
  const then = await me.counters();
  x.move(alice, { id: 4711 });
  const sum = x.sum();
  assert.equal(await sum.item(), n);
  await x.ready();
  assert.equal(x.location, alice);
  const now = await me.counters();
  for (const way of ['bytesIn', 'bytesOut']) assert.ok(now[way] - then[way] < 5000, `${way}: ${now[way] - then[way]}`);
  assert.deepEqual((await tabs[1].list()).map(({ id }) => id).includes('4711'), true);
  assert.throws(() => x.move(me), failure('argument', /get\(\)/));
  assert.throws(() => x.send(alice), failure('state', /at alice already/));
  await x.get();
  assert.equal(x.location, null);
  x.dispose();
  sum.dispose();
  await allEmpty();
});

test('S16 from a page: copies at several workers', async () => {
  const x = tensor([1, 2]);
  assert.equal(x.send(bob, alice), x);
  assert.deepEqual(x.locations, [bob, alice]);
  assert.equal(x.chainPrint(), 'FloatTensor > _MultiPointerTensor(bob, alice)');
  const y = x.mul(3);
  const [first] = y.children;
  first.add_(1);
  const total = await y.sumGet();
  assert.deepEqual(await total.array(), [7, 13]);
  const copies = await x.get();
  assert.deepEqual(await Promise.all(copies.map((copy) => copy.array())), [
    [1, 2],
    [1, 2],
  ]);
  for (const used of [first, total, ...copies]) used.dispose();
  await allEmpty();
});

test('S16, S17 from a page: copies of a leaf are leaves, each with its own gradient', async () => {
  const w = tensor([1, 2], { requires_grad: true }).send(bob, alice);
  w.mul(w).sum().backward();
  const [first, second] = w.children;
  const grads = [first.grad, second.grad];
  assert.deepEqual(await Promise.all(grads.map((grad) => grad.array())), [
    [2, 4],
    [2, 4],
  ]);
  for (const used of [w, first, second, ...grads]) used.dispose();
});

test('from a page: createPointer, and an owner that shares what is elsewhere', async () => {
  const mine = tensor([5, 6]).send(bob);
  const id = mine.idAtLocation;
  await mine.ready();
  await mine.configure({ tags: '#shared', description: 'for all', policy: 'open' });
  assert.equal((await tabs[0].list()).find((object) => object.id === id).policy, 'open');
  const pointer = me.createPointer({ location: bob, id, shape: [2] });
  assert.equal(pointer.idAtLocation, id);
  assert.deepEqual(await pointer.add(1).array(), [6, 7]);
  const ghost = me.createPointer({ location: bob, id: 99 });
  await assert.rejects(ghost.getShape(), failure('unknown_object', /99/));
  pointer.dispose();
  ghost.dispose();
  mine.dispose();
});

test('S16 from a page: virtual workers know each other; a failure comes back along the chain', async (t) => {
  const [carol, dave] = ['carol', 'dave'].map((name) => new VirtualWorker({ id: name, hook }));
  await Promise.all([carol.ready, dave.ready]);
  t.after(() => Promise.allSettled([carol.close(), dave.close()]));
  const x = tensor([1, 2]).send(carol).send(dave);
  assert.deepEqual(await x.add(1).array(), [2, 3]);
  const indices = tensor([0, 9], { dtype: 'int64' }).send(carol).send(dave);
  await assert.rejects(x.index_select(0, indices).endGet(), failure('index', /./, { worker: 'carol' }));
  await assert.rejects(x.send(bob).ready(), failure('unknown_worker', /dave knows no worker bob/));
  assert.equal(x.location, dave);
  unheard.length = 0; // that carol's failure was awaited, nobody on the way knew
});
