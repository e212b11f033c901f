/**
 * The page's side of its worker: the host of a worker whose store and connections are in a dedicated Worker (serve.js is the
 * other side).
 *
 * The page's own core keeps no data. It is a worker too ("page.1a2b..."), joined to the one in the thread by a message port,
 * where it may do whatever that worker may: a tensor of the page is a pointer to it, shown as local, and other workers are
 * reached through it. Commands and tensors travel as frames, as to any other worker; the rest (the store's listings, events,
 * connecting) as the messages below. Both go over one channel, so their order is kept.
 *
 *   page to thread   an ArrayBuffer: a frame      { call, on, method, args }     { abort: call }
 *   thread to page   an ArrayBuffer: a frame      { answer: call, value | error }     { events: [{ type, detail }] }
 */
import {
  check,
  core,
  forgetWorker,
  idText,
  onEvents,
  openPort,
  query,
  request,
  stopTicking,
  tellUnlessAsked,
  tick,
  writeInput,
} from './core.js';
import { TensorError, abortError } from './errors.js';
import { KnownWorkers, newPointer, newWorker, readCounters } from './host.js';
import { addHome, homeOf, idAtOwner, removeHome } from './tensor.js';
import { takeThread } from './thread.js';
import { followers, get_num_threads } from './threads.js';

const randomName = () =>
  `page.${[...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
const described = ({ tags = [], description = '' }) => ({ tags, description });

export class PageHost {
  isPage = true;
  #thread;
  #port;
  #pageId = randomName();
  #calls = new Map();
  #lastCall = 0;
  #listening = new Set();
  /** Where the thread is connected to, or about to be. */
  #urls = new Set();
  /** Nothing more can be asked of the thread: it was closed, or is lost. */
  #isClosed = false;
  #isFreed = false;

  constructor(worker, { id, url, makeKnown, limits }) {
    this.worker = worker;
    this.id = id;
    this.known = new KnownWorkers(makeKnown);
    this.handle = newWorker(this.#pageId, 'page', { isStoreless: true });
    try {
      this.#port = openPort(this.handle, {
        post: (frame) => (this.#thread === undefined ? this.#early.push(frame) : this.#thread.postMessage(frame, [frame])),
        initiates: true,
        expected: id,
        isOwn: true,
      });
    } catch (error) {
      core._tt_wasm_worker_free(this.handle);
      throw error;
    }
    addHome(this);
    onEvents(this.handle, (events) => this.#hear(events));
    tick(this.handle);
    this.#thread = takeThread(get_num_threads());
    this.#thread.onmessage = ({ data }) => this.#take(data);
    this.#thread.onerror = (event) => {
      event.preventDefault?.();
      this.#lose(`the thread of worker ${id} has failed: ${event.message ?? 'its script could not be loaded'}`);
    };
    /** Settles when the thread has started and is connected to `url`. */
    this.ready = this.#call('thread', 'start', [{ id, url, pageId: this.#pageId, limits }]).then(() => undefined);
    followers.add(this.#setNumThreads);
    if (url !== undefined) this.#attaching(url, this.ready);
    for (const frame of this.#early.splice(0)) this.#thread.postMessage(frame, [frame]);
  }

  #setNumThreads = (n) => this.#call('thread', 'setNumThreads', [n]).catch((error) => this.report(error));

  // Frames from before there was a thread: the HELLO.
  #early = [];

  // ---- the channel ----

  #take(message) {
    if (message instanceof ArrayBuffer) {
      this.#port.receive(message);
    } else if (message.events !== undefined) {
      // The thread outlives the page's side for a moment.
      if (!this.#isClosed) for (const event of message.events) this.#relate(event);
    } else {
      const call = this.#calls.get(message.answer);
      this.#calls.delete(message.answer);
      if (message.error !== undefined) call?.reject(TensorError.fromWire(message.error));
      else call?.resolve(message.value);
    }
  }

  #call(on, method, args, { signal, transfer = [] } = {}) {
    if (this.#isClosed)
      return Promise.reject(new TensorError(`${this.id} has been closed`, { code: 'state', worker: this.id }));
    if (signal?.aborted) return Promise.reject(abortError(signal.reason));
    const number = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#calls.delete(number);
        this.#thread.postMessage({ abort: number });
        reject(abortError(signal.reason));
      };
      const settle = (done) => (value) => {
        signal?.removeEventListener('abort', giveUp);
        done(value);
      };
      this.#calls.set(number, { resolve: settle(resolve), reject: settle(reject) });
      signal?.addEventListener('abort', giveUp, { once: true });
      this.#thread.postMessage({ call: number, on, method, args }, transfer);
    });
  }

  #lose(reason) {
    if (this.#isClosed) return;
    this.#isClosed = true;
    followers.delete(this.#setNumThreads);
    this.#port.lost(reason);
    const error = new TensorError(reason, { code: 'connection', worker: this.id });
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
    this.report(error);
  }

  /** An event of the worker in the thread. */
  #relate({ type, detail }) {
    if (detail.error !== undefined) detail.error = TensorError.fromWire(detail.error);
    if (detail.worker === this.#pageId) return;
    if (type === 'disconnected') this.#urls.delete(detail.url);
    if (type === 'joined') this.#joined(detail.worker);
    if (type === 'left') this.#left(detail.worker);
    // What the page asked its own worker to do and failed, the page's core reports itself.
    if (type === 'failure' && detail.peer === this.#pageId) return;
    if (detail.peer === this.#pageId) detail.peer = this.id;
    this.worker.tell(type, detail);
  }

  /** An event of the page's own core. */
  #hear(events) {
    for (const { type, isOurs, peer, error, results, text } of events) {
      if (type === 'FAILURE' && isOurs)
        tellUnlessAsked(this.handle, error.failure, () => this.worker.tell('error', { peer, error: TensorError.fromWire(error), results }));
      if (type === 'LINK_CLOSED') this.#lose(`the page has lost its worker ${this.id}: ${text}`);
    }
  }

  #joined(id, standsFor) {
    if (this.known.isPresent(id)) return;
    const [, viaOffset] = writeInput(id, this.id);
    check(core._tt_wasm_add_via(this.handle, viaOffset));
    if (standsFor === undefined) this.known.joined(id);
    else this.known.adopt(id, standsFor);
  }

  #left(id) {
    if (!this.known.isPresent(id)) return;
    this.known.left(id);
    writeInput(id);
    core._tt_wasm_remove_via(this.handle);
  }

  /** All that was sent to the worker has been done there: what is asked by message may count on it. */
  async #settled(signal) {
    writeInput(this.id);
    await request(this.handle, (token) => core._tt_wasm_sync(this.handle, token), { signal });
  }

  // ---- as a home of tensors ----

  workerOf(id) {
    return this.known.find(id) ?? null;
  }

  report(error) {
    this.worker.tell('error', { error });
  }

  seed(value) {
    this.#call('worker', 'seed', [value]).catch((error) => this.report(error));
  }

  // ---- as a host ----

  listen(type) {
    if (this.#isClosed || this.#listening.has(type) || (type !== 'object' && type !== 'command')) return;
    this.#listening.add(type);
    this.#call('thread', 'listen', [type]).catch(() => {});
  }

  /** What is known is as new as the last event. */
  refresh() {}

  connect(url, expected, standsFor) {
    this.#joined(expected, standsFor);
    const attached = this.#call('thread', 'attach', [{ id: expected, url }]);
    attached.catch(() => this.#left(expected));
    this.#attaching(url, attached);
    return attached;
  }

  #attaching(url, attached) {
    this.#urls.add(url);
    attached.catch(() => this.#urls.delete(url));
  }

  /** Whether there is a connection, or one under way, over which others may come. */
  get isAttached() {
    return this.#urls.size > 0;
  }

  disconnect(id) {
    return this.#call('thread', 'disconnect', [id]);
  }

  addVirtual(worker, limits) {
    if (this.known.isPresent(worker.id) || worker.id === this.id)
      throw new TensorError(`${this.id} knows a worker ${worker.id} already; nothing was overwritten`, {
        code: 'duplicate',
        worker: this.id,
      });
    this.#joined(worker.id, worker);
    worker.ready = this.#call('thread', 'virtual', [{ id: worker.id, limits }]).then(() => undefined);
    worker.ready.catch(() => this.#left(worker.id));
  }

  async close() {
    if (this.#isFreed) return;
    this.#isFreed = true;
    const closing = this.#isClosed ? undefined : this.#call('thread', 'close', []);
    this.#isClosed = true;
    followers.delete(this.#setNumThreads);
    core._tt_wasm_worker_free(this.handle);
    removeHome(this);
    forgetWorker(this.handle);
    stopTicking(this.handle);
    await closing;
    for (const { reject } of this.#calls.values()) {
      reject(new TensorError(`${this.id} has been closed`, { code: 'connection', worker: this.id }));
    }
    this.#calls.clear();
  }

  // ---- the store, in the thread ----

  whoami() {
    return this.#call('worker', 'whoami', []);
  }

  /** What has gone between this tab and others: what the page and its own worker have told each other does not count. */
  async counters() {
    const { framesOut, bytesOut, commandsOut, tensorBytesOut } = readCounters(this.handle);
    const all = await this.#call('worker', 'counters', []);
    const { framesIn, bytesIn, commandsIn, tensorBytesIn } = readCounters(this.handle);
    const own = {
      framesIn: framesOut,
      framesOut: framesIn,
      bytesIn: bytesOut,
      bytesOut: bytesIn,
      commandsIn: commandsOut,
      commandsOut: commandsIn,
      tensorBytesIn: tensorBytesOut,
      tensorBytesOut: tensorBytesIn,
    };
    return Object.fromEntries(Object.entries(all).map(([name, n]) => [name, n - own[name]]));
  }

  async list(terms = []) {
    const objects = await this.#call('worker', 'list', [terms]);
    return objects.map((object) => (object.owner === this.#pageId ? { ...object, owner: this.id } : object));
  }

  async search(terms) {
    return (await this.list(terms)).map((object) => newPointer(this, this.id, object, described(object)));
  }

  async getObj(id, options) {
    const known = idText(id);
    return newPointer(this, this.id, {
      id: known,
      ...(await query(this.handle, this.id, { query: 'shape', id: known }, options)),
    });
  }

  async setObj(tensor, { id, tags = tensor.tags, description = tensor.description, policy } = {}) {
    if (homeOf(tensor) !== this)
      throw new TensorError(`setObj: the tensor belongs to ${tensor.owner.id}; send it to ${this.id}, or make it there`, {
        code: 'location',
        worker: this.id,
      });
    const at = idAtOwner(tensor);
    await this.#settled();
    return this.#call('worker', 'setObj', [at, { id: id === undefined ? undefined : idText(id), tags, description, policy }]);
  }

  async rmObj(id) {
    await this.#settled();
    await this.#call('worker', 'rmObj', [idText(id)]);
  }

  // ---- what others are asked, by the thread ----

  peerWhoami(peer, { signal } = {}) {
    return this.#call('peer', 'whoami', [peer], { signal });
  }

  peerList(peer, { signal } = {}) {
    return this.#call('peer', 'list', [peer], { signal });
  }

  /** The thread keeps a pointer for each under an id of its own, until the page's pointer to that goes. */
  #pointTo(peer, { here, ...object }) {
    const release = () => this.#call('worker', 'rmObj', [here]).catch(() => {});
    return newPointer(this, peer, { ...object, id: here, idThere: object.id }, { ...described(object), release });
  }

  createPointer(peer, object) {
    const here = crypto.getRandomValues(new BigUint64Array(1))[0].toString();
    const pointer = this.#pointTo(peer, { ...object, here });
    this.#call('peer', 'createPointer', [peer, object, here]).catch((error) => this.report(error));
    return pointer;
  }

  async peerSearch(peer, terms, { signal } = {}) {
    return (await this.#call('peer', 'search', [peer, terms], { signal })).map((object) => this.#pointTo(peer, object));
  }

  async peerGetObj(peer, id, { signal } = {}) {
    return this.#pointTo(peer, await this.#call('peer', 'getObj', [peer, idText(id)], { signal }));
  }

  async peerRmObj(peer, id, { signal } = {}) {
    await this.#settled(signal);
    await this.#call('peer', 'rmObj', [peer, idText(id)], { signal });
  }
}
