// The page's side: a core without a store, its worker in a thread of its own, everything else through that. (Real tabs:
// tests/browser.)
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { startNative } from './native.js';
import { startNode } from './node_process.js';
import { becomePage, threads } from './page_in_node.js';
import { failure } from './failures.js';

const relay = await startNative(['relay', '--port', '0']);
becomePage(relay.url);
const { FloatTensor, TensorError, TorchHook, VirtualWorker, WebSocketWorker, tensor, tidy, torch } =
  await import('../../web/tabtensor.js');

const event = async (worker, type) => (await once(worker, type))[0];

// By default a page's worker attaches to the page's own origin.
const me = new WebSocketWorker({ id: 'me' });
for (const thread of threads) thread.hold();
const hook = new TorchHook({ localWorker: me });
// Another tab: this process has one page only, so its worker is beside the first.
const other = new WebSocketWorker({ id: 'bob' });
let bob;

before(async () => {
  await Promise.all([me.ready, other.ready]);
  bob = await me.waitFor('bob');
});
after(async () => {
  await me.close();
  await other.close();
  await relay.stop();
});

test('waiting for a worker ends with the last connection over which it could come', async (t) => {
  const alone = new WebSocketWorker({ id: 'alone', url: null });
  t.after(() => alone.close());
  await assert.rejects(alone.waitFor('bob'), failure('state', /alone is attached to no relay/));
  const second = await startNative(['relay', '--port', '0']);
  t.after(() => second.stop());
  const waiting = new WebSocketWorker({ id: 'waiting', url: second.url });
  t.after(() => waiting.close());
  await waiting.ready;
  const rejected = assert.rejects(waiting.waitFor('bob'), failure('connection', /./));
  await second.stop();
  await rejected;
  await assert.rejects(waiting.waitFor('bob'), failure('state', /attached to no relay/));
});

test('a tensor of the page lives at its worker and is shown as local', async () => {
  const x = tensor([
    [1, 2],
    [3, 4],
  ]);
  assert.equal(x.isPointer, false);
  assert.equal(x.location, null);
  assert.equal(x.idAtLocation, null);
  assert.deepEqual(x.shape, [2, 2]);
  assert.equal(x.chainPrint(), 'FloatTensor > _LocalTensor');
  assert.equal(String(x), '[torch.FloatTensor of size 2x2 at me: await text() for its values]');
  const printed = 'tensor([[1., 2.],\n        [3., 4.]])';
  assert.equal(await x.text(), printed);
  assert.equal(String(x), printed);
  const row = x.select(0, 1);
  row.add_(1);
  assert.notEqual(String(x), printed, 'a view of it has changed: what was printed is forgotten');
  assert.equal(await x.text(), 'tensor([[1., 2.],\n        [4., 5.]])');
  assert.deepEqual(await x.array(), [
    [1, 2],
    [4, 5],
  ]);
  assert.deepEqual(await x.data(), Float32Array.of(1, 2, 4, 5));
  assert.equal(await x.sum().item(), 12);
  await assert.rejects(x.get(), failure('state', /here already/));
});

test('a tensor made from nothing is made there', async () => {
  const earlier = await me.counters();
  const x = torch.zeros(300, 300);
  assert.equal(x.isPointer, false);
  assert.deepEqual(x.shape, [300, 300]);
  assert.equal(await x.sum().item(), 0);
  const later = await me.counters();
  assert.ok(later.tensorBytesIn - earlier.tensorBytesIn < 100, 'no elements have come from the page');
  torch.manual_seed(3);
  const first = await torch.rand(3).array();
  torch.manual_seed(3);
  assert.deepEqual(await torch.rand(3).array(), first);
});

test("S18: the seed's example, from a page to another tab", async () => {
  const x = FloatTensor([1, 2, 3, 4, 5]).send(bob);
  const x2 = FloatTensor([1, 2, 3, 4, 4]).send(bob);
  const y = x.add(x2).add(x);
  const id = y.idAtLocation;
  assert.equal(String(y), `[torch.FloatTensor - Locations:[<WebSocketWorker bob>] - id:${id}]`);
  assert.equal(y.chainPrint(), `FloatTensor > _PointerTensor(bob, ${id})`);
  assert.equal(y.location, bob);
  assert.equal(String(await y.get()), 'tensor([ 3.,  6.,  9., 12., 14.])');
  assert.equal(y.chainPrint(), 'FloatTensor > _LocalTensor');
  assert.equal(y.isPointer, false);
  assert.deepEqual(await x.array(), [1, 2, 3, 4, 5]);
  assert.equal(await x2.text(), 'tensor([1., 2., 3., 4., 4.])');
  assert.deepEqual(await x.add(1).sum().item(), 20);
});

test('S7, S9, S10: who is there, what they have, what they are asked', async (t) => {
  assert.equal((await me.whoami()).id, 'me');
  assert.deepEqual((await me.whoami()).urls, [relay.url.replace('http', 'ws')]);
  assert.equal((await bob.whoami()).kind, 'node');
  assert.deepEqual([...me.knownWorkers.keys()], ['bob']);
  assert.throws(() => me.getWorker('alice'), failure('unknown_worker', /here now: bob/));

  const process = await startNode(t, 'nora', relay.url);
  const nora = await me.waitFor('nora');
  const [found] = await nora.search('#open');
  assert.equal(found.idAtLocation, '100');
  assert.equal(found.location, nora);
  assert.equal(found.chainPrint(), 'FloatTensor > _PointerTensor(nora, 100)');
  assert.deepEqual(found.tags, ['#open']);
  assert.deepEqual(await found.array(), [
    [1, 2],
    [3, 4],
  ]);
  assert.deepEqual(await found.mul(2).array(), [
    [2, 4],
    [6, 8],
  ]);
  found.dispose();
  const borrowed = await nora.getObj(100);
  await borrowed.get();
  assert.deepEqual(await borrowed.array(), [
    [1, 2],
    [3, 4],
  ]);
  assert.equal(
    (await process.ask('list')).some((object) => object.id === '100'),
    true,
    'borrowed is not taken',
  );
  await assert.rejects(nora.getObj(41), failure('unknown_object', /41/, { worker: 'nora' }));
  await assert.rejects(nora.rmObj(100), failure('policy', /only its owner/));
  await process.stop();
  await assert.rejects(other.setObj(tensor([1])), failure('location', /belongs to me; send it to bob/));

  const mine = await me.setObj(tensor([7]), { tags: '#mine', description: 'seven' });
  const listed = (await me.list()).find((object) => object.id === mine);
  assert.deepEqual(listed, {
    id: mine,
    dtype: 'float32',
    shape: [1],
    owner: 'me',
    tags: ['#mine'],
    description: 'seven',
    policy: 'open',
  });
  const [again] = await me.search('#mine');
  assert.equal(again.isPointer, false);
  assert.deepEqual(await again.array(), [7]);
  assert.deepEqual(await (await me.getObj(mine)).array(), [7]);
  await me.rmObj(mine);
  await assert.rejects(me.getObj(mine), failure('unknown_object', /./));
});

test('S4: virtual workers of a page are in its thread', async () => {
  const vera = new VirtualWorker({ id: 'vera', hook });
  const x = tensor([1, 2, 3]).send(vera, { tags: ['#x'] });
  assert.equal(String(x), `[torch.FloatTensor - Locations:[<VirtualWorker vera>] - id:${x.idAtLocation}]`);
  assert.deepEqual(await x.mul(x).array(), [1, 4, 9]);
  assert.equal((await vera.whoami()).kind, 'virtual');
  assert.deepEqual((await vera.list()).find(({ id }) => id === x.idAtLocation).tags, ['#x']);
  assert.equal(me.getWorker('vera'), vera);
  assert.throws(() => new VirtualWorker({ id: 'vera', hook }), failure('duplicate', /vera already/));
  assert.throws(() => new VirtualWorker({ id: 'me', hook }), failure('duplicate', /me/));
  const left = event(me, 'left');
  await vera.close();
  assert.equal((await left).detail.worker, 'vera');
  assert.throws(() => x.add(1), failure('connection', /vera/));
});

test('S5: a native worker is attached to by the thread', async () => {
  const native = await startNative(['worker', '--id', '2', '--port', '0']);
  const remote = new WebSocketWorker({ hook, id: 2, port: native.port, isPointer: true });
  const x = FloatTensor([1, 2, 3]).send(remote);
  assert.equal(String(await x.add(x).get()), 'tensor([2., 4., 6.])');
  await remote.ready;
  assert.equal((await remote.whoami()).kind, 'native');
  await remote.close();
  await native.stop();
  const gone = new WebSocketWorker({ hook, id: 3, port: native.port, isPointer: true });
  const sent = tensor([1]).send(gone);
  await assert.rejects(gone.ready, failure('connection', /could not connect/));
  await assert.rejects(
    sent.ready(),
    (error) => error instanceof TensorError && ['connection', 'unknown_worker'].includes(error.code),
  );
  assert.equal(sent.isPointer, false);
  assert.deepEqual(await sent.array(), [1]);
});

test("errors are the caller's, or the answer's, or the worker's error event", async () => {
  const x = tensor([1, 2, 3, 4]).send(bob);
  assert.throws(() => x.add(tensor([1, 2]).send(bob)), failure('shape', /\[4\] and \[2\]/, { worker: 'me' }));
  assert.throws(() => x.add(tensor([1])), failure('location', /one is at bob and one at me/));
  assert.throws(() => tensor([1]).send('nobody'), failure('unknown_worker', /nobody/));
  const some = x.masked_select(x.gt(1));
  assert.equal(some.shape, null);
  assert.deepEqual(await some.getShape(), [3]);
  const wrong = some.add(x);
  await assert.rejects(wrong.sum().get(), failure('shape', /\[3\] and \[4\]/, { worker: 'bob', op: 'add' }));
  await assert.rejects(wrong.array(), failure('shape', /\[3\] and \[4\]/, { worker: 'bob' }));
  const told = event(me, 'error');
  some.mul(x);
  failure('shape', /\[3\] and \[4\]/, { worker: 'bob', op: 'mul' })((await told).error);
  const here = tensor([1, 2, 3, 4]);
  const locally = event(me, 'error');
  here.masked_select(here.gt(1)).add(here);
  failure('shape', /\[3\] and \[4\]/, { worker: 'me', op: 'add' })((await locally).error);
  await assert.rejects(here.masked_select(here.gt(1)).add(here).array(), failure('shape', /./, { worker: 'me' }));
});

test('giving up', async () => {
  const x = tensor([1, 2]).send(bob);
  await x.ready();
  for (const call of [
    (signal) => x.get({ signal }),
    (signal) => x.array({ signal }),
    (signal) => x.text({ signal }),
    (signal) => bob.whoami({ signal }),
  ]) {
    const giveUp = new AbortController();
    const waiting = call(giveUp.signal);
    giveUp.abort(new Error('enough'));
    await assert.rejects(waiting, (error) => failure('aborted', /gave up/)(error) && error.cause.message === 'enough');
  }
});

test('what the page lets go of goes at its worker, and at others', async () => {
  const isThere = async (worker, id) => (await worker.list()).some((object) => object.id === id);
  const x = tensor([1, 2, 3]).send(bob);
  const kept = tidy(() => x.add(1).mul(2));
  await kept.ready();
  const ids = [x.idAtLocation, kept.idAtLocation];
  for (const id of ids) assert.equal((await isThere(other, id)) && (await isThere(me, id)), true);
  x.dispose();
  kept.dispose();
  await tensor([0]).send(bob).get(); // what was freed before it is gone by then
  for (const id of ids) assert.equal((await isThere(other, id)) || (await isThere(me, id)), false);
});

test('a large tensor goes through in chunks', async () => {
  const n = 2_000_000;
  const x = tensor(Float64Array.from({ length: n }, (_, i) => i));
  await x.send(bob).ready();
  assert.equal(await x.sum().item(), (n * (n - 1)) / 2);
  await x.get();
  const data = await x.data();
  assert.ok(data.length === n && data.every((value, i) => value === i));
});

test('a tab that closes: what is open with it rejects', async () => {
  const carol = new WebSocketWorker({ id: 'carol' });
  await carol.ready;
  const there = await me.waitFor('carol');
  const x = tensor([1, 2]).send(there);
  await x.ready();
  const left = event(me, 'left');
  const closing = carol.close();
  await left;
  await closing;
  await assert.rejects(x.get(), failure('connection', /carol/));
  assert.throws(() => tensor([1]).send('carol'), failure('unknown_worker', /carol/));
});

test('a thread that fails is lost with what was open, and says so', async () => {
  const known = new Set(threads);
  const dora = new WebSocketWorker({ id: 'dora' });
  const [thread] = [...threads].filter((candidate) => !known.has(candidate));
  await dora.ready;
  const told = event(dora, 'error');
  const calls = [dora.whoami(), dora.list(), dora.setObj(tensor([1]))];
  const settled = Promise.allSettled(calls.slice(0, 2));
  thread.fail();
  for (const { reason } of await settled) failure('connection', /thread of worker dora has failed: it was made to/)(reason);
  failure('connection', /dora/)((await told).error);
  await assert.rejects(calls[2], TensorError);
  await assert.rejects(dora.whoami(), failure('state', /closed/));
  await dora.close();
});
