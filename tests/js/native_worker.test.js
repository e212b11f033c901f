// The native worker as others see it: the real program, real sockets, and a peer that is made of PROTOCOL.md alone. Every built binary is tried.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import WebSocket from 'ws';
import { nativeBinaries, runNative, startNative } from './native.js';
import { asFloats, floats, RawWorker } from './raw_worker.js';
import { encodeData, encodeFrame, encodeJson, encodeRun, encodeText, MAX_FRAME_BYTES } from './wire.js';

const MB = 1 << 20;
const operand = (id) => ({ type: 'operand', id });

for (const binary of nativeBinaries()) {
  describe(`tabtensor worker (${binary.name})`, { timeout: 240_000, concurrency: true }, () => {
    const start = (...args) => startNative(['worker', ...args], { binary: binary.path });
    const run = (...args) => runNative(['worker', ...args], { binary: binary.path });
    const startListening = (...args) => start('--id', '2', '--port', '0', ...args);

    /** The seed's lines: worker `me` commands whoever it is attached to. */
    const seedExample = async (me) => {
      const [x, x2, sum, y] = [me.newId(), me.newId(), me.newId(), me.newId()];
      const sent = [
        me.sendTensor({ object: x, dtype: 'float32', dims: [5n], elements: floats(1, 2, 3, 4, 5) }),
        me.sendTensor({ object: x2, dtype: 'float32', dims: [5n], elements: floats(1, 2, 3, 4, 4) }),
      ];
      const request = me.newId();
      me.run([me.call('add', [x, x2], [sum]), me.call('add', [sum, x], [y]), { kind: 'FETCH', take: true, request, object: y }]);
      for (const transfer of sent) await me.done(transfer);
      const got = await me.fetched(request);
      assert.equal(got.dtype, 'float32');
      assert.deepEqual(got.dims, [5n]);
      assert.equal(got.object, 0n);
      assert.deepEqual(asFloats(got.elements), [3, 6, 9, 12, 14]);
      /* Until the DONE the result is still there. */
      assert.equal((await me.query('whoami')).objects, 4);
      me.run([{ kind: 'DONE', request }]);
      assert.equal((await me.query('whoami')).objects, 3);
      me.run([{ kind: 'FREE', ids: [x, x2, sum] }]);
      assert.equal((await me.query('whoami')).objects, 0);
    };

    /** The example beside whatever the store holds already. */
    const seedExampleWithOthers = async (me) => {
      const [x, y] = [me.newId(), me.newId()];
      await me.done(me.sendTensor({ object: x, dtype: 'float32', dims: [2n], elements: floats(1, 2) }));
      me.run([me.call('add', [x, x], [y])]);
      assert.deepEqual(asFloats((await me.fetch(y)).elements), [2, 4]);
    };

    test('S5, S18: announces itself as the seed does; the example, line for line', async () => {
      const worker = await startListening('--verbose');
      assert.deepEqual(worker.output.slice(0, 3), [
        'Hooking into Tensors... Overloading complete.',
        'Starting a WebSocket Worker....',
        `Ready to receive commands....  (id 2, ws://127.0.0.1:${worker.port}/)`,
      ]);
      assert.equal(worker.readyLine, `tabtensor worker ready at ws://127.0.0.1:${worker.port}/ (id 2)`);
      const me = await RawWorker.attach(worker.url, 'me');
      assert.equal(me.peerId, '2');
      assert.equal(me.peer.id, '2');
      assert.equal(me.peer.kind, 'native');
      await seedExample(me);
      await me.leave();
      await worker.said(/^joined: me$/);
      await worker.said(/^object added: \d+ float32 \[5\] of me$/);
      await worker.said(/^command of me: add \d+ \d+ -> \d+$/);
      await worker.said(/^object removed: \d+ of me: taken$/);
      await worker.said(/^object removed: \d+ of me: freed$/);
      await worker.said(/^left: me: has left$/);
      await worker.stop();
    });

    test('S7: whoami', async () => {
      const worker = await startListening();
      const me = await RawWorker.attach(worker.url, 'me');
      me.sendTensor({ object: 5n, dtype: 'int64', dims: [2n, 3n], elements: new Uint8Array(48) });
      const { id, kind, software, objects, bytes } = await me.query('whoami');
      assert.deepEqual({ id, kind, objects, bytes }, { id: '2', kind: 'native', objects: 1, bytes: 48 });
      assert.match(software, /^tabtensor \d/);
      await worker.stop();
    });

    test('what goes wrong in a command comes back as an error and poisons what follows', async () => {
      const worker = await startListening('--verbose');
      const me = await RawWorker.attach(worker.url, 'me');
      me.sendTensor({ object: 1n, dtype: 'float32', dims: [2n, 3n], elements: new Uint8Array(24) });
      me.sendTensor({ object: 2n, dtype: 'float32', dims: [4n], elements: new Uint8Array(16) });

      await assert.rejects(me.fetch(99n), ({ code, message }) => code === 'unknown_object' && message.includes('99') && message.startsWith('2 '));

      me.run([me.call('add', [1n, 2n], [10n]), me.call('add', [10n, 1n], [11n])]);
      const { json } = await me.take('CONTROL', (payload) => payload.json.failure);
      assert.equal(json.failure.code, 'shape');
      assert.equal(json.failure.op, 'add');
      assert.equal(json.failure.worker, '2');
      assert.equal(json.failure.command, 0);
      assert.deepEqual(json.failure.shapes, ['[2, 3]', '[4]']);
      assert.deepEqual(json.results, ['10']);
      await assert.rejects(me.fetch(11n), { code: 'shape', failure: json.failure.failure });

      me.run([me.call('no_such_op', [1n], [20n])]);
      const unknown = (await me.take('CONTROL', (payload) => payload.json.results?.[0] === '20')).json.failure;
      assert.equal(unknown.code, 'unknown_op');
      assert.match(unknown.message, /no_such_op/);
      me.run([{ kind: 'CALL', op: 60000, args: [operand(1n)], results: [21n] }]);
      assert.equal((await me.take('CONTROL', (payload) => payload.json.results?.[0] === '21')).json.failure.code, 'unknown_op');

      me.run([me.call('add', [1n, 77n], [22n])]);
      assert.equal((await me.take('CONTROL', (payload) => payload.json.results?.[0] === '22')).json.failure.code, 'unknown_object');
      me.run([me.call('neg', [1n], [23n, 24n])]);
      assert.equal((await me.take('CONTROL', (payload) => payload.json.results?.[0] === '23')).json.failure.code, 'argument');
      me.run([me.call('neg', [{ type: 'string', value: 'x' }], [25n])]);
      assert.equal((await me.take('CONTROL', (payload) => payload.json.results?.[0] === '25')).json.failure.code, 'argument');

      await assert.rejects(me.done(me.sendTensor({ object: 1n, dtype: 'bool', dims: [1n], elements: Uint8Array.of(1) })), { code: 'duplicate' });
      await assert.rejects(me.query('shape', { id: '98' }), { code: 'unknown_object' });
      assert.deepEqual((await me.query('shape', { id: '1' })).shape, [2, 3]);
      await assert.rejects(me.query('shape', { id: '10' }), { code: 'shape' });
      const send = me.newId();
      me.run([{ kind: 'SEND', request: send, object: 1n, id_there: 1n, worker: 'me' }]);
      await assert.rejects(me.done(send), { code: 'policy' });

      await worker.said(/^failure, command of me: .*\(shapes \[2, 3\] \[4\]\)$/);
      await seedExampleWithOthers(me);
      await worker.stop();
    });

    test('a result id that is taken overwrites nothing', async () => {
      const worker = await startListening();
      const me = await RawWorker.attach(worker.url, 'me');
      me.sendTensor({ object: 1n, dtype: 'float32', dims: [2n], elements: floats(1, 2) });
      me.run([me.call('add', [1n, 1n], [1n])]);
      assert.equal((await me.take('CONTROL', ({ json }) => json.failure)).json.failure.code, 'duplicate');
      assert.deepEqual(asFloats((await me.fetch(1n)).elements), [1, 2]);
      await worker.stop();
    });

    test('what is changed by something poisoned is poisoned', async () => {
      const worker = await startListening();
      const me = await RawWorker.attach(worker.url, 'me');
      me.sendTensor({ object: 1n, dtype: 'float32', dims: [2n], elements: floats(1, 2) });
      me.sendTensor({ object: 2n, dtype: 'float32', dims: [3n], elements: floats(1, 2, 3) });
      me.run([me.call('add', [1n, 2n], [10n]), me.call('add_', [1n, 10n], []), me.call('add_', [1n, 1n], [])]);
      const { failure } = (await me.take('CONTROL', ({ json }) => json.failure)).json;
      assert.equal(failure.code, 'shape');
      await assert.rejects(me.fetch(1n), { code: 'shape', failure: failure.failure });
      await worker.stop();
    });

    test('a fetch answers what was there when it was asked for, whatever is changed while it waits', async () => {
      const worker = await startListening();
      const me = await RawWorker.attach(worker.url, 'me', { credit: 500_000n, refill: false });
      const elements = new Uint8Array(MB).fill(1);
      await me.done(me.sendTensor({ object: 1n, dtype: 'uint8', dims: [BigInt(MB)], elements }));
      const [first, second] = [me.newId(), me.newId()];
      me.run([
        { kind: 'FETCH', take: false, request: first, object: 1n },
        me.call('add_', [1n, 1n], []),
        { kind: 'FETCH', take: false, request: second, object: 1n },
      ]);
      while (me.received < 200_000) await once(me.socket, 'message');
      me.run([me.call('add_', [1n, 1n], [])]);
      me.refill = true;
      me.grant(10_000_000n);
      assert.ok((await me.fetched(first)).elements.every((byte) => byte === 1));
      assert.ok((await me.fetched(second)).elements.every((byte) => byte === 2));
      assert.ok((await me.fetch(1n)).elements.every((byte) => byte === 4));
      await worker.stop();
    });

    test('copies that wait because of changes have a ceiling', async () => {
      const worker = await startListening('--max-store', '4m');
      const me = await RawWorker.attach(worker.url, 'me', { credit: 300_000n, refill: false });
      await me.done(me.sendTensor({ object: 1n, dtype: 'uint8', dims: [BigInt(MB)], elements: new Uint8Array(MB).fill(1) }));
      const requests = Array.from({ length: 8 }, () => me.newId());
      me.run(requests.flatMap((request) => [{ kind: 'FETCH', take: false, request, object: 1n }, me.call('add_', [1n, 1n], [])]));
      me.refill = true;
      me.grant(20_000_000n);
      const answers = await Promise.allSettled(requests.map((request) => me.fetched(request)));
      assert.deepEqual(answers.map(({ status }) => status).slice(0, 5), Array(5).fill('fulfilled'));
      for (const [i, { value }] of answers.slice(0, 4).entries()) assert.ok(value.elements.every((byte) => byte === 2 ** i));
      for (const { reason } of answers.slice(5)) assert.equal(reason.code, 'full');
      await worker.stop();
    });

    test('one request, one answer: a second of the same name is an error', async () => {
      const worker = await startListening();
      const me = await RawWorker.attach(worker.url, 'me');
      me.sendTensor({ object: 1n, dtype: 'float32', dims: [1n], elements: floats(1) });
      me.sendTensor({ object: 2n, dtype: 'float32', dims: [1n], elements: floats(2) });
      me.run([{ kind: 'FETCH', take: true, request: 7n, object: 1n }, { kind: 'FETCH', take: true, request: 7n, object: 2n }]);
      assert.deepEqual(asFloats((await me.take('DATA')).elements), [1]);
      assert.equal((await me.take('CONTROL')).json.error.code, 'duplicate');
      me.run([{ kind: 'DONE', request: 7n }]);
      assert.deepEqual((await me.query('list')).objects.map(({ id }) => id), ['2']);
      await worker.stop();
    });

    test('a tensor that nobody asked for takes no memory', async () => {
      const worker = await startListening();
      const me = await RawWorker.attach(worker.url, 'me');
      const total = 1n << 40n;
      const before = worker.memory('VmSize');
      me.sequenced('DATA', encodeData({ transfer: 5n, object: 0n, dtype: 'uint8', dims: [total], total_bytes: total, elements: new Uint8Array(1000) }));
      assert.equal((await me.query('whoami')).objects, 0);
      assert.ok(worker.memory('VmSize') - before < 1024 * MB);
      await worker.stop();
    });

    test('what is on its way in has its room in the store', async () => {
      const worker = await startListening('--max-store', '1m');
      const [me, other] = [await RawWorker.attach(worker.url, 'me'), await RawWorker.attach(worker.url, 'other')];
      me.sequenced('DATA', encodeData({ transfer: 5n, object: 1n, dtype: 'uint8', dims: [700_000n], total_bytes: 700_000, elements: new Uint8Array(1000) }));
      assert.equal((await me.query('whoami')).bytes, 0);
      const send = (object) => other.done(other.sendTensor({ object, dtype: 'uint8', dims: [700_000n], elements: new Uint8Array(700_000) }));
      await assert.rejects(send(1n), { code: 'full' });
      other.run([other.call('zeros', [{ type: 'ints', values: [100_000n] }], [2n])]);
      assert.equal((await other.take('CONTROL', ({ json }) => json.failure)).json.failure.code, 'full');
      me.socket.terminate();
      await worker.said(/^left: me/);
      await send(3n);
      await worker.stop();
    });

    const deep = (levels) => encodeText(`{"request":"1","query":"list","more":${'['.repeat(levels)}${']'.repeat(levels)}}`);
    /** Bytes that are not the protocol: each ends its own connection, and nothing else. `send` gets a peer that has said HELLO. */
    const breaches = [
      { name: 'garbage', send: (me) => me.raw(Buffer.from('GET / HTTP/1.1\r\n\r\n and so on, as long as a prelude')) },
      { name: 'nothing at all', send: (me) => me.raw(new Uint8Array()) },
      { name: 'another version', send: (me) => me.frame({ type: 'HELLO', version: 2, stream: 1 }), code: 'version' },
      { name: 'an unknown type', send: (me) => me.frame({ type: 0x40 }) },
      { name: 'an unknown flag', send: (me) => me.sequenced('RUN', new Uint8Array(), { flags: 0x8000 }) },
      { name: 'a frame cut short', send: (me) => me.raw(encodeFrame({ type: 'RUN', source: me.id, stream: me.stream, sequence: 1n }, new Uint8Array(100)).subarray(0, 90)) },
      { name: 'a length that lies', send: (me) => me.sequenced('RUN', new Uint8Array(8), { length: 4096 }) },
      { name: 'a run cut short', send: (me) => me.sequenced('RUN', encodeRun([{ kind: 'SYNC', request: 1n }]).subarray(0, 5)) },
      { name: 'JSON that is too deep', send: (me) => me.sequenced('CONTROL', deep(20)) },
      { name: 'JSON that is none', send: (me) => me.sequenced('CONTROL', encodeText('{"request":')) },
      { name: 'a query without a name', send: (me) => me.sequenced('CONTROL', encodeJson({ request: '4' })) },
      { name: 'a gap in the sequence', send: (me) => me.sequenced('RUN', new Uint8Array(), { sequence: 5n }) },
      { name: 'another stream', send: (me) => me.sequenced('RUN', new Uint8Array(), { stream: me.stream ^ 1 }) },
      { name: 'a frame in the name of another', send: (me) => me.sequenced('RUN', new Uint8Array(), { source: 'other' }) },
      { name: 'a frame for another', send: (me) => me.sequenced('RUN', new Uint8Array(), { destination: 'other' }) },
      { name: 'the words of a relay', send: (me) => me.frame({ type: 'JOINED', source: '' }, Uint8Array.of(1, 65)) },
      {
        name: 'a tensor that contradicts itself',
        send: (me) => me.sequenced('DATA', encodeData({ transfer: 1n, object: 1n, dtype: 'float32', dims: [2n], total_bytes: 9, elements: new Uint8Array(9) })),
      },
      { name: 'a continuation of nothing', send: (me) => me.sequenced('DATA', new Uint8Array(16), { flags: 1 }) },
    ];

    test('bytes that are not the protocol end their connection and nothing else', async () => {
      const worker = await startListening();
      const steady = await RawWorker.attach(worker.url, 'steady');
      steady.sendTensor({ object: 1n, dtype: 'float32', dims: [2n], elements: floats(1, 2) });
      for (const { name, send, code = 'protocol' } of breaches) {
        const me = await RawWorker.attach(worker.url, 'odd');
        send(me);
        const { status, reason } = await me.refusal();
        assert.equal(status, code, `${name}: ${reason}`);
        assert.ok(reason.length > 10, `${name}: "${reason}" says too little`);
        await steady.query('whoami');
      }
      /* Before any HELLO. */
      const mute = new RawWorker(worker.url, 'mute');
      await mute.opened;
      mute.run([{ kind: 'SYNC', request: 1n }]);
      assert.equal((await mute.refusal()).status, 'protocol');

      const large = await RawWorker.attach(worker.url, 'large');
      large.raw(new Uint8Array(MAX_FRAME_BYTES + 1));
      assert.equal((await large.closed).code, 1009);
      const text = await RawWorker.attach(worker.url, 'text');
      text.raw('hello');
      assert.equal((await text.closed).code, 1003);

      assert.deepEqual(asFloats((await steady.fetch(1n)).elements), [1, 2]);
      await worker.stop();
    });

    test('HELLO: an id that is taken, its own, none, two, no stream, another protocol', async () => {
      const worker = await startListening();
      const first = await RawWorker.attach(worker.url, 'bob');
      const greet = async (id, json = {}, options = {}) => {
        const me = new RawWorker(worker.url, id, options);
        await me.opened;
        me.hello('', json);
        return me.refusal();
      };
      for (const [status, id, json, options] of [
        ['duplicate', 'bob'],
        ['duplicate', '2'],
        ['protocol', 'x'.repeat(65)],
        ['protocol', 'line\nbreak'],
        ['protocol', 'alice', { id: 'carol' }],
        ['protocol', 'alice', {}, { stream: 0 }],
        ['version', 'alice', { protocol: 2 }],
        ['protocol', 'alice', { ops: 7 }],
      ]) {
        const refused = await greet(id, json, options);
        assert.equal(refused.status, status, `${id}: ${refused.reason}`);
      }
      await seedExample(first);
      await worker.stop();
    });

    test('S9: an object of somebody else is as if it were not there', async () => {
      const worker = await startListening();
      const [alice, bob] = [await RawWorker.attach(worker.url, 'alice'), await RawWorker.attach(worker.url, 'bob')];
      await alice.done(alice.sendTensor({ object: 1n, dtype: 'float32', dims: [1n], elements: floats(7) }));
      await assert.rejects(bob.fetch(1n), { code: 'unknown_object' });
      bob.run([{ kind: 'FREE', ids: [1n] }]);
      assert.deepEqual((await bob.query('list')).objects, []);
      assert.deepEqual((await alice.query('list')).objects.map(({ id, owner }) => [id, owner]), [['1', 'alice']]);
      assert.deepEqual(asFloats((await alice.fetch(1n)).elements), [7]);
      await worker.stop();
    });

    test('a full store says so, and goes on when something is freed', async () => {
      const worker = await startListening('--max-store', '64k');
      const me = await RawWorker.attach(worker.url, 'me');
      const block = (object, bytes) => me.sendTensor({ object, dtype: 'uint8', dims: [BigInt(bytes)], elements: new Uint8Array(bytes) });
      await me.done(block(1n, 40_000));
      await assert.rejects(me.done(block(2n, 40_000)), ({ code, message }) => code === 'full' && /40000/.test(message) && /65536/.test(message));
      await assert.rejects(me.done(block(3n, 10 * MB)), { code: 'full' });
      me.run([me.call('zeros', [{ type: 'ints', values: [1_000_000n] }], [4n])]);
      assert.equal((await me.take('CONTROL', ({ json }) => json.results?.[0] === '4')).json.failure.code, 'full');
      me.run([{ kind: 'FREE', ids: [1n, 4n] }]);
      await me.done(block(5n, 60_000));
      assert.equal((await me.query('whoami')).bytes, 60_000);
      await worker.stop();
    });

    test('sends no more than it was given credit for', async () => {
      const worker = await startListening();
      const me = await RawWorker.attach(worker.url, 'me', { credit: 600_000n, refill: false });
      const elements = new Uint8Array(2 * MB).map((_, i) => i * 7);
      await me.done(me.sendTensor({ object: 1n, dtype: 'uint8', dims: [BigInt(elements.length)], elements }));
      const fetched = me.fetch(1n);
      while (me.received < 400_000) await once(me.socket, 'message');
      /* A HELLO needs no credit: its answer shows that nothing else came before it. */
      for (let granted = 600_000; granted < 2.3 * MB; granted += 300_000) {
        me.hello();
        await me.take('HELLO');
        assert.ok(me.received <= granted, `${me.received} bytes came where ${granted} were granted`);
        me.grant(BigInt(granted + 300_000));
      }
      assert.deepEqual((await fetched).elements, elements);
      await worker.stop();
    });

    test('a reader that takes nothing costs it little, whatever credit it gave', async () => {
      const worker = await startListening();
      const me = await RawWorker.attach(worker.url, 'me', { credit: 1n << 60n, refill: false });
      const other = await RawWorker.attach(worker.url, 'other');
      const elements = new Uint8Array(16 * MB).fill(3);
      await me.done(me.sendTensor({ object: 1n, dtype: 'uint8', dims: [BigInt(elements.length)], elements }));
      const before = worker.memory('VmRSS');
      me.socket.pause();
      const requests = Array.from({ length: 8 }, () => me.newId());
      me.run(requests.map((request) => ({ kind: 'FETCH', take: false, request, object: 1n })));
      await seedExampleWithOthers(other);
      for (let i = 0; i < 50; i++) await other.query('whoami');
      const grown = worker.memory('VmRSS') - before;
      assert.ok(grown < 16 * MB, `it grew by ${grown} bytes while 128 MB waited`);
      me.socket.resume();
      for (const request of requests) assert.equal((await me.fetched(request)).elements.length, elements.length);
      await worker.stop();
    });

    test('who vanishes in the middle of a tensor, or with answers to come, harms nobody', async () => {
      const worker = await startListening();
      const steady = await RawWorker.attach(worker.url, 'steady');
      for (let i = 0; i < 5; i++) {
        const me = await RawWorker.attach(worker.url, 'fleeting');
        await me.done(me.sendTensor({ object: BigInt(100 + i), dtype: 'bool', dims: [1n], elements: Uint8Array.of(1) }));
        me.sendTensor({ object: BigInt(1 + i), dtype: 'uint8', dims: [BigInt(3 * MB)], elements: new Uint8Array(3 * MB) });
        me.run([{ kind: 'FETCH', take: true, request: 5n, object: BigInt(1 + i) }]);
        me.sequenced('DATA', encodeData({ transfer: 9n, object: 900n, dtype: 'uint8', dims: [100_000n], total_bytes: 100_000, elements: new Uint8Array(50_000) }));
        if (i % 2 === 0) await once(me.socket, 'message');
        me.socket.terminate();
        await worker.said(/^left: fleeting/, i + 1);
      }
      await seedExampleWithOthers(steady);
      /* Under the same id it finds what it owned. */
      const back = await RawWorker.attach(worker.url, 'fleeting');
      const listed = (await back.query('list')).objects;
      for (let i = 0; i < 5; i++) assert.ok(listed.some(({ id, owner }) => id === String(100 + i) && owner === 'fleeting'), `object ${100 + i} is gone`);
      await worker.stop();
    });

    test('a peer that begins anew on its connection', async () => {
      const worker = await startListening();
      const me = await RawWorker.attach(worker.url, 'me', { stream: 7 });
      await me.done(me.sendTensor({ object: 1n, dtype: 'float32', dims: [1n], elements: floats(4) }));
      me.restart(8);
      me.hello();
      await me.take('HELLO');
      assert.deepEqual(asFloats((await me.fetch(1n)).elements), [4]);
      await worker.stop();
    });

    test('pages of other origins are refused unless they are named', async () => {
      const allowed = 'https://lab.example';
      const worker = await startListening('--allow-origin', allowed, '--allow-origin', 'http://localhost:9999');
      const statusFor = async (origin) => {
        const socket = new WebSocket(worker.url, { headers: { Origin: origin } });
        socket.on('error', () => {});
        return Promise.race([once(socket, 'open').then(() => (socket.close(), 101)), once(socket, 'unexpected-response').then(([, response]) => response.statusCode)]);
      };
      assert.equal(await statusFor('https://evil.example'), 403);
      assert.equal(await statusFor('http://localhost:8080'), 403);
      assert.equal(await statusFor('null'), 403);
      assert.equal(await statusFor(allowed), 101);
      assert.equal(await statusFor('http://localhost:9999'), 101);
      assert.equal(await statusFor(`http://127.0.0.1:${worker.port}`), 101);
      const page = await RawWorker.attach(worker.url, 'page', { headers: { Origin: allowed } });
      await seedExample(page);
      await worker.stop();
    });

    test('as many connections as were allowed', async () => {
      const worker = await startListening('--max-connections', '1');
      const first = await RawWorker.attach(worker.url, 'first');
      const second = new RawWorker(worker.url, 'second');
      await second.opened;
      assert.equal((await second.refusal()).status, 'full');
      await seedExample(first);
      await worker.stop();
    });

    test('serves pages beside the WebSocket', async () => {
      const pages = mkdtempSync(join(tmpdir(), 'pages-'));
      writeFileSync(join(pages, 'index.html'), '<title>a page</title>');
      const worker = await startListening('--pages', pages);
      const response = await fetch(`http://127.0.0.1:${worker.port}/`);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('cross-origin-opener-policy'), 'same-origin');
      assert.match(await response.text(), /a page/);
      await seedExample(await RawWorker.attach(worker.url, 'me'));
      await worker.stop();
      rmSync(pages, { recursive: true });
    });

    test('SIGTERM and SIGINT: it says goodbye, and exits with 0', async () => {
      for (const signal of ['SIGTERM', 'SIGINT']) {
        const worker = await startListening('--quiet');
        assert.deepEqual(worker.output, [worker.readyLine]);
        const me = await RawWorker.attach(worker.url, 'me');
        await me.done(me.sendTensor({ object: 1n, dtype: 'float32', dims: [1n], elements: floats(4) }));
        worker.kill(signal);
        await me.take('GOODBYE');
        assert.equal((await me.closed).code, 1000);
        assert.equal(await worker.ended, 0);
        assert.deepEqual(worker.log, []);
      }
    });

    test('S5: behind a relay, and back when the relay comes back', async () => {
      let relay = await startNative(['relay', '--port', '0'], { binary: binary.path });
      const url = `ws://127.0.0.1:${relay.port}/`;
      const worker = await start('--id', 'bob', '--relay', url, '--port', '0');
      assert.match(worker.readyLine, /ready at ws:/);
      await worker.said(new RegExp(`^tabtensor worker ready behind ${url} \\(id bob\\)$`));

      /* The same worker, both ways. */
      const near = await RawWorker.attach(worker.url, 'near');
      await seedExample(near);
      const throughRelay = async (id) => {
        const me = new RawWorker(url, id);
        await me.opened;
        me.hello();
        await me.take('WELCOME', ({ workers }) => workers.includes('bob'));
        me.hello('bob');
        await me.take('HELLO');
        return me;
      };
      const far = await throughRelay('far');
      await seedExample(far);
      /* A breach ends the stream, not the connection that others share. */
      far.sequenced('RUN', Uint8Array.of(99));
      for (let i = 0; i < 5; i++) far.run([{ kind: 'SYNC', request: far.newId() }]);
      assert.equal((await far.take('REFUSED')).status, 'protocol');
      await seedExample(await throughRelay('farther'));
      /* What was under way on the stream when it ended is not refused once more. */
      far.restart(far.stream ^ 1);
      far.hello('bob');
      await far.take('HELLO');
      await seedExample(far);
      assert.ok(far.frames.every(({ prelude }) => prelude.type !== 'REFUSED'));

      /* The id is taken: an error, and no endless tries. */
      const impostor = await run('--id', 'bob', '--relay', url);
      assert.equal(impostor.code, 1);
      assert.match(impostor.stderr, /the id bob is taken at .* --id/);

      const port = String(relay.port);
      await relay.stop();
      await worker.logged(/^tabtensor worker: no connection to .*; trying again in 1 s$/);
      relay = await startNative(['relay', '--port', port], { binary: binary.path });
      await worker.said(/ready behind/, 2);
      await seedExample(await throughRelay('again'));
      await worker.stop();
      await relay.stop();
    });

    test('a relay that is not there yet is waited for', async () => {
      const relay = await startNative(['relay', '--port', '0'], { binary: binary.path });
      const port = String(relay.port);
      await relay.stop();
      const worker = start('--id', 'early', '--relay', `ws://127.0.0.1:${port}`);
      const later = await startNative(['relay', '--port', port], { binary: binary.path });
      assert.match((await worker).readyLine, /ready behind/);
      await (await worker).stop();
      await later.stop();
    });

    test('S18 the other way: a native worker commands who attaches to it', async () => {
      const server = await startNative(['bob'], { binary: join(dirname(binary.path), 'two_way') });
      /* A worker made of the protocol alone is commanded. */
      const me = new RawWorker(server.url, 'me');
      await me.opened;
      me.opNames = ['neg', 'add'];
      me.hello();
      await me.take('HELLO');
      const store = new Map();
      const keep = async () => {
        const { transfer, object, elements } = await me.take('DATA');
        store.set(object, asFloats(elements));
        me.run([{ kind: 'DONE', request: transfer }]);
      };
      await keep();
      await keep();
      const { records } = await me.take('RUN', (payload) => payload.records.some(({ kind }) => kind === 'CALL'));
      /* What it sent before may share their frame. */
      assert.deepEqual(records.map(({ kind }) => kind).filter((kind) => kind !== 'FREE' && kind !== 'TENSOR'), ['CALL', 'CALL', 'FETCH']);
      for (const { kind, op, args, results } of records) {
        if (kind !== 'CALL') continue;
        assert.equal(me.peer.ops.names[op - 1], 'add');
        const [a, b] = args.map(({ id }) => store.get(id));
        store.set(results[0], a.map((value, i) => value + b[i]));
      }
      const { take, request, object } = records.at(-1).kind === 'FETCH' ? records.at(-1) : records.find(({ kind }) => kind === 'FETCH');
      assert.equal(take, true);
      const y = store.get(object);
      me.sequenced('DATA', encodeData({ transfer: request, dtype: 'float32', dims: [BigInt(y.length)], elements: floats(...y) }));
      await me.done(request);
      assert.equal(await server.said(/^me: /), 'me: tensor([ 3.,  6.,  9., 12., 14.])');

      /* And a native one. */
      const worker = await start('--id', '7', '--relay', server.url, '--verbose');
      assert.equal(await server.said(/^7: /), '7: tensor([ 3.,  6.,  9., 12., 14.])');
      await worker.said(/^command of bob: add/, 2);
      await worker.said(/^object removed: \d+ of bob: taken$/);
      await server.stop();
      await worker.logged(/trying again in/);
      await worker.stop();
    });

    test('--help, and options that make no sense', async () => {
      const help = await run('--help');
      assert.equal(help.code, 0);
      for (const option of ['--id', '--port', '--host', '--relay', '--max-store', '--threads', '--max-connections', '--allow-origin', '--pages', '--quiet', '--verbose']) {
        assert.match(help.stdout, new RegExp(`^ +${option}\\b`, 'm'));
      }
      for (const [args, says] of [
        [['--nonsense'], /no option --nonsense/],
        [['extra'], /'extra' is not expected/],
        [['--port'], /--port needs a value/],
        [['--port', '65536'], /--port 65536 is no port/],
        [['--port', 'http'], /--port http is no port/],
        [['--id', ''], /--id/],
        [['--id', 'x'.repeat(65)], /--id/],
        [['--max-store', '10x'], /--max-store 10x/],
        [['--max-store', '0'], /--max-store 0/],
        [['--threads', '0'], /--threads 0 does not work: a number from 1 to 64 does/],
        [['--max-connections', '0'], /--max-connections 0/],
        [['--relay', 'http://127.0.0.1:1'], /ws:/],
        [['--relay', 'ws://127.0.0.1:1', '--pages', '.'], /--pages is for a worker that listens/],
        [['--port', '0', '--allow-origin', 'lab.example'], /lab\.example/],
        [['--port', '0', '--pages', '/no/such/folder'], /no\/such\/folder/],
        [['--port', '0', '--host', 'no such host'], /no such host/],
      ]) {
        const { code, stderr } = await run(...args);
        assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
        assert.match(stderr, says);
      }
    });

    test('a port that is taken', async () => {
      const worker = await startListening();
      const { code, stderr } = await run('--id', '3', '--port', String(worker.port));
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`port ${worker.port} .*taken`));
      await worker.stop();
    });
  });
}
