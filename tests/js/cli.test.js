// The commands that talk to a worker and end (parity S6, S9, S13): the real program, files that NumPy writes and reads, and exit codes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { makeCertificates } from './certificates.js';
import { nativeBinaries, runNative, startNative } from './native.js';

const python = (code, cwd) => execFileSync('/usr/bin/python3', ['-c', `import numpy as np\n${code}`], { cwd, encoding: 'utf8' });

for (const binary of nativeBinaries()) {
  describe(`tabtensor list, search, send, get, run (${binary.name})`, { timeout: 240_000 }, () => {
    let folder, bob, url;
    const started = new Set();
    const start = async (args, options) => {
      const program = await startNative(args, { binary: binary.path, ...options });
      started.add(program);
      return program;
    };
    const run = (...args) => runNative(args, { binary: binary.path, cwd: folder });
    const runJson = async (...args) => {
      const { code, stdout, stderr } = await run(...args, '--format', 'json');
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout);
    };
    const script = (text, ...args) => runNative(['run', url, '-', ...args], { binary: binary.path, cwd: folder, stdin: text });

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'tabtensor-cli-'));
      makeCertificates(folder);
      python(
        `
import numpy as np
rng = np.random.default_rng(3)
for dtype in ('bool', 'uint8', 'int32', 'int64', 'float32', 'float64'):
    np.save(dtype + '.npy', rng.integers(0, 100, (3, 4)).astype(dtype))
np.save('scalar.npy', np.float32(2.5))
np.save('empty.npy', np.zeros((0, 3), 'int64'))
np.save('fortran.npy', np.asfortranarray(rng.normal(size=(3, 5))))
np.save('big_endian.npy', rng.integers(-9, 9, 7).astype('>i4'))
np.save('large.npy', rng.normal(size=(1000, 700)).astype('float32'))
np.save('complex.npy', np.zeros(3, 'complex64'))
`,
        folder,
      );
      writeFileSync(join(folder, 'no.npy'), 'this is no array');
      bob = await start(['worker', '--id', 'bob', '--listen', 'tcp://127.0.0.1:0', '--grace', 'forever']);
      url = bob.url;
    });
    after(async () => {
      await bob?.stop();
      for (const program of started) program.kill('SIGKILL'); // what a test that failed has left
      rmSync(folder, { recursive: true });
    });

    test('S6: arrays there and back as NumPy writes them', async () => {
      for (const name of ['bool', 'uint8', 'int32', 'int64', 'float32', 'float64', 'scalar', 'empty', 'fortran', 'big_endian', 'large']) {
        const { id, worker } = await runJson('send', url, `${name}.npy`);
        assert.equal(worker, 'bob');
        const { code, stderr } = await run('get', url, id, 'back.npy');
        assert.equal(code, 0, stderr);
        python(
          `
a, b = np.load('${name}.npy'), np.load('back.npy')
assert a.dtype.newbyteorder('=') == b.dtype and a.shape == b.shape and np.array_equal(a, b), (a, b)
np.save('again.npy', np.ascontiguousarray(a).astype(a.dtype.newbyteorder('=')).reshape(a.shape))
`,
          folder,
        );
        assert.deepEqual(readFileSync(join(folder, 'back.npy')), readFileSync(join(folder, 'again.npy')), name);
        assert.equal((await run('get', url, id, 'back.npy')).code, 1, 'it has been taken');
      }
      assert.deepEqual((await runJson('list', url)).objects, []);
    });

    test('S7: list and search', async () => {
      const { stdout: sent } = await run('send', url, 'float32.npy', '--id', '1234', '--tag', '#boston', '--tag', 'train', '--description', 'the "rows"', '--policy', 'open');
      assert.equal(sent, '1234\n');
      const second = await runJson('send', url, 'int64.npy', '--tag', '#boston', '--as', 'alice');
      const listing = await runJson('list', url, '--as', 'alice');
      assert.deepEqual({ ...listing.worker, software: '' }, { id: 'bob', kind: 'native', software: '', objects: 2, bytes: 48 + 96 });
      const [own, other] = ['1234', second.id].map((id) => listing.objects.find((object) => object.id === id));
      assert.deepEqual({ ...own, owner: '' }, { id: '1234', dtype: 'float32', shape: [3, 4], owner: '', policy: 'open', tags: ['#boston', 'train'], description: 'the "rows"' });
      assert.match(own.owner, /^cli-/);
      assert.deepEqual(other, { id: second.id, dtype: 'int64', shape: [3, 4], owner: 'alice', policy: 'closed', tags: ['#boston'], description: '' });

      const ids = async (...terms) => (await runJson('search', url, ...terms)).objects.map(({ id }) => id);
      assert.deepEqual(await ids('#boston'), ['1234']); // what is closed others do not see
      assert.deepEqual(await ids('train', '12'), ['1234']);
      assert.deepEqual(await ids('train', 'nothing of the kind'), []);

      const text = await run('list', url);
      assert.match(text.stdout, /^bob \(native, tabtensor \S+\): 2 objects, 144 bytes\n1234\tfloat32\t\[3, 4\]\topen\tcli-\S+\t#boston,train\tthe "rows"\n$/);

      /* Taking is the owner's right; a copy anybody's who may. */
      const { code, stderr } = await run('get', url, '1234', 'x.npy', '--as', 'alice');
      assert.equal(code, 1);
      assert.match(stderr, /^tabtensor get: object 1234 at bob belongs to cli-.*--keep/);
      assert.equal(existsSync(join(folder, 'x.npy')), false);
      assert.equal((await run('get', url, '1234', 'x.npy', '--as', 'alice', '--keep')).code, 0);
      python(`assert np.array_equal(np.load('x.npy'), np.load('float32.npy'))`, folder);
      assert.equal((await run('get', url, second.id, 'x.npy', '--keep')).code, 1);

      const duplicate = await run('send', url, 'bool.npy', '--id', '1234');
      assert.equal(duplicate.code, 1);
      assert.match(duplicate.stderr, /1234/);
      assert.equal((await run('get', url, '1234', 'x.npy')).code, 0);
      assert.equal((await run('get', url, second.id, 'x.npy', '--as', 'alice')).code, 0);
      assert.deepEqual((await runJson('list', url)).objects, []);
    });

    test('a file that cannot be written loses nothing', async () => {
      const { id } = await runJson('send', url, 'float64.npy');
      const { code, stderr } = await run('get', url, id, 'no/such/folder/x.npy');
      assert.equal(code, 5);
      assert.match(stderr, /^tabtensor get: cannot write 'no\/such\/folder\/x\.npy.*: No such file or directory\n$/);
      writeFileSync(join(folder, 'kept.npy'), 'what was there');
      assert.equal((await run('get', url, id, 'kept.npy')).code, 0);
      python(`assert np.array_equal(np.load('kept.npy'), np.load('float64.npy'))`, folder);
      assert.deepEqual(readdirSync(folder).filter((name) => name.includes('.part')), []);
      /* Through pipes. */
      const sent = await runNative(['send', url, '-'], { binary: binary.path, stdin: readFileSync(join(folder, 'uint8.npy')) });
      assert.equal(sent.code, 0, sent.stderr);
      const { stdout } = await run('get', url, sent.stdout.trim(), '-');
      assert.equal(stdout.slice(1, 6), 'NUMPY');
    });

    test('run: a script of commands, compared with NumPy', async () => {
      writeFileSync(
        join(folder, 'script.txt'),
        `# sends two, computes, and keeps one
x = send float64.npy tag='training rows'   # comments are not read
w = send fortran.npy
xt = transpose x 0 1

product = matmul xt w
scaled = mul product 0.5
total = sum scaled dim=[0, 1]
top, places = max scaled dim=1 keepdim=True
both = cat [scaled, scaled] 0
add_ both 1 alpha=2
ones = ones [2, 3] dtype=int32
print total
shape places
copy both both.npy
get top top.npy
copy ones ones.npy
get scaled scaled.npy
keep product description=kept policy=open
free x w
`,
      );
      const { code, stdout, stderr } = await run('run', url, 'script.txt');
      assert.equal(code, 0, stderr);
      const [total, shape, kept, ...rest] = stdout.trimEnd().split('\n');
      assert.deepEqual(rest, []);
      assert.equal(shape, 'int64 [4, 1]');
      const expected = python(
        `
x, w = np.load('float64.npy'), np.load('fortran.npy')
s = (x.T @ w) * 0.5
np.testing.assert_allclose(np.load('scaled.npy'), s, rtol=1e-13)
np.testing.assert_allclose(np.load('both.npy'), np.concatenate([s, s]) + 2, rtol=1e-13)
np.testing.assert_allclose(np.load('top.npy'), s.max(1, keepdims=True), rtol=1e-13)
assert np.array_equal(np.load('ones.npy'), np.ones((2, 3), 'int32')) and np.load('ones.npy').dtype == np.int32
import torch
print(repr(torch.from_numpy(s).sum()))
`,
        folder,
      );
      assert.equal(total, expected.trim());
      const { objects } = await runJson('list', url);
      assert.deepEqual(objects.map(({ id, policy, description }) => ({ id, policy, description })), [{ id: kept, policy: 'open', description: 'kept' }]);
      /* What is there already, in a script of its own. */
      const again = await script(`p = object ${kept}\nprint p\nfree p\n`);
      assert.match(again.stdout, /^tensor\(/);
      assert.deepEqual((await runJson('list', url)).objects, []);
    });

    test('run: what goes wrong is said with its line, and leaves nothing behind', async () => {
      for (const [text, says] of [
        ['x = send float32.npy\ny = matmul x x\n', /^tabtensor run: stdin:2: matmul: shapes \[3, 4\] and \[3, 4\]/],
        ['x = send float32.npy\nprint y', /stdin:2: there is no tensor named 'y'/],
        ['x = frobnicate 3', /stdin:1: there is no command and no op 'frobnicate'/],
        ['x = send float32.npy\ny = sum x axis=1', /stdin:2: sum has no argument axis \(sum\(Tensor self/],
        ['x = send float32.npy\ny = sum x 0 dim=1', /stdin:2: sum: dim is given twice/],
        ['x = send float32.npy\ny = add x', /stdin:2: .*add/],
        ['x = send float32.npy\ny = add x nobody', /'nobody' names no tensor/],
        ['x = send float32.npy\ny = sum x dtype=float16', /'float16' is no dtype/],
        ['x = send float32.npy\ny, z = sum x', /sum has 1 results, and 2 names are given/],
        ['x = send float32.npy\nsum x', /sum has 1 results, and 0 names are given/],
        ['x = cat [a', /the list \[a does not end/],
        ["x = send 'a", /the text 'a does not end/],
        ['x = object 99', /bob has no object 99/],
        ['x = send float32.npy policy=secret', /policy=open, compute or closed/],
        ['print', /write print NAME/],
        ['3x = send float32.npy', /'3x' is no name/],
        /* An error of the worker, which only the data can tell. */
        ['x = send float32.npy\ni = full [1] 7 dtype=int64\ny = index_select x 0 i\nprint y', /stdin:4: index_select: index 7 is out of bounds/],
        ['x = send float32.npy\ni = full [1] 7 dtype=int64\ny = index_select x 0 i\n', /tabtensor run: index_select: index 7 is out of bounds/],
      ]) {
        const { code, stderr, stdout } = await script(text);
        assert.match(stderr, says);
        assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
        assert.equal(code, 1, text);
        assert.equal(stdout, '');
      }
      assert.equal((await script('x = send nowhere.npy')).code, 5);
      assert.deepEqual((await runJson('list', url)).objects, []);
    });

    test('errors as JSON', async () => {
      const errorOf = async (result) => {
        const { code, stderr, stdout } = await result;
        assert.equal(stdout, '');
        const { error, exit } = JSON.parse(stderr);
        assert.equal(exit, code);
        return { ...error, exit };
      };
      const json = ['--format', 'json'];
      assert.deepEqual(await errorOf(run('get', url, '5', 'x.npy', ...json)), {
        code: 'unknown_object',
        message: 'bob has no object 5 (never sent, taken, or freed)',
        worker: 'bob',
        exit: 1,
      });
      const failed = await errorOf(script('x = send float32.npy\ni = full [1] 7 dtype=int64\ny = index_select x 0 i\nprint y', ...json));
      assert.deepEqual([failed.code, failed.op, failed.shapes, failed.worker, failed.at], ['index', 'index_select', '[3, 4] [1]', 'bob', 'stdin:4']);
      assert.equal((await errorOf(run('list', 'tcp://127.0.0.1:1', ...json))).code, 'connection');
      assert.equal((await errorOf(run('send', url, 'no.npy', ...json))).exit, 5);
    });

    test('exit codes: 2 for usage, 3 for no connection, 4 for no answer in time, 5 for files', async () => {
      const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
      const rude = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0, '127.0.0.1');
      await Promise.all([once(silent, 'listening'), once(rude, 'listening')]);
      for (const [expected, says, ...args] of [
        [2, /it needs the URL of a worker$/m, 'list'],
        [2, /'extra' is not expected/, 'list', url, 'extra'],
        [2, /it needs the URL of a worker, and what to search for/, 'search', url],
        [2, /is no address/, 'list', 'http://127.0.0.1:1'],
        [2, /--format is text or json/, 'list', url, '--format', 'xml'],
        [2, /--timeout x/, 'list', url, '--timeout', 'x'],
        [2, /--as: /, 'list', url, '--as', ''],
        [2, /--policy is open, compute or closed/, 'send', url, 'bool.npy', '--policy', 'secret'],
        [2, /--id 0 is no id/, 'send', url, 'bool.npy', '--id', '0'],
        [2, /zero is no id/, 'get', url, 'zero', 'x.npy'],
        [2, /there is no option --keep/, 'send', url, 'bool.npy', '--keep'],
        [2, /no\.pem/, 'list', url, '--ca', 'no.pem'],
        [2, /go together/, 'list', url, '--cert', 'client.pem'],
        [3, /no connection to .*Connection refused/, 'list', 'tcp://127.0.0.1:1'],
        [3, /no such host|cannot connect/, 'list', 'tcp://no.such.host.invalid:1'],
        [3, /No such file/, 'list', 'unix:/no/such/socket'],
        [3, /no tabtensor frame/, 'list', `tcp://127.0.0.1:${rude.address().port}`],
        [3, /no connection/, 'list', `ws://127.0.0.1:${rude.address().port}`],
        [4, /not within 1 s/, 'list', `tcp://127.0.0.1:${silent.address().port}`, '--timeout', '1'],
        [1, /the worker at .* is bob, not carol/, 'list', url, '--to', 'carol'],
        [5, /cannot read 'nowhere\.npy': No such file/, 'send', url, 'nowhere.npy'],
        [5, /'no\.npy': .*npy/, 'send', url, 'no.npy'],
        [5, /'complex\.npy': /, 'send', url, 'complex.npy'],
        [5, /cannot read 'no script'/, 'run', url, 'no script'],
      ]) {
        const { code, stderr, stdout } = await run(...args);
        assert.equal(code, expected, `${args.join(' ')}: ${stderr}`);
        assert.match(stderr, says);
        assert.equal(stdout, '');
      }
      silent.close();
      rude.close();
      for (const command of ['list', 'search', 'send', 'get', 'run']) {
        const { code, stdout } = await run(command, '--help');
        assert.equal(code, 0);
        assert.match(stdout, new RegExp(`^Usage: tabtensor ${command} URL`));
        assert.match(stdout, /--timeout/);
      }
    });

    test('two commands of one name take turns', async () => {
      const all = await Promise.all(Array.from({ length: 6 }, () => run('send', url, 'large.npy')));
      for (const { code, stderr } of all) assert.equal(code, 0, stderr);
      for (const { stdout } of all) assert.equal((await run('get', url, stdout.trim(), 'x.npy')).code, 0);
    });

    test('S6: over TLS, over a Unix socket, over WebSockets with and without TLS, and behind a relay', async () => {
      const relay = await start(['relay', '--port', '0']);
      const relayUrl = `ws://127.0.0.1:${relay.port}`;
      const socket = join(folder, 'worker.sock');
      const carol = await start(
        ['worker', '--id', 'carol', '--listen', 'tls://127.0.0.1:0', '--listen', `unix:${socket}`, '--port', '0', '--relay', relayUrl, '--cert', join(folder, 'server.pem'), '--key', join(folder, 'server.key'), '--ca', join(folder, 'ca.pem'), '--require-client-cert'],
        { ready: /ready behind/ },
      );
      const tls = carol.output.join('\n').match(/ready at (tls:\S+)/)[1];
      const ws = carol.output.join('\n').match(/ready at (ws:\S+)/)[1];
      /* wss: what stands in front of ws:// on a server. */
      const proxy = createHttpsServer({ cert: readFileSync(join(folder, 'server.pem')), key: readFileSync(join(folder, 'server.key')) });
      new WebSocketServer({ server: proxy }).on('connection', (near) => {
        const far = new WebSocket(ws);
        const early = [];
        near.on('message', (frame) => (far.readyState === WebSocket.OPEN ? far.send(frame) : early.push(frame)));
        far.on('open', () => early.forEach((frame) => far.send(frame)));
        far.on('message', (frame) => near.send(frame));
        far.on('close', () => near.close());
        near.on('close', () => far.close());
      });
      proxy.on('tlsClientError', () => {});
      await once(proxy.listen(0, '127.0.0.1'), 'listening');
      const wss = `wss://127.0.0.1:${proxy.address().port}`;
      const trust = ['--ca', 'ca.pem'];
      const ours = [...trust, '--cert', 'client.pem', '--key', 'client.key'];
      for (const args of [[tls, ...ours], [tls.replace('127.0.0.1', 'localhost'), ...ours], [`unix:${socket}`], [ws], [wss, ...trust], [wss.replace('127.0.0.1', 'localhost'), ...trust], [relayUrl, '--to', 'carol']]) {
        const [at, ...options] = args;
        const { stdout, code, stderr } = await run('send', at, 'float32.npy', ...options);
        assert.equal(code, 0, `${at}: ${stderr}`);
        assert.equal((await run('get', at, stdout.trim(), 'x.npy', ...options)).code, 0);
        python(`assert np.array_equal(np.load('x.npy'), np.load('float32.npy'))`, folder);
      }
      for (const [says, ...args] of [
        [/not trusted/, tls, '--ca', 'other.pem'],
        [/not trusted/, tls],
        [/another name/, tls, ...ours, '--server-name', 'elsewhere.example'],
        [/certificate required/, tls, ...trust],
        [/does not speak TLS/, relayUrl.replace('ws', 'tls'), ...ours],
        [/no connection/, wss, '--ca', 'other.pem'],
        [/no connection/, wss],
        [/no connection/, wss, ...trust, '--server-name', 'elsewhere.example'],
        [/Connection refused|closed|middle|no tabtensor frame/, tls.replace('tls', 'tcp')],
      ]) {
        const { code, stderr } = await run('list', ...args);
        assert.equal(code, 3, `${args.join(' ')}: ${stderr}`);
        assert.match(stderr, says);
      }
      const whom = await run('list', relayUrl);
      assert.equal(whom.code, 2);
      assert.match(whom.stderr, /is a relay: say with --to .*there: carol/);
      assert.equal((await run('list', relayUrl, '--to', 'dave', '--timeout', '1')).code, 1);
      proxy.closeAllConnections();
      proxy.close();
      await carol.stop();
      assert.equal(existsSync(socket), false);
      await relay.stop();
    });

    test('S6: native workers that know each other by --connect', async () => {
      const alice = await start(['worker', '--id', 'alice', '--listen', 'tcp://127.0.0.1:0', '--connect', url]);
      await alice.said(/^joined: bob$/);
      await bob.said(/^joined: alice$/);
      /* Who has connected to whom is not said twice: the second connection of a pair waits for the first to end. */
      const dave = await start(['worker', '--id', 'dave', '--connect', alice.url, '--connect', url, '--listen', 'tcp://127.0.0.1:0'], { ready: /ready behind/ });
      await dave.said(/ready behind/, 2);
      const eve = await start(['worker', '--id', 'eve', '--connect', dave.output.join('\n').match(/ready at (\S+)/)[1], '--verbose']);
      await eve.said(/^joined: dave$/);
      for (const worker of [eve, dave, alice]) await worker.stop();
      await bob.said(/^left: alice: has left$/);
    });

    test('S6: what peers do wrong harms nobody else: noise, half frames, half handshakes, silence, resets', async () => {
      const socket = join(folder, 'noise.sock');
      const worker = await start(['worker', '--id', 'calm', '--listen', 'tcp://127.0.0.1:0', '--listen', 'tls://127.0.0.1:0', '--listen', `unix:${socket}`, '--cert', join(folder, 'server.pem'), '--key', join(folder, 'server.key'), '--grace', 'forever']);
      const tcp = worker.port;
      const tls = Number((await worker.said(/ready at tls:/)).match(/:(\d+) /)[1]);
      await worker.said(/ready at unix:/);
      const noises = [
        randomBytes(100_000),
        Buffer.alloc(100_000),
        Buffer.from('TT\x01\x01\x00\x00\x01\x00\x00\x00\x04\x00', 'latin1'), // a frame of 256 KiB, of which nothing comes
        Buffer.from('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'latin1'), // half a handshake
        Buffer.alloc(0),
      ];
      await run('list', worker.url);
      const atFirst = worker.memory('VmRSS');
      const sockets = [];
      for (const at of [{ port: tcp, host: '127.0.0.1' }, { port: tls, host: '127.0.0.1' }, { path: socket }])
        for (let i = 0; i < 100; i++) {
          const peer = connect(at);
          peer.on('error', () => {});
          peer.write(noises[i % noises.length]);
          if (i % 3 === 0) setImmediate(() => (at.path === undefined ? peer.resetAndDestroy() : peer.destroy()));
          sockets.push(peer);
        }
      for (const args of [[worker.url], [`tls://127.0.0.1:${tls}`, '--ca', 'ca.pem'], [`unix:${socket}`]]) {
        const { code, stderr, stdout } = await run('send', args[0], 'large.npy', ...args.slice(1));
        assert.equal(code, 0, stderr);
        assert.equal((await run('get', args[0], stdout.trim(), 'x.npy', ...args.slice(1))).code, 0);
      }
      assert.ok(worker.memory('VmRSS') - atFirst < 200 << 20, 'what is announced and does not come takes no memory');
      for (const peer of sockets) peer.destroy();
      assert.equal((await runJson('list', worker.url)).worker.objects, 0);
      await worker.stop();
    });

    test('what others own lives as long as --grace says', async () => {
      const short = await start(['worker', '--id', 'short', '--listen', 'tcp://127.0.0.1:0', '--grace', '1', '--verbose']);
      assert.equal((await run('send', short.url, 'float32.npy', '--id', '9')).code, 0);
      await short.said(/^object removed: 9 .*owner/);
      assert.equal((await run('get', short.url, '9', 'x.npy')).code, 1);
      await short.stop();
    });
  });
}
