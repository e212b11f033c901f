// The relay, as its peers see it: the real program, real sockets. Every built binary is tried, the one with sanitizers too.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import WebSocket from 'ws';
import { nativeBinaries, runNative, startNative } from './native.js';
import { closePayload, OPCODES, openRaw, rawRequest, upgradeRequest, wsFrame } from './raw_socket.js';
import { decodeFrame, decodeRefusal, decodeWorkers, encodeFrame, encodeText, FRAME_TYPES, MAX_FRAME_BYTES } from './wire.js';

const MB = 1024 * 1024;

/** A worker as far as the relay knows one: a socket with the frames it got, in order. */
class Peer {
  frames = [];
  #waiting = [];

  constructor(port, id, options) {
    this.id = id;
    this.socket = new WebSocket(`ws://localhost:${port}/`, options);
    this.closed = once(this.socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
    this.socket.on('error', () => {});
    this.socket.on('message', (bytes) => {
      const frame = { ...decodeFrame(new Uint8Array(bytes)), bytes };
      const next = this.#waiting.shift();
      if (next !== undefined) next(frame);
      else this.frames.push(frame);
    });
  }

  static async open(port, id, options) {
    const peer = new Peer(port, id, options);
    await once(peer.socket, 'open');
    return peer;
  }

  /** Opened, registered and welcomed; `welcomed` are the ids it was told. */
  static async join(port, id, options) {
    const peer = await Peer.open(port, id, options);
    peer.send({ type: 'HELLO', stream: 1 }, encodeText('{}'));
    const { prelude, payload } = await peer.next();
    assert.equal(prelude.type, 'WELCOME');
    peer.welcomed = decodeWorkers(payload);
    return peer;
  }

  send(prelude, payload) {
    this.socket.send(encodeFrame({ source: this.id, ...prelude }, payload));
  }

  next() {
    return this.frames.length > 0 ? Promise.resolve(this.frames.shift()) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  async refusal() {
    const { prelude, payload } = await this.next();
    assert.equal(prelude.type, 'REFUSED');
    assert.equal(prelude.source, '');
    return { ...decodeRefusal(payload), closes: prelude.flags === 1 };
  }

  /** A frame of presence: [type, id, flags]. */
  async presence() {
    const { prelude, payload } = await this.next();
    return [prelude.type, decodeWorkers(payload)[0], prelude.flags];
  }

  /** Nothing has come that was not asked for: what the relay answers next is the answer to this. */
  async assertQuiet() {
    this.send({ type: 'CONTROL', destination: 'nobody', stream: 1, sequence: 1n });
    assert.equal((await this.refusal()).status, 'unknown_worker');
  }

  end() {
    this.socket.terminate();
  }
}

const run = (sequence, destination) => ({ type: 'RUN', destination, stream: 9, sequence: BigInt(sequence) });

for (const binary of nativeBinaries()) {
  /* AddressSanitizer keeps freed memory for a while, which a test of memory cannot have. */
  const env = { ASAN_OPTIONS: 'quarantine_size_mb=1:thread_local_quarantine_size_kb=64' };
  const start = async (t, ...args) => {
    const relay = await startNative(['relay', '--port', '0', ...args], { binary: binary.path, env: /verbose/.test(args) ? env : {} });
    t.after(() => relay.stop());
    return relay;
  };

  describe(`the relay (${binary.name})`, () => {
    test('listens on loopback alone and says where', async (t) => {
      const relay = await start(t);
      assert.match(relay.readyLine, /^tabtensor relay ready at http:\/\/localhost:\d+\/$/);
      const port = relay.port.toString(16).toUpperCase().padStart(4, '0');
      const listening = ['tcp', 'tcp6']
        .filter((name) => existsSync(`/proc/net/${name}`))
        .flatMap((name) => readFileSync(`/proc/net/${name}`, 'utf8').split('\n').slice(1))
        .map((line) => line.trim().split(/\s+/))
        .filter(([, local, , state]) => state === '0A' && local.endsWith(`:${port}`))
        .map(([, local]) => local);
      assert.deepEqual(listening, [`0100007F:${port}`]);
    });

    test('registers workers and tells who is here, who joins and who leaves', async (t) => {
      const { port } = await start(t);
      const alice = await Peer.join(port, 'alice');
      assert.deepEqual(alice.welcomed, []);
      const bob = await Peer.join(port, 'bób ⚑');
      assert.deepEqual(bob.welcomed, ['alice']);
      assert.deepEqual(await alice.presence(), ['JOINED', 'bób ⚑', 0]);
      const carol = await Peer.join(port, 'carol');
      assert.deepEqual(carol.welcomed.toSorted(), ['alice', 'bób ⚑']);
      assert.deepEqual(await alice.presence(), ['JOINED', 'carol', 0]);
      bob.end();
      assert.deepEqual(await alice.presence(), ['LEFT', 'bób ⚑', 0]);
      carol.send({ type: 'GOODBYE' });
      assert.deepEqual(await alice.presence(), ['LEFT', 'carol', 1]);
      assert.equal((await carol.closed).code, 1000);
      await alice.assertQuiet();
      const again = await Peer.join(port, 'carol');
      assert.deepEqual(again.welcomed, ['alice']);
    });

    test('forwards frames of every size and type byte for byte, in order', async (t) => {
      const { port } = await start(t);
      const [alice, bob] = [await Peer.join(port, 'alice'), await Peer.join(port, 'bob')];
      await alice.presence();
      const sent = [];
      const preludeBytes = 48;
      for (const n of [0, 1, 77, 78, 79, 4095, 16384, 32768, 65487, 65488, 65489, 100_000, MAX_FRAME_BYTES - preludeBytes]) {
        const payload = new Uint8Array(n).map((_, i) => (i * 7 + n) & 255);
        sent.push(encodeFrame({ source: 'alice', ...run(sent.length + 1, 'bob') }, payload));
      }
      sent.push(encodeFrame({ type: 'HELLO', source: 'alice', destination: 'bob', stream: 4, flags: 1 }));
      sent.push(encodeFrame({ type: 'CREDIT', source: 'alice', destination: 'bob', stream: 4, credit: 1n << 40n }));
      sent.push(encodeFrame({ type: 'GOODBYE', source: 'alice', destination: 'bob' }));
      for (const frame of sent) alice.socket.send(frame);
      for (const frame of sent) assert.ok(Buffer.from(frame).equals((await bob.next()).bytes));
      alice.send(run(1, 'alice')); // to itself
      assert.equal((await alice.next()).prelude.source, 'alice');
    });

    test('carries many small frames between many pairs', async (t) => {
      const { port } = await start(t);
      const nFrames = 2000;
      const pairs = await Promise.all([0, 1, 2, 3].map(async (i) => [await Peer.join(port, `a${i}`), await Peer.join(port, `b${i}`)]));
      await Promise.all(
        pairs.flatMap(([a, b]) =>
          [[a, b], [b, a]].map(async ([from, to]) => {
            for (let i = 1; i <= nFrames; i++) from.send(run(i, to.id), new Uint8Array(i % 200));
            for (let i = 1; i <= nFrames; ) {
              const { prelude } = await to.next();
              if (prelude.type !== 'RUN') continue;
              assert.equal(prelude.sequence, BigInt(i));
              assert.equal(prelude.source, from.id);
              i++;
            }
          }),
        ),
      );
    });

    test('refuses an id that is taken; who was there first stays', async (t) => {
      const { port } = await start(t);
      const first = await Peer.join(port, 'bob');
      const second = await Peer.open(port, 'bob');
      second.send({ type: 'HELLO', stream: 1 });
      const refusal = await second.refusal();
      assert.deepEqual([refusal.status, refusal.id, refusal.closes], ['duplicate', 'bob', true]);
      assert.match(refusal.reason, /choose another id/);
      assert.equal((await second.closed).code, 1008);
      await first.assertQuiet();
    });

    test('says that a worker is not here, or not here any more', async (t) => {
      const { port } = await start(t);
      const [alice, bob] = [await Peer.join(port, 'alice'), await Peer.join(port, 'bob')];
      await alice.presence();
      alice.send(run(1, 'zoe'));
      const never = await alice.refusal();
      assert.deepEqual([never.status, never.refused, never.id, never.closes], ['unknown_worker', FRAME_TYPES.RUN, 'zoe', false]);
      assert.match(never.reason, /'zoe'/);
      bob.end();
      assert.deepEqual(await alice.presence(), ['LEFT', 'bob', 0]);
      alice.send({ type: 'CONTROL', destination: 'bob', stream: 9, sequence: 1n });
      const gone = await alice.refusal();
      assert.deepEqual([gone.status, gone.refused, gone.id], ['unknown_worker', FRAME_TYPES.CONTROL, 'bob']);
    });

    test('ends the connection of who breaks the protocol, and nobody else', async (t) => {
      const { port } = await start(t);
      const witness = await Peer.join(port, 'witness');
      const hello = (id) => encodeFrame({ type: 'HELLO', source: id, stream: 1 });
      const cases = {
        'garbage instead of HELLO': { send: [new Uint8Array([1, 2, 3])], status: 'protocol' },
        'an empty message': { send: [new Uint8Array(0)], status: 'protocol' },
        'another version': { send: [encodeFrame({ type: 'HELLO', source: 'x', stream: 1, version: 2 })], status: 'version' },
        'a frame before HELLO': { send: [encodeFrame({ source: 'x', ...run(1, 'witness') })], status: 'protocol', reason: /HELLO/ },
        'HELLO to a worker before HELLO to the relay': { send: [encodeFrame({ type: 'HELLO', source: 'x', destination: 'witness', stream: 1 })], status: 'protocol' },
        'a second HELLO': { joins: true, send: [hello('x')], status: 'protocol', reason: /second HELLO/ },
        'a source that is not its own': { joins: true, send: [encodeFrame({ source: 'witness', ...run(1, 'witness') })], status: 'protocol', reason: /'witness'.*registered as 'x'/ },
        'no source': { joins: true, send: [encodeFrame({ source: '', ...run(1, 'witness') })], status: 'protocol' },
        'no destination': { joins: true, send: [encodeFrame({ source: 'x', ...run(1, '') })], status: 'protocol', reason: /destination/ },
        'an unknown type': { joins: true, send: [encodeFrame({ type: 0x77, source: 'x', destination: 'witness' })], status: 'protocol' },
        'unknown flags': { joins: true, send: [encodeFrame({ source: 'x', flags: 64, ...run(1, 'witness') })], status: 'protocol' },
        'a length that is not the frame’s': { joins: true, send: [encodeFrame({ source: 'x', length: 1000, ...run(1, 'witness') })], status: 'protocol' },
        'a frame cut short': { joins: true, send: [encodeFrame({ source: 'x', ...run(1, 'witness') }).subarray(0, 30)], status: 'protocol' },
        'an id with a control character': { send: [hello('a\nb')], status: 'protocol' },
        'an id that is not UTF-8': { send: [hello(new Uint8Array([0xff, 0xfe]))], status: 'protocol' },
        'an id of 65 bytes': { send: [hello('x'.repeat(65))], status: 'protocol' },
        'a text message': { send: ['hello'], status: 'protocol', code: 1003, reason: /binary/ },
      };
      for (const [name, { joins, send, status, reason, code = 1008 }] of Object.entries(cases)) {
        const peer = joins ? await Peer.join(port, 'x') : await Peer.open(port, 'x');
        if (joins) assert.deepEqual(await witness.presence(), ['JOINED', 'x', 0]);
        for (const message of send) peer.socket.send(message);
        const refusal = await peer.refusal();
        assert.deepEqual([refusal.status, refusal.closes], [status, true], name);
        if (reason !== undefined) assert.match(refusal.reason, reason, name);
        assert.equal((await peer.closed).code, code, name);
        if (joins) assert.deepEqual(await witness.presence(), ['LEFT', 'x', 0], name);
      }
      await witness.assertQuiet();
    });

    test('refuses a message over the limit before it has arrived', async (t) => {
      const { port } = await start(t);
      const raw = await openRaw(port);
      raw.send(wsFrame(OPCODES.binary, Buffer.alloc(10), { length: MAX_FRAME_BYTES + 1 }));
      assert.equal((await raw.next()).code, 1009);
      raw.destroy();
      const split = await openRaw(port);
      split.send(
        wsFrame(OPCODES.binary, Buffer.alloc(MAX_FRAME_BYTES - 10), { fin: false }),
        wsFrame(OPCODES.continuation, Buffer.alloc(10), { fin: false }),
        wsFrame(OPCODES.continuation, Buffer.alloc(1)),
      );
      assert.equal((await split.next()).code, 1009);
      split.destroy();
      const huge = await openRaw(port);
      const header = Buffer.concat([Buffer.from([0x82, 0xff, 0x7f]), Buffer.alloc(7, 0xff), Buffer.alloc(4), Buffer.alloc(100)]);
      huge.send(header);
      assert.equal((await huge.next()).code, 1009);
      huge.destroy();
      await Peer.join(port, 'still works');
    });

    test('reads frames that arrive in bits, fragments and bunches', async (t) => {
      const { port } = await start(t);
      const bob = await Peer.join(port, 'bob');
      const raw = await openRaw(port);
      const hello = encodeFrame({ type: 'HELLO', source: 'raw', stream: 1 });
      for (const byte of wsFrame(OPCODES.binary, hello)) {
        raw.socket.write(Buffer.from([byte]));
        await new Promise(setImmediate);
      }
      assert.equal(decodeFrame(new Uint8Array((await raw.next()).payload)).prelude.type, 'WELCOME');
      assert.deepEqual(await bob.presence(), ['JOINED', 'raw', 0]);
      const frame = Buffer.from(encodeFrame({ source: 'raw', ...run(1, 'bob') }, new Uint8Array(100_000).fill(5)));
      raw.send(
        wsFrame(OPCODES.binary, Buffer.alloc(0), { fin: false }),
        wsFrame(OPCODES.continuation, frame.subarray(0, 50_000), { fin: false }),
        wsFrame(OPCODES.ping, Buffer.from('between')),
        wsFrame(OPCODES.continuation, frame.subarray(50_000)),
        ...[2, 3, 4].map((i) => wsFrame(OPCODES.binary, Buffer.from(encodeFrame({ source: 'raw', ...run(i, 'bob') })))),
      );
      assert.ok(frame.equals((await bob.next()).bytes));
      for (const i of [2n, 3n, 4n]) assert.equal((await bob.next()).prelude.sequence, i);
      const pong = await raw.next();
      assert.deepEqual([pong.opcode, pong.masked, pong.payload.toString()], [OPCODES.pong, false, 'between']);
      raw.send(wsFrame(OPCODES.binary, frame).subarray(0, 70_000)); // and half of one, then silence for ever
      raw.destroy();
      assert.deepEqual(await bob.presence(), ['LEFT', 'raw', 0]);
    });

    test('takes an upgrade however its request comes', async (t) => {
      const { port } = await start(t);
      const hello = wsFrame(OPCODES.binary, Buffer.from(encodeFrame({ type: 'HELLO', source: 'raw', stream: 1 })));
      for (const options of [{}, { after: true }, { inBits: true }, { with: hello }]) {
        const raw = await openRaw(port, options);
        if (options.with === undefined) raw.send(hello);
        assert.equal(decodeFrame(new Uint8Array((await raw.next()).payload)).prelude.type, 'WELCOME', JSON.stringify(options));
        raw.send(wsFrame(OPCODES.close, closePayload(1000)));
        assert.equal((await raw.next()).code, 1000);
        await raw.ended;
      }
    });

    test('reads the same wherever what arrives is cut', async (t) => {
      const { port } = await start(t);
      const bob = await Peer.join(port, 'bob');
      const raw = await openRaw(port);
      raw.send(wsFrame(OPCODES.binary, Buffer.from(encodeFrame({ type: 'HELLO', source: 'raw', stream: 1 }))));
      await bob.presence();
      const sizes = [70_000, 3, 20_000, MAX_FRAME_BYTES - 48];
      let sequence = 0;
      for (let cut = -20; cut < 20; cut++) { // around the end of each large frame
        const frames = sizes.map((n) => Buffer.from(encodeFrame({ source: 'raw', ...run(++sequence, 'bob') }, new Uint8Array(n).map((_, i) => (i * 7 + cut) & 255))));
        const bytes = frames.map((frame) => wsFrame(OPCODES.binary, frame));
        const [first, second, ...rest] = bytes;
        const all = Buffer.concat([first, second]);
        raw.send(all.subarray(0, first.length + cut));
        await new Promise(setImmediate);
        raw.send(all.subarray(first.length + cut), ...rest);
        for (const frame of frames) assert.ok(frame.equals((await bob.next()).bytes));
      }
      raw.destroy();
    });

    test('forwards nothing of a frame whose sender vanishes in its middle', async (t) => {
      const { port } = await start(t);
      const bob = await Peer.join(port, 'bob');
      const steady = await Peer.join(port, 'steady');
      await bob.presence();
      for (let round = 1; round <= 5; round++) {
        const raw = await openRaw(port);
        raw.send(wsFrame(OPCODES.binary, Buffer.from(encodeFrame({ type: 'HELLO', source: 'raw', stream: 1 }))));
        assert.deepEqual(await bob.presence(), ['JOINED', 'raw', 0]);
        const frame = Buffer.from(encodeFrame({ source: 'raw', ...run(1, 'bob') }, new Uint8Array(200_000).fill(round)));
        raw.send(wsFrame(OPCODES.binary, frame), wsFrame(OPCODES.binary, frame).subarray(0, 40_000 * round));
        assert.ok(frame.equals((await bob.next()).bytes));
        steady.send(run(round, 'bob'), new Uint8Array(100_000).fill(round));
        assert.equal((await bob.next()).prelude.sequence, BigInt(round)); // half a frame of another does not stop it
        raw.destroy();
        assert.deepEqual(await bob.presence(), ['LEFT', 'raw', 0]);
      }
    });

    test('goes on when a reader vanishes in the middle of what it is sent', async (t) => {
      const { port } = await start(t);
      const alice = await Peer.join(port, 'alice');
      for (let round = 1; round <= 5; round++) {
        const raw = await openRaw(port);
        raw.send(wsFrame(OPCODES.binary, Buffer.from(encodeFrame({ type: 'HELLO', source: 'raw', stream: 1 }))));
        assert.deepEqual(await alice.presence(), ['JOINED', 'raw', 0]);
        raw.socket.pause();
        const frame = encodeFrame({ source: 'alice', ...run(round, 'raw') }, new Uint8Array(200_000));
        for (let i = 0; i < 60; i++) alice.socket.send(frame); // more than its sockets and its queue hold
        alice.send({ type: 'CREDIT', destination: 'alice', stream: 9 }); // behind them
        setTimeout(() => raw.destroy(), 20);
        const seen = [];
        while (!seen.includes('CREDIT') || !seen.includes('LEFT')) seen.push((await alice.next()).prelude.type);
        assert.deepEqual([...new Set(seen)].toSorted(), seen.includes('REFUSED') ? ['CREDIT', 'LEFT', 'REFUSED'] : ['CREDIT', 'LEFT']);
      }
    });

    test('keeps the order of each of many senders to one slow reader', async (t) => {
      const { port } = await start(t, '--max-queued', '256k');
      const reader = await Peer.join(port, 'reader');
      const senders = await Promise.all(Array.from({ length: 12 }, (_, i) => Peer.join(port, `s${i}`)));
      const nFrames = 120;
      reader.socket.pause();
      for (const [i, sender] of senders.entries()) {
        for (let n = 1; n <= nFrames; n++) sender.send(run(n, 'reader'), new Uint8Array((n * n * 37 + i * 1009) % 30_000).fill(n));
      }
      const counts = new Map(senders.map(({ id }) => [id, 0]));
      for (let nLeft = senders.length * nFrames; nLeft > 0; ) {
        if (nLeft % 100 === 0) { // in fits and starts
          reader.socket.pause();
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        reader.socket.resume();
        const { prelude, payload } = await reader.next();
        if (prelude.type !== 'RUN') continue;
        const n = counts.get(prelude.source) + 1;
        assert.equal(prelude.sequence, BigInt(n));
        assert.equal(payload.length, (n * n * 37 + Number(prelude.source.slice(1)) * 1009) % 30_000);
        assert.ok(payload.every((byte) => byte === (n & 255)));
        counts.set(prelude.source, n);
        nLeft--;
      }
    });

    test('drops who answers no ping, and tells the others', async (t) => {
      const relay = await start(t, '--ping', '1');
      const alice = await Peer.join(relay.port, 'alice');
      const dead = await openRaw(relay.port);
      dead.send(wsFrame(OPCODES.binary, Buffer.from(encodeFrame({ type: 'HELLO', source: 'dead', stream: 1 }))));
      assert.deepEqual(await alice.presence(), ['JOINED', 'dead', 0]);
      assert.deepEqual(await alice.presence(), ['LEFT', 'dead', 0]);
      const opcodes = [];
      for (let frame = await dead.next(); frame !== undefined; frame = await dead.next()) opcodes.push(frame.opcode);
      assert.deepEqual(opcodes, [OPCODES.binary, OPCODES.ping]);
      await relay.logged(/dead left \(it answers no ping\)/);
      await alice.assertQuiet(); // the library answers for her
    });

    test('holds senders back for a slow reader, in bounded memory, and loses nothing', async (t) => {
      const relay = await start(t, '--verbose');
      const reader = await Peer.join(relay.port, 'reader');
      const senders = await Promise.all(['s0', 's1'].map((id) => Peer.join(relay.port, id)));
      const nFrames = 512; // of 256 KiB, for each of two: 256 MB
      const before = relay.memory('VmRSS');
      reader.socket.pause();
      let nLeft = senders.length;
      const payload = Buffer.alloc(MAX_FRAME_BYTES - 56);
      const pumps = senders.map(async (sender) => {
        for (let i = 1; i <= nFrames; i++) {
          payload.writeUInt32LE(i, 0);
          payload.writeUInt32LE(i, payload.length - 4);
          const frame = encodeFrame({ source: sender.id, ...run(i, 'reader') }, payload);
          await new Promise((resolve, reject) => sender.socket.send(frame, (error) => (error ? reject(error) : resolve())));
        }
        nLeft--;
      });
      await Promise.all(senders.map((sender) => relay.logged(new RegExp(`${sender.id} is held back`))));
      assert.equal(nLeft, senders.length, 'the senders are held back with most of their frames unsent');
      const other = await Peer.join(relay.port, 'other'); // everybody else goes on
      other.send(run(1, 'other'));
      assert.equal((await other.next()).prelude.type, 'RUN');
      reader.socket.resume();
      const counts = { s0: 0, s1: 0 };
      while (counts.s0 < nFrames || counts.s1 < nFrames) {
        const { prelude, payload: got } = await reader.next();
        if (prelude.type !== 'RUN') continue;
        const i = ++counts[prelude.source];
        assert.equal(prelude.sequence, BigInt(i));
        assert.equal(Buffer.from(got).readUInt32LE(0), i);
        assert.equal(Buffer.from(got).readUInt32LE(got.length - 4), i);
      }
      await Promise.all(pumps);
      const grown = relay.memory('VmHWM') - before;
      t.diagnostic(`the relay's memory grew by ${(grown / MB).toFixed(1)} MB at most`);
      assert.ok(grown < 16 * MB, `${grown} bytes`);
    });

    test('lets its senders go when a stuck reader is dropped', async (t) => {
      const relay = await start(t, '--ping', '1', '--verbose');
      const stuck = await openRaw(relay.port);
      stuck.send(wsFrame(OPCODES.binary, Buffer.from(encodeFrame({ type: 'HELLO', source: 'stuck', stream: 1 }))));
      await stuck.next();
      stuck.socket.pause();
      const sender = await Peer.join(relay.port, 'sender');
      const frame = encodeFrame({ source: 'sender', ...run(1, 'stuck') }, Buffer.alloc(200_000));
      const left = relay.logged(/stuck left \(it takes nothing and answers no ping\)/);
      let done = false;
      left.then(() => (done = true));
      while (!done) await new Promise((resolve) => sender.socket.send(frame, resolve));
      assert.deepEqual(await sender.presence(), ['LEFT', 'stuck', 0]);
      stuck.destroy();
      await Peer.join(relay.port, 'stuck');
    });

    test('drops who keeps others waiting, and their frames to others go on', async (t) => {
      const relay = await start(t, '--stall', '1', '--ping', '3600', '--verbose');
      const stuck = await openRaw(relay.port);
      stuck.send(wsFrame(OPCODES.binary, Buffer.from(encodeFrame({ type: 'HELLO', source: 'stuck', stream: 1 }))));
      await stuck.next();
      stuck.socket.pause();
      const sender = await Peer.join(relay.port, 'sender');
      const other = await Peer.join(relay.port, 'other');
      const frame = encodeFrame({ source: 'sender', ...run(1, 'stuck') }, Buffer.alloc(200_000));
      const held = relay.logged(/sender is held back/);
      let isHeld = false;
      held.then(() => (isHeld = true));
      while (!isHeld) await Promise.race([held, new Promise((resolve) => sender.socket.send(frame, resolve))]);
      sender.send(run(1, 'other'));
      assert.deepEqual(await other.presence(), ['LEFT', 'stuck', 0]);
      await relay.logged(/stuck left \(it does not read, and others wait for it\)/);
      assert.equal((await other.next()).prelude.type, 'RUN');
      stuck.destroy();
    });

    test('tells its peers when it ends, and exits with 0 even when one does not listen', async (t) => {
      const relay = await start(t, '--verbose');
      const alice = await Peer.join(relay.port, 'alice');
      const deaf = await openRaw(relay.port);
      deaf.send(wsFrame(OPCODES.binary, Buffer.from(encodeFrame({ type: 'HELLO', source: 'deaf', stream: 1 }))));
      await deaf.next();
      deaf.socket.pause();
      alice.socket.on('error', () => {});
      const frame = encodeFrame({ source: 'alice', ...run(1, 'deaf') }, Buffer.alloc(200_000));
      const held = relay.logged(/alice is held back/);
      let isHeld = false;
      held.then(() => (isHeld = true));
      while (!isHeld) await Promise.race([held, new Promise((resolve) => alice.socket.send(frame, resolve))]);
      const from = Date.now();
      relay.kill('SIGTERM');
      assert.deepEqual(await alice.closed, { code: 1001, reason: 'the relay is ending' });
      assert.equal(await relay.ended, 0);
      assert.ok(Date.now() - from < 5000);
      deaf.destroy();
    });

    test('ends at once when nobody is connected, on SIGINT as well', async (t) => {
      const relay = await start(t);
      relay.kill('SIGINT');
      assert.equal(await relay.ended, 0);
    });
  });

  describe(`the relay's pages (${binary.name})`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'tabtensor-pages-'));
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    const files = {
      'pages/index.html': ['<!doctype html>home', 'text/html; charset=utf-8'],
      'pages/demo/index.html': ['demo', 'text/html; charset=utf-8'],
      'pages/demo/app.js': ['export {}', 'text/javascript; charset=utf-8'],
      'pages/core.wasm': ['\0asm', 'application/wasm'],
      'pages/data.json': ['{}', 'application/json; charset=utf-8'],
      'pages/style.css': ['a{}', 'text/css; charset=utf-8'],
      'pages/a b.svg': ['<svg/>', 'image/svg+xml'],
      'pages/empty.txt': ['', 'text/plain; charset=utf-8'],
      'pages/.hidden': ['secret', ''],
      'pages/.git/config': ['secret', ''],
      'secret.txt': ['secret', ''],
      'more/x.js': ['more', 'text/javascript; charset=utf-8'],
    };
    for (const [name, [text]] of Object.entries(files)) {
      mkdirSync(join(folder, name, '..'), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    mkdirSync(join(folder, 'pages/none'));
    symlinkSync('/nonexistent', join(folder, 'pages/dangling'));
    const arguments_ = ['--pages', join(folder, 'pages'), '--mount', `/more/=${join(folder, 'more')}`];

    test('serves files with the headers that make a page isolated', async (t) => {
      const { url } = await start(t, ...arguments_);
      for (const [path, name] of [['', 'pages/index.html'], ['demo/', 'pages/demo/index.html'], ['demo/app.js?x=1', 'pages/demo/app.js'],
        ['core.wasm', 'pages/core.wasm'], ['data.json', 'pages/data.json'], ['style.css', 'pages/style.css'], ['a%20b.svg', 'pages/a b.svg'],
        ['empty.txt', 'pages/empty.txt'], ['more/x.js', 'more/x.js']]) {
        const response = await fetch(url + path);
        const [text, type] = files[name];
        assert.equal(response.status, 200, path);
        assert.equal(await response.text(), text, path);
        assert.equal(response.headers.get('content-type'), type, path);
      }
      const { headers } = await fetch(url);
      assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin');
      assert.equal(headers.get('cross-origin-embedder-policy'), 'require-corp');
      assert.equal(headers.get('cross-origin-resource-policy'), 'same-origin');
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.equal(headers.get('cache-control'), 'no-cache');
      assert.match(headers.get('content-security-policy'), /script-src 'self' 'wasm-unsafe-eval';.*connect-src 'self' ws: wss:;/);
    });

    test('answers HEAD, revalidation, folders and what it does not do', async (t) => {
      const { url } = await start(t, ...arguments_);
      const head = await fetch(`${url}data.json`, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '2', '']);
      const fresh = await fetch(`${url}data.json`, { headers: { 'If-None-Match': head.headers.get('etag') } });
      assert.deepEqual([fresh.status, await fresh.text()], [304, '']);
      const stale = await fetch(`${url}data.json`, { headers: { 'If-None-Match': '"other"' } });
      assert.equal(stale.status, 200);
      await stale.text();
      const moved = await fetch(`${url}demo`, { redirect: 'manual' });
      assert.deepEqual([moved.status, moved.headers.get('location')], [308, '/demo/']);
      const posted = await fetch(url, { method: 'POST', body: 'x'.repeat(1000) });
      assert.deepEqual([posted.status, posted.headers.get('allow')], [405, 'GET, HEAD']);
      const missing = await fetch(`${url}nothing.html`);
      assert.equal(missing.status, 404);
      assert.match(await missing.text(), /there is no file '\/nothing.html'/);
      assert.equal(missing.headers.get('cross-origin-resource-policy'), 'same-origin');
    });

    test('serves large files whole', async (t) => {
      const { url } = await start(t, ...arguments_);
      const bytes = Buffer.alloc(5 * MB, 'tabtensor');
      writeFileSync(join(folder, 'pages/large.wasm'), bytes);
      const bodies = await Promise.all([1, 2, 3].map(async () => Buffer.from(await (await fetch(`${url}large.wasm`)).arrayBuffer())));
      for (const body of bodies) assert.ok(bytes.equals(body));
    });

    test('gives nothing from outside the folder, and no hidden files', async (t) => {
      const { port } = await start(t, ...arguments_);
      for (const path of ['/../secret.txt', '/demo/../../secret.txt', '/%2e%2e/secret.txt', '/..%2fsecret.txt', '/demo/..%2f..%2fsecret.txt',
        '/%5c..%5csecret.txt', '//secret.txt', '/.hidden', '/.git/config', '/%2ehidden', '/demo/.%2e/.hidden', '/none/', '/dangling', '/index.html/',
        '/more/../pages/.hidden', `/${'a/'.repeat(400)}`, '/a%0ab']) {
        const answer = await rawRequest(port, `GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`);
        assert.equal(answer.status, 404, path);
        assert.doesNotMatch(answer.body, /secret(?!\.txt)/, path);
      }
      for (const path of ['/index.html%00.js', 'secret.txt', 'http://localhost/../secret.txt']) {
        const answer = await rawRequest(port, `GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`);
        assert.doesNotMatch(answer?.body ?? '', /secret(?!\.txt)/, path);
      }
    });

    test('says so when no pages are served', async (t) => {
      const { url } = await start(t);
      const response = await fetch(url);
      assert.equal(response.status, 404);
      assert.match(await response.text(), /no pages are served/);
    });
  });

  describe(`who may connect (${binary.name})`, () => {
    const ask = (port, headers) => rawRequest(port, upgradeRequest(port, { headers }));

    test('pages of its own, programs, and allowed origins; nobody else', async (t) => {
      const { port } = await start(t, '--allow-origin', 'https://lab.example', '--allow-origin', 'http://localhost:3000');
      const allowed = [
        {},
        { Origin: `http://localhost:${port}` },
        { Origin: `http://127.0.0.1:${port}`, Host: `127.0.0.1:${port}` },
        { Origin: `http://[::1]:${port}`, Host: `[::1]:${port}` },
        { Origin: 'https://lab.example' },
        { Origin: 'https://LAB.example:443' },
        { Origin: 'http://localhost:3000' },
      ];
      for (const headers of allowed) assert.equal((await ask(port, headers)).status, 101, JSON.stringify(headers));
      const refused = [
        { Origin: 'http://evil.example' },
        { Origin: 'null' },
        { Origin: `http://localhost:${port + 1}` },
        { Origin: 'http://localhost' },
        { Origin: `http://evil.example:${port}`, Host: `evil.example:${port}` }, // rebinding
        { Origin: `http://localhost:${port}`, Host: `evil.example:${port}` },
        { Origin: 'http://lab.example' },
        { Origin: 'https://lab.example.evil.example' },
        { Origin: `http://${'x'.repeat(600)}` },
      ];
      for (const headers of refused) {
        const answer = await ask(port, headers);
        assert.equal(answer.status, 403, JSON.stringify(headers));
        assert.match(answer.body, /--allow-origin/);
      }
    });

    test('upgrades to nothing but the WebSocket of RFC 6455', async (t) => {
      const { port } = await start(t);
      assert.equal((await ask(port, { Upgrade: 'h2c', Connection: 'Upgrade, HTTP2-Settings', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' })).status, 400);
      assert.equal((await ask(port, { Upgrade: 'teapot' })).status, 403);
      const old = await ask(port, { 'Sec-WebSocket-Version': '8' });
      assert.deepEqual([old.status, old.headers['sec-websocket-version']], [426, '13']);
      assert.notEqual((await ask(port, { 'Sec-WebSocket-Key': undefined }))?.status, 101);
      const compressed = await ask(port, { 'Sec-WebSocket-Extensions': 'permessage-deflate' });
      assert.deepEqual([compressed.status, compressed.headers['sec-websocket-extensions']], [101, undefined]);
    });
  });

  describe(`the echo (${binary.name})`, () => {
    test('is there when asked for', async (t) => {
      const off = await start(t);
      const socket = new WebSocket(`ws://localhost:${off.port}/echo`);
      await once(socket, 'open');
      socket.send('hello'); // which is no frame
      assert.equal((await once(socket, 'close'))[0], 1003);
      const on = await start(t, '--echo');
      const echo = new WebSocket(`ws://localhost:${on.port}/echo`);
      await once(echo, 'open');
      for (const message of ['', 'hello', 'ünï⚑', 'x'.repeat(70_000), Buffer.alloc(0), Buffer.alloc(200_000, 7), Buffer.alloc(5 * MB, 'ab')]) {
        echo.send(message);
        const [bytes, isBinary] = await once(echo, 'message');
        assert.equal(isBinary, typeof message !== 'string');
        assert.ok(Buffer.from(message).equals(bytes));
      }
      echo.close(4321, 'bye');
      assert.equal((await once(echo, 'close'))[0], 4321);
    });

    for (const after of [false, true]) test(`keeps to RFC 6455${after ? ' on a connection that has served a page' : ''}`, async (t) => {
      const { port } = await start(t, '--echo');
      const { text, binary: binaryCode, continuation, ping, pong, close } = OPCODES;
      const exchange = async (...frames) => {
        const raw = await openRaw(port, { path: '/echo', after });
        raw.send(...frames);
        const answers = [];
        for (let frame = await raw.next(); frame !== undefined; frame = await raw.next()) {
          assert.ok(!frame.masked && frame.fin);
          answers.push(frame.opcode === close ? ['close', frame.code] : [frame.opcode, frame.payload.toString()]);
          if (frame.opcode === close && after) break; // the library may take its time to hang up
          if (frame.opcode === close && !frames.some((sent) => (sent[0] & 15) === close)) raw.send(wsFrame(close, frame.payload));
        }
        raw.destroy();
        return answers;
      };
      const bye = wsFrame(close, closePayload(1000));
      const cases = [
        ['fragments', [wsFrame(text, Buffer.from('a'), { fin: false }), wsFrame(continuation, Buffer.from('b'), { fin: false }), wsFrame(continuation, Buffer.from('c'))], [[text, 'abc']]],
        ['a ping between fragments', [wsFrame(text, Buffer.from('a'), { fin: false }), wsFrame(ping, Buffer.from('p')), wsFrame(continuation, Buffer.from('b'))], [[text, 'ab'], [pong, 'p']]],
        ['a character split over fragments', [wsFrame(text, Buffer.from([0xc3]), { fin: false }), wsFrame(continuation, Buffer.from([0xbc]))], [[text, 'ü']]],
        ['an unasked pong', [wsFrame(pong, Buffer.from('x')), wsFrame(binaryCode, Buffer.from('y'))], [[binaryCode, 'y']]],
      ];
      for (const [name, frames, expected] of cases) {
        const raw = await openRaw(port, { path: '/echo', after });
        raw.send(...frames);
        const answers = [];
        for (let i = 0; i < expected.length; i++) {
          const frame = await raw.next();
          answers.push([frame.opcode, frame.payload.toString()]);
        }
        assert.deepEqual(answers.toSorted(), expected.toSorted(), name); // a pong may overtake
        raw.send(bye);
        assert.equal((await raw.next()).code, 1000, name);
        assert.equal(await raw.next(), undefined, name);
      }
      const wrong = {
        'text that is not UTF-8': [[wsFrame(text, Buffer.from([0xce, 0xba, 0xff]))], 1007],
        'text that ends in a character': [[wsFrame(text, Buffer.from([0xce]))], 1007],
        'a reserved bit': [[wsFrame(text, Buffer.from('x'), { rsv: 4 })], 1002],
        'a reserved bit on a ping': [[wsFrame(ping, Buffer.from('x'), { rsv: 2 })], 1002],
        'an unknown opcode': [[wsFrame(5, Buffer.from('x'))], 1002],
        'a continuation of nothing': [[wsFrame(continuation, Buffer.from('x'))], 1002],
        'a new message within one': [[wsFrame(text, Buffer.from('x'), { fin: false }), wsFrame(text, Buffer.from('y'))], 1002],
        'a fragmented ping': [[wsFrame(ping, Buffer.from('x'), { fin: false })], 1002],
        'half a close code': [[wsFrame(close, Buffer.from([3]))], 1002],
        'a close code that must not be sent': [[wsFrame(close, closePayload(1005))], 1002],
        'a close code of nobody': [[wsFrame(close, closePayload(2999))], 1002],
      };
      for (const [name, [frames, code]] of Object.entries(wrong)) assert.deepEqual(await exchange(...frames), [['close', code]], name);
      if (!after) { // the library is lenient here
        assert.deepEqual(await exchange(wsFrame(binaryCode, Buffer.from('x'), { masked: false })), [['close', 1002]]);
        const raw = await openRaw(port, { path: '/echo' });
        raw.send(...['a', 'b', 'c'].map((payload) => wsFrame(ping, Buffer.from(payload))));
        for (const payload of ['a', 'b', 'c']) assert.deepEqual([payload, pong], await raw.next().then((frame) => [frame.payload.toString(), frame.opcode]));
        raw.destroy();
      }
      for (const code of [1000, 1001, 1011, 3000, 4999]) assert.deepEqual(await exchange(wsFrame(close, closePayload(code, 'why'))), [['close', code]]);
      assert.deepEqual(await exchange(wsFrame(close)), [['close', undefined]]);
      const large = await openRaw(port, { path: '/echo', after });
      large.send(wsFrame(binaryCode, Buffer.alloc(8), { length: 16 * MB + 1 }));
      assert.equal((await large.next()).code, 1009);
      large.destroy();
    });

    test('holds back who does not read', async (t) => {
      const relay = await start(t, '--echo', '--verbose');
      const raw = await openRaw(relay.port, { path: '/echo' });
      raw.socket.pause();
      const before = relay.memory('VmRSS');
      const message = wsFrame(OPCODES.binary, Buffer.alloc(60_000, 3));
      let nSent = 0;
      let isFull = false;
      while (!isFull && nSent < 2000) { // until the sockets between us and the echo are full in both directions
        if (!raw.socket.write(message)) isFull = !(await Promise.race([once(raw.socket, 'drain').then(() => true), stalled(raw.socket)]));
        nSent++;
      }
      assert.ok(isFull, 'the echo stops reading');
      assert.ok(relay.memory('VmRSS') - before < 16 * MB);
      raw.socket.resume();
      for (let i = 0; i < nSent; i++) assert.equal((await raw.next()).payload.length, 60_000);
      raw.destroy();
    });
  });

  describe(`the relay's command line (${binary.name})`, () => {
    test('explains itself, and what is wrong', async () => {
      const help = await runNative(['relay', '--help'], { binary: binary.path });
      assert.equal(help.code, 0);
      for (const option of ['--port', '--host', '--pages', '--mount', '--allow-origin', '--echo', '--max-queued', '--ping', '--quiet', '--verbose']) {
        assert.ok(help.stdout.includes(option), option);
      }
      assert.equal((await runNative(['help', 'relay'], { binary: binary.path })).stdout, help.stdout);
      assert.match((await runNative(['--version'], { binary: binary.path })).stdout, /^tabtensor \d+\.\d+\.\d+\n$/);
      const wrong = {
        'relay --prot 1': /there is no option --prot/,
        'relay --port': /--port needs a value/,
        'relay --port 70000': /0 .* to 65535/,
        'relay --port 80x': /no port/,
        'relay --max-queued 1': /256k/,
        'relay --stall 0': /1 to 3600/,
        'relay --max-queued 99999999999999999999': /256k/,
        'relay --echo=1': /takes no value/,
        'relay --ping 0': /seconds/,
        'relay 8080': /'8080' is not expected/,
        'relay -x': /no option -x/,
        'relay --port 0 --pages /nonexistent/folder': /\/nonexistent\/folder/,
        'relay --port 0 --mount more': /\/NAME\/=DIR/,
        'relay --port 0 --mount more=.': /'\/name\/'/,
        'relay --port 0 --allow-origin lab.example': /https:\/\/lab.example/,
        'relay --port 0 --host not.a.host.invalid': /not.a.host.invalid/,
        'relay --port 0 --host 192.0.2.1': /no address of this machine/,
        'ops --jason': /'--jason' is not expected/,
        'rellay': /no command 'rellay'/,
        '': /Usage/,
      };
      for (const [line, pattern] of Object.entries(wrong)) {
        const { code, stdout, stderr } = await runNative(line.split(' ').filter(Boolean), { binary: binary.path });
        assert.deepEqual([code, stdout], [2, ''], `${line}: ${stderr}`);
        assert.match(stderr, pattern, line);
        assert.doesNotMatch(stderr, /Sanitizer/, line);
      }
    });

    test('lists the ops', async () => {
      const lines = (await runNative(['ops'], { binary: binary.path })).stdout.trim().split('\n');
      const table = JSON.parse((await runNative(['ops', '--json'], { binary: binary.path })).stdout);
      assert.ok(table.length > 0);
      assert.deepEqual(lines.map((line) => line.trim()), table.map(({ number, schema }) => `${number}  ${schema}`));
    });

    test('says who has the port', async (t) => {
      const { port } = await start(t);
      const { code, stderr } = await runNative(['relay', '--port', String(port)], { binary: binary.path });
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`port ${port} on 127.0.0.1 is taken .* another port`));
    });
  });
}

/** Resolves with false when nothing has left the socket for a while that is long for a machine and short for a person. */
const stalled = async (socket) => {
  for (let before = -1, same = 0; same < 20; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    same = socket.bytesWritten - socket.writableLength === before ? same + 1 : 0;
    before = socket.bytesWritten - socket.writableLength;
  }
  return false;
};
