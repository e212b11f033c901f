/**
 * Kinds: what stands in a tensor's chain between its head and its tail, and says what ops mean there (src/chain/kind.h).
 *
 * A kind of one's own is a class. A method with the name of an op overrides that op; the others are inherited. It gets the
 * op's arguments in the order of its schema, with what is given by name in an object behind them, and with tensors as they are
 * one level below, so that `self.add(other)` in it is the add below; what it answers is wrapped again. The method of an
 * in-place op changes `self` and answers it, or nothing.
 *
 *     class Doubling extends TensorKind {
 *       static name = '_DoublingTensor';
 *       static rank = 400;
 *
 *       add(self, other, options) {
 *         return self.add(other, options).mul(2);
 *       }
 *     }
 *     hook.registerKind(Doubling);
 *     const x = Doubling.wrap(tensor([1, 2]));
 */
import { addCallback, removeCallback } from './callback.js';
import { opNamed, table } from './call.js';
import { at, check, checkViews, core, i32, readText, writeInput } from './core.js';
import { TensorError } from './errors.js';
import { describe } from './options.js';
import { invoke, isTensor, liveHandle, moveTo, setKindNames } from './tensor.js';

/** Classes by their names in the core. */
const classes = new Map();

function bad(message, code = 'argument') {
  return new TensorError(message, { code });
}

/** What kinds have in common. One instance of a class is made when it is registered; `this` in its methods is that. */
export class TensorKind {
  /** Where it stands among other kinds: from 300 (the lowest) to 999, each taken once. */
  static rank = undefined;

  /** Puts the kind into a tensor's chain, and answers that tensor. */
  static wrap(x) {
    if (!isTensor(x)) throw bad(`${this.name}.wrap: the argument is a tensor, not ${describe(x)}`);
    return x.wrap(this);
  }

  /** Takes it out again. */
  static unwrap(x) {
    if (!isTensor(x)) throw bad(`${this.name}.unwrap: the argument is a tensor, not ${describe(x)}`);
    return x.unwrap(this);
  }

  /** Lets a tensor that a method has made outlive the call. It is the kind's to dispose of. */
  keep(x) {
    if (!isTensor(x)) throw bad(`${this.constructor.name}: keep takes a tensor, not ${describe(x)}`);
    moveTo(x, null);
    return x;
  }
}

/** add means subtract, and sub means add: the core's own example of a kind. */
export class PlusIsMinusTensor extends TensorKind {
  static name = '_PlusIsMinusTensor';
  static rank = 300;
}

/** Records the commands that pass. */
export class LogTensor extends TensorKind {
  static name = '_LogTensor';
  static rank = 900;

  /** The commands that have passed a tensor, or one that it comes from: as text, the oldest first; the last 256 are kept. */
  static commands(x) {
    check(core._tt_wasm_kind_log(liveHandle(x, 'commands')));
    const text = readText();
    return text === '' ? [] : text.trimEnd().split('\n');
  }
}

for (const kind of [PlusIsMinusTensor, LogTensor]) classes.set(kind.name, kind);

/** The names of a class's methods, those that it inherits from other kinds too. */
function methodsOf(kind) {
  const names = new Set();
  for (let prototype = kind.prototype; prototype !== TensorKind.prototype; prototype = Object.getPrototypeOf(prototype))
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype)))
      if (typeof value === 'function' && name !== 'constructor' && !name.startsWith('_')) names.add(name);
  return names;
}

/** An op as handleCall gets it: a function with the op's name. */
const callable = new Map();
function functionOf(op) {
  if (!callable.has(op.name))
    callable.set(
      op.name,
      Object.defineProperty((...args) => invoke(op, undefined, args), 'name', { value: op.name }),
    );
  return callable.get(op.name);
}

function runMethod(instance, kind, op, args) {
  const answer =
    typeof instance[op.name] === 'function' && op.name !== 'keep'
      ? instance[op.name](...args)
      : instance.handleCall(functionOf(op), args);
  if (!op.isInPlace) return answer;
  if (answer === undefined || answer === args[0]) return undefined;
  throw bad(`${kind.name}.${op.name} is an op in place: its method changes ${op.params[0].name} and answers that, or nothing`);
}

export function registerKind(kind) {
  if (typeof kind !== 'function' || !(kind.prototype instanceof TensorKind))
    throw bad(`registerKind: a kind is a class that extends TensorKind, not ${describe(kind)}`);
  if (classes.get(kind.name) === kind) return kind;
  if (typeof kind.name !== 'string') throw bad(`registerKind: a kind's name is a string, not ${describe(kind.name)}`);
  if (!Number.isInteger(kind.rank))
    throw bad(`${kind.name}: a kind says where it stands, such as static rank = 400, from 300 to 999`);
  const methods = methodsOf(kind);
  const seesAll = methods.delete('handleCall');
  for (const name of methods)
    if (opNamed(name) === undefined) throw bad(`${kind.name}: there is no op ${name}; a method that is no op begins with _ or #`);
  const overridden = seesAll ? table : [...methods].map(opNamed);
  const instance = new kind();
  const number = addCallback(`a method of ${kind.name}`, (op, args) => runMethod(instance, kind, op, args));
  writeInput(kind.name);
  checkViews();
  overridden.forEach((op, i) => {
    i32[(at.ints >> 2) + 2 * i] = op.number;
    i32[(at.ints >> 2) + 2 * i + 1] = 0;
  });
  try {
    check(core._tt_wasm_kind_new(kind.rank, number, overridden.length));
  } catch (error) {
    removeCallback(number);
    throw error;
  }
  classes.set(kind.name, kind);
  return kind;
}

/** Classes by name, of all kinds that the core knows. */
export function knownKinds() {
  check(core._tt_wasm_kinds());
  const names = readText()
    .trimEnd()
    .split('\n')
    .map((line) => line.slice(line.indexOf(' ') + 1));
  return new Map(names.map((name) => [name, classes.get(name)]));
}

setKindNames((where, kind) => {
  if (typeof kind === 'string') return kind;
  if (typeof kind !== 'function' || !(kind.prototype instanceof TensorKind))
    throw bad(`${where}: the argument is a kind or the name of one, not ${describe(kind)}`);
  if (classes.get(kind.name) !== kind) throw bad(`${where}: ${kind.name} is not known yet: hook.registerKind(it) comes first`);
  return kind.name;
});
