/**
 * A worker made of the protocol's text alone (wire.js over a WebSocket): it does what a test tells it, rightly or wrongly, and shares nothing with the C code.
 *
 *     const me = await RawWorker.attach(worker.url, 'me')        // connected, HELLOs exchanged
 *     me.sendTensor({ object: 7n, dtype: 'float32', dims: [5n], elements })
 *     me.run([{ kind: 'FETCH', request: 9n, object: 7n }])
 *     await me.take('DATA', (data) => data.transfer === 9n)
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket from 'ws';
import { decode, decodeData, encodeData, encodeDataMore, encodeFrame, encodeJson, encodeRun, MAX_FRAME_BYTES } from './wire.js';

const WINDOW_BYTES = 4 << 20;

const errorOf = ({ error }) => Object.assign(new Error(error.message), error);

export class RawWorker {
  /** Frames that nobody has taken yet, decoded. */
  frames = [];
  /** Bytes of sequenced frames that came, and what was granted for them. */
  received = 0;
  granted = 0n;
  /** The other end's HELLO: its JSON. */
  peer = undefined;
  #sequence = 0n;
  #waiting = [];
  #next = 1000n;

  constructor(url, id, { credit = BigInt(WINDOW_BYTES), refill = true, headers, stream = 1 + Math.floor(Math.random() * 0xfffffffe) } = {}) {
    Object.assign(this, { id, stream, refill, granted: credit });
    this.socket = new WebSocket(url, { headers });
    this.opened = once(this.socket, 'open');
    this.closed = once(this.socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
    this.opened.catch(() => {});
    this.socket.on('error', () => {});
    this.socket.on('message', (bytes) => this.#arrived(new Uint8Array(bytes)));
    this.closed.then(() => {
      this.isClosed = true;
      for (const { reject } of this.#waiting) reject(new Error(`${this.id}: the connection ended`));
    });
  }

  static async attach(url, id, { destination = '', ...options } = {}) {
    const worker = new RawWorker(url, id, options);
    await worker.opened;
    worker.hello(destination);
    await worker.take('HELLO');
    return worker;
  }

  #arrived(bytes) {
    const frame = decode(bytes);
    const { prelude, payload } = frame;
    if (prelude.sequence !== 0n) {
      this.received += bytes.length;
      this.acknowledgement = prelude.sequence;
      if (this.refill) this.grant(BigInt(this.received + WINDOW_BYTES));
    }
    if (prelude.type === 'HELLO') {
      this.peer = payload.json;
      this.peerId = prelude.source;
    }
    this.#keep(frame);
    // Whoever waits for a tensor need not know which way it came.
    for (const { kind, data } of payload.records ?? []) {
      if (kind === 'TENSOR') this.#keep({ prelude: { ...prelude, type: 'DATA' }, payload: { continues: false, ...decodeData(data) } });
    }
  }

  #keep(frame) {
    const at = this.#waiting.findIndex(({ fits }) => fits(frame));
    if (at < 0) this.frames.push(frame);
    else this.#waiting.splice(at, 1)[0].resolve(frame);
  }

  /** The first frame of these types that fits, past ones included. */
  next(types, isIt = () => true) {
    const fits = ({ prelude, payload }) => types.includes(prelude.type) && isIt(payload, prelude);
    const at = this.frames.findIndex(fits);
    if (at >= 0) return Promise.resolve(this.frames.splice(at, 1)[0]);
    if (this.isClosed) return Promise.reject(new Error(`${this.id}: the connection has ended`));
    return new Promise((resolve, reject) => this.#waiting.push({ fits, resolve, reject }));
  }

  async take(type, isIt) {
    return (await this.next([type], isIt)).payload;
  }

  /** Any bytes at all. */
  raw(bytes) {
    this.socket.send(bytes);
  }

  frame(prelude, payload) {
    this.raw(encodeFrame({ source: this.id, ...prelude }, payload));
  }

  hello(destination = '', json = {}) {
    const ops = { digest: '0000000000000000', names: this.opNames };
    this.frame(
      { type: 'HELLO', flags: 1, destination, stream: this.stream, credit: this.granted },
      encodeJson({ protocol: 1, id: this.id, kind: 'test', software: 'raw_worker', ops, ...json }),
    );
  }

  /** What this worker calls its ops. */
  opNames = ['add', 'add_', 'zeros', 'neg', 'no_such_op'];

  grant(bytes) {
    this.granted = bytes;
    this.frame({ type: 'CREDIT', destination: this.peerId, stream: this.stream, acknowledgement: this.acknowledgement ?? 0n, credit: bytes });
  }

  sequenced(type, payload, prelude = {}) {
    this.#sequence += 1n;
    this.frame({ type, destination: this.peerId, stream: this.stream, sequence: this.#sequence, credit: this.granted, ...prelude }, payload);
  }

  /** Forgets what it counted, for a stream that begins anew. */
  restart(stream) {
    this.stream = stream;
    this.#sequence = 0n;
    this.received = 0;
    this.granted = BigInt(WINDOW_BYTES);
  }

  newId() {
    this.#next += 1n;
    return this.#next;
  }

  run(records) {
    this.sequenced('RUN', encodeRun(records));
  }

  /** Sends a tensor under `object` in as many frames as it takes; answers the transfer. */
  sendTensor({ transfer = this.newId(), elements, ...header }) {
    const room = MAX_FRAME_BYTES - 1024;
    this.sequenced('DATA', encodeData({ transfer, total_bytes: elements.length, ...header, elements: elements.subarray(0, room) }));
    for (let at = room; at < elements.length; at += room) {
      this.sequenced('DATA', encodeDataMore({ transfer, elements: elements.subarray(at, at + room) }), { flags: 1 });
    }
    return transfer;
  }

  call(op, operands, results) {
    const args = operands.map((operand) => (typeof operand === 'bigint' ? { type: 'operand', id: operand } : operand));
    return { kind: 'CALL', op: this.opNames.indexOf(op) + 1, args, results };
  }

  /** Resolves when DONE for `request` comes; an ERROR for it rejects. */
  async done(request) {
    const { payload } = await this.next(
      ['RUN', 'CONTROL'],
      ({ records, json }) => json?.reply === String(request) || records?.some((record) => record.kind === 'DONE' && record.request === request),
    );
    if (payload.json) throw errorOf(payload.json);
  }

  /** The whole answer of a FETCH: { dtype, dims, elements }. */
  async fetch(object, { take = false } = {}) {
    const request = this.newId();
    this.run([{ kind: 'FETCH', take, request, object }]);
    return this.fetched(request);
  }

  async fetched(request) {
    const { payload } = await this.next(['DATA', 'CONTROL'], ({ transfer, json }) => transfer === request || json?.reply === String(request));
    if (payload.json) throw errorOf(payload.json);
    const parts = [payload.elements];
    let left = Number(payload.total_bytes) - payload.elements.length;
    while (left > 0) {
      const more = await this.take('DATA', ({ transfer }) => transfer === request);
      parts.push(more.elements);
      left -= more.elements.length;
    }
    return { ...payload, elements: new Uint8Array(Buffer.concat(parts)) };
  }

  async query(name, fields = {}) {
    const request = String(this.newId());
    this.sequenced('CONTROL', encodeJson({ request, query: name, ...fields }));
    const { json } = await this.take('CONTROL', (payload) => payload.json.reply === request);
    if (json.error) throw errorOf(json);
    return json;
  }

  /** REFUSED has come and the connection is closed: { status, reason }. */
  async refusal() {
    const { status, reason } = await this.take('REFUSED');
    await this.closed;
    return { status, reason };
  }

  async leave() {
    assert.equal(this.socket.readyState, WebSocket.OPEN, `${this.id} was closed before it left`);
    this.frame({ type: 'GOODBYE' });
    await this.closed;
  }
}

export const floats = (...values) => new Uint8Array(Float32Array.from(values).buffer);
export const asFloats = (bytes) => [...new Float32Array(bytes.slice().buffer)];
