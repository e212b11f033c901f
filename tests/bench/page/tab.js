/**
 * What a tab does for the cases of workers: `ask({ verb, args })`, in the page itself or in a Worker of its own (tab_worker.js).
 *
 * Beside a worker of tabtensor's it has a bare connection to the same relay, which says just enough of the protocol for frames to be carried and does
 * nothing with them: what a round trip or a byte costs on this path.
 */
import * as tt from '/core/tabtensor.js';
import { bostonTraining } from '/demos/boston_training.js';

const { torch } = tt;
const HELLO = 0x01;
const WELCOME = 0x02;
const RUN = 0x10;
const CHUNK_BYTES = 262144;
const WINDOW_CHUNKS = 16; // the same 4 MiB that a worker grants
const TEN = 10;

let me;
let bare;
const peers = new Map();

/** A frame of that many bytes; its first payload word says how many are to come back. */
function frame(type, to, nBytes, nBack = 0) {
  const [source, destination] = [bare.id, to].map((id) => new TextEncoder().encode(id));
  const payloadAt = Math.ceil((40 + source.length + destination.length) / 8) * 8;
  const bytes = new Uint8Array(Math.max(nBytes, payloadAt + (type === HELLO ? 0 : 8)));
  const view = new DataView(bytes.buffer);
  bytes.set([0x54, 0x54, 1, type, 0, 0, source.length, destination.length]);
  view.setUint32(8, bytes.length, true);
  view.setUint32(12, 1, true);
  view.setBigUint64(16, type === HELLO ? 0n : 1n, true);
  bytes.set(source, 40);
  bytes.set(destination, 40 + source.length);
  if (type !== HELLO) view.setUint32(payloadAt, nBack, true);
  return bytes;
}

const wordsOf = (data) => {
  const view = new DataView(data);
  const [source, destination] = [view.getUint8(6), view.getUint8(7)];
  return { type: view.getUint8(3), back: data.byteLength > 48 ? view.getUint32(Math.ceil((40 + source + destination) / 8) * 8, true) : 0 };
};

/** A timer would wait for 4 ms when it is set from a timer. */
const nextTurn = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });

const medianOf = (values) => values.sort((a, b) => a - b)[values.length >> 1];

/** What timeline.js shows: { what, bytes, begins, ends } of each frame, in ms that are the same for all tabs. */
const trace = [];
const now = () => performance.timeOrigin + performance.now();

function traced(what, bytes, run) {
  const begins = now();
  run();
  trace.push({ what, bytes, begins, ends: now() });
}

const verbs = {
  /** From now on frames are noted, of connections that are opened later. */
  async trace() {
    const { send } = WebSocket.prototype;
    const handler = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
    WebSocket.prototype.send = function (data) {
      traced('sends', data.byteLength ?? data.length, () => send.call(this, data));
    };
    Object.defineProperty(WebSocket.prototype, 'onmessage', {
      ...handler,
      set(take) {
        handler.set.call(this, take && ((event) => traced('takes', event.data.byteLength, () => take.call(this, event))));
      },
    });
  },

  /** What has been noted, and begins anew. */
  async traced() {
    return trace.splice(0);
  },

  /** Connects a worker, and a bare connection under the id `bare-` before it. */
  async open({ id, url }) {
    me = new tt.WebSocketWorker({ id, url });
    await me.ready;
    bare = { id: `bare-${id}`, socket: new WebSocket(url) };
    bare.socket.binaryType = 'arraybuffer';
    await new Promise((resolve, reject) => Object.assign(bare.socket, { onopen: resolve, onerror: () => reject(new Error(`cannot connect to ${url}`)) }));
    const welcomed = new Promise((resolve) => {
      bare.socket.onmessage = ({ data }) => wordsOf(data).type === WELCOME && resolve();
    });
    bare.socket.send(frame(HELLO, '', 0));
    await welcomed;
    bare.socket.onmessage = null;
  },

  /** From now on tensors are this worker's, and these others are known. */
  async meet({ ids }) {
    new tt.TorchHook({ localWorker: me });
    for (const id of ids) peers.set(id, await me.waitFor(id));
  },

  /** Answers every bare frame by one of as many bytes as it asks for. */
  async echo({ to }) {
    const answers = new Map();
    bare.socket.onmessage = ({ data }) => {
      const { type, back } = wordsOf(data);
      if (type !== RUN) return;
      if (!answers.has(back)) answers.set(back, frame(RUN, to, back));
      bare.socket.send(answers.get(back));
    };
  },

  /** n bare round trips: their median, in ms. */
  async bareTrips({ to, n, out, back }) {
    const bytes = frame(RUN, to, out, back);
    const times = [];
    for (let i = 0; i < n; i++) {
      const began = performance.now();
      await new Promise((resolve) => {
        bare.socket.onmessage = resolve;
        bare.socket.send(bytes);
      });
      times.push(performance.now() - began);
    }
    return medianOf(times);
  },

  /** n additions at a worker, each of the last one's result; nothing is awaited but the end, and the queue now and then. */
  async commands({ to, n }) {
    const zeros = torch.zeros(TEN).send(peers.get(to));
    const one = torch.ones(TEN).send(peers.get(to));
    await Promise.all([zeros.ready(), one.ready()]);
    let sum = zeros;
    const began = performance.now();
    for (let i = 0; i < n; i++) {
      const next = sum.add(one);
      if (sum !== zeros) sum.dispose();
      sum = next;
      // The turn ends, so that what is queued may leave; more than a million commands at once is not what is measured.
      if (i % 5000 === 4999) await nextTurn();
    }
    await sum.get();
    const ms = performance.now() - began;
    const [first] = await sum.array();
    for (const each of [zeros, one, sum]) each.dispose();
    if (first !== n) throw new Error(`${n} additions of 1 made ${first}`);
    return { ms, result: [first] };
  },

  /** The same as a plan, which the worker has got before. */
  async plan({ to, n }) {
    const zeros = torch.zeros(TEN).send(peers.get(to));
    const one = torch.ones(TEN).send(peers.get(to));
    const chain = tt.func2plan((first, next) => {
      let sum = first;
      for (let i = 0; i < n; i++) sum = sum.add(next);
      return sum;
    });
    let ms;
    for (let i = 0; i < 3; i++) {
      const began = performance.now();
      const sum = tt.tidy(() => chain(zeros, one));
      await sum.get();
      ms = performance.now() - began;
      const [first] = await sum.array();
      sum.dispose();
      if (first !== n) throw new Error(`${n} additions of 1 made ${first}`);
    }
    for (const each of [zeros, one, chain]) each.dispose();
    return { ms };
  },

  /** The same without a worker: what the chain itself costs. Ms. */
  async compute({ n }) {
    const one = torch.ones(TEN);
    let sum = torch.zeros(TEN);
    const began = performance.now();
    for (let i = 0; i < n; i++) {
      const next = sum.add(one);
      sum.dispose();
      sum = next;
    }
    await sum.data();
    const ms = performance.now() - began;
    for (const each of [one, sum]) each.dispose();
    return ms;
  },

  /** n small gets, one after the other, of what was made before: their median, in ms, and the bytes of one. */
  async gets({ to, n }) {
    const zeros = torch.zeros(TEN).send(peers.get(to));
    const results = Array.from({ length: n }, (_, i) => zeros.add(i));
    await results.at(-1).ready();
    const before = await me.counters();
    const times = [];
    for (const result of results) {
      const began = performance.now();
      await result.get();
      times.push(performance.now() - began);
    }
    const after = await me.counters();
    const values = await Promise.all(results.map(async (result) => (await result.data())[0]));
    for (const each of [zeros, ...results]) each.dispose();
    if (values.some((value, i) => value !== i)) throw new Error('what was got is not what was made');
    return { median: medianOf(times), out: Math.round((after.bytesOut - before.bytesOut) / n), back: Math.round((after.bytesIn - before.bytesIn) / n) };
  },

  /** Sends a tensor and gets it back: the ms of both. */
  async transfer({ to, nBytes }) {
    const big = torch.arange(nBytes / 4, { dtype: 'float32' });
    let began = performance.now();
    await big.send(peers.get(to)).ready();
    const send = performance.now() - began;
    began = performance.now();
    await big.get();
    const get = performance.now() - began;
    const [last] = await big.narrow(0, nBytes / 4 - 1, 1).data();
    big.dispose();
    return { send, get, last };
  },

  /** Takes what bareSend sends, and says for each half window that it has. */
  async bareTake({ to }) {
    let n = 0;
    const taken = frame(RUN, to, 0);
    bare.socket.onmessage = () => {
      if (++n % (WINDOW_CHUNKS / 2) === 0) bare.socket.send(taken);
    };
  },

  /** Bare chunks, as many as fit the window at a time: ms. */
  async bareSend({ to, nBytes }) {
    const chunk = frame(RUN, to, CHUNK_BYTES);
    const n = nBytes / CHUNK_BYTES;
    const began = performance.now();
    await new Promise((resolve) => {
      let sent = 0;
      let taken = 0;
      const go = () => {
        for (; sent < n && sent - taken < WINDOW_CHUNKS; sent++) bare.socket.send(chunk);
        if (taken === n) resolve();
      };
      bare.socket.onmessage = () => {
        taken += WINDOW_CHUNKS / 2;
        go();
      };
      go();
    });
    return performance.now() - began;
  },

  /** The tutorial's training over two workers: seconds, and the weights at the end. */
  async boston({ bob, alice, table, initial }) {
    const { seconds, weights } = await tt.tidy(() =>
      bostonTraining({ bob: peers.get(bob), alice: peers.get(alice), print: () => {}, keep: (item) => item, table, initial }),
    );
    return { seconds, weights };
  },
};

export const ask = ({ verb, args }) => verbs[verb](args);
