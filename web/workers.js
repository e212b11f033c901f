/**
 * Workers: one interface to all of them, whether they are here, in the page's thread, or somewhere else.
 *
 * A worker that is *here* has a host (host.js, page.js); a worker that is known has the one who knows it. The methods are the
 * same; what a worker has not got it says.
 */
import { constants, idText, isNode, isPage, refuseWithinOps } from './core.js';
import { TensorError, abortError } from './errors.js';
import { ThreadHost } from './host.js';
import { knownKinds, registerKind } from './kinds.js';
import { PageHost } from './page.js';
import { checkOptions, checkPolicy, checkWaiting, describe, noDtype } from './options.js';
import { isTensor, setDefaultHome } from './tensor.js';

/** What a worker tells: `detail` says what; events of failures have `error` as well. */
export class WorkerEvent extends Event {
  constructor(type, detail) {
    super(type);
    this.detail = detail;
    this.error = detail.error;
  }
}

/** For the modules of this package: how a worker is given its host, and how it is connected to. */
export const INTERNAL = Symbol('internal');
export const CONNECT = Symbol('connect');

function idOf(id) {
  if (typeof id === 'number' || typeof id === 'bigint') return String(id);
  if (typeof id === 'string' && id !== '') return id;
  throw new TensorError('a worker needs an id: 1 to 64 bytes of text, such as { id: "bob" }', { code: 'argument' });
}

const kindHere = () => (isNode ? 'node' : 'browser');

/** The uniform interface. Not made directly: see VirtualWorker and WebSocketWorker. */
export class BaseWorker extends EventTarget {
  #id;
  #host = null;
  #knownBy = null;
  #isClosed = false;
  /** Whether somebody has ever listened to failures that nobody awaits. */
  #isHeard = false;
  /** Settles when the worker is connected (rejects when it cannot be), at once when there is nothing to connect to. */
  ready = Promise.resolve();

  constructor(id) {
    super();
    if (new.target === BaseWorker)
      throw new TensorError('BaseWorker is what workers have in common; make a VirtualWorker or a WebSocketWorker', {
        code: 'argument',
      });
    this.#id = idOf(id);
  }

  get id() {
    return this.#id;
  }

  /** Whether it is elsewhere: this object only stands for it. */
  get isPointer() {
    return this.#host === null;
  }

  get isClosed() {
    return this.#isClosed;
  }

  toString() {
    return `<${this.constructor.name} ${this.#id}>`;
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    return this.toString();
  }

  // ---- for the modules of this package ----

  /** Takes a host, or the host of the worker that knows this one. */
  [INTERNAL]({ host, knownBy }) {
    if (host !== undefined) this.#host = host;
    if (knownBy !== undefined) this.#knownBy = knownBy;
    return this;
  }

  /** Connects a host to the worker that this one stands for. */
  [CONNECT](host) {
    return host.connect(this.url, this.id, this);
  }

  static hostOf(worker) {
    return worker.#host;
  }

  tell(type, detail) {
    if (type === 'error' && !this.#isHeard) warn(detail.error);
    this.dispatchEvent(new WorkerEvent(type, detail));
  }

  get #mine() {
    if (this.#isClosed) throw new TensorError(`${this.#id} has been closed`, { code: 'state', worker: this.#id });
    if (this.#host !== null) return this.#host;
    throw new TensorError(`${this.#id} is elsewhere: only a worker that is here does this`, {
      code: 'state',
      worker: this.#id,
    });
  }

  get #asker() {
    if (this.#knownBy !== null) return this.#knownBy;
    throw new TensorError(`nobody here knows ${this.#id} yet: hook.localWorker.addWorker(it) introduces it`, {
      code: 'unknown_worker',
      worker: this.#id,
    });
  }

  get #isHere() {
    if (this.#isClosed) throw new TensorError(`${this.#id} has been closed`, { code: 'state', worker: this.#id });
    return this.#host !== null;
  }

  // ---- the interface ----

  /** Who it is: id, kind, software, and how much its store holds. */
  async whoami(options) {
    checkWaiting('whoami', options);
    return this.#isHere ? this.#host.whoami() : this.#asker.peerWhoami(this.#id, options);
  }

  /** What is in its store, as far as one may see it. */
  async list(options) {
    checkWaiting('list', options);
    return this.#isHere ? this.#host.list() : this.#asker.peerList(this.#id, options);
  }

  /**
   * The tensors whose id, tags or description hold every term; of a worker that somebody here knows (a virtual one too), pointers that
   * borrow.
   */
  async search(terms = [], options) {
    checkWaiting('search', options);
    const list = [].concat(terms).map((term) => {
      if (typeof term === 'string' || typeof term === 'bigint') return String(term);
      throw new TensorError(`search: terms are strings, such as '#data', not ${describe(term)}`, {
        code: 'argument',
        worker: this.#id,
      });
    });
    return this.#isHere && this.#knownBy === null ? this.#host.search(list) : this.#asker.peerSearch(this.#id, list, options);
  }

  async getObj(id, options) {
    checkWaiting('getObj', options);
    return this.#isHere ? this.#host.getObj(id) : this.#asker.peerGetObj(this.#id, id, options);
  }

  /**
   * Registers a tensor under an id, which it answers; `policy` says what others may: "open", "compute" or "closed". At a worker
   * elsewhere it is sent there.
   */
  async setObj(tensor, options = {}) {
    if (!isTensor(tensor)) throw new TensorError('setObj: the first argument is a tensor', { code: 'argument' });
    checkOptions('setObj', options, ['id', 'tags', 'description', 'policy', 'signal']);
    checkPolicy('setObj', options.policy);
    if (this.#isHere) return this.#host.setObj(tensor, options);
    await tensor.send(this, options).ready({ signal: options.signal });
    return tensor.idAtLocation;
  }

  /**
   * A pointer to an object of another worker, which it borrows: `{ location, id, dtype, shape }`. Nothing is asked there;
   * without a shape `await getShape()` finds out.
   */
  createPointer(options) {
    checkOptions('createPointer', options, ['location', 'id', 'dtype', 'shape']);
    const { location, id, dtype = 'float32', shape = null } = options ?? {};
    const host = this.#mine;
    const peer = location instanceof BaseWorker ? location.id : location;
    if (typeof peer !== 'string')
      throw new TensorError(`createPointer: location is a worker or its id, not ${describe(location)}`, { code: 'argument' });
    if (peer === this.#id)
      throw new TensorError(`createPointer: location is ${peer} itself; await getObj(id) answers what it has`, {
        code: 'argument',
        worker: this.#id,
      });
    if (constants.dtype[dtype] === undefined)
      throw new TensorError(`createPointer: ${noDtype(dtype, Object.keys(constants.dtype))}`, { code: 'dtype' });
    const isShape = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
    if ((shape !== null && !isShape) || shape?.length > constants.limit.dims)
      throw new TensorError(`createPointer: shape is an array of at most ${constants.limit.dims} sizes, not ${describe(shape)}`, {
        code: 'argument',
      });
    this.getWorker(peer);
    return host.createPointer(peer, { id: idText(id), dtype, shape });
  }

  async rmObj(id, options) {
    checkWaiting('rmObj', options);
    return this.#isHere ? this.#host.rmObj(id) : this.#asker.peerRmObj(this.#id, id, options);
  }

  /** Gives a tensor to another worker: tensor.send, awaited. */
  async sendObj(tensor, worker, options) {
    if (!isTensor(tensor)) throw new TensorError('sendObj: the first argument is a tensor', { code: 'argument' });
    return tensor.send(worker, options).ready({ signal: options?.signal });
  }

  /** What has gone over its connections. */
  async counters() {
    return this.#mine.counters();
  }

  /**
   * Makes a worker known: connects to one that listens, joins a virtual one, which then knows the other virtual ones that this
   * worker has been given. Answers it; it may be sent to at once, and its
   * `ready` tells whether it was there.
   */
  addWorker(worker) {
    const host = this.#mine;
    if (!(worker instanceof BaseWorker)) throw new TensorError('addWorker: the argument is a worker', { code: 'argument' });
    const known = host.known.find(worker.id);
    if (known === worker && host.known.isPresent(worker.id)) return worker;
    if (host.known.isPresent(worker.id))
      throw new TensorError(`${this.#id} knows a worker ${worker.id} already; nothing was overwritten`, {
        code: 'duplicate',
        worker: this.#id,
      });
    const theirs = worker.#host;
    if (theirs !== null && host instanceof ThreadHost && theirs instanceof ThreadHost) {
      host.addVirtual(theirs);
      worker.#knownBy ??= host;
    } else if (worker.url !== undefined && theirs === null) {
      worker.#knownBy = host;
      worker.ready = worker[CONNECT](host).then(() => undefined);
      worker.ready.catch(() => {});
    } else {
      throw new TensorError(
        `${worker.id} cannot be reached from ${this.#id}: it has no address, and is not a virtual worker of this thread`,
        { code: 'argument', worker: this.#id },
      );
    }
    return worker;
  }

  /** The worker of that id. Throws `unknown_worker`, naming those that are here. */
  getWorker(id) {
    const host = this.#mine;
    const wanted = idOf(id);
    if (!host.known.isPresent(wanted)) host.refresh();
    if (host.known.isPresent(wanted)) return host.known.find(wanted);
    if (wanted === this.#id) return this;
    const here = [...host.known.present().keys()];
    const gone = host.known.find(wanted) === undefined ? '' : ' any more (it has left)';
    throw new TensorError(
      `${this.#id} knows no worker ${wanted}${gone}; here now: ${here.length === 0 ? 'nobody' : here.join(', ')}`,
      { code: 'unknown_worker', worker: this.#id },
    );
  }

  /** The workers that are here now, by id. */
  get knownWorkers() {
    const host = this.#mine;
    host.refresh();
    return host.known.present();
  }

  /** The worker of that id, as soon as it is here. Rejects when there is no connection (any more) over which it could come. */
  async waitFor(id, options) {
    const { signal } = checkWaiting('waitFor', options);
    const host = this.#mine;
    const wanted = idOf(id);
    if (wanted === this.#id) return this;
    if (signal?.aborted) throw abortError(signal.reason);
    host.refresh();
    if (host.known.isPresent(wanted)) return host.known.find(wanted);
    return new Promise((resolve, reject) => {
      const listening = new AbortController();
      const settle = (done, value) => {
        listening.abort();
        clearTimeout(looking);
        clearInterval(waiting);
        done(value);
      };
      const lookForRelay = () => {
        if (host.isAttached) return;
        const message = `${this.#id} is attached to no relay: give it url or port, or add a worker`;
        settle(reject, new TensorError(message, { code: 'state', worker: this.#id }));
      };
      // Whoever makes a virtual worker in this very turn makes the one that is waited for.
      const looking = setTimeout(lookForRelay);
      // Node would end, were this all that it has to do.
      const waiting = setInterval(() => {}, 0x7fffffff);
      const whileWaiting = { signal: listening.signal };
      this.addEventListener(
        'joined',
        ({ detail }) => detail.worker === wanted && settle(resolve, host.known.find(wanted)),
        whileWaiting,
      );
      this.addEventListener(
        'disconnected',
        ({ detail }) => !host.isAttached && settle(reject, detail.error),
        whileWaiting,
      );
      this.addEventListener(
        'closed',
        () => settle(reject, new TensorError(`${this.#id} has been closed`, { code: 'state', worker: this.#id })),
        whileWaiting,
      );
      signal?.addEventListener('abort', () => settle(reject, abortError(signal.reason)), whileWaiting);
    });
  }

  /**
   * Events: connected, disconnected, joined, left, object, command, failure (of a command of somebody else's, here), error (of
   * one of ours that nobody awaited), refused, skipped (how many objects and commands there were beyond what is told), warning,
   * closed. Objects and commands come in batches.
   */
  addEventListener(type, ...rest) {
    super.addEventListener(type, ...rest);
    if (type === 'error') this.#isHeard = true;
    this.#host?.listen(type);
  }

  /**
   * Ends it: says goodbye, rejects what is open, frees its store. For a worker elsewhere: ends the connection that was made to
   * it.
   */
  async close() {
    if (this.#isClosed) return;
    refuseWithinOps('close');
    if (this.#host === null) {
      await this.#asker.disconnect(this.#id);
      return;
    }
    this.#isClosed = true;
    this.tell('closed', {});
    await this.#host.close();
  }

  async [Symbol.asyncDispose ?? Symbol('asyncDispose')]() {
    await this.close();
  }
}

/** For a failure that nobody awaits nor listens to. */
function warn(error) {
  if (isNode) process.emitWarning(`${error.message} (nobody awaited it)`, { type: error.name, code: error.code });
  else console.warn(String(error), '(nobody awaited it)');
}

/** For a worker that somebody else has brought: this object only stands for it. */
function standIn(host) {
  return (id) => new WebSocketWorker({ id, [INTERNAL]: host });
}

function addressOf({ url, host, port }) {
  if (url === null || (url === undefined && host === undefined && port === undefined)) return undefined;
  const written = url ?? `ws://${host ?? '127.0.0.1'}:${port ?? 80}/`;
  let parsed;
  try {
    parsed = new URL(written, isPage ? location.href : undefined);
  } catch {
    throw new TensorError(`'${written}' is not an address; write ws://host:port/`, { code: 'argument' });
  }
  if (parsed.protocol === 'http:') parsed.protocol = 'ws:';
  if (parsed.protocol === 'https:') parsed.protocol = 'wss:';
  if (parsed.protocol !== 'ws:' && parsed.protocol !== 'wss:')
    throw new TensorError(`'${written}' is not the address of a WebSocket; write ws://host:port/`, { code: 'argument' });
  parsed.hash = '';
  return parsed.href;
}

export function checkHook(where, hook) {
  if (hook === undefined || hook instanceof TorchHook) return;
  throw new TensorError(`${where}: hook is a TorchHook, not ${describe(hook)}`, { code: 'argument' });
}

const limitNames = ['maxStoreBytes', 'maxObjects'];

/**
 * A worker of this process, or of this tab, for development and tests: it has a store of its own and is reached like any other.
 */
export class VirtualWorker extends BaseWorker {
  /**
   * `hook`: whose local worker gets to know it (the current one, when left out). `isLocal`: it is to be a local worker itself,
   * known to nobody yet.
   */
  constructor(options) {
    checkOptions('VirtualWorker', options, ['id', 'hook', 'isLocal', ...limitNames]);
    const { id, hook, isLocal = false, maxStoreBytes, maxObjects } = options ?? {};
    checkHook('VirtualWorker', hook);
    super(id);
    const limits = { maxStoreBytes, maxObjects };
    if (isPage) {
      if (isLocal)
        throw new TensorError('in a page the local worker is a WebSocketWorker: it needs a thread of its own', {
          code: 'argument',
        });
      const local = BaseWorker.hostOf(hook?.localWorker ?? localWorker());
      local.addVirtual(this, limits);
      this[INTERNAL]({ knownBy: local });
      return;
    }
    const host = new ThreadHost(this, { id: this.id, kind: 'virtual', makeKnown: (other) => standIn(host)(other), limits });
    this[INTERNAL]({ host });
    if (isLocal) return;
    try {
      (hook?.localWorker ?? localWorker()).addWorker(this);
    } catch (error) {
      host.close();
      throw error;
    }
  }
}

/**
 * A worker that is reached over a WebSocket.
 *
 * Without `isPointer` it is a local one, attached to a relay: the one at `url` (or host and port), in a page by default the
 * page's own origin; in Node, without an address, to none yet. With `isPointer` it stands for a worker that listens by itself
 * at that address; with `hook` it is attached at once, else by addWorker.
 */
export class WebSocketWorker extends BaseWorker {
  url;

  constructor(options) {
    checkOptions('WebSocketWorker', options, ['id', 'url', 'host', 'port', 'isPointer', 'hook', ...limitNames]);
    const { id, url, host, port, isPointer = false, hook, maxStoreBytes, maxObjects, [INTERNAL]: knownBy } = options ?? {};
    checkHook('WebSocketWorker', hook);
    super(id);
    if (knownBy !== undefined) {
      this[INTERNAL]({ knownBy });
      return;
    }
    this.url = addressOf({ url, host, port });
    if (isPointer) {
      if (this.url === undefined)
        throw new TensorError(`a pointer to ${this.id} needs its address: { port: 8181 } or { url: "ws://host:8181/" }`, {
          code: 'argument',
        });
      hook?.localWorker.addWorker(this);
      return;
    }
    const limits = { maxStoreBytes, maxObjects };
    const makeKnown = (other) => standIn(BaseWorker.hostOf(this))(other);
    if (isPage) {
      if (this.url === undefined && url !== null) this.url = addressOf({ url: '/' });
      const page = new PageHost(this, { id: this.id, url: this.url, makeKnown, limits });
      this[INTERNAL]({ host: page });
      this.ready = page.ready;
    } else {
      const thread = new ThreadHost(this, { id: this.id, kind: kindHere(), makeKnown, limits });
      this[INTERNAL]({ host: thread });
      try {
        if (this.url !== undefined) this.ready = thread.connect(this.url);
      } catch (error) {
        thread.close();
        throw error;
      }
    }
    this.ready.catch(() => {});
  }
}

// ---- the hook ----

let activeHook = null;
let implicit = null;

const isUsable = (worker) => worker !== null && !worker.isClosed;

/** The worker that tensors made here belong to: the hook's, else one of our own that nobody else knows. */
export function localWorker() {
  if (activeHook !== null && isUsable(activeHook.localWorker)) return activeHook.localWorker;
  if (!isUsable(implicit))
    implicit = isPage ? new WebSocketWorker({ id: 'me', url: null }) : new VirtualWorker({ id: 'me', isLocal: true });
  return implicit;
}

setDefaultHome(() => BaseWorker.hostOf(localWorker()));

/**
 * Connects tensors and workers: what is made from now on belongs to `localWorker`. There is one; a second `new TorchHook()`
 * answers the first and says so.
 */
export class TorchHook {
  #localWorker;
  /** Why the last `new TorchHook()` did nothing; null when it did something. */
  warning = null;

  constructor(options) {
    const { localWorker: worker } = checkOptions('TorchHook', options, ['localWorker']);
    if (activeHook !== null && isUsable(activeHook.localWorker)) {
      activeHook.warning = `torch is hooked already, with local worker ${activeHook.localWorker.id}: this hook changes nothing`;
      activeHook.localWorker.tell('warning', { message: activeHook.warning });
      return activeHook;
    }
    if (worker !== undefined && (!(worker instanceof BaseWorker) || worker.isPointer)) {
      throw new TensorError('TorchHook: localWorker is a worker that is here, not one that is elsewhere', { code: 'argument' });
    }
    this.#localWorker = worker ?? localWorker();
    activeHook = this;
  }

  get localWorker() {
    return this.#localWorker;
  }

  /** Makes a kind of tensors known to this thread's core, by its name and rank. Answers the class; again is harmless. */
  registerKind(kind) {
    return registerKind(kind);
  }

  /** The kinds that are known, by name: their classes. */
  get kinds() {
    return knownKinds();
  }
}
