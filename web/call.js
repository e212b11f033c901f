/**
 * Calls: from the op table to the core. The table is the core's own (ops.def); nothing here knows an op by name.
 *
 * Arguments are positional in the order of the op's schema; a plain object behind them gives the rest by name: `x.sum(0, {
 * keepdim: true })`. A list of ints that stands last may be written without brackets: `x.view(2, 3)`. An integral number is an
 * int (as in Python `1` is), any other a float; a BigInt is an int.
 */
import {
  at,
  check,
  checkViews,
  constants,
  core,
  direct,
  dtypeNames,
  f64,
  i32,
  takeThrown,
  u32,
  u8,
  writeInt,
  writeInput,
} from './core.js';
import { TensorError } from './errors.js';
import { describe, isPlain, noDtype } from './options.js';
import { readTable } from './rows.js';

const { value: types, dtype: dtypeNumbers, limit } = constants;
const { OPERAND } = types;
const [ARGS, RESULTS, N_RESULTS, N_INTS, N_OPERANDS] = ['args', 'results', 'n_results', 'n_ints', 'n_operands'].map((name) => at[name] >> 2);

const callCore = direct('_tt_wasm_call');

/** The op table: one row an op. */
export const table = readTable('ops', { run: callCore, first: 1 });

let byName;
/** The op of that name; undefined: there is none. */
export function opNamed(name) {
  byName ??= new Map(table.map((op) => [op.name, op]));
  return byName.get(name);
}

let handleOf;
/**
 * tensor.js tells how to get from a value to a tensor's handle: undefined when it is none; throws when it is disposed of, naming
 * the op.
 */
export function setHandleOf(find) {
  handleOf = find;
}

function fail(op, message, code = 'argument') {
  throw new TensorError(`${op.name}: ${message}; its arguments are ${op.schema}`, { code, op: op.name });
}

// What a call has written to the shared lists so far.
let nInts = 0;
let nOperands = 0;
let texts = [];

function writeBigInt(word, value) {
  const bits = BigInt.asUintN(64, value);
  u32[word] = Number(bits & 0xffffffffn);
  u32[word + 1] = Number(bits >> 32n);
}

/** An integral number is an int, unless a float is asked for. */
function writeNumber(slot, isFloat, value) {
  if (!isFloat && Number.isSafeInteger(value) && !Object.is(value, -0)) {
    i32[slot] = types.INT;
    writeInt((slot + 2) << 2, value);
  } else {
    i32[slot] = types.FLOAT;
    f64[(slot + 2) >> 1] = value;
  }
}

function writeList(op, slot, param, list) {
  if (param.type === 'Tensor[]') {
    if (nOperands + list.length > limit.listItems) fail(op, `more than ${limit.listItems} tensors`);
    i32[slot] = types.OPERANDS;
    i32[slot + 1] = list.length;
    u32[slot + 2] = at.operands + 4 * nOperands;
    for (const item of list) {
      const handle = handleOf(item, op.name);
      if (handle === undefined) fail(op, `${param.name} is a list of tensors, but there is ${describe(item)} in it`);
      u32[(at.operands >> 2) + nOperands++] = handle;
    }
    return;
  }
  if (param.type !== 'int[]') fail(op, `${param.name} is ${param.type}, but an array was given`);
  if (nInts + list.length > limit.listItems) fail(op, `more than ${limit.listItems} ints`);
  i32[slot] = types.INTS;
  i32[slot + 1] = list.length;
  u32[slot + 2] = at.ints + 8 * nInts;
  for (const item of list) {
    const address = at.ints + 8 * nInts++;
    if (typeof item === 'bigint') writeBigInt(address >> 2, item);
    else if (Number.isSafeInteger(item)) writeInt(address, item);
    else fail(op, `${param.name} is a list of ints, but there is ${describe(item)} in it`);
  }
}

function writeArgument(op, i, param, value) {
  const slot = (at.args >> 2) + 4 * i;
  if (typeof value === 'object' && value !== null) {
    const handle = handleOf(value, op.name);
    if (handle !== undefined) {
      i32[slot] = types.OPERAND;
      u32[slot + 2] = handle;
    } else if (Array.isArray(value) || ArrayBuffer.isView(value)) {
      writeList(op, slot, param, value);
    } else {
      fail(op, `${param.name} is ${param.type}, but ${describe(value)} was given`);
    }
  } else if (typeof value === 'number') {
    writeNumber(slot, param.type === 'float', value);
  } else if (typeof value === 'boolean') {
    i32[slot] = types.BOOL;
    i32[slot + 2] = value ? 1 : 0;
  } else if (value === undefined || value === null) {
    i32[slot] = types.NONE;
  } else if (typeof value === 'bigint') {
    if (value !== BigInt.asIntN(64, value)) fail(op, `${param.name}: ${value} does not fit in 64 bits`);
    i32[slot] = types.INT;
    writeBigInt(slot + 2, value);
  } else if (typeof value === 'string' && param.type === 'ScalarType') {
    const number = dtypeNumbers[value];
    if (number === undefined) fail(op, noDtype(value, Object.keys(dtypeNumbers)), 'dtype');
    i32[slot] = types.DTYPE;
    i32[slot + 2] = number;
  } else if (typeof value === 'string') {
    i32[slot] = types.STRING;
    texts.push([slot, value]);
  } else if (param.type === 'ScalarType') {
    fail(op, noDtype(value, Object.keys(dtypeNumbers)), 'dtype');
  } else {
    fail(op, `${param.name} is ${param.type}, but ${describe(value)} was given`);
  }
}

/** Strings go last: making room for them may move the memory. */
function writeTexts() {
  const encoded = texts.map(([, value]) => value);
  const offsets = writeInput(...encoded);
  const begins = core._tt_wasm_input(0) >>> 0;
  texts.forEach(([slot, value], k) => {
    const n = (k + 1 < offsets.length ? offsets[k + 1] - 1 : offsets[k] + new TextEncoder().encode(value).length) - offsets[k];
    i32[slot + 1] = n;
    u32[slot + 2] = begins + offsets[k];
  });
}

/** A parameter that was left out before one that was given. */
function writeDefault(op, i, param) {
  if (param.has_default) writeArgument(op, i, param, param.default);
  else if (param.optional) writeArgument(op, i, param, null);
  else fail(op, `${param.name} is missing`);
}

/** undefined stands for the default, where there is one. Positions are the core's: the first tensor's is 0. */
function writePositional(op, i, value) {
  const param = op.params[i];
  if (value !== undefined) writeArgument(op, i, param, value);
  else if (param.has_default || param.optional) writeDefault(op, i, param);
  else fail(op, `the argument '${param.name}' (position ${i}) is undefined`);
}

function writeNamed(op, nGiven, options) {
  let nArgs = nGiven;
  for (const name of Object.keys(options)) {
    const i = op.index.get(name);
    if (i === undefined) fail(op, `there is no argument ${name}`);
    if (i < nGiven) fail(op, `${name} is given twice`);
    if (options[name] !== undefined) nArgs = Math.max(nArgs, i + 1);
  }
  for (let i = nGiven; i < nArgs; i++) {
    const param = op.params[i];
    const value = options[param.name];
    if (value === undefined) writeDefault(op, i, param);
    else writeArgument(op, i, param, value);
  }
  return nArgs;
}

/**
 * Writes `self` (undefined when it is not called as a method) and `args` into the scratch, as `op` takes them. Answers how many
 * arguments that are. Throws a TensorError.
 */
export function writeArguments(op, self, args) {
  const { nPositional, spread, params } = op.signature;
  checkViews();
  nInts = 0;
  nOperands = 0;
  if (texts.length > 0) texts = [];
  let nArgs = 0;
  if (self !== undefined) {
    const slot = at.args >> 2;
    i32[slot] = types.OPERAND;
    u32[slot + 2] = handleOf(self, op.name);
    nArgs = 1;
  }
  let nGiven = args.length;
  const options = nGiven > 0 && isPlain(args[nGiven - 1]) ? args[--nGiven] : undefined;
  for (let k = 0; k < nGiven; k++) {
    if (nArgs === spread && (typeof args[k] === 'number' || typeof args[k] === 'bigint')) {
      writeList(op, (at.args >> 2) + 4 * nArgs, params[nArgs], args.slice(k, nGiven));
      nArgs++;
      break;
    }
    if (nArgs >= nPositional)
      fail(
        op,
        nArgs < params.length
          ? `${describe(args[k])} is one argument too many; what follows is given by name`
          : `${describe(args[k])} is one argument too many`,
      );
    writePositional(op, nArgs, args[k]);
    nArgs++;
  }
  if (spread >= 0 && nArgs === spread && options === undefined && nGiven === 0 && self !== undefined) {
    // x.permute(), x.view(): no ints at all are an empty list.
    writeList(op, (at.args >> 2) + 4 * nArgs, params[nArgs], []);
    nArgs++;
  }
  if (options !== undefined) nArgs = writeNamed(op, nArgs, options);
  if (texts.length > 0) writeTexts();
  u32[at.n_ints >> 2] = nInts;
  u32[at.n_operands >> 2] = nOperands;
  return nArgs;
}

/**
 * The same for what most calls are: tensors and numbers that stand at their places. -1 for any other: nothing has been said of it
 * then.
 */
function writePlainArguments(op, self, args) {
  const { nPositional, spread, params } = op.signature;
  let i = self === undefined ? 0 : 1;
  const nArgs = i + args.length;
  if (nArgs > nPositional || spread >= 0) return -1;
  checkViews();
  let slot = ARGS;
  if (i === 1) {
    i32[slot] = OPERAND;
    u32[slot + 2] = handleOf(self, op.name);
    slot += 4;
  }
  for (let k = 0; i < nArgs; k++, i++, slot += 4) {
    const value = args[k];
    if (typeof value === 'number') {
      writeNumber(slot, params[i].type === 'float', value);
      continue;
    }
    const handle = handleOf(value, op.name);
    if (handle === undefined) return -1;
    i32[slot] = OPERAND;
    u32[slot + 2] = handle;
  }
  u32[N_INTS] = 0;
  u32[N_OPERANDS] = 0;
  return nArgs;
}

/** Puts tensors where a function of the core takes a list of them that is no op's argument. */
export function writeHandles(where, handles) {
  if (handles.length > limit.listItems)
    throw new TensorError(`${where}: ${handles.length} tensors are too many: a list holds at most ${limit.listItems}`, { code: 'argument', op: where });
  checkViews();
  handles.forEach((handle, i) => (u32[(at.operands >> 2) + i] = handle));
}

/**
 * Runs `op` with what writeArguments takes, at the worker whose handle is given. Answers how many results there are: their handles are
 * at resultAt(i). Throws a TensorError.
 */
export function call(worker, op, self, args) {
  let nArgs = writePlainArguments(op, self, args);
  if (nArgs < 0) nArgs = writeArguments(op, self, args);
  takeThrown();
  return endCall(op, op.run(worker, op.number, nArgs));
}

/** What the core answered to what was written for `op`: as call answers it. */
export function endCall(op, status) {
  if (status !== 0) throwFailure(op, status);
  checkViews();
  return u32[N_RESULTS];
}

function throwFailure(op, status) {
  check(status, { op: op.name, cause: takeThrown() });
}

export const resultAt = (i) => u32[RESULTS + i];

// ---- the other way: what the core gives a function of ours ----

function readBigInt(word) {
  const value = BigInt.asIntN(64, (BigInt(u32[word + 1]) << 32n) | BigInt(u32[word]));
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function readValue(slot, tensorOf) {
  checkViews();
  const type = i32[slot];
  const n = u32[slot + 1];
  const word = u32[slot + 2];
  if (type === types.OPERAND) return tensorOf(word);
  if (type === types.OPERANDS) return Array.from({ length: n }, (_, i) => tensorOf(u32[(word >> 2) + i]));
  if (type === types.BOOL) return u8[(slot + 2) << 2] !== 0;
  if (type === types.INT) return readBigInt(slot + 2);
  if (type === types.FLOAT) return f64[(slot + 2) >> 1];
  if (type === types.INTS) return Array.from({ length: n }, (_, i) => readBigInt((word >> 2) + 2 * i));
  if (type === types.DTYPE) return dtypeNames[i32[slot + 2]];
  if (type === types.STRING) return new TextDecoder().decode(u8.slice(word, word + n));
  return null;
}

/**
 * The arguments that the core has put into the scratch, as a function would be called with: those that are positional, and
 * behind them an object of those that are given by name, when `op` has such. `tensorOf(handle)` makes the tensors.
 */
export function readArguments(op, nArgs, tensorOf) {
  const values = Array.from({ length: nArgs }, (_, i) => readValue((at.args >> 2) + 4 * i, tensorOf));
  if (op === undefined || op.nPositional === op.params.length) return values;
  const named = op.params.slice(op.nPositional).map(({ name }, i) => [name, values[op.nPositional + i]]);
  return [...values.slice(0, op.nPositional), Object.fromEntries(named)];
}
