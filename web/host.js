/**
 * Hosts: a worker of this thread, with the core's side of it. (page.js has the other kind: a page's worker in a thread of its
 * own.)
 *
 * A host does for its BaseWorker what needs the core: the store, what others are asked, connections, events. It is also the
 * *home* of the tensors made at it (tensor.js).
 */
import {
  at,
  check,
  checkViews,
  core,
  forgetWorker,
  idText,
  onEvents,
  openPort,
  pump,
  query,
  readId,
  readText,
  stopTicking,
  takeEvents,
  tellUnlessAsked,
  tick,
  u32,
  f64,
  writeId,
  writeIdThere,
  writeInput,
  writeMeta,
} from './core.js';
import { TensorError } from './errors.js';
import { metadataOf } from './options.js';
import { addHome, liveHandle, makeTensor, removeHome } from './tensor.js';

// Bits of tt_worker_listen: what costs something is told only when somebody listens.
const BIT = {
  LINK_OPEN: 0,
  LINK_CLOSED: 1,
  PEER_JOINED: 2,
  PEER_LEFT: 3,
  OBJECT_ADDED: 4,
  OBJECT_REMOVED: 5,
  COMMAND: 6,
  FAILURE: 7,
  REFUSED: 8,
};
const bits = (...names) => names.reduce((mask, name) => mask | (1 << BIT[name]), 0);
const ALWAYS = bits('LINK_OPEN', 'LINK_CLOSED', 'PEER_JOINED', 'PEER_LEFT', 'FAILURE', 'REFUSED');
const ON_DEMAND = { object: bits('OBJECT_ADDED', 'OBJECT_REMOVED'), command: bits('COMMAND') };

/** A worker in the core: its handle. */
export function newWorker(id, kind, { maxStoreBytes = 0, maxObjects = 0, isStoreless = false } = {}) {
  const [, kindOffset] = writeInput(id, kind);
  check(core._tt_wasm_worker_new(kindOffset, maxStoreBytes, maxObjects, isStoreless ? 1 : 0));
  checkViews();
  return u32[at.results >> 2];
}

/** A pointer to an object at a peer, which commands call `id` (in a page: its worker's entry); `owns`: it is freed there with the handle. */
export function newPointer(home, peer, { id, idThere = id, dtype, shape }, options, owns = false) {
  writeInput(peer);
  writeMeta(dtype, shape);
  writeId(id);
  writeIdThere(idThere);
  check(core._tt_wasm_create_pointer(home.handle, owns ? 1 : 0));
  checkViews();
  return makeTensor(u32[at.results >> 2], home, options);
}

function withoutReply(answer) {
  delete answer.reply;
  return answer;
}

/** What has gone over a worker's links. */
export function readCounters(handle) {
  check(core._tt_wasm_worker_counters(handle));
  checkViews();
  const names = [
    'framesIn',
    'framesOut',
    'bytesIn',
    'bytesOut',
    'commandsIn',
    'commandsOut',
    'tensorBytesIn',
    'tensorBytesOut',
  ];
  return Object.fromEntries(names.map((name, i) => [name, f64[(at.numbers >> 3) + i]]));
}

const described = ({ tags = [], description = '' }) => ({ tags, description });

/** What the workers that a host knows have in common, wherever the host's worker runs. */
export class KnownWorkers {
  #all = new Map();
  #present = new Set();
  #make;

  /** `make(id)` makes the object for a worker that somebody else has brought. */
  constructor(make) {
    this.#make = make;
  }

  /** Sets the object that stands for a worker, and that it is here. */
  adopt(id, worker) {
    this.#all.set(id, worker);
    this.#present.add(id);
  }

  joined(id) {
    // An id may be taken again, when the virtual worker that had it is closed.
    if (this.#all.get(id)?.isClosed !== false) this.#all.set(id, this.#make(id));
    this.#present.add(id);
    return this.#all.get(id);
  }

  left(id) {
    this.#present.delete(id);
    return this.#all.get(id);
  }

  isPresent(id) {
    return this.#present.has(id);
  }

  /** The object for an id, whether it is here or was. */
  find(id) {
    return this.#all.get(id);
  }

  present() {
    return new Map([...this.#present].map((id) => [id, this.#all.get(id)]));
  }
}

export class ThreadHost {
  isPage = false;
  #connections = new Map();
  #virtuals = new Set();
  #mask = ALWAYS;
  #isClosed = false;

  /** `worker` is the BaseWorker; `makeKnown(id)` makes the object of a worker that is met. */
  constructor(worker, { id, kind, makeKnown, limits }) {
    this.worker = worker;
    this.id = id;
    this.handle = newWorker(id, kind, limits);
    this.known = new KnownWorkers(makeKnown);
    addHome(this);
    core._tt_wasm_worker_listen(this.handle, this.#mask);
    onEvents(this.handle, (events, skipped) => this.#take(events, skipped));
    tick(this.handle);
  }

  // ---- as a home of tensors ----

  workerOf(id) {
    if (this.known.find(id) === undefined) takeEvents(this.handle);
    return this.known.find(id) ?? null;
  }

  report(error) {
    this.worker.tell('error', { error });
  }

  seed(value) {
    writeId(value);
    core._tt_wasm_worker_seed(this.handle);
  }

  // ---- events ----

  listen(type) {
    const more = ON_DEMAND[type] ?? 0;
    if ((this.#mask | more) === this.#mask || this.#isClosed) return;
    this.#mask |= more;
    core._tt_wasm_worker_listen(this.handle, this.#mask);
  }

  /** Brings what is known up to date. */
  refresh() {
    takeEvents(this.handle);
  }

  #take(events, skipped) {
    for (const event of events) this.#handlers[event.type]?.(event);
    if (skipped !== undefined) this.worker.tell('skipped', { counts: skipped });
  }

  #handlers = {
    LINK_OPEN: ({ transport, peer }) => {
      const connection = this.#connections.get(transport);
      connection?.resolve();
      this.worker.tell('connected', { peer, url: connection?.url });
    },
    LINK_CLOSED: ({ transport, peer, text, error }) => {
      const connection = this.#connections.get(transport);
      this.#connections.delete(transport);
      const reason =
        error === undefined ? new TensorError(text, { code: 'connection', worker: this.id }) : TensorError.fromWire(error);
      connection?.reject(reason);
      this.worker.tell('disconnected', {
        peer: peer || (connection?.expected ?? ''),
        url: connection?.url,
        reason: text,
        error: reason,
      });
    },
    PEER_JOINED: ({ peer }) => {
      if (!this.known.isPresent(peer)) this.known.joined(peer);
      this.worker.tell('joined', { worker: peer });
    },
    PEER_LEFT: ({ peer, text }) => {
      this.known.left(peer);
      this.worker.tell('left', { worker: peer, reason: text });
    },
    OBJECT_ADDED: ({ object, peer, dtype, shape }) =>
      this.worker.tell('object', { action: 'added', id: object, peer, dtype, shape }),
    OBJECT_REMOVED: ({ object, peer, text }) =>
      this.worker.tell('object', { action: 'removed', id: object, peer, reason: text }),
    COMMAND: ({ peer, text, operands, results }) => this.worker.tell('command', { peer, op: text, operands, results }),
    FAILURE: ({ isOurs, peer, error, results }) => {
      const tell = () => this.worker.tell(isOurs ? 'error' : 'failure', { peer, error: TensorError.fromWire(error), results });
      if (isOurs) tellUnlessAsked(this.handle, error.failure, tell);
      else tell();
    },
    REFUSED: ({ peer, error }) => this.worker.tell('refused', { peer, error: TensorError.fromWire(error) }),
  };

  // ---- connections ----

  /** Connects to a relay, or to the worker `expected` that listens at `url`. Settles when the other end has answered. */
  connect(url, expected, standsFor) {
    if (globalThis.WebSocket === undefined)
      throw new TensorError(`${this.id} cannot connect: there is no WebSocket here; npm install ws, or use Node 22 or later`, {
        code: 'connection',
        worker: this.id,
      });
    const [, expectedOffset] = writeInput(url, expected ?? '');
    check(core._tt_wasm_websocket_open(this.handle, expected === undefined ? 0 : expectedOffset), { worker: this.id });
    checkViews();
    const number = u32[at.n_results >> 2];
    if (standsFor !== undefined) this.known.adopt(expected, standsFor);
    const opened = new Promise((resolve, reject) => this.#connections.set(number, { url, expected, resolve, reject }));
    opened.catch(() => expected !== undefined && this.known.left(expected));
    return opened;
  }

  /**
   * The same over a channel that carries frames, such as a socket of Node: `channel` is what openPort takes, and its `url` for
   * people. Answers the port, with `opened`, which settles when the other end has answered.
   */
  attach({ url, expected, standsFor, ...channel }) {
    const port = openPort(this.handle, { ...channel, expected });
    if (standsFor !== undefined) this.known.adopt(expected, standsFor);
    const opened = new Promise((resolve, reject) =>
      this.#connections.set(port.number, { url, expected, resolve, reject, end: channel.end }),
    );
    opened.catch(() => expected !== undefined && this.known.left(expected));
    return { ...port, opened };
  }

  disconnect(expected) {
    for (const [number, connection] of this.#connections) {
      if (connection.expected !== expected) continue;
      if (connection.end !== undefined) {
        connection.end('closed by its user');
      } else {
        writeInput('closed by its user');
        core._tt_wasm_websocket_close(number);
      }
      takeEvents(this.handle);
      return;
    }
    throw new TensorError(`${expected} is not attached to ${this.id} directly: it is reached through others and stays`, {
      code: 'state',
      worker: this.id,
    });
  }

  /** Joins another worker of this thread. */
  connectVirtual(other) {
    check(core._tt_wasm_virtual_connect(this.handle, other.handle));
    this.known.adopt(other.id, other.worker);
    other.known.adopt(this.id, this.worker);
  }

  /** The same, and those that were added before get to know it too. */
  addVirtual(other) {
    this.connectVirtual(other);
    for (const before of this.#virtuals) {
      if (before.#isClosed) this.#virtuals.delete(before);
      else if (!before.known.isPresent(other.id) && !other.known.isPresent(before.id)) before.connectVirtual(other);
    }
    this.#virtuals.add(other);
  }

  /** Whether there is a connection, or one under way, over which others may come. */
  get isAttached() {
    return this.#connections.size > 0;
  }

  get urls() {
    return [...this.#connections.values()].map(({ url }) => url);
  }

  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    takeEvents(this.handle);
    core._tt_wasm_worker_free(this.handle);
    core._tt_wasm_virtual_poll();
    removeHome(this);
    forgetWorker(this.handle);
    stopTicking(this.handle);
    for (const { reject } of this.#connections.values())
      reject(new TensorError(`${this.id} has been closed`, { code: 'connection', worker: this.id }));
    this.#connections.clear();
  }

  // ---- the store ----

  async whoami() {
    pump();
    check(core._tt_wasm_worker_whoami(this.handle));
    const answer = withoutReply(JSON.parse(readText()));
    return this.urls.length > 0 ? { ...answer, urls: this.urls } : answer;
  }

  async list(terms = []) {
    pump();
    writeInput(JSON.stringify({ request: '1', query: 'search', terms }));
    check(core._tt_wasm_worker_search(this.handle));
    return JSON.parse(readText()).objects;
  }

  async search(terms) {
    const found = await this.list(terms);
    return found.map((object) => this.#borrow(object.id, described(object)));
  }

  #borrow(id, options) {
    writeId(idText(id));
    check(core._tt_wasm_get_object(this.handle), { worker: this.id });
    checkViews();
    return makeTensor(u32[at.results >> 2], this, options);
  }

  async getObj(id) {
    pump();
    return this.#borrow(id);
  }

  async setObj(tensor, { id, tags = tensor.tags, description = tensor.description, policy } = {}) {
    const handle = liveHandle(tensor, 'setObj');
    const metadata = metadataOf({ tags, description, policy });
    writeInput(metadata);
    writeId(id === undefined ? 0n : idText(id));
    check(core._tt_wasm_set_object(this.handle, handle, new TextEncoder().encode(metadata).length), { worker: this.id });
    return readId();
  }

  async rmObj(id) {
    pump();
    writeId(idText(id));
    check(core._tt_wasm_remove_object(this.handle), { worker: this.id });
  }

  async counters() {
    return readCounters(this.handle);
  }

  // ---- what others are asked ----

  async peerWhoami(peer, options) {
    return withoutReply(await query(this.handle, peer, { query: 'whoami' }, options));
  }

  async peerList(peer, options) {
    return (await query(this.handle, peer, { query: 'list' }, options)).objects;
  }

  async peerSearch(peer, terms, options) {
    const { objects } = await query(this.handle, peer, { query: 'search', terms }, options);
    return objects.map((object) => newPointer(this, peer, object, described(object)));
  }

  createPointer(peer, object) {
    return newPointer(this, peer, object);
  }

  async peerGetObj(peer, id, options) {
    const known = idText(id);
    return newPointer(this, peer, { id: known, ...(await query(this.handle, peer, { query: 'shape', id: known }, options)) });
  }

  /** Only the owner's word counts over there; whether it did is seen by asking. */
  async peerRmObj(peer, id, options) {
    const known = idText(id);
    newPointer(this, peer, { id: known, dtype: 'float32', shape: null }, undefined, true).dispose();
    const isThere = await query(this.handle, peer, { query: 'shape', id: known }, options).then(
      () => true,
      (error) => {
        if (error.code !== 'unknown_object') throw error;
        return false;
      },
    );
    if (isThere)
      throw new TensorError(`object ${known} at ${peer} belongs to somebody else: only its owner removes it`, {
        code: 'policy',
        worker: peer,
      });
  }
}
