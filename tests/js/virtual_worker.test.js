// Workers of one process: the uniform interface, the seed's example, and every error that a caller can meet.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, test } from 'node:test';
import { inspect } from 'node:util';
import {
  BaseWorker,
  FloatTensor,
  TensorError,
  TorchHook,
  VirtualWorker,
  WebSocketWorker,
  tensor,
  torch,
} from '../../web/tabtensor.js';
import { failure } from './failures.js';

const hook = new TorchHook();
const me = hook.localWorker;
const opened = [];
/** A virtual worker that goes when the test does. */
const start = (id, options) => {
  const worker = new VirtualWorker({ id, hook, ...options });
  opened.push(worker);
  return worker;
};
afterEach(async () => {
  for (const worker of opened.splice(0)) await worker.close();
});
/** The next event of a kind. */
const event = async (worker, type) => (await once(worker, type))[0];

test("S18, S4: the seed's example, line for line", async () => {
  const bob = start('bob');
  const x = FloatTensor([1, 2, 3, 4, 5]).send(bob);
  const x2 = FloatTensor([1, 2, 3, 4, 4]).send(bob);
  const y = x.add(x2).add(x);
  const id = y.idAtLocation;
  assert.match(id, /^[1-9]\d+$/);
  assert.equal(String(y), `[torch.FloatTensor - Locations:[<VirtualWorker bob>] - id:${id}]`);
  assert.equal(y.location, bob);
  assert.equal(y.isPointer, true);
  assert.deepEqual(y.shape, [5]);
  assert.equal(y.dtype, 'float32');
  assert.equal(y.chainPrint(), `FloatTensor > _PointerTensor(bob, ${id})`);
  assert.equal(await y.get(), y);
  assert.equal(String(y), 'tensor([ 3.,  6.,  9., 12., 14.])');
  assert.equal(y.chainPrint(), 'FloatTensor > _LocalTensor');
  assert.equal(y.location, null);
  assert.equal(y.idAtLocation, null);
});

test('S2: a second hook changes nothing and says so', async () => {
  const warned = event(me, 'warning');
  const second = new TorchHook({ localWorker: new VirtualWorker({ id: 'other', isLocal: true }) });
  assert.equal(second, hook);
  assert.equal(second.localWorker, me);
  assert.match(second.warning, /hooked already, with local worker me/);
  assert.match((await warned).detail.message, /hooked already/);
});

test('S3: there is one interface; BaseWorker itself is not a worker', () => {
  assert.throws(() => new BaseWorker('x'), failure('argument', /VirtualWorker or a WebSocketWorker/));
  const bob = start('bob');
  assert.ok(bob instanceof BaseWorker);
  assert.equal(bob.id, 'bob');
  assert.equal(String(bob), '<VirtualWorker bob>');
  assert.equal(inspect({ bob }), '{ bob: <VirtualWorker bob> }');
});

test('S7: whoami', async () => {
  const bob = start('bob');
  await tensor([1, 2]).send(bob).ready();
  assert.deepEqual(await bob.whoami(), { id: 'bob', kind: 'virtual', software: 'tabtensor 0.1.0', objects: 1, bytes: 8 });
  assert.deepEqual((await me.whoami()).id, 'me');
});

test('S9: the store: set, get and remove by id', async () => {
  const bob = start('bob');
  const x = tensor([1, 2]);
  const id = await bob.setObj(x, { id: 17n, tags: ['#x', '#data'], description: 'two numbers', policy: 'compute' });
  assert.equal(id, '17');
  assert.deepEqual(await bob.list(), [
    {
      id: '17',
      dtype: 'float32',
      shape: [2],
      owner: 'bob',
      tags: ['#x', '#data'],
      description: 'two numbers',
      policy: 'compute',
    },
  ]);
  assert.deepEqual(await (await bob.getObj(17)).array(), [1, 2]);
  await assert.rejects(bob.getObj(18), failure('unknown_object', /18/, { worker: 'bob' }));
  await assert.rejects(bob.getObj('eighteen'), failure('argument', /eighteen is not an id/));
  await assert.rejects(bob.setObj(x, { id: '17' }), failure('duplicate', /17/));
  await assert.rejects(bob.setObj([1]), failure('argument', /first argument is a tensor/));
  await bob.rmObj('17');
  assert.deepEqual(await bob.list(), []);
  await assert.rejects(bob.rmObj('17'), failure('unknown_object', /17/));
});

test('search answers what holds every term', async () => {
  const bob = start('bob');
  await bob.setObj(tensor([1]), { tags: ['#boston', '#rows'] });
  await bob.setObj(tensor([2]), { tags: ['#boston', '#targets'] });
  const found = await bob.search(['#boston', '#rows']);
  assert.equal(found.length, 1);
  assert.deepEqual(await found[0].array(), [1]);
  assert.deepEqual(found[0].tags, ['#boston', '#rows']);
  assert.equal((await bob.search('#boston')).length, 2);
  assert.equal((await bob.search()).length, 2);
  assert.deepEqual(await bob.search('#elsewhere'), []);
});

test('S10: known workers: an unknown id is an error, a duplicate is refused', async () => {
  const bob = start('bob');
  assert.equal(me.getWorker('bob'), bob);
  assert.deepEqual([...me.knownWorkers.keys()], ['bob']);
  assert.throws(() => me.getWorker('alice'), failure('unknown_worker', /me knows no worker alice; here now: bob/));
  assert.throws(() => start('bob'), failure('duplicate', /bob/));
  assert.throws(() => start('me'), failure('duplicate', /me/));
  assert.throws(() => start(''), failure('argument', /id/));
  assert.throws(() => start('x'.repeat(65)), failure('argument', /65/));
  assert.throws(() => start('a\nb'), failure('argument', /./));
  assert.throws(() => start(), failure('argument', /needs an id/));
  assert.equal(me.addWorker(bob), bob);
  assert.equal(start(2).id, '2');
  assert.equal(me.getWorker(2).id, '2');
  await bob.close();
  assert.throws(() => me.getWorker('bob'), failure('unknown_worker', /bob any more \(it has left\)/));
  assert.equal(me.getWorker(start('bob').id).id, 'bob');
});

test('S10: workers tell of those who come and go; waitFor waits for one', async () => {
  const joined = event(me, 'joined');
  const waited = me.waitFor('bob');
  const bob = start('bob');
  assert.equal(await waited, bob);
  assert.equal((await joined).detail.worker, 'bob');
  assert.equal(await me.waitFor('bob'), bob);
  const left = event(me, 'left');
  await bob.close();
  assert.equal((await left).detail.worker, 'bob');
  await assert.rejects(
    me.waitFor('nobody', { signal: AbortSignal.abort('enough') }),
    failure('aborted', /gave up/, { cause: 'enough' }),
  );
  assert.equal(await me.waitFor('me'), me);
  // No connection over which anybody could come: Node would end, waiting for nothing.
  await assert.rejects(me.waitFor('nobody'), failure('state', /^me is attached to no relay: give it url or port, or add a worker$/));
  const giveUp = new AbortController();
  const never = me.waitFor('nobody', { signal: giveUp.signal });
  giveUp.abort();
  await assert.rejects(never, failure('aborted', /gave up/));
});

test('an option that there is not is refused, naming those there are', async () => {
  const bob = start('bob');
  const x = tensor([1]);
  const refused = (options) => failure('argument', new RegExp(`no option '${options}'; there are`));
  assert.throws(() => new VirtualWorker({ id: 'carl', local: true }), refused('local'));
  assert.throws(() => new WebSocketWorker({ id: 'carl', prt: 8181 }), refused('prt'));
  assert.throws(() => new WebSocketWorker('carl'), failure('argument', /such as \{ id: \.\.\. \}, not the string 'carl'/));
  assert.throws(() => new TorchHook({ worker: bob }), refused('worker'));
  await assert.rejects(me.waitFor('bob', { timeout: 1 }), refused('timeout'));
  await assert.rejects(bob.setObj(x, { tag: '#x' }), refused('tag'));
  await assert.rejects(bob.setObj(x, { policy: 'secret' }), failure('argument', /setObj: policy is 'open', 'compute' or 'closed'/));
  for (const method of ['whoami', 'list', 'search', 'getObj', 'rmObj']) {
    const args = method === 'search' || method.endsWith('Obj') ? ['1'] : [];
    await assert.rejects(bob[method](...args, { timeout: 1 }), refused('timeout'), method);
  }
  await assert.rejects(bob.search(3), failure('argument', /search: terms are strings, such as '#data', not the number 3/));
  await assert.rejects(bob.search(['#x', undefined]), failure('argument', /not undefined/));
  assert.deepEqual(await bob.search(17n), []);
  assert.throws(() => new VirtualWorker({ id: 'carl', hook: me }), failure('argument', /hook is a TorchHook, not a VirtualWorker/));
  assert.throws(() => x.send(bob, { tags: 3 }), failure('argument', /tags are strings, such as \['#data'\], not the number 3/));
  assert.throws(() => tensor([1], { tags: ['#x', null] }), failure('argument', /tags are strings.*not null/));
  await assert.rejects(bob.whoami({ signal: 5 }), failure('argument', /signal is an AbortSignal, not the number 5/));
  assert.deepEqual(await bob.list(), [], 'nothing of that was done');
});

test('what a tensor was sent with, it says', async () => {
  const bob = start('bob');
  const x = tensor([1], { tags: '#first' }).send(bob, { tags: ['#x', '#data'], description: 'one number' });
  assert.deepEqual([x.tags, x.description], [['#x', '#data'], 'one number']);
  const [{ tags, description }] = await bob.list();
  assert.deepEqual([tags, description], [x.tags, x.description]);
  const y = tensor([1], { tags: '#first' });
  assert.deepEqual(y.send(bob).tags, ['#first'], 'what is not said stays');
  const z = tensor([1]);
  assert.throws(() => z.send('nobody', { tags: '#z' }), failure('unknown_worker', /./));
  assert.deepEqual(z.tags, [], 'it was not sent');
});

test('S10: virtual workers get to know each other by addWorker', async () => {
  const bob = start('bob');
  const alice = start('alice');
  bob.addWorker(alice);
  assert.equal(bob.getWorker('alice'), alice);
  assert.equal(alice.getWorker('bob'), bob);
  assert.throws(
    () => bob.addWorker(new WebSocketWorker({ id: 'far', isPointer: true })),
    failure('argument', /needs its address/),
  );
});

test('S13: sendObj gives an object away', async () => {
  const bob = start('bob');
  const x = await me.sendObj(tensor([1, 2]), bob, { id: 99, tags: '#x' });
  assert.equal(x.location, bob);
  assert.equal(x.idAtLocation, '99');
  const listed = await bob.list();
  assert.equal(listed[0].id, '99');
  assert.deepEqual(listed[0].tags, ['#x']);
  assert.equal(listed[0].owner, 'me');
});

test('sending to an id that is taken is an error, and nothing is overwritten', async () => {
  const bob = start('bob');
  await bob.setObj(tensor([1]), { id: 7 });
  const x = tensor([2, 3]);
  await assert.rejects(x.send(bob, { id: 7 }).ready(), failure('duplicate', /7.*nothing was overwritten/, { worker: 'bob' }));
  assert.equal(x.isPointer, false);
  assert.deepEqual(await x.array(), [2, 3], 'what could not be sent is here again');
  assert.deepEqual(await (await bob.getObj(7)).array(), [1]);
});

test('S15: get brings the data back and removes it there', async () => {
  const bob = start('bob');
  const x = tensor([
    [1, 2],
    [3, 4],
  ]).send(bob);
  await x.get();
  assert.deepEqual(await x.array(), [
    [1, 2],
    [3, 4],
  ]);
  assert.deepEqual(await bob.list(), []);
  await assert.rejects(x.get(), failure('state', /here already/));
  assert.throws(() => tensor([1]).send('nobody'), failure('unknown_worker', /nobody/));
  assert.throws(() => tensor([1]).send(), failure('argument', /worker or its id/));
  const sent = tensor([1]).send(bob);
  assert.throws(() => sent.send(bob), failure('state', /at bob already/));
});

test('S15: values of a pointer are read without taking it away', async () => {
  const bob = start('bob');
  const x = tensor([
    [1, 2],
    [3, 4],
  ]).send(bob);
  assert.deepEqual(await x.data(), Float32Array.of(1, 2, 3, 4));
  assert.deepEqual(await x.sum(0).array(), [4, 6]);
  assert.equal(await x.sum().item(), 10);
  assert.equal(await x.text(), 'tensor([[1., 2.],\n        [3., 4.]])');
  assert.equal(x.isPointer, true);
});

test('S11: every op runs where the data is: methods, functions, in place, several results', async () => {
  const bob = start('bob');
  const x = tensor([
    [1, 5, 3],
    [4, 2, 6],
  ]).send(bob);
  const [values, indices] = x.max(1);
  assert.deepEqual(await values.array(), [5, 6]);
  assert.deepEqual(await indices.array(), [1, 2]);
  assert.equal(indices.dtype, 'int64');
  assert.deepEqual(await torch.cat([x, x]).sum(1).array(), [9, 12, 9, 12]);
  assert.equal(x.add_(1), x);
  assert.deepEqual(await x.array(), [
    [2, 6, 4],
    [5, 3, 7],
  ]);
  const parts = x.split(1, 1);
  assert.deepEqual(await parts[2].array(), [[4], [7]]);
  const row = x.select(0, 0);
  x.mul_(10);
  assert.deepEqual(await row.array(), [20, 60, 40], 'a view over there is one too');
});

test('data moves in chunks: a tensor larger than a frame and a window', async () => {
  const bob = start('bob');
  const n = 3_000_000;
  const x = torch.arange(n, { dtype: 'float64' });
  const total = await x.sum().item();
  x.send(bob);
  assert.equal(await x.sum().item(), total);
  await x.get();
  const data = await x.data();
  assert.equal(data.length, n);
  assert.ok(data.every((value, i) => value === i));
  x.dispose();
});

test('a wrong shape is an error at the caller, before anything is sent', async () => {
  const bob = start('bob');
  const x = tensor([1, 2, 3]).send(bob);
  const y = tensor([1, 2]).send(bob);
  await y.ready();
  const before = await me.counters();
  assert.throws(() => x.add(y), failure('shape', /add: shapes \[3\] and \[2\]/, { shapes: ['[3]', '[2]'], op: 'add' }));
  assert.equal((await me.counters()).commandsOut, before.commandsOut);
});

test('a wrong shape that shows only at the worker poisons what follows, which fails with the first cause', async () => {
  const bob = start('bob');
  const x = tensor([1, 2, 3, 4]).send(bob);
  const some = x.masked_select(x.gt(1));
  assert.equal(some.shape, null);
  assert.equal(some.numel(), null);
  assert.match(String(some), /Locations:\[<VirtualWorker bob>\]/);
  const wrong = some.add(x);
  const cause = { worker: 'bob', op: 'add', shapes: ['[3]', '[4]'] };
  await assert.rejects(wrong.mul(2).sum().get(), failure('shape', /\[3\] and \[4\]/, cause));
  await assert.rejects(wrong.ready(), failure('shape', /\[3\] and \[4\]/, cause));
  await assert.rejects(wrong.data(), failure('shape', /\[3\] and \[4\]/, cause));
  assert.deepEqual(await some.getShape(), [3]);
  assert.deepEqual(await some.array(), [2, 3, 4], 'what it was made from is sound');
});

test("a failure that nobody awaits is the worker's error event", async () => {
  const bob = start('bob');
  const x = tensor([1, 2, 3, 4]).send(bob);
  const here = event(bob, 'failure');
  const told = event(me, 'error');
  x.masked_select(x.gt(1)).add(x);
  failure('shape', /\[3\] and \[4\]/, { worker: 'bob', op: 'add' })((await told).error);
  assert.equal((await here).detail.peer, 'me');
});

test('a failure that ready, text or getShape answers with is awaited: no event tells it again', async () => {
  const bob = start('bob');
  const x = tensor([1, 2, 3, 4]).send(bob);
  const events = [];
  const listen = ({ error }) => events.push(error.message);
  me.addEventListener('error', listen);
  for (const ask of ['ready', 'text', 'getShape', 'array']) {
    const wrong = x.masked_select(x.gt(1)).add(x);
    const later = wrong.mul(2); // fails with the same first cause
    await assert.rejects(later[ask](), failure('shape', /\[3\] and \[4\]/, { worker: 'bob', op: 'add' }), ask);
  }
  const told = event(me, 'error');
  x.masked_select(x.gt(2)).add(x);
  await told;
  me.removeEventListener('error', listen);
  assert.equal(events.length, 1, events.join('\n'));
});

test('a failure that nobody awaits nor listens to is a warning', async () => {
  const lonely = new VirtualWorker({ id: 'lonely', isLocal: true });
  const warned = once(process, 'warning');
  lonely.tell('error', { error: new TensorError('add: something went wrong', { code: 'shape' }) });
  const [warning] = await warned;
  assert.match(warning.message, /add: something went wrong \(nobody awaited it\)/);
  assert.deepEqual([warning.name, warning.code], ['TensorError', 'shape']);
  const warnings = [];
  const collect = (told) => warnings.push(told);
  process.on('warning', collect);
  const heard = event(lonely, 'error');
  lonely.tell('error', { error: new TensorError('again') });
  assert.match((await heard).error.message, /again/);
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', collect);
  assert.deepEqual(warnings, []);
  await lonely.close();
});

test('where there is no WebSocket, connecting says what to install', async () => {
  const { WebSocket } = globalThis;
  globalThis.WebSocket = undefined;
  try {
    assert.throws(
      () => new WebSocketWorker({ id: 'offline', port: 1 }),
      failure('connection', /npm install ws, or use Node 22 or later/),
    );
  } finally {
    globalThis.WebSocket = WebSocket;
  }
});

test('operands on different workers: an error that says so, at the caller', () => {
  const bob = start('bob');
  const alice = start('alice');
  const x = tensor([1]).send(bob);
  const y = tensor([1]).send(alice);
  assert.throws(() => x.add(y), failure('location', /one is at bob and one at alice/));
  assert.throws(() => x.add(tensor([1])), failure('location', /one is here \(me\) and one at bob/));
  assert.throws(() => torch.cat([tensor([1]), y]), failure('location', /alice/));
});

test('a worker that goes takes its pointers along: calls in flight reject at once, saying so', async () => {
  const bob = start('bob');
  const x = tensor([1, 2]).send(bob);
  const y = tensor([3, 4]).send(bob);
  await y.ready();
  const calls = [x.sum().data(), x.add(1).ready(), x.text(), tensor([5]).send(bob).ready(), y.get()];
  assert.throws(() => y.add(1), failure('state', /on its way here from bob/));
  // Closing is at once: nothing of the turn has left yet.
  const closed = bob.close();
  for (const result of await Promise.allSettled(calls)) {
    assert.equal(result.status, 'rejected');
    failure('connection', /bob/)(result.reason);
  }
  await closed;
  assert.throws(() => x.add(1), failure('connection', /bob/));
  await assert.rejects(x.data(), failure('connection', /bob/));
  await assert.rejects(bob.whoami(), failure('state', /bob has been closed/));
});

test('giving up: an aborted signal rejects at once, and what was to come stays where it is', async () => {
  const bob = start('bob');
  const x = tensor([1, 2]).send(bob);
  const giveUp = new AbortController();
  const waiting = x.get({ signal: giveUp.signal });
  giveUp.abort(new Error('changed my mind'));
  await assert.rejects(waiting, (error) => failure('aborted', /gave up/)(error) && error.cause.message === 'changed my mind');
  assert.equal(x.isPointer, true);
  await assert.rejects(x.data({ signal: AbortSignal.abort() }), failure('aborted', /gave up/));
  assert.deepEqual(await x.array(), [1, 2]);
});

test('a full store refuses, and what it has stays', async () => {
  const bob = start('bob', { maxStoreBytes: 1000 });
  const x = torch.ones(200).send(bob);
  await x.ready();
  const more = torch.ones(100);
  await assert.rejects(more.send(bob).ready(), failure('full', /./, { worker: 'bob' }));
  assert.equal(more.isPointer, false);
  await assert.rejects(x.add(1).ready(), failure('full', /./, { worker: 'bob', op: 'add' }));
  assert.equal(await x.sum().item(), 200);
  const few = start('few', { maxObjects: 1 });
  await tensor([1]).send(few).ready();
  await assert.rejects(tensor([2]).send(few).ready(), failure('full', /./));
});

test('objects and commands are told to who listens, in batches', async () => {
  const bob = start('bob');
  const objects = event(bob, 'object');
  const commands = event(bob, 'command');
  const x = tensor([1, 2], { tags: ['#x'] }).send(bob);
  const y = x.add(x);
  const { detail: added } = await objects;
  assert.deepEqual(added, { action: 'added', id: x.idAtLocation, peer: 'me', dtype: 'float32', shape: [2] });
  const { detail: command } = await commands;
  assert.deepEqual(command, { peer: 'me', op: 'add', operands: [x.idAtLocation, x.idAtLocation], results: [y.idAtLocation] });
  const removed = event(bob, 'object');
  await y.get();
  assert.equal((await removed).detail.action, 'removed');
});

test('what is too much for a batch is counted, not lost', async () => {
  const bob = start('bob');
  let nTold = 0;
  bob.addEventListener('command', () => nTold++);
  const skipped = event(bob, 'skipped');
  const x = tensor([1]).send(bob);
  const n = 2000;
  for (let i = 0; i < n; i++) x.add_(1);
  await x.ready();
  assert.equal(nTold + (await skipped).detail.counts.COMMAND, n);
  assert.ok(nTold > 0 && nTold < n);
});

test('commands gather: a thousand of them leave in a few frames, and nothing waits but a get', async () => {
  const bob = start('bob');
  const x = tensor([0]).send(bob);
  await x.ready();
  const before = await me.counters();
  for (let i = 0; i < 1000; i++) x.add_(1);
  assert.equal(await x.item(), 1000);
  const after = await me.counters();
  assert.equal(after.commandsOut - before.commandsOut, 1000);
  assert.ok(after.framesOut - before.framesOut <= 8, `${after.framesOut - before.framesOut} frames`);
});

test('a turn that asks for much has full frames leave before its end, be it calls, sends, moves or gets', async () => {
  const [bob, alice] = ['bob', 'alice'].map((id) => start(id));
  const n = 300;
  const all = Array.from({ length: n }, (_, i) => tensor([i, i]));
  const framesOf = async (ask) => {
    const before = await me.counters();
    const asked = ask();
    const { framesOut } = await me.counters(); // counted before anything of the turn's end
    await asked;
    return framesOut - before.framesOut;
  };
  for (const [what, ask] of [
    ['sends', () => Promise.all(all.map((x) => x.send(bob).ready()))],
    ['calls', () => (all.forEach((x) => x.add_(0)), all.at(-1).ready())],
    ['moves', () => Promise.all(all.map((x) => x.move(alice).ready()))],
    ['gets', () => Promise.all(all.map((x) => x.get()))],
  ]) {
    const nFrames = await framesOf(ask);
    assert.ok(nFrames >= 1 && nFrames <= 20, `${what}: ${nFrames} frames`);
  }
  for (const [i, x] of all.entries()) assert.deepEqual(await x.array(), [i, i]);
});
