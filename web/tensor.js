/**
 * Tensor: what a user holds. It stands for the head of a chain in the core, by a handle; its methods come from the op table.
 *
 * A tensor belongs to a *home*: the worker of this thread, or, in a page, the page's own core, whose tensors live at the worker
 * behind it (workers.js and page.js make homes). There a "local" tensor is a pointer to that worker, which is shown as local.
 */
import { call, resultAt, setHandleOf, table } from './call.js';
import {
  at,
  check,
  checkViews,
  constants,
  core,
  direct,
  dtypeNames,
  i32,
  idText,
  query,
  readId,
  readIdThere,
  readMeta,
  readText,
  request,
  textBytes,
  u32,
  u8,
  writeId,
  writeInput,
  writeMeta,
} from './core.js';
import { askCopies, getCopies, locationsOf, reduceCopies } from './copies.js';
import { arrays, bad, fill, inferDtype, survey, toNumber } from './elements.js';
import { TensorError } from './errors.js';
import { checkOptions, checkPolicy, checkWaiting, describe, isPlain, listOfTags, metadataOf, noDtype } from './options.js';
import { addMethods } from './rows.js';
import { scopeFor, setTensorRules } from './scope.js';
import { get_num_threads, set_num_threads } from './threads.js';

if (Symbol.dispose === undefined) Object.defineProperty(Symbol, 'dispose', { value: Symbol('Symbol.dispose') });

const FLAG_POINTER = 1;
const FLAG_MULTI = 64;
const MADE_HERE = Symbol('made here');
const classNames = Object.fromEntries(
  Object.entries(constants.tensorClass).map(([name, number]) => [dtypeNames[number], name]),
);

const disposeHandle = direct('_tt_wasm_tensor_dispose');

// The backstop for what nobody disposed of. It runs between turns, if ever.
const forgotten = new FinalizationRegistry((held) => {
  if (held.handle !== 0) disposeHandle(held.handle);
});
const forgottenElsewhere = new FinalizationRegistry((release) => release());

/**
 * Registering costs more than a small op, and most tensors are disposed of in the turn that made them: those of this turn wait here for its end
 * (or until they are many), and only who still lives then is registered. Nothing would have freed them earlier.
 */
const MANY = 1024;
let young = [];
let isSettling = false;

function beYoung(made) {
  if (young.push(made) >= MANY) settle();
  else if (!isSettling) {
    isSettling = true;
    queueMicrotask(() => {
      isSettling = false;
      settle();
    });
  }
}

function settle() {
  const grown = young;
  young = [];
  for (const one of grown) registerForgotten(one);
}

/** In a page, printed text is known until some tensor is changed in place: which others are views of it is not known here. */
let nChanges = 0;

/** How many changes in place there have been. */
export const nChangesSoFar = () => nChanges;
export const noteChange = () => nChanges++;

let gradOption;
/** autograd.js tells what the option requires_grad does to a tensor that was made. */
export function setGradOption(apply) {
  gradOption = apply;
}

// What the class below tells this module of its private side.
let makeTensor;
let liveHandle;
let homeOf;
let idAtOwner;
let isTensor;
let belongsTo;
let moveTo;
let registerForgotten;
let invoke;
let takeResults;
let forgetMeta;
let placeTensor;
let nameOfKind;
/** kinds.js tells how a kind is named: by its class, or by its name already. */
export function setKindNames(name) {
  nameOfKind = name;
}

let defaultHome;
/** workers.js tells where tensors go that are made from nothing. */
export function setDefaultHome(find) {
  defaultHome = find;
}
/** The home of what is made now. */
export const homeOfNew = () => defaultHome();

const homes = new Map();
/** Homes, by the handles of their workers in the core: where the tensors live that the core gives to functions of ours. */
export const addHome = (home) => homes.set(home.handle, home);
export const removeHome = (home) => homes.delete(home.handle);
export const homeAt = (handle) => homes.get(handle);

/** What few tensors have: made when it is first asked for. */
class Extras {
  tags = [];
  description = '';
  /** In a page: the printed text, and how many changes there had been when it was. */
  text = null;
  textChanges = 0;
  /** The answer to a send that is under way, and whether somebody awaits it. */
  sent = null;
  isSentAwaited = false;
  /** Frees the entry of the page's worker that a pointer which borrows is to the page. */
  release = null;
}

export class Tensor {
  #handle;
  #home;
  #scope;
  #meta = null;
  #extras = null;
  /** What the backstop has: the handle, 0 once it is disposed of. */
  #held = null;

  constructor(key, handle, home, scope) {
    if (key !== MADE_HERE)
      throw new TensorError('tensors are made by tensor(data), by torch.zeros(...) and its like, and by ops', {
        code: 'argument',
      });
    this.#handle = handle;
    this.#home = home;
    this.#scope = scope;
    if (scope !== null) scope.begin(this);
    beYoung(this);
  }

  get #more() {
    this.#extras ??= new Extras();
    return this.#extras;
  }

  /** What `search` finds it by, once it is sent or registered. */
  get tags() {
    return this.#more.tags;
  }

  set tags(tags) {
    this.#more.tags = listOfTags(tags);
  }

  get description() {
    return this.#more.description;
  }

  set description(description) {
    this.#more.description = description;
  }

  static {
    makeTensor = (handle, home, options) => {
      const made = new Tensor(MADE_HERE, handle, home, scopeFor(null));
      if (options === undefined) return made;
      for (const [name, value] of Object.entries(options)) if (value !== undefined) made.#more[name] = value;
      if (options.release !== undefined) forgottenElsewhere.register(made, options.release, made);
      return made;
    };
    isTensor = (value) => typeof value === 'object' && value !== null && #handle in value;
    registerForgotten = (value) => {
      if (value.#handle === 0 || value.#held !== null) return;
      value.#held = { handle: value.#handle };
      forgotten.register(value, value.#held);
    };
    belongsTo = (value) => value.#scope;
    moveTo = (value, scope) => {
      if (value.#scope !== scope) value.#scope?.left();
      value.#scope = scope;
    };
    liveHandle = (value, use) => {
      if (typeof value !== 'object' || value === null || !(#handle in value)) return undefined;
      if (value.#handle === 0) throw new TensorError(`${use}: this tensor has been disposed of`, { code: 'state', op: use });
      return value.#handle;
    };
    homeOf = (value) => value.#home;
    idAtOwner = (value) => value.#readMeta('setObj').id;
    placeTensor = (value) => value.#place();
    forgetMeta = (value) => {
      value.#meta = null;
    };
    takeResults = (nResults, home, source) => {
      const scope = scopeFor(source?.#scope);
      const results = [];
      for (let i = 0; i < nResults; i++) results.push(new Tensor(MADE_HERE, resultAt(i), home, scope));
      return results;
    };
    invoke = (op, self, args) => {
      const source = self ?? firstTensor(args);
      const home = source === undefined ? defaultHome() : source.#home;
      let nResults;
      try {
        nResults = call(home.handle, op, self, args);
      } catch (error) {
        throw describeFailure(error, home, self === undefined ? args : [self, ...args]);
      }
      if (op.isInPlace) {
        nChanges++;
        return source;
      }
      const scope = scopeFor(source?.#scope);
      // max(), unlike max(dim), is one tensor.
      const { result, result_names } = op.signature;
      if (result === 'tensor' || (result === 'tuple' && nResults === 1))
        return new Tensor(MADE_HERE, resultAt(0), home, scope);
      const results = takeResults(nResults, home, source);
      // As PyTorch's named tuples: x.max(0).values. Not listed, so that printing shows each once.
      if (result === 'tuple')
        result_names.forEach((name, i) => Object.defineProperty(results, name, { value: results[i] }));
      return results;
    };
  }

  // ---- what it is ----

  #readMeta(use) {
    const handle = liveHandle(this, use);
    check(core._tt_wasm_tensor_meta(handle));
    const meta = readMeta();
    const isElsewhere = (i32[at.flags >> 2] & FLAG_POINTER) !== 0;
    meta.location = isElsewhere ? readText() : null;
    meta.id = isElsewhere ? readId() : null;
    meta.idThere = isElsewhere ? readIdThere() : null;
    meta.isMulti = (i32[at.flags >> 2] & FLAG_MULTI) !== 0;
    meta.isPointer = meta.isMulti || (isElsewhere && !(this.#home.isPage && meta.location === this.#home.id));
    return meta;
  }

  /** The same for what only one place can answer. */
  #readPlace(use) {
    const meta = this.#readMeta(use);
    if (!meta.isMulti) return meta;
    throw new TensorError(`${use}: a multi-pointer stands for several copies; use its children, or get it`, {
      code: 'state',
      op: use,
    });
  }

  /** Where it is changes with send and get; dtype and a shape that is known do not. */
  #known(use) {
    liveHandle(this, use);
    if (this.#meta === null || this.#meta.shape === null) this.#meta = this.#readMeta(use);
    return this.#meta;
  }

  /** The sizes of its dimensions; null while they depend on data elsewhere (await getShape()). */
  get shape() {
    const { shape } = this.#known('shape');
    return shape === null ? null : [...shape];
  }

  get dtype() {
    return this.#known('dtype').dtype;
  }

  get ndim() {
    return this.#known('ndim').shape?.length ?? null;
  }

  /** PyTorch's name of ndim. */
  dim() {
    return this.#known('dim').shape?.length ?? null;
  }

  /** The shape, or one of its sizes; null while it is not known. */
  size(dim) {
    const { shape } = this.#known('size');
    if (dim === undefined) return this.shape;
    if (!Number.isInteger(dim)) throw new TensorError(`size: dim is an int, not ${describe(dim)}`, { code: 'argument', op: 'size' });
    if (shape === null) return null;
    const size = shape.at(dim);
    if (size === undefined || dim < -shape.length)
      throw new TensorError(`size: there is no dim ${dim} in shape [${shape.join(', ')}]`, {
        code: 'index',
        op: 'size',
        shapes: [`[${shape.join(', ')}]`],
      });
    return size;
  }

  /** A view with its dimensions in reverse order. */
  get T() {
    const { shape } = this.#known('T');
    if (shape === null)
      throw new TensorError('T: how many dimensions there are is not known here yet; await x.ready() finds out', {
        code: 'state',
        op: 'T',
      });
    return this.permute(shape.map((_, i) => shape.length - 1 - i));
  }

  /** A view with its last two dimensions swapped. */
  get mT() {
    return this.transpose(-2, -1);
  }

  /** How many elements it has; null while the shape is not known. */
  numel() {
    return this.#known('numel').shape?.reduce((product, size) => product * size, 1) ?? null;
  }

  /** Whether the data is at another worker. */
  get isPointer() {
    return this.#readMeta('isPointer').isPointer;
  }

  /** The worker that has the data; null when it is here, and of a multi-pointer. */
  get location() {
    check(core._tt_wasm_tensor_meta(liveHandle(this, 'location')));
    checkViews();
    if ((i32[at.flags >> 2] & (FLAG_POINTER | FLAG_MULTI)) !== FLAG_POINTER) return null;
    const location = readText();
    return this.#home.isPage && location === this.#home.id ? null : this.#home.workerOf(location);
  }

  /** The id that it has there, as a string of digits; null when it is here. */
  get idAtLocation() {
    const meta = this.#readMeta('idAtLocation');
    return meta.isPointer && !meta.isMulti ? meta.idThere : null;
  }

  /** Whether it stands for a copy at each of several workers. */
  get isMultiPointer() {
    return this.#readMeta('isMultiPointer').isMulti;
  }

  /** The copies of a multi-pointer, each a pointer: new tensors over the same copies; null of anything else. */
  get children() {
    if (!this.#readMeta('children').isMulti) return null;
    check(core._tt_wasm_tensor_copies(this.#handle));
    checkViews();
    const handles = Array.from({ length: u32[at.n_results >> 2] }, (_, i) => resultAt(i));
    const scope = scopeFor(this.#scope);
    return handles.map((handle) => new Tensor(MADE_HERE, handle, this.#home, scope));
  }

  /** The workers that have its data: those of the copies of a multi-pointer, or the only one; none when it is here. */
  get locations() {
    const { isMulti, isPointer, location } = this.#readMeta('locations');
    if (!isMulti) return isPointer ? [this.#home.workerOf(location)] : [];
    return locationsOf(this);
  }

  /** The local worker that this tensor belongs to. */
  get owner() {
    return this.#home.worker;
  }

  get isDisposed() {
    return this.#handle === 0;
  }

  // ---- the chain ----

  /** Puts a kind (its class, or its name) into this tensor's chain, where its rank says. Answers this tensor. */
  wrap(kind) {
    const handle = liveHandle(this, 'wrap');
    writeInput(nameOfKind('wrap', kind));
    check(core._tt_wasm_kind_wrap(handle), { op: 'wrap' });
    return this;
  }

  /** Takes a kind out of this tensor's chain; without one the highest that is there. Answers this tensor. */
  unwrap(kind) {
    const handle = liveHandle(this, 'unwrap');
    writeInput(kind === undefined ? '' : nameOfKind('unwrap', kind));
    check(core._tt_wasm_kind_unwrap(handle), { op: 'unwrap' });
    return this;
  }

  /** A new tensor that is this one as it is below its highest kind; null when it has none. */
  get child() {
    check(core._tt_wasm_kind_child(liveHandle(this, 'child')), { op: 'child' });
    checkViews();
    if (u32[at.n_results >> 2] === 0) return null;
    return new Tensor(MADE_HERE, resultAt(0), this.#home, scopeFor(this.#scope));
  }

  // ---- text ----

  /** "FloatTensor > _PointerTensor(bob, 17)" */
  chainPrint() {
    const { isPointer, isMulti, location, idThere } = this.#readMeta('chainPrint');
    check(core._tt_wasm_tensor_chain(this.#handle));
    const text = readText();
    if (isMulti || location === null || isPointer) return text;
    return text.replace(`_PointerTensor(${location}, ${idThere})`, '_LocalTensor');
  }

  /** As PyTorch prints it when its values are here; else where they are. */
  toString() {
    if (this.#handle === 0) return '[disposed tensor]';
    const { dtype, shape, isPointer, isMulti, location } = this.#readMeta('toString');
    const className = classNames[dtype];
    if (isMulti) return `[torch.${className} - Locations:[${this.locations.map((worker) => worker ?? 'here').join(', ')}]]`;
    if (isPointer) {
      const kind = this.#home.workerOf(location)?.constructor.name ?? 'worker';
      return `[torch.${className} - Locations:[<${kind} ${location}>] - id:${this.idAtLocation}]`;
    }
    if (location === null) {
      check(core._tt_wasm_tensor_print(this.#handle));
      return readText();
    }
    if (this.#extras !== null && this.#extras.text !== null && this.#extras.textChanges === nChanges) return this.#extras.text;
    const size = shape === null ? '?' : shape.join('x') || '1';
    return `[torch.${className} of size ${size} at ${location}: await text() for its values]`;
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    return this.toString();
  }

  /** Text is what it becomes by itself; a + b would be an answer that looks right and is not. */
  [Symbol.toPrimitive](hint) {
    if (hint === 'string') return this.toString();
    throw new TensorError('tensors have no operators in JavaScript: write a.add(b), or `${a}` for its text', {
      code: 'argument',
    });
  }

  toJSON() {
    throw new TensorError("a tensor's values take a moment to read: write JSON.stringify(await x.array())", { code: 'argument' });
  }

  /** As PyTorch prints it, wherever it is (its owner must allow a copy to leave). */
  async text(options) {
    const { signal } = checkWaiting('text', options);
    const { isPointer, location, id } = this.#readPlace('text');
    const home = this.#home;
    if (location === null) return this.toString();
    const { text } = await query(home.handle, this.#holder(location), { query: 'print', id }, { signal });
    if (!isPointer) this.#remember(text);
    return text;
  }

  #remember(text) {
    this.#more.text = text;
    this.#more.textChanges = nChanges;
  }

  /** Whom to ask about what is at `location`: in a page its own worker, which passes it on. */
  #holder(location) {
    return this.#home.isPage ? this.#home.id : location;
  }

  // ---- values ----

  async #read(use, options) {
    const { signal } = checkWaiting(use, options);
    const { location } = this.#readPlace(use);
    const home = this.#home;
    if (location === null) return readElements(this.#handle);
    const handle = this.#handle;
    const fetched = await request(home.handle, (token) => core._tt_wasm_fetch(home.handle, handle, token), {
      signal,
      about: { op: 'fetch' },
    });
    try {
      return readElements(fetched);
    } finally {
      core._tt_wasm_tensor_dispose(fetched);
    }
  }

  /** dtype, shape and a copy of the elements, wherever they are. */
  async elements(options) {
    return this.#read('elements', options);
  }

  /** A copy of the elements, row by row: a TypedArray of the dtype (bool: a Uint8Array of 0 and 1; int64: a BigInt64Array). */
  async data(options) {
    return (await this.#read('data', options)).data;
  }

  /** The elements as nested arrays. An int64 that a number cannot hold exactly is a BigInt. */
  async array(options) {
    const { dtype, shape, data } = await this.#read('array', options);
    let position = 0;
    const nest = (dim) =>
      dim === shape.length ? toNumber(data[position++], dtype) : Array.from({ length: shape[dim] }, () => nest(dim + 1));
    return nest(0);
  }

  /** PyTorch's name of array(). */
  async tolist(options) {
    return this.array(options);
  }

  /** The only element, as a number, boolean or (int64 beyond 2^53) BigInt. */
  async item(options) {
    const { dtype, shape, data } = await this.#read('item', options);
    if (data.length !== 1)
      throw new TensorError(`item: a tensor of shape [${shape.join(', ')}] has ${data.length} elements, not one; use array()`, {
        code: 'shape',
        op: 'item',
        shapes: [`[${shape.join(', ')}]`],
      });
    return toNumber(data[0], dtype);
  }

  /** The shape, asked for when it is not known here. */
  async getShape(options) {
    const { signal } = checkWaiting('getShape', options);
    const { shape, isMulti, location, id } = this.#readMeta('getShape');
    if (shape !== null) return shape;
    if (isMulti) return (await askCopies(this, (copy) => copy.getShape(options), 1))[0];
    const home = this.#home;
    return (await query(home.handle, this.#holder(location), { query: 'shape', id }, { signal })).shape;
  }

  // ---- where it is ----

  /**
   * Gives the data to a worker and makes this tensor a pointer to it, at once; await ready() to know that it has arrived. `id`:
   * the id it takes there. A pointer is given as one: the data stays where it is, and this tensor points to a pointer. To several
   * workers go copies: `x.send(bob, alice)` makes this tensor a multi-pointer.
   */
  send(worker, ...rest) {
    if (rest.length > 1 || isWorker(rest[0])) return this.#sendCopies([worker, ...rest]);
    const [options] = rest;
    checkOptions('send', options, ['id', 'tags', 'description', 'policy', 'signal']);
    const { id, tags = this.tags, description = this.description, policy, signal } = options ?? {};
    checkPolicy('send', policy);
    const handle = liveHandle(this, 'send');
    const home = this.#home;
    const peer = typeof worker === 'string' ? worker : worker?.id;
    if (typeof peer !== 'string')
      throw new TensorError('send: the first argument is a worker or its id', { code: 'argument', op: 'send' });
    if (home.isPage) home.worker.getWorker(peer); // the page's own core has another name, which its message would use
    const metadata = metadataOf({ tags, description, policy });
    const there = id === undefined ? 0n : idText(id);
    if (home.isPage && metadata !== '{}') this.#configure(metadata);
    const [, offset] = writeInput(peer, metadata);
    writeId(there);
    const done = request(home.handle, (token) => core._tt_wasm_send(home.handle, handle, offset, textBytes(metadata), token), {
      signal,
      about: { op: 'send' },
    });
    if (options?.tags !== undefined) this.tags = tags;
    if (options?.description !== undefined) this.description = description;
    this.#follow(done);
    return this;
  }

  #sendCopies(args) {
    const options = isWorker(args.at(-1)) ? undefined : args.pop();
    checkOptions('send', options, ['tags', 'description', 'policy']);
    const { tags = this.tags, description = this.description, policy } = options ?? {};
    checkPolicy('send', policy);
    const handle = liveHandle(this, 'send');
    const home = this.#home;
    if (!args.every(isWorker))
      throw new TensorError('send: the arguments are workers or their ids, and options behind them', {
        code: 'argument',
        op: 'send',
      });
    const peers = args.map((worker) => (typeof worker === 'string' ? worker : worker.id));
    if (home.isPage) for (const peer of peers) home.worker.getWorker(peer);
    const metadata = metadataOf({ tags, description, policy });
    const offset = writeInput(...peers, metadata).at(-1);
    this.#follow(
      request(
        home.handle,
        (token) => core._tt_wasm_send_copies(home.handle, handle, peers.length, offset, textBytes(metadata), token),
        { about: { op: 'send' } },
      ),
    );
    if (options?.tags !== undefined) this.tags = tags;
    if (options?.description !== undefined) this.description = description;
    return this;
  }

  /**
   * Has the worker that has the data give it to another, directly; this tensor points to it there, at once. `id`: the id it
   * takes there.
   */
  move(worker, options) {
    checkOptions('move', options, ['id', 'signal']);
    const handle = liveHandle(this, 'move');
    const home = this.#home;
    const peer = typeof worker === 'string' ? worker : worker?.id;
    if (typeof peer !== 'string')
      throw new TensorError('move: the first argument is a worker or its id', { code: 'argument', op: 'move' });
    if (peer === home.id)
      throw new TensorError(`move: await get() brings it to ${home.id}`, { code: 'argument', op: 'move' });
    if (home.isPage) home.worker.getWorker(peer);
    const there = options?.id === undefined ? 0n : idText(options.id);
    writeInput(peer);
    writeId(there);
    this.#follow(
      request(home.handle, (token) => core._tt_wasm_move(home.handle, handle, token), {
        signal: options?.signal,
        about: { op: 'move' },
      }),
    );
    return this;
  }

  /** Says anew what others may do with it where it is, and what `search` finds it by. Its owner's word only. */
  async configure(options) {
    checkOptions('configure', options, ['tags', 'description', 'policy', 'signal']);
    const { tags, description, policy, signal } = options ?? {};
    checkPolicy('configure', policy);
    const { location, id } = this.#readPlace('configure');
    const home = this.#home;
    if (location === null)
      throw new TensorError('configure: the tensor is here; tags and policy are told to send, or to setObj', {
        code: 'state',
        op: 'configure',
      });
    const said = { ...(tags === undefined ? {} : { tags: listOfTags(tags) }), ...(description === undefined ? {} : { description }) };
    await query(
      home.handle,
      this.#holder(location),
      { query: 'configure', id, ...said, ...(policy === undefined ? {} : { policy }) },
      { signal },
    );
    if (tags !== undefined) this.tags = tags;
    if (description !== undefined) this.description = description;
    return this;
  }

  /** What its own worker is to know of it before it goes on. */
  #configure(metadata) {
    const { location, id } = this.#readMeta('send');
    if (location !== this.#home.id) return;
    query(this.#home.handle, location, { query: 'configure', id, ...JSON.parse(metadata) }).catch((error) =>
      this.#home.report(error),
    );
  }

  /** Keeps the answer to a send for ready(); a failure that nobody awaits is the worker's `error` event. */
  #follow(done) {
    const home = this.#home;
    const more = this.#more;
    more.isSentAwaited = false;
    more.sent = done;
    done.then(
      () => {
        if (more.sent === done) more.sent = null;
      },
      (error) => {
        if (!more.isSentAwaited) home.report(error);
      },
    );
  }

  /** In a page: gives what was made here to the page's own worker. */
  #place() {
    const home = this.#home;
    if (!home.isPage) return this;
    const handle = this.#handle;
    const [, offset] = writeInput(home.id, '{}');
    writeId(0n);
    this.#follow(
      request(home.handle, (token) => core._tt_wasm_send(home.handle, handle, offset, 2, token), { about: { op: 'tensor' } }),
    );
    return this;
  }

  /**
   * Settles when the data has arrived where it was sent, or the commands that make it are done: then it is known to be sound.
   * Answers this tensor.
   */
  async ready(options) {
    const { signal } = checkWaiting('ready', options);
    const { location, isMulti, id } = this.#readMeta('ready');
    const home = this.#home;
    const sent = this.#extras?.sent ?? null;
    if (sent !== null) {
      this.#extras.isSentAwaited = true;
      await sent;
    } else if (isMulti) {
      await askCopies(this, (copy) => copy.ready(options));
    } else if (location !== null) {
      const { shape } = await query(home.handle, this.#holder(location), { query: 'shape', id }, { signal });
      if (this.#known('ready').shape === null && Array.isArray(shape)) this.#meta.shape = shape;
    }
    return this;
  }

  /**
   * Brings back what it points to, and takes it away there unless it is only borrowed: the data, or, of a pointer to a pointer,
   * that pointer. Answers this tensor, which is local then, or points to the next worker; of a multi-pointer, the list of its
   * copies.
   */
  async get(options) {
    const { signal } = checkWaiting('get', options);
    const { isPointer, isMulti } = this.#readMeta('get');
    if (isMulti) return getCopies(this, options);
    const home = this.#home;
    const handle = this.#handle;
    if (!isPointer) throw new TensorError('get: the tensor is here already', { code: 'state', op: 'get' });
    const arrived = await request(home.handle, (token) => core._tt_wasm_get(home.handle, handle, token), {
      signal,
      about: { op: 'get' },
    });
    // The answer is a handle of its own to what this tensor now holds.
    if (arrived !== undefined) core._tt_wasm_tensor_dispose(arrived);
    this.#meta = null;
    if (this.#extras !== null) this.#extras.sent = null;
    if (home.isPage && this.#handle !== 0 && !this.isPointer) await this.text();
    return this;
  }

  /** The sum of the copies of a multi-pointer, here; this tensor ends. */
  async sumGet(options) {
    return reduceCopies(this, 'sumGet', options, (sum) => sum);
  }

  /** Their mean. */
  async meanGet(options) {
    return reduceCopies(this, 'meanGet', options, (sum, n) => sum.div(n));
  }

  /** Brings the data back from the end of a chain of pointers, however long it is. */
  async endGet(options) {
    checkWaiting('endGet', options);
    do await this.get(options);
    while (this.isPointer);
    return this;
  }

  // ---- the end ----

  /** Lets go of it: of the memory, and of the object elsewhere when this pointer owns it. Again is harmless. */
  dispose() {
    if (this.#handle === 0) return;
    disposeHandle(this.#handle);
    this.#handle = 0;
    if (this.#scope !== null) {
      const scope = this.#scope;
      this.#scope = null;
      scope.left();
    }
    if (this.#held !== null) this.#held.handle = 0;
    const release = this.#extras?.release ?? null;
    if (release === null) return;
    forgottenElsewhere.unregister(this);
    release();
  }

  [Symbol.dispose]() {
    this.dispose();
  }
}

const isWorker = (value) => typeof value === 'string' || (typeof value?.id === 'string' && !isPlain(value));

setHandleOf(liveHandle);
setTensorRules({ test: isTensor, belongsTo, moveTo });

/** What a call has left as results, as tensors that belong where `source` does (a tensor, or undefined). */
export { takeResults };
/** What is known of a tensor's dtype and shape is so no more. */
export { forgetMeta };
export { homeOf, idAtOwner, invoke, isTensor, liveHandle, makeTensor, moveTo };

/** A tensor that the core has just made here, by its handle, where tensors go that are made from nothing. */
export const adopt = (handle) => placeTensor(makeTensor(handle, defaultHome()));

/** The first tensor among arguments: where a function runs. */
function firstTensor(args) {
  for (const arg of args) {
    if (isTensor(arg)) return arg;
    if (Array.isArray(arg)) {
      const found = arg.find(isTensor);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** What the core's message says in words, as fields. */
function describeFailure(error, home, args) {
  if (!(error instanceof TensorError)) return error;
  error.worker ??= home.id;
  const operands = args.flat().filter((arg) => isTensor(arg) && !arg.isDisposed);
  error.shapes ??= operands.map(({ shape }) => `[${shape?.join(', ') ?? '?'}]`);
  return error;
}

// ---- elements ----

function readElements(handle) {
  check(core._tt_wasm_tensor_read(handle));
  const { dtype, shape } = readMeta();
  const begins = u32[at.data >> 2];
  const bytes = u8.slice(begins, begins + u32[at.data_bytes >> 2]);
  core._tt_wasm_tensor_read_end();
  return { dtype, shape, data: new arrays[dtype](bytes.buffer) };
}

// ---- making one ----

/**
 * A tensor with a copy of `data`: a number, boolean or BigInt, nested arrays of them, or TypedArrays. Without a dtype numbers
 * are float32 (1 and 1.0 are the same in JavaScript), booleans bool, BigInts int64, and TypedArrays what they are.
 */
export function tensor(data, options) {
  return makeFrom(data, checkOptions('tensor', options, ['dtype', 'tags', 'description', 'requires_grad']));
}

function makeFrom(data, { dtype, tags, description, requires_grad }) {
  const tagList = tags === undefined ? undefined : listOfTags(tags);
  if (isTensor(data)) throw bad('the data is a tensor already; clone() copies one');
  const found = survey(data, isTensor);
  const to = dtype ?? inferDtype(found);
  if (constants.dtype[to] === undefined)
    throw bad(noDtype(to, Object.keys(constants.dtype)), 'dtype');
  if (found.shape.length > constants.limit.dims)
    throw bad(`the data has ${found.shape.length} dimensions, the limit is ${constants.limit.dims}`, 'shape');
  const home = defaultHome();
  writeMeta(to, found.shape);
  check(core._tt_wasm_tensor_new(), { op: 'tensor' });
  checkViews();
  const handle = resultAt(0);
  const ArrayType = arrays[to];
  const target = new ArrayType(u8.buffer, u32[at.data >> 2], u32[at.data_bytes >> 2] / ArrayType.BYTES_PER_ELEMENT);
  try {
    fill(target, data, to);
  } catch (error) {
    core._tt_wasm_tensor_dispose(handle);
    throw error;
  } finally {
    core._tt_wasm_tensor_read_end();
  }
  return gradOption(placeTensor(makeTensor(handle, home, { tags: tagList, description })), requires_grad);
}

// ---- methods and functions, from the table ----

/** PyTorch's namespace: every op as a function, and what makes tensors. */
export const torch = {
  tensor,
  /** Seeds what unseeded random ops of the local worker draw from. */
  manual_seed(seed) {
    if (typeof seed !== 'bigint' && !Number.isSafeInteger(seed))
      throw new TensorError(`manual_seed: the seed is a whole number, such as 1, not ${describe(seed)}`, {
        code: 'argument',
        op: 'manual_seed',
      });
    defaultHome().seed(BigInt(seed));
  },
  get_num_threads,
  set_num_threads,
};

for (const dtype of Object.keys(constants.dtype)) torch[dtype] = dtype;
for (const [name, number] of Object.entries(constants.tensorClass)) {
  // A function and not an arrow, so that `new FloatTensor([1])` is the same.
  torch[name] = function (data, options, ...rest) {
    const dtype = dtypeNames[number];
    if (rest.length > 0 || typeof options === 'number' || Array.isArray(options))
      throw new TensorError(
        `${name}: the argument is the data, such as [1, 2, 3]; torch.zeros(2, 3, { dtype: '${dtype}' }) makes one of that shape`,
        { code: 'argument' },
      );
    return makeFrom(data, { ...checkOptions(name, options, ['tags', 'description', 'requires_grad']), dtype });
  };
}
/** As in PyTorch: Tensor(data) is FloatTensor(data), and every tensor is one. */
torch.Tensor = new Proxy(Tensor, {
  apply: (target, self, args) => torch.FloatTensor(...args),
  construct: (target, args) => torch.FloatTensor(...args),
});
export const { FloatTensor, DoubleTensor, IntTensor, LongTensor, ByteTensor, BoolTensor } = torch;

/** What makes a tensor takes the option requires_grad beside what its row says. */
function makeBy(op, args) {
  const last = args.at(-1);
  if (!isPlain(last) || !Object.hasOwn(last, 'requires_grad')) return invoke(op, undefined, args);
  const { requires_grad: requiresGrad, ...options } = last;
  return gradOption(invoke(op, undefined, [...args.slice(0, -1), options]), requiresGrad);
}

addMethods(
  Tensor,
  table,
  (op) =>
    function (...args) {
      return invoke(op, this, args);
    },
);

for (const op of table) {
  if (op.isInPlace || op.isHidden || op.name in torch) continue;
  const makes = op.isFactory || op.name.endsWith('_like');
  torch[op.name] = Object.defineProperty(makes ? (...args) => makeBy(op, args) : (...args) => invoke(op, undefined, args), 'name', {
    value: op.name,
  });
}

const { randint } = torch;
/** From 0 on when one bound is given, as in PyTorch. */
torch.randint = (...args) => (Array.isArray(args[1]) ? randint(0, ...args) : randint(...args));

/** PyTorch's torch.linalg: those ops, and those that have another name here. */
torch.linalg = { inv: torch.inverse, det: torch.det, cholesky: torch.cholesky };
for (const { name } of table) if (name.startsWith('linalg_')) torch.linalg[name.slice('linalg_'.length)] = torch[name];

/** PyTorch's torch.nn.functional: its ops, those that change their argument, and what it has from torch. */
torch.nn = { functional: {} };
const inFunctional = new Set(['relu', 'relu_', 'sigmoid', 'tanh', 'softmax', 'log_softmax']);
for (const op of table) {
  if (!op.marks.includes('n') && !inFunctional.has(op.name)) continue;
  torch.nn.functional[op.name] = Object.defineProperty((...args) => invoke(op, undefined, args), 'name', { value: op.name });
}
