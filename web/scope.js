/**
 * tidy: frees the tensors that a function made and does not return.
 *
 * A tensor belongs to the innermost tidy that is running when it is made. After an `await` nothing tells whose turn it is, so
 * from there on the rule is: what is made from a tensor of the scope belongs to the scope as well; anything else is the
 * caller's, or is given to it with `scope.track(tensor)`.
 */
import { TensorError } from './errors.js';
import { describe } from './options.js';

let current = null;

/** Below so many tensors that have left a scope it does not look for them. */
const FEW = 64;

export class Scope {
  /** Those that were added; it has left who belongs to another scope or to none now. */
  #tensors = [];
  #nLeft = 0;
  #isOpen = true;
  #outer;

  constructor(outer) {
    this.#outer = outer;
  }

  get isOpen() {
    return this.#isOpen;
  }

  /** Adds a tensor, and so what will be made from it; answers it. */
  track(tensor) {
    if (this.#isOpen && scopeOf(tensor) !== this) {
      setScopeOf(tensor, this);
      this.#tensors.push(tensor);
    }
    return tensor;
  }

  /** A tensor that has just been made in this scope, which is open. */
  begin(tensor) {
    this.#tensors.push(tensor);
  }

  /** A tensor belongs here no more. */
  left() {
    if (!this.#isOpen || ++this.#nLeft < FEW || 2 * this.#nLeft < this.#tensors.length) return;
    this.#tensors = [...new Set(this.#tensors.filter((tensor) => scopeOf(tensor) === this))];
    this.#nLeft = 0;
  }

  /** Disposes of all but what is in `result`, which goes to the scope around this one. */
  close(result) {
    this.#isOpen = false;
    const kept = tensorsIn(result);
    for (const tensor of this.#tensors) {
      if (scopeOf(tensor) !== this) continue;
      if (kept === null || !kept.has(tensor)) tensor.dispose();
      else if (this.#outer?.isOpen) this.#outer.track(tensor);
      else setScopeOf(tensor, null);
    }
    this.#tensors = [];
  }
}

/** Where a new tensor belongs: the tidy that is running, or that of the tensor it was made from. */
export function scopeFor(source) {
  return current ?? (source !== null && source !== undefined && source.isOpen ? source : null);
}

let isTensor;
let scopeOf;
let setScopeOf;
/** tensor.js tells what a tensor is, which scope it belongs to (none when it is disposed of), and how it is moved to another (or none). */
export function setTensorRules({ test, belongsTo, moveTo }) {
  isTensor = test;
  scopeOf = belongsTo;
  setScopeOf = moveTo;
}

/** What an object that stands for tensors (an ndarray) has them under. */
export const HELD = Symbol('tensors held');

/** The tensors in a result; null when there can be none. */
function tensorsIn(result) {
  if (typeof result !== 'object' || result === null) return null;
  const found = new Set();
  collect(result, found, new Set());
  return found;
}

/** Tensors in arrays, maps, sets and plain objects, at any depth. */
function collect(value, found, seen) {
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  seen.add(value);
  if (isTensor(value)) found.add(value);
  else if (value[HELD] !== undefined) collect(value[HELD], found, seen);
  else if (Array.isArray(value) || value instanceof Set) for (const item of value) collect(item, found, seen);
  else if (value instanceof Map) for (const [key, item] of value) (collect(key, found, seen), collect(item, found, seen));
  else if ([Object.prototype, null].includes(Object.getPrototypeOf(value)))
    for (const item of Object.values(value)) collect(item, found, seen);
}

/**
 * Runs `fn(scope)` and disposes of every tensor that it made, except what it returns (in arrays and plain objects too). When it
 * returns a promise, once that settles.
 */
export function tidy(fn) {
  if (typeof fn !== 'function')
    throw new TensorError(`tidy: the argument is a function, such as () => x.add(y), not ${describe(fn)}`, { code: 'argument' });
  const outer = current;
  const scope = new Scope(outer);
  current = scope;
  let result;
  try {
    result = fn(scope);
  } catch (error) {
    scope.close();
    throw error;
  } finally {
    current = outer;
  }
  if (typeof result?.then !== 'function' || isTensor(result)) {
    scope.close(result);
    return result;
  }
  return result.then(
    (value) => {
      scope.close(value);
      return value;
    },
    (error) => {
      scope.close();
      throw error;
    },
  );
}
