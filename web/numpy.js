/**
 * numpy: NumPy's names, on the same core and on the same pointers. Functions and methods come from the core's table (src/numpy/numpy.def).
 *
 *     import { np } from 'tabtensor';
 *
 *     const a = np.array([[1, 2], [3, 4]]).send(bob);
 *     const m = a.mean({ axis: 0 });                   // computed at bob; m is a pointer
 *     String(await m.get());                           // [2. 3.]
 *
 * An ndarray stands for a tensor, `a.tensor`, and has NumPy's methods where PyTorch's of the same name mean something else (std, size, sort). Numbers are
 * float64 where NumPy would take 1 for an int, because JavaScript has one kind of number; BigInts are int64.
 */
import { core, readText } from './core.js';
import { TensorError } from './errors.js';
import { loadNumpy, saveNpz, saveNumpy, withElements } from './files.js';
import { checkOptions, describe, isPlain } from './options.js';
import { addMethods, readTable } from './rows.js';
import { HELD } from './scope.js';
import { Tensor, invoke, isTensor, liveHandle, tensor, torch } from './tensor.js';

const callNumpy = (worker, number, nArgs) => core._tt_wasm_numpy_call(worker, number, nArgs);

/** NumPy's functions: one row each. */
export const numpyTable = readTable('numpy', { run: callNumpy });

const bad = (message, code = 'argument') => new TensorError(`np.${message}`, { code });

const MADE_HERE = Symbol('made here');

const printed = (handle, isRepr) => {
  const status = core._tt_wasm_numpy_print(handle, isRepr ? 1 : 0);
  return status === 0 ? readText() : undefined;
};
const tupleOf = (sizes) => `(${sizes.join(', ')}${sizes.length === 1 ? ',' : ''})`;

/** An array, or a pointer to one that is elsewhere. */
export class NDArray {
  #tensor;

  constructor(key, ofTensor) {
    if (key !== MADE_HERE) throw bad('ndarray: arrays are made by np.array(data), by np.zeros(...) and its like, and by functions');
    this.#tensor = ofTensor;
  }

  /** The tensor that it stands for: the same data, with PyTorch's names. */
  get tensor() {
    return this.#tensor;
  }

  get [HELD]() {
    return [this.#tensor];
  }

  // ---- what it is ----

  /** The sizes of its dimensions; null while they depend on data elsewhere. */
  get shape() {
    return this.#tensor.shape;
  }

  get dtype() {
    return this.#tensor.dtype;
  }

  get ndim() {
    return this.#tensor.ndim;
  }

  /** How many elements it has; null while the shape is not known. */
  get size() {
    return this.#tensor.numel();
  }

  /** A view with its dimensions in reverse order. */
  get T() {
    return this.transpose();
  }

  // ---- where it is: as of tensors ----

  get isPointer() {
    return this.#tensor.isPointer;
  }

  get location() {
    return this.#tensor.location;
  }

  get idAtLocation() {
    return this.#tensor.idAtLocation;
  }

  get owner() {
    return this.#tensor.owner;
  }

  get tags() {
    return this.#tensor.tags;
  }

  set tags(tags) {
    this.#tensor.tags = tags;
  }

  get description() {
    return this.#tensor.description;
  }

  set description(description) {
    this.#tensor.description = description;
  }

  send(worker, options) {
    this.#tensor.send(worker, options);
    return this;
  }

  async get(options) {
    await this.#tensor.get(options);
    return this;
  }

  async ready(options) {
    await this.#tensor.ready(options);
    return this;
  }

  get isDisposed() {
    return this.#tensor.isDisposed;
  }

  dispose() {
    this.#tensor.dispose();
  }

  [Symbol.dispose]() {
    this.dispose();
  }

  // ---- values ----

  /** The elements as nested arrays. */
  async tolist(options) {
    return this.#tensor.array(options);
  }

  /** The only element. */
  async item(options) {
    return this.#tensor.item(options);
  }

  /** A copy of the elements, row by row. */
  async data(options) {
    return this.#tensor.data(options);
  }

  /** dtype, shape and a copy of the elements. */
  async elements(options) {
    return this.#tensor.elements(options);
  }

  /** A copy with one dimension. */
  flatten() {
    return np.copy(np.ravel(this));
  }

  // ---- text ----

  #text(isRepr) {
    if (this.#tensor.isDisposed) return '[disposed array]';
    if (this.#tensor.isPointer) {
      const { location } = this.#tensor;
      return `[numpy.ndarray - Locations:[<${location?.constructor.name ?? 'worker'} ${location?.id}>] - id:${this.#tensor.idAtLocation}]`;
    }
    const { shape } = this.#tensor;
    return (
      printed(liveHandle(this.#tensor, 'toString'), isRepr) ??
      `[numpy.ndarray of shape ${shape === null ? '?' : tupleOf(shape)} at ${this.#tensor.owner.id}: await text() for its values]`
    );
  }

  /** As NumPy prints it when its values are here; else where they are. */
  toString() {
    return this.#text(false);
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    return this.#text(true);
  }

  /** As NumPy prints it, wherever it is (its owner must allow a copy to leave). */
  async text(options) {
    return withElements(await this.#tensor.elements(options), (handle) => printed(handle, false));
  }

  /** Text is what it becomes by itself; a + b would be an answer that looks right and is not. */
  [Symbol.toPrimitive](hint) {
    if (hint === 'string') return this.toString();
    throw new TensorError('arrays have no operators in JavaScript: write np.add(a, b), or `${a}` for its text', { code: 'argument' });
  }

  toJSON() {
    throw new TensorError("an array's values take a moment to read: write JSON.stringify(await a.tolist())", { code: 'argument' });
  }
}

const wrap = (made) => new NDArray(MADE_HERE, made);
const isArray = (value) => value instanceof NDArray;
const isData = (value) => Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

// ---- calling ----

/** An argument as the core takes it: an array as its tensor, data where an array is wanted as a new one. */
function held(param, value) {
  if (isArray(value)) return value.tensor;
  if (value === undefined || value === null || isTensor(value)) return value;
  if (param.type === 'Tensor[]') return Array.isArray(value) ? value.map((item) => held({ type: 'Tensor' }, item)) : value;
  if (param.type === 'Tensor' || (param.type === 'Tensor|Scalar' && isData(value))) return array(value).tensor;
  return value;
}

/** Two numbers are numbers of NumPy's all the same: one becomes an array. */
function withOneArray(row, args) {
  const mixed = row.params.findIndex((param) => param.type !== 'Tensor|Scalar' || param.optional);
  const n = mixed < 0 ? row.params.length : mixed;
  if (n === 0 || args.slice(0, n).some(isTensor) || args[0] === undefined || isPlain(args[0])) return args;
  return [array(args[0]).tensor, ...args.slice(1)];
}

function run(row, args) {
  const last = args.length > 0 && isPlain(args.at(-1)) ? args.at(-1) : undefined;
  const positional = last === undefined ? args : args.slice(0, -1);
  let given = positional.map((value, i) => (row.params[i] === undefined ? value : held(row.params[i], value)));
  given = withOneArray(row, given);
  if (last !== undefined)
    given.push(Object.fromEntries(Object.entries(last).map(([name, value]) => [name, held(row.params[row.index.get(name)] ?? {}, value)])));
  const answer = invoke(row, undefined, given);
  return Array.isArray(answer) ? answer.map(wrap) : wrap(answer);
}

// ---- making ----

/** NumPy would look for ints among numbers; in JavaScript there are none. */
function dtypeOf(data) {
  if (typeof data === 'number') return 'float64';
  if (!Array.isArray(data)) return undefined;
  if (data.length === 0) return 'float64';
  const found = new Set(data.map(dtypeOf));
  return found.has('float64') ? 'float64' : undefined;
}

const holdsArrays = (data) => Array.isArray(data) && data.some((item) => isArray(item) || isTensor(item) || holdsArrays(item));

/** An array with a copy of the data: numbers (float64), booleans, BigInts (int64), nested lists of them, TypedArrays, tensors, arrays. */
function array(data, options) {
  const { dtype, ...others } = checkOptions('np.array', options, ['dtype', 'tags', 'description']);
  let made;
  if (isArray(data) || isTensor(data)) made = np.copy(data);
  else if (holdsArrays(data)) made = np.stack(data.map((item) => asarray(item)));
  else return wrap(tensor(data, { dtype: dtype ?? dtypeOf(data), ...others }));
  if (dtype !== undefined && dtype !== made.dtype) made = made.astype(dtype);
  for (const [name, value] of Object.entries(others)) made[name] = value;
  return made;
}

/** The array itself where it is one; else np.array of it. A tensor shares its memory. */
function asarray(data, options) {
  const { dtype } = checkOptions('np.asarray', options, ['dtype']);
  const made = isArray(data) ? data : isTensor(data) ? wrap(data.detach()) : array(data, options);
  return dtype === undefined || dtype === made.dtype ? made : made.astype(dtype);
}

/** NumPy's namespace. */
export const np = {
  ndarray: NDArray,
  array,
  asarray,
  pi: Math.PI,
  e: Math.E,
  inf: Infinity,
  nan: NaN,
  bool_: 'bool',
  uint8: 'uint8',
  int32: 'int32',
  int64: 'int64',
  float32: 'float32',
  float64: 'float64',
  linalg: {},
  random: {},
  shape: (a) => asarray(a).shape,
  ndim: (a) => asarray(a).ndim,
  size: (a) => asarray(a).size,

  /** Reads a .npy or .npz file: bytes, a Response, a Blob, a URL or (in Node) a path. A .npz answers an object of arrays. */
  async load(source, options) {
    const found = await loadNumpy(source, options);
    if (isTensor(found)) return wrap(found);
    for (const [name, value] of Object.entries(found)) if (isTensor(value)) found[name] = wrap(value);
    return found;
  },

  /** save(a) answers the bytes of a .npy file; save(path, a) writes the file, in Node. */
  async save(...args) {
    const [path, a] = args.length > 1 ? args : [undefined, ...args];
    return saveNumpy(path, asarray(a).tensor);
  },

  /** savez({ x, y }) answers the bytes of a .npz file; savez(path, { x, y }) writes the file, in Node. Arrays in a list are arr_0, arr_1, ... */
  async savez(...args) {
    return saveArchive('savez', args, false);
  },

  /** The same, deflated. */
  async savez_compressed(...args) {
    return saveArchive('savez_compressed', args, true);
  },
};

function saveArchive(name, args, deflate) {
  const path = typeof args[0] === 'string' || args[0] instanceof URL ? args.shift() : undefined;
  const [arrays, ...rest] = args;
  if (rest.length > 0 || (!isPlain(arrays) && !Array.isArray(arrays)))
    throw bad(`${name}: the arrays are an object of them by name, such as { x, y }, or a list; not ${describe(arrays)}`);
  const named = Array.isArray(arrays) ? Object.fromEntries(arrays.map((a, i) => [`arr_${i}`, a])) : arrays;
  return saveNpz(name, path, Object.fromEntries(Object.entries(named).map(([key, a]) => [key, asarray(a).tensor])), deflate);
}

addMethods(
  NDArray,
  numpyTable,
  (row) =>
    function (...args) {
      return run(row, [this, ...args]);
    },
);
for (const row of numpyTable) {
  const words = row.name.split('.');
  const name = words.pop();
  const owner = words.length > 0 ? np[words[0]] : np;
  if (!row.marks.includes('o')) owner[name] = Object.defineProperty((...args) => run(row, args), 'name', { value: name });
}

const { transpose } = NDArray.prototype;
/** a.transpose(1, 0) as well as a.transpose([1, 0]). */
NDArray.prototype.transpose = function (...axes) {
  return axes.length > 0 && axes.every((axis) => typeof axis === 'number') ? transpose.call(this, axes) : transpose.apply(this, axes);
};

const { einsum } = np;
/** einsum('ij,jk', a, b) as well as einsum('ij,jk', [a, b]). */
np.einsum = (subscripts, ...operands) => einsum(subscripts, operands.length === 1 && Array.isArray(operands[0]) ? operands[0] : operands);

const { pad } = np;
/** Widths may be pairs, one for each dimension: [[1, 1], [0, 2]]. */
np.pad = (a, width, ...rest) => pad(a, Array.isArray(width) ? width.flat() : width, ...rest);

// ---- random ----

for (const name of ['rand', 'randn']) {
  const { [name]: draw } = np.random;
  /** rand(2, 3) */
  np.random[name] = (...sizes) => (isPlain(sizes.at(-1)) ? draw(sizes.slice(0, -1), sizes.at(-1)) : draw(sizes));
}

/** Seeds what the local worker draws from: torch.manual_seed. The numbers are not NumPy's own for that seed. */
np.random.seed = (seed) => torch.manual_seed(seed);

/** A generator with a state of its own: the same seed, the same numbers, whoever else draws. Not NumPy's own numbers for that seed. */
export class Generator {
  #seed;
  #nDraws = 0n;

  constructor(seed) {
    this.#seed = seed;
  }

  #next() {
    this.#nDraws += 1n;
    // splitmix64, so that neighbouring seeds have nothing in common.
    let z = BigInt.asUintN(64, this.#seed + this.#nDraws * 0x9e3779b97f4a7c15n);
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return { seed: BigInt.asIntN(63, z ^ (z >> 31n)) & 0x7fffffffffffffffn };
  }

  random(size = null) {
    return np.random.random(size, this.#next());
  }

  standard_normal(size = null) {
    return np.random.standard_normal(size, this.#next());
  }

  normal(loc = 0, scale = 1, size = null) {
    return np.random.normal(loc, scale, size, this.#next());
  }

  uniform(low = 0, high = 1, size = null) {
    return np.random.uniform(low, high, size, this.#next());
  }

  integers(low, high = null, size = null) {
    return np.random.randint(low, high, size, this.#next());
  }

  permutation(n) {
    return np.random.permutation(n, this.#next());
  }
}

np.random.Generator = Generator;
np.random.default_rng = (seed) => {
  if (seed === undefined) return new Generator(crypto.getRandomValues(new BigUint64Array(1))[0]);
  if (typeof seed !== 'bigint' && !Number.isSafeInteger(seed)) throw bad(`random.default_rng: the seed is a whole number, not ${describe(seed)}`);
  return new Generator(BigInt(seed));
};

// ---- from PyTorch and back: the memory is shared ----

torch.from_numpy = (a) => {
  if (!isArray(a)) throw new TensorError(`from_numpy: the argument is an array of np's, not ${describe(a)}`, { code: 'argument' });
  return a.tensor.detach();
};

Object.defineProperty(Tensor.prototype, 'numpy', {
  configurable: true,
  writable: true,
  value() {
    if (this.requires_grad === true)
      throw new TensorError("numpy: can't call numpy() on a tensor that requires grad; use x.detach().numpy()", { code: 'state' });
    return wrap(this.detach());
  },
});
