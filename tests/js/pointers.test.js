// Pointers in full: pointers to pointers, moving from worker to worker, copies at several workers, sharing. In one process first,
// then between three processes over the relay.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, describe, test } from 'node:test';
import { FloatTensor, TorchHook, VirtualWorker, WebSocketWorker, tensor, tidy, torch } from '../../web/tabtensor.js';
import { startNative } from './native.js';
import { startNode } from './node_process.js';
import { failure } from './failures.js';

const relay = await startNative(['relay', '--port', '0']);
const me = new WebSocketWorker({ id: 'me', url: relay.url });
const hook = new TorchHook({ localWorker: me });
const unheard = [];
me.addEventListener('error', ({ error }) => unheard.push(error));
await me.ready;
after(async () => {
  await me.close();
  await relay.stop();
});

describe('virtual workers', () => {
  const opened = [];
  const start = (id, options) => {
    const worker = new VirtualWorker({ id, hook, ...options });
    opened.push(worker);
    return worker;
  };
  let bob;
  let alice;
  let james;
  const gather = () => {
    [bob, alice, james] = ['bob', 'alice', 'james'].map((id) => start(id));
  };
  afterEach(async () => {
    assert.deepEqual(unheard.splice(0), []);
    for (const worker of opened.splice(0)) await worker.close();
  });
  const empty = async () => {
    for (const worker of [bob, alice, james]) assert.deepEqual(await worker.list(), [], worker.id);
  };

  test('S10: virtual workers of one local worker know each other', () => {
    gather();
    assert.equal(bob.getWorker('alice'), alice);
    assert.equal(james.getWorker('bob'), bob);
    assert.deepEqual(new Set(alice.knownWorkers.keys()), new Set(['me', 'bob', 'james']));
  });

  test('S16 pointer to pointer: bob, alice, james, and back by three gets', async () => {
    gather();
    const x = FloatTensor([1, 2, 3]);
    x.send(bob);
    const idAtBob = x.idAtLocation;
    x.send(alice);
    assert.equal(x.send(james), x);
    await x.ready();
    assert.equal(x.location, james);
    assert.equal(x.chainPrint(), `FloatTensor > _PointerTensor(james, ${x.idAtLocation})`);
    assert.deepEqual((await bob.list()).map(({ id }) => id), [idAtBob]);
    const [listed] = await james.list();
    assert.equal(listed.location, 'alice');
    assert.equal(listed.owner, 'me');
    for (const next of [alice, bob, null]) {
      assert.equal(await x.get(), x);
      assert.equal(x.location, next);
    }
    assert.equal(String(x), 'tensor([1., 2., 3.])');
    await empty();
  });

  test('S16 pointer to pointer: ops, copies, text and shape at any depth; in place; endGet', async () => {
    gather();
    await tidy(async (scope) => {
      const x = scope.track(
        tensor([
          [1, 2],
          [3, 4],
        ]),
      );
      x.send(bob).send(alice).send(james);
      const y = x.matmul(x).sum(0);
      assert.deepEqual(await y.array(), [22, 32]);
      assert.equal(x.add_(1), x);
      assert.equal(await x.text(), 'tensor([[2., 3.],\n        [4., 5.]])');
      assert.deepEqual(await x.data(), Float32Array.of(2, 3, 4, 5));
      const large = x.masked_select(x.gt(3));
      assert.equal(large.shape, null);
      assert.deepEqual(await large.getShape(), [2]);
      assert.deepEqual((await large.ready()).shape, [2]);
      assert.equal(await y.endGet(), y);
      assert.equal(String(y), 'tensor([22., 32.])');
    });
    await empty();
  });

  test('S16 pointer to pointer: what is freed at one end is freed at the other', async () => {
    gather();
    await tidy(async (scope) => {
      const x = scope.track(tensor([1, 2, 3]));
      const y = x.send(bob).send(alice).add(1).mul(2);
      assert.deepEqual(await y.array(), [4, 6, 8]);
      assert.equal((await bob.list()).length, 3);
    });
    await alice.whoami();
    await empty();
  });

  test('S13, S16: move gives the data to another worker, directly', async () => {
    gather();
    const n = 200_000;
    const x = await torch.arange(n, { dtype: 'float32' }).send(bob).ready();
    const then = await me.counters();
    assert.equal(x.move(alice, { id: 4711 }), x);
    assert.equal(x.location, alice);
    assert.equal(x.idAtLocation, '4711');
    const most = x.max();
    assert.equal(await most.item(), n - 1);
    most.dispose();
    await x.ready();
    const now = await me.counters();
    for (const way of ['bytesIn', 'bytesOut']) assert.ok(now[way] - then[way] < 5000, `${way}: ${now[way] - then[way]}`);
    assert.deepEqual(await bob.list(), []);
    assert.equal((await alice.list())[0].owner, 'me');
    await x.get();
    assert.equal(x.shape[0], n);
    await empty();
    const here = tensor([1]);
    assert.equal(here.move(bob).location, bob);
    assert.throws(() => here.move(bob), failure('state', /at bob already/));
    assert.throws(() => here.move(me), failure('argument', /get\(\)/));
    assert.throws(() => here.move(), failure('argument', /a worker or its id/));
    const deep = tensor([1]).send(bob).send(alice);
    await assert.rejects(deep.move(james).ready(), failure('state', /is a pointer to bob/, { worker: 'alice' }));
    assert.equal(deep.location, alice, 'it has stayed');
    assert.equal(await deep.item(), 1);
  });

  test('S16: sending to a taken id, or to the worker that has it, overwrites nothing', async () => {
    gather();
    await alice.setObj(tensor([9]), { id: 7 });
    const x = tensor([1, 2]).send(bob);
    await assert.rejects(x.send(alice, { id: 7 }).ready(), failure('duplicate', /7 already; nothing was overwritten/));
    assert.equal(x.location, bob);
    await assert.rejects(x.move(alice, { id: 7 }).ready(), failure('duplicate', /7 already; nothing was overwritten/));
    assert.equal(x.location, bob);
    assert.throws(() => x.send(bob), failure('state', /at bob already/));
    assert.deepEqual(await (await alice.getObj(7)).array(), [9]);
    assert.deepEqual(await x.array(), [1, 2]);
  });

  test('S15: operands at different workers are refused, of chains too, naming both', async () => {
    gather();
    const x = tensor([1]).send(bob).send(alice);
    const y = tensor([1]).send(bob);
    assert.throws(() => x.add(y), failure('location', /one is at alice and one at bob/));
    assert.throws(() => x.add(tensor([1])), failure('location', /one is here \(me\) and one at alice/));
    assert.deepEqual(await x.add(1).array(), [2], 'a number goes along');
  });

  test('S16: a failure at the end of a chain reaches whoever holds the pointer', async () => {
    gather();
    const x = tensor([1, 2, 3]).send(bob).send(alice);
    await x.ready();
    const indices = tensor([0, 7], { dtype: 'int64' }).send(bob).send(alice);
    const bad = x.index_select(0, indices);
    await assert.rejects(bad.add(1).endGet(), failure('index', /./, { worker: 'bob', op: 'index_select' }));
    const heard = once(me, 'error');
    x.index_select(0, indices);
    const [{ error, detail }] = await heard;
    assert.deepEqual([error.code, error.worker, detail.peer], ['index', 'bob', 'alice']);
    unheard.length = 0;
  });

  test('S16: send to several workers: a multi-pointer; ops on each; get, sumGet, meanGet', async () => {
    gather();
    const x = tensor([1, 2, 3]);
    assert.equal(x.send(bob, alice, { tags: '#copies' }), x);
    assert.equal(x.isMultiPointer, true);
    assert.equal(x.isPointer, true);
    assert.equal(x.location, null);
    assert.equal(x.idAtLocation, null);
    assert.deepEqual(x.locations, [bob, alice]);
    assert.equal(String(x), '[torch.FloatTensor - Locations:[<VirtualWorker bob>, <VirtualWorker alice>]]');
    assert.equal(x.chainPrint(), 'FloatTensor > _MultiPointerTensor(bob, alice)');
    await x.ready();
    assert.equal((await alice.search('#copies')).length, 1);
    assert.deepEqual(x.shape, [3]);
    const y = tensor([10, 20, 30]).send(bob, alice);
    const sum = x.add(y).mul(2);
    assert.equal(x.add_(1), x);
    const [first, second] = x.children;
    assert.deepEqual([first.location, second.location], [bob, alice]);
    second.mul_(100);
    assert.deepEqual(await second.array(), [200, 300, 400]);
    assert.deepEqual(await first.array(), [2, 3, 4]);
    const list = await sum.get();
    assert.deepEqual(await Promise.all(list.map((copy) => copy.array())), [
      [22, 44, 66],
      [22, 44, 66],
    ]);
    assert.equal(sum.isDisposed, true);
    const [values, indices] = y.max(0);
    assert.deepEqual([values.isMultiPointer, indices.dtype], [true, 'int64']);
    assert.deepEqual(await (await values.meanGet()).array(), 30);
    assert.deepEqual(await (await x.sumGet()).array(), [202, 303, 404]);
    assert.equal(x.isDisposed, true);
    assert.throws(() => y.add(tensor([1, 2, 3])), failure('location', /a multi-pointer and another a _LocalTensor/));
    assert.throws(() => y.add(tensor([1, 2, 3]).send(alice, bob)), failure('location', /same workers in the same order/));
    await assert.rejects(y.data(), failure('state', /stands for several copies/));
    await assert.rejects(first.sumGet(), failure('state', /no multi-pointer/));
    assert.throws(() => tensor([1]).send(bob, bob), failure('argument', /bob is named twice/));
    assert.throws(() => tensor([1]).send(bob, 7), failure('argument', /such as \{ id: \.\.\. \}, not the number 7/));
    assert.throws(() => tensor([1]).send(bob, 7, alice), failure('argument', /workers or their ids/));
    assert.throws(() => y.send(james), failure('state', /_MultiPointerTensor cannot be sent/));
    assert.equal(tensor([1]).children, null);
  });

  test('S16, S17: copies of a leaf are leaves, each with its own gradient', async () => {
    gather();
    const w = tensor([1, 2], { requires_grad: true });
    assert.throws(() => w.mul(2).send(bob, alice), failure('state', /its history would be lost/));
    w.send(bob, alice);
    assert.equal(w.requires_grad, true);
    assert.equal(w.is_leaf, true);
    assert.equal(w.grad, null);
    const [first] = w.children;
    first.mul(3).sum().backward();
    const squares = w.mul(w);
    assert.equal(squares.is_leaf, false);
    assert.equal(String(squares.grad_fn), '<MulBackward0>');
    squares.sum().backward();
    assert.deepEqual(await (await w.grad.sumGet()).array(), [7, 11]);
    const copies = await w.get();
    assert.deepEqual(
      copies.map(({ grad }) => String(grad)),
      ['tensor([5., 7.])', 'tensor([2., 4.])'],
    );
    assert.ok(copies.every((copy) => copy.requires_grad));
  });

  test('S16: disposing a multi-pointer frees all copies', async () => {
    gather();
    const x = tensor([1]).send(bob, alice, james);
    await x.ready();
    assert.equal((await james.list()).length, 1);
    x.dispose();
    await james.whoami();
    await empty();
  });

  test('search finds by id, tag and description; createPointer borrows; configure shares', async () => {
    gather();
    await bob.setObj(tensor([1, 2]), { id: 1234567, tags: ['#boston'], description: 'rows of houses', policy: 'open' });
    await bob.setObj(tensor([3]), { tags: ['#boston'], description: 'prices' });
    const [found, ...more] = await bob.search(['#boston', 'houses']);
    assert.equal(more.length, 0);
    assert.equal(found.description, 'rows of houses');
    assert.equal((await bob.search('345')).length, 1);
    assert.deepEqual(await found.array(), [1, 2]);
    const pointer = me.createPointer({ location: bob, id: 1234567 });
    assert.equal(pointer.shape, null);
    assert.deepEqual(await pointer.getShape(), [2]);
    assert.deepEqual(await me.createPointer({ location: 'bob', id: '1234567', dtype: 'float32', shape: [2] }).add(1).array(), [2, 3]);
    pointer.dispose();
    assert.equal((await bob.list()).length >= 2, true, 'what is borrowed is not freed');
    assert.throws(() => me.createPointer({ location: 'nobody', id: 1 }), failure('unknown_worker', /nobody/));
    assert.throws(() => me.createPointer({ location: bob, id: 'x' }), failure('argument', /x is not an id/));
    assert.throws(() => me.createPointer({ location: bob, id: 1, dtype: 'float16' }), failure('dtype', /float16/));
    assert.throws(() => me.createPointer({ location: bob, id: 1, shape: 2 }), failure('argument', /shape is an array/));
    assert.throws(() => me.createPointer({ location: me, id: 1 }), failure('argument', /getObj/));

    // An owner shares with others what is at a location.
    const mine = tensor([5, 6]).send(bob);
    const id = mine.idAtLocation;
    await mine.ready();
    const seenBy = async () => (await alice.getWorker('bob').search('#shared')).length;
    const hidden = async () => (await bob.list()).find((object) => object.id === id).policy;
    assert.equal(await hidden(), 'closed');
    assert.equal(await mine.configure({ tags: '#shared', description: 'for all', policy: 'open' }), mine);
    assert.equal(await hidden(), 'open');
    assert.equal(await seenBy(), 1);
    assert.deepEqual([mine.tags, mine.description], [['#shared'], 'for all']);
    await assert.rejects(found.configure({ policy: 'closed' }), failure('policy', /only its owner/));
    await assert.rejects(tensor([1]).configure({ tags: '#x' }), failure('state', /is here/));
    await assert.rejects(mine.configure({ policy: 'secret' }), failure('argument', /policy is/));
  });
});

describe('three processes over the relay', () => {
  const enlist = (t) => Promise.all(['bob', 'alice', 'james'].map((id) => startNode(t, id, relay.url)));
  const others = () => Promise.all(['bob', 'alice', 'james'].map((id) => me.waitFor(id)));
  /** What is there beside what they have registered themselves. */
  const mineAt = async (process) => (await process.ask('list')).filter(({ id }) => !['100', '200', '300'].includes(id));

  test('S16 pointer to pointer: bob, alice, james, ops on the way, and back by three gets', async (t) => {
    const processes = await enlist(t);
    const [bob, alice, james] = await others();
    const x = FloatTensor([1, 2, 3]).send(bob).send(alice).send(james);
    const y = x.add(x);
    const z = y.mul(10); // y and z are held: garbage would be freed in the midst of this
    assert.deepEqual(await z.array(), [20, 40, 60]);
    assert.equal(x.add_(1), x);
    assert.equal(await x.text(), 'tensor([2., 3., 4.])');
    assert.equal(String(await z.endGet()), 'tensor([20., 40., 60.])');
    y.dispose();
    for (const next of [alice, bob, null]) {
      await x.get();
      assert.equal(x.location, next);
    }
    assert.equal(String(x), 'tensor([2., 3., 4.])');
    // Freeing goes along the chain: that it is done tells nobody here.
    for (const process of processes) while ((await mineAt(process)).length > 0);
    for (const process of processes) await process.stop();
  });

  test('S13: bob gives to alice on my word, and the data does not pass through me', async (t) => {
    const processes = await enlist(t);
    const [bob, alice] = await others();
    const n = 500_000;
    const x = torch.arange(n, { dtype: 'float64' });
    const sum = await x.sum().item();
    x.send(bob);
    await x.ready();
    const then = await me.counters();
    x.move(alice);
    assert.equal(await x.sum().item(), sum); // asked for at once: it waits at alice for the data
    await x.ready();
    const now = await me.counters();
    for (const way of ['bytesIn', 'bytesOut']) assert.ok(now[way] - then[way] < 5000, `${way}: ${now[way] - then[way]}`);
    assert.equal(x.location, alice);
    assert.deepEqual(await mineAt(processes[0]), []);
    await x.get();
    assert.equal(await x.sum().item(), sum);
    for (const process of processes) await process.stop();
  });

  test('S16: a worker that dies on the way fails what waits for it', async (t) => {
    const [bob, alice, james] = await enlist(t);
    const [toBob, toAlice] = await others();
    const x = tensor([1, 2]).send(toBob);
    await x.ready();
    bob.child.kill('SIGKILL');
    x.send(toAlice);
    const y = x.add(1);
    // Who of us learns first that it is gone is left to the relay.
    const isAboutBob = (error) => {
      assert.ok(['connection', 'unknown_worker'].includes(error.code), error.code);
      assert.match(error.message, /bob/);
      return true;
    };
    await assert.rejects(y.get(), isAboutBob);
    await assert.rejects(x.ready(), isAboutBob);
    assert.equal(x.location.id, 'bob', 'nothing else has happened to it');
    for (const process of [alice, james]) await process.stop();
  });
});

test('S6, S13, S16: native workers that are attached to each other; what they give each other may overtake our word', async (t) => {
  const alice = await startNative(['worker', '--id', 'native-alice', '--listen', 'tcp://127.0.0.1:0', '--port', '0'], {
    ready: /ready at ws:/,
  });
  t.after(() => alice.stop());
  const tcp = (await alice.said(/ready at tcp:/)).match(/tcp:\S+/)[0];
  const bob = await startNative(['worker', '--id', 'native-bob', '--connect', tcp, '--port', '0'], { ready: /ready at ws:/ });
  t.after(() => bob.stop());
  await alice.said(/joined: native-bob/);
  const [toBob, toAlice] = [bob, alice].map(({ url }, i) =>
    me.addWorker(new WebSocketWorker({ id: ['native-bob', 'native-alice'][i], url, isPointer: true })),
  );
  await Promise.all([toBob.ready, toAlice.ready]);
  for (let i = 0; i < 50; i++) {
    const x = tensor([1, 2, 3]).send(toBob).send(toAlice);
    const y = x.mul(i);
    assert.equal(await x.sum().item(), 6);
    await y.endGet();
    assert.deepEqual(await y.array(), [i, 2 * i, 3 * i]);
    await x.get();
    x.move(toAlice);
    assert.deepEqual(await x.add(1).array(), [2, 3, 4]);
    await x.get();
    assert.equal(x.isPointer, false);
  }
  await Promise.all([toBob.close(), toAlice.close()]);
});
