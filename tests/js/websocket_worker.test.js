// Workers in processes of their own: two over the relay, and native ones that listen by themselves. The programs are the real
// ones.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { FloatTensor, TorchHook, WebSocketWorker, tensor, tidy, torch } from '../../web/tabtensor.js';
import { nativeBinaries, startNative } from './native.js';
import { startNode } from './node_process.js';
import { failure } from './failures.js';

const event = async (worker, type) => (await once(worker, type))[0];

let relay;
let url;
let me;
let hook;

before(async () => {
  relay = await startNative(['relay', '--port', '0']);
  url = relay.url;
  me = new WebSocketWorker({ id: 'me', url });
  hook = new TorchHook({ localWorker: me });
  await me.ready;
});
after(async () => {
  await me.close();
  await relay.stop();
});

test("S5, S18: the seed's example, between two processes over the relay", async (t) => {
  const process = await startNode(t, 'bob', url);
  const bob = await me.waitFor('bob');
  const x = FloatTensor([1, 2, 3, 4, 5]).send(bob);
  const x2 = FloatTensor([1, 2, 3, 4, 4]).send(bob);
  const sum = x.add(x2); // held, so that garbage collection does not free it over there in the midst of this
  const y = sum.add(x);
  const id = y.idAtLocation;
  assert.equal(String(y), `[torch.FloatTensor - Locations:[<WebSocketWorker bob>] - id:${id}]`);
  assert.equal(String(await y.get()), 'tensor([ 3.,  6.,  9., 12., 14.])');
  // What bob sees: the two tensors arrive, the commands run, the result appears and leaves.
  await process.said(
    ({ type, detail }) => type === 'object' && detail.action === 'removed' && detail.id === id && detail.reason === 'taken',
  );
  const told = process.told.filter(({ type }) => type === 'object' || type === 'command');
  const named = told
    .map(({ type, detail }) => (type === 'command' ? `${detail.op} by ${detail.peer}` : `${detail.action} ${detail.peer}`))
    .filter((text) => text.includes('me'));
  assert.deepEqual(named, ['added me', 'added me', 'added me', 'add by me', 'added me', 'add by me', 'removed me']);
  sum.dispose();
  assert.equal((await bob.whoami()).kind, 'node');
  await process.stop();
});

test('S9, S10: what another process has is found, used and read as its owner allows', async (t) => {
  const process = await startNode(t, 'bob', url);
  const bob = await me.waitFor('bob');
  assert.deepEqual((await bob.list()).map(({ id }) => id).sort(), ['100', '200'], 'what is closed is not seen');
  const [open] = await bob.search('#open');
  assert.equal(open.idAtLocation, '100');
  assert.deepEqual(open.tags, ['#open']);
  assert.deepEqual(await open.array(), [
    [1, 2],
    [3, 4],
  ]);
  assert.deepEqual(await open.add(1).array(), [
    [2, 3],
    [4, 5],
  ]);
  assert.throws(() => open.add(tensor([1, 1, 1]).send(bob)), failure('shape', /./));

  const [compute] = await bob.search('#compute');
  await assert.rejects(compute.array(), failure('policy', /200/, { worker: 'bob' }));
  await assert.rejects(compute.get(), failure('policy', /200/));
  await assert.rejects(compute.text(), failure('policy', /200/));
  await assert.rejects(compute.add(1).array(), failure('policy', /./));
  assert.equal(await compute.sum().item(), 10, 'aggregates may leave');
  const told = event(me, 'error');
  compute.add_(1);
  failure('policy', /200/, { worker: 'bob', op: 'add_' })((await told).error);
  assert.equal(await compute.sum().item(), 10, 'what somebody else failed to change is as sound as before');
  const closed = me.addWorker(bob);
  await assert.rejects(closed.getObj(300), failure('unknown_object', /300/));
  await assert.rejects(bob.getObj(999), failure('unknown_object', /999/, { worker: 'bob' }));
  await assert.rejects(bob.rmObj(100), failure('policy', /only its owner/));
  const mine = await bob.setObj(tensor([9]), { tags: '#mine' });
  await bob.rmObj(mine);
  await assert.rejects(bob.getObj(mine), failure('unknown_object', /./));

  const borrowed = await bob.getObj(100);
  await borrowed.get();
  assert.deepEqual(await borrowed.array(), [
    [1, 2],
    [3, 4],
  ]);
  assert.equal(
    (await process.ask('list')).some(({ id }) => id === '100'),
    true,
    'what was borrowed is still there',
  );
  await process.stop();
});

test('a process that dies with calls open: they reject at once, saying so', async (t) => {
  const process = await startNode(t, 'bob', url);
  const bob = await me.waitFor('bob');
  const x = torch.ones(100, 100).send(bob);
  await x.ready();
  // It is stopped in the midst of things, so that nothing is answered before it dies.
  process.child.kill('SIGSTOP');
  const left = event(me, 'left');
  const calls = [x.add(1).get(), x.sum().item(), x.ready(), bob.whoami(), bob.search('#open'), torch.ones(3).send(bob).ready()];
  const settled = Promise.allSettled(calls);
  process.child.kill('SIGKILL');
  for (const result of await settled) {
    assert.equal(result.status, 'rejected');
    failure('connection', /bob: its connection to the relay is gone/)(result.reason);
  }
  assert.equal((await left).detail.worker, 'bob');
  assert.throws(() => x.add(1), failure('connection', /bob is not connected/));
  assert.throws(() => me.getWorker('bob'), failure('unknown_worker', /bob any more/));
  const again = await startNode(t, 'bob', url);
  await me.waitFor('bob');
  assert.deepEqual(await tensor([1]).send('bob').add(1).array(), [2]);
  await again.stop();
});

test('waiting for a worker ends with the last connection over which it could come', async (t) => {
  const nowhere = new WebSocketWorker({ id: 'nowhere', port: 1 });
  await assert.rejects(nowhere.waitFor('bob'), failure('connection', /./));
  await assert.rejects(nowhere.waitFor('bob'), failure('state', /nowhere is attached to no relay/));
  await nowhere.close();
  const second = await startNative(['relay', '--port', '0']);
  t.after(() => second.stop());
  const waiting = new WebSocketWorker({ id: 'waiting', url: second.url });
  await waiting.ready;
  const never = waiting.waitFor('bob');
  const rejected = assert.rejects(never, failure('connection', /./));
  await second.stop();
  await rejected;
  await waiting.close();
});

test('S10: the relay refuses an id that is taken; who was there stays', async (t) => {
  const process = await startNode(t, 'bob', url);
  const bob = await me.waitFor('bob');
  const second = new WebSocketWorker({ id: 'bob', url });
  const ended = event(second, 'disconnected');
  await assert.rejects(second.ready, failure('duplicate', /bob/));
  assert.equal((await ended).error.code, 'duplicate');
  await second.close();
  assert.equal((await bob.whoami()).id, 'bob');
  await process.stop();
});

test('a relay that is not there, or goes: both are said', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  const early = new WebSocketWorker({ id: 'early', port });
  await assert.rejects(early.ready, failure('connection', new RegExp(`could not connect to ws://127.0.0.1:${port}/`)));
  await early.close();

  const other = await startNative(['relay', '--port', '0']);
  const [alice, carol] = ['alice', 'carol'].map((id) => new WebSocketWorker({ id, url: other.url }));
  await Promise.all([alice.ready, carol.ready]);
  await alice.waitFor('carol');
  const ended = event(alice, 'disconnected');
  const left = event(alice, 'left');
  await other.stop();
  assert.equal((await left).detail.worker, 'carol');
  failure('connection', /./)((await ended).error);
  await Promise.all([alice.close(), carol.close()]);
  assert.throws(() => new WebSocketWorker({ id: 'x', url: 'ftp://127.0.0.1/' }), failure('argument', /ftp/));
  assert.throws(() => new WebSocketWorker({ id: 'x', url: 'nonsense' }), failure('argument', /nonsense/));
});

test('a server that speaks something else is left, saying so', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const answers = [
    'text instead of frames',
    Buffer.from('garbage that is no frame at all'),
    Buffer.concat([Buffer.from([0x54, 0x54, 99, 1]), Buffer.alloc(36)]),
  ];
  server.on('connection', (socket) => socket.once('message', () => socket.send(answers.shift())));
  for (const [code, message] of [
    ['connection', /text where the protocol has binary frames/],
    ['protocol', /./],
    ['version', /99/],
  ]) {
    const lost = new WebSocketWorker({ id: 'lost', port: server.address().port });
    await assert.rejects(lost.ready, failure(code, message));
    await lost.close();
  }
  server.close();
});

test('a training loop over pointers leaves nothing behind: tidy frees over there too', async (t) => {
  const process = await startNode(t, 'bob', url);
  const bob = await me.waitFor('bob');
  const nObjects = (await process.ask('list')).length;
  const data = [
    [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ],
    [[0], [0], [1], [1]],
    [[0.5], [0.5]],
  ];
  const [rows, targets, weights] = data.map((values) => tensor(values).send(bob));
  const losses = [];
  for (let step = 0; step < 20; step++) {
    await tidy(async () => {
      const error = rows.matmul(weights).sub(targets);
      const loss = error.mul(error).mean();
      const gradient = rows
        .transpose(0, 1)
        .matmul(error)
        .mul(2 / 4);
      weights.sub_(gradient.mul(0.1));
      losses.push(await loss.item());
    });
  }
  assert.ok(
    losses.every((loss, i) => i === 0 || loss < losses[i - 1]),
    losses.join(' '),
  );
  for (const sent of [rows, targets, weights]) sent.dispose();
  await bob.whoami(); // what was freed before it is gone by then
  assert.equal((await process.ask('list')).length, nObjects);
  await process.stop();
});

for (const binary of nativeBinaries()) {
  test(`S5, S18: a native worker that listens by itself, attached to without a relay (${binary.name})`, async () => {
    const native = await startNative(['worker', '--id', '2', '--port', '0'], { binary: binary.path });
    const remote = new WebSocketWorker({ hook, id: 2, port: native.port, isPointer: true });
    // As in the seed, nothing is awaited between attaching and sending.
    const x = FloatTensor([1, 2, 3, 4, 5]).send(remote);
    const x2 = FloatTensor([1, 2, 3, 4, 4]).send(remote);
    const y = x.add(x2).add(x);
    assert.equal(String(y), `[torch.FloatTensor - Locations:[<WebSocketWorker 2>] - id:${y.idAtLocation}]`);
    assert.equal(y.location, remote);
    assert.equal(String(await y.get()), 'tensor([ 3.,  6.,  9., 12., 14.])');
    await remote.ready;
    const { id, kind } = await remote.whoami();
    assert.deepEqual([id, kind], ['2', 'native']);
    assert.equal(me.getWorker(2), remote);
    assert.throws(
      () => new WebSocketWorker({ hook, id: 2, port: native.port, isPointer: true }),
      failure('duplicate', /2 already/),
    );
    const left = event(me, 'left');
    await remote.close();
    assert.equal((await left).detail.worker, '2');
    await native.stop();
  });

  test(`another worker than the one that was meant is refused (${binary.name})`, async () => {
    const native = await startNative(['worker', '--id', '2', '--port', '0'], { binary: binary.path });
    const wrong = new WebSocketWorker({ hook, id: 3, port: native.port, isPointer: true });
    const sent = tensor([1]).send(wrong);
    await assert.rejects(wrong.ready, failure('argument', /the worker there is 2, where 3 was expected/));
    await assert.rejects(sent.ready(), failure('connection', /3/));
    assert.equal(sent.isPointer, false, 'what could not be sent is here again');
    assert.throws(() => me.getWorker(3), failure('unknown_worker', /3/));
    await native.stop();
  });

  const twoWay = join(dirname(binary.path), 'two_way');
  if (!existsSync(twoWay)) continue;
  test(`either side commands the other: a native worker runs the example in this process (${binary.name})`, async () => {
    const native = await startNative([], { binary: twoWay });
    const server = new WebSocketWorker({ hook, id: 'server', port: native.port, isPointer: true });
    await server.ready;
    assert.equal(await native.said(/^me: /), 'me: tensor([ 3.,  6.,  9., 12., 14.])');
    assert.deepEqual(await tensor([1, 2]).send(server).mul(3).array(), [3, 6]);
    assert.equal((await me.list()).length, 0);
    await server.close();
    await native.stop();
  });
}
