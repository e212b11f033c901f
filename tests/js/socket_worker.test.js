// SocketWorker under Node (parity S6): over TCP, TLS and Unix sockets, to native workers and between Node's own.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BaseWorker, FloatTensor, SocketWorker, TorchHook, VirtualWorker, numTensors, tensor, torch } from '../../web/node.js';
import { makeCertificates } from './certificates.js';
import { startNative } from './native.js';

/** The seed's lines, at a worker that is known. */
const seedExample = async (remote) => {
  const x = FloatTensor([1, 2, 3, 4, 5]).send(remote);
  const x2 = FloatTensor([1, 2, 3, 4, 4]).send(remote);
  const sum = x.add(x2);
  const y = sum.add(x);
  assert.match(String(y), new RegExp(`^\\[torch\\.FloatTensor - Locations:\\[<SocketWorker ${remote.id}>\\] - id:\\d+\\]$`));
  assert.equal(String(await y.get()), 'tensor([ 3.,  6.,  9., 12., 14.])');
  for (const each of [x, x2, sum, y]) each.dispose();
};

describe('S6: SocketWorker in Node', { timeout: 120_000 }, () => {
  let folder, file, hook, me, native;
  const started = new Set();
  const pem = (name) => readFileSync(join(folder, name));

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tabtensor-socket-'));
    file = (name) => join(folder, name);
    makeCertificates(folder);
    me = new SocketWorker({ id: 'me' });
    hook = new TorchHook({ localWorker: me });
    native = await startNative(['worker', '--id', '2', '--listen', 'tcp://127.0.0.1:0', '--listen', `unix:${file('native.sock')}`, '--listen', 'tls://127.0.0.1:0', '--cert', file('server.pem'), '--key', file('server.key')], { ready: /ready at tls:/ });
    started.add(native);
  });
  after(async () => {
    await me.close();
    await native.stop();
    for (const program of started) program.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  const portOf = (scheme) => Number(native.output.join('\n').match(new RegExp(`ready at ${scheme}://\\S+:(\\d+)`))[1]);

  test('S6, S18: the example at a native worker, over TCP', async () => {
    const remote = new SocketWorker({ hook, id: 2, port: portOf('tcp'), isPointer: true });
    assert.ok(remote instanceof BaseWorker);
    assert.equal(remote.url, `tcp://127.0.0.1:${portOf('tcp')}`);
    await seedExample(remote); // what is sent before the connection is there waits for it
    await remote.ready;
    const { id, kind, objects } = await remote.whoami();
    assert.deepEqual({ id, kind }, { id: '2', kind: 'native' });
    assert.equal(objects, 0);
    const large = tensor(Float32Array.from({ length: 3_000_000 }, (_, i) => i % 2));
    const sum = large.send(remote).sum();
    assert.equal(await (await sum.get()).item(), 1_500_000);
    assert.equal((await (await large.get()).data())[2_999_999], 1);
    large.dispose();
    sum.dispose();
    await remote.close();
    await native.said(/^left: me/);
    assert.throws(() => me.getWorker(2), { code: 'unknown_worker' });
  });

  test('over a Unix socket, and over TLS by name and by address', async () => {
    const ca = pem('ca.pem');
    for (const options of [
      { path: file('native.sock') },
      { url: `unix:${file('native.sock')}` },
      { port: portOf('tls'), tls: { ca } },
      { host: 'localhost', port: portOf('tls'), tls: { ca } },
      { url: `tls://127.0.0.1:${portOf('tls')}`, tls: { ca } },
    ]) {
      const remote = new SocketWorker({ hook, id: 2, isPointer: true, ...options });
      await remote.ready;
      await seedExample(remote);
      await remote.close();
    }
  });

  test('TLS refuses who is not trusted', async () => {
    for (const [tls, says] of [
      [{ ca: pem('other.pem') }, /not trusted/],
      [true, /not trusted/],
      [{ ca: pem('ca.pem'), servername: 'elsewhere.example' }, /another name/],
    ]) {
      const remote = new SocketWorker({ hook, id: 2, port: portOf('tls'), tls, isPointer: true });
      const x = tensor([1]).send(remote);
      await assert.rejects(remote.ready, ({ code, message }) => code === 'connection' && says.test(message));
      await assert.rejects(x.ready(), { code: 'connection' });
      x.dispose();
    }
    const plain = new SocketWorker({ hook, id: 2, port: portOf('tls'), isPointer: true });
    await assert.rejects(plain.ready, { code: 'connection' });
    const encrypted = new SocketWorker({ hook, id: 2, port: portOf('tcp'), tls: true, isPointer: true });
    await assert.rejects(encrypted.ready, { code: 'connection' });
  });

  test('the seed with both ends in Node: a server that listens, and who attaches commands and is commanded', async () => {
    const server = new SocketWorker({ id: 'server', port: 0, listen: true });
    await server.ready;
    assert.equal(server.url, `tcp://127.0.0.1:${server.port}`);
    assert.equal(String(server), '<SocketWorker server>');
    const remote = new SocketWorker({ hook, id: 'server', port: server.port, isPointer: true });
    await seedExample(remote);
    /* The other way: a native worker attaches here, and is commanded. */
    const bob = await startNative(['worker', '--id', 'bob', '--connect', server.url], { ready: /ready behind/ });
    started.add(bob);
    const there = await server.waitFor('bob');
    assert.equal(String(there), '<SocketWorker bob>');
    assert.equal((await there.whoami()).kind, 'native');
    await bob.stop();
    assert.throws(() => server.getWorker('bob'), { code: 'unknown_worker' });
    await remote.close();
    await server.close();
    await assert.rejects(new SocketWorker({ hook, id: 'server', url: server.url, isPointer: true }).ready, /nobody listens there/);
  });

  test('TLS with certificates of clients, and a Unix socket, both ends in Node', async () => {
    const ca = pem('ca.pem');
    const server = new SocketWorker({ id: 'guarded', port: 0, tls: { cert: pem('server.pem'), key: pem('server.key'), ca, requestCert: true } });
    await server.ready;
    assert.match(server.url, /^tls:\/\/127\.0\.0\.1:\d+$/);
    const tls = { ca, cert: pem('client.pem'), key: pem('client.key') };
    const remote = new SocketWorker({ hook, id: 'guarded', port: server.port, tls, isPointer: true });
    await seedExample(remote);
    await remote.close();
    const without = new SocketWorker({ hook, id: 'guarded', port: server.port, tls: { ca }, isPointer: true });
    await assert.rejects(without.ready, { code: 'connection', message: /has to show a certificate: give tls: \{ cert, key \}/ });
    /* The native client has the same word. */
    const bob = await startNative(['worker', '--id', 'bob', '--connect', server.url, '--cert', file('client.pem'), '--key', file('client.key'), '--ca', file('ca.pem')], { ready: /ready behind/ });
    started.add(bob);
    await server.waitFor('bob');
    await bob.stop();
    await server.close();

    const local = new SocketWorker({ id: 'local', path: file('node.sock') });
    await local.ready;
    const near = new SocketWorker({ hook, id: 'local', path: file('node.sock'), isPointer: true });
    await seedExample(near);
    await near.close();
    await local.close();
  });

  test('many peers at once', async () => {
    const server = new SocketWorker({ id: 'busy', port: 0 });
    await server.ready;
    const programs = await Promise.all(Array.from({ length: 5 }, (_, i) => startNative(['worker', '--id', `peer-${i}`, '--connect', server.url, '--quiet'], { ready: /ready behind/ })));
    programs.forEach((program) => started.add(program));
    await Promise.all(programs.map((_, i) => server.waitFor(`peer-${i}`)));
    assert.deepEqual([...server.knownWorkers.keys()].sort(), programs.map((_, i) => `peer-${i}`));
    await Promise.all(programs.map((program) => program.stop()));
    await server.close();
  });

  test('bytes that are no frames end their connection and nothing else', async () => {
    const server = new SocketWorker({ id: 'tough', port: 0 });
    await server.ready;
    const remote = new SocketWorker({ hook, id: 'tough', port: server.port, isPointer: true });
    await remote.ready;
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', 'TT\x01\x01\x00\x00\x01\x00\xff\xff\xff\xff', 'TT\x09\x01\x00\x00\x01\x00\x30\x00\x00\x00']) {
      const socket = connect(server.port, '127.0.0.1');
      socket.write(Buffer.from(bytes, 'latin1'));
      const answer = Buffer.concat(await socket.toArray());
      assert.equal(answer.subarray(0, 2).toString(), 'TT');
      assert.equal(answer[3], 5, 'REFUSED');
    }
    const half = connect(server.port, '127.0.0.1');
    await once(half, 'connect');
    half.write('TT');
    half.end();
    await once(half.resume(), 'close');
    await seedExample(remote);
    await remote.close();
    await server.close();
  });

  test('the connection is lost: what is open fails, naming the worker', async (t) => {
    const through = createServer();
    t.after(() => through.close());
    const target = portOf('tcp');
    const pairs = [];
    through.on('connection', (near) => {
      const far = connect(target, '127.0.0.1');
      pairs.push(near, far);
      for (const [from, to] of [[near, far], [far, near]]) {
        from.on('error', () => {});
        from.pipe(to);
      }
    });
    await once(through.listen(0, '127.0.0.1'), 'listening');
    const remote = new SocketWorker({ hook, id: 2, port: through.address().port, isPointer: true });
    await remote.ready;
    const x = tensor([1, 2]).send(remote);
    await x.ready();
    for (const socket of pairs) socket.pause();
    const got = x.add(x).get();
    setImmediate(() => pairs.forEach((socket) => socket.destroy()));
    await assert.rejects(got, ({ code, message }) => code === 'connection' && /\b2\b/.test(message));
    x.dispose();
  });

  test('options that make no sense', async () => {
    const refused = (options, says) => assert.throws(() => new SocketWorker({ id: 'x', ...options }), ({ code, message }) => code === 'argument' && says.test(message), JSON.stringify(options));
    refused({ isPointer: true }, /needs its address/);
    refused({ listen: true }, /needs a port/);
    refused({ port: 1, listen: false }, /isPointer/);
    refused({ port: 1, listen: true, isPointer: true }, /isPointer or listen/);
    refused({ port: '80', isPointer: true }, /port is a whole number/);
    refused({ port: 70000, isPointer: true }, /port is a whole number/);
    refused({ port: 0, isPointer: true }, /port 0/);
    refused({ host: 'localhost', isPointer: true }, /needs a port/);
    refused({ path: '/x', port: 1 }, /neither port nor tls/);
    refused({ path: 3 }, /path is the path/);
    refused({ url: 'ws://localhost:1', isPointer: true }, /no address/);
    refused({ url: 'tcp://localhost', isPointer: true }, /no address/);
    refused({ url: 'tcp://localhost:1', port: 1, isPointer: true }, /either url/);
    refused({ port: 1, tls: 'yes', isPointer: true }, /tls is true or an object/);
    refused({ port: 0, tls: { cert: 'nonsense' } }, /SocketWorker/);
    refused({ ports: 1 }, /no option 'ports'/);
    const server = new SocketWorker({ id: 'first', port: 0 });
    await server.ready;
    const second = new SocketWorker({ id: 'second', port: server.port });
    await assert.rejects(second.ready, ({ code, message }) => code === 'system' && /cannot listen at tcp:/.test(message));
    await second.close();
    await server.close();
  });

  test('virtual workers and others beside them; nothing is left', async () => {
    const n = numTensors();
    const bob = new VirtualWorker({ hook, id: 'bob' });
    const remote = new SocketWorker({ hook, id: 2, port: portOf('tcp'), isPointer: true });
    const here = torch.ones([2]).send(bob);
    const there = torch.ones([2]).send(remote);
    assert.throws(() => here.add(there), { code: 'location' });
    assert.deepEqual(await (await there.add(1).get()).array(), [2, 2]);
    for (const each of [here, there]) each.dispose();
    await remote.close();
    await bob.close();
    globalThis.gc?.();
    assert.ok(numTensors() <= n + 2);
  });
});
