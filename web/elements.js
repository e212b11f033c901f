/**
 * Elements: what JavaScript has for them (numbers, nested arrays, TypedArrays) and what the core has (a dtype, a shape, bytes).
 */
import { TensorError } from './errors.js';
import { describe } from './options.js';

export const arrays = {
  bool: Uint8Array,
  uint8: Uint8Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** An element of the core as a number, boolean or BigInt. */
export function toNumber(value, dtype) {
  if (dtype === 'bool') return value !== 0;
  if (typeof value !== 'bigint') return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

// ---- from JavaScript ----

const BOOLEANS = 1;
const NUMBERS = 2;
const BIGINTS = 4;

const dtypeOfArray = new Map([
  [Float32Array, 'float32'],
  [Float64Array, 'float64'],
  [Int8Array, 'int32'],
  [Int16Array, 'int32'],
  [Int32Array, 'int32'],
  [Uint8Array, 'uint8'],
  [Uint8ClampedArray, 'uint8'],
  [Uint16Array, 'int32'],
  [Uint32Array, 'int64'],
  [BigInt64Array, 'int64'],
  [BigUint64Array, 'int64'],
]);
const isTyped = (value) => ArrayBuffer.isView(value) && !(value instanceof DataView);

export function bad(message, code = 'argument') {
  return new TensorError(`tensor: ${message}`, { code, op: 'tensor' });
}

const items = (n) => (n === 1 ? '1 item' : `${n} items`);

/** Checks that nested arrays are of one shape, and notes what is in them. */
export function survey(data, isTensor) {
  const shape = [];
  for (let inner = data; Array.isArray(inner) || isTyped(inner); inner = inner[0]) {
    shape.push(inner.length);
    if (inner.length === 0) break;
  }
  const found = { shape, kinds: 0, dtypes: new Set() };
  const visit = (value, dim, path) => {
    if (dim < shape.length) {
      if (!Array.isArray(value) && !isTyped(value))
        throw bad(
          `the data is ragged: at [${path}] there is ${describe(value)}, where others have ${items(shape[dim])}`,
          'shape',
        );
      if (value.length !== shape[dim])
        throw bad(
          `the data is ragged: at [${path}] there ${value.length === 1 ? 'is' : 'are'} ${items(value.length)}, where others have ${shape[dim]}`,
          'shape',
        );
      if (isTyped(value)) {
        found.dtypes.add(dtypeOfArray.get(value.constructor));
        found.kinds |= typeof value[0] === 'bigint' ? BIGINTS : NUMBERS;
        return;
      }
      for (let i = 0; i < value.length; i++) visit(value[i], dim + 1, path === '' ? `${i}` : `${path}, ${i}`);
      return;
    }
    if (typeof value === 'number') found.kinds |= NUMBERS;
    else if (typeof value === 'boolean') found.kinds |= BOOLEANS;
    else if (typeof value === 'bigint') found.kinds |= BIGINTS;
    else if (Array.isArray(value) || isTyped(value))
      throw bad(
        `the data is ragged: at [${path}] there ${value.length === 1 ? 'is' : 'are'} ${items(value.length)}, where others have one number`,
        'shape',
      );
    else
      throw bad(
        `${path === '' ? 'the data' : `at [${path}] there`} is ${isTensor(value) ? 'a tensor (torch.stack takes those)' : describe(value)}, no number`,
      );
  };
  visit(data, 0, '');
  return found;
}

export function inferDtype({ kinds, dtypes }) {
  if (dtypes.size === 1) return [...dtypes][0];
  if (kinds === BOOLEANS) return 'bool';
  if (kinds === BIGINTS) return 'int64';
  if (kinds & BIGINTS) throw bad('the data mixes BigInts with other numbers; say which dtype is meant');
  return 'float32';
}

const ranges = { uint8: [0n, 255n], int32: [-(2n ** 31n), 2n ** 31n - 1n], int64: [-(2n ** 63n), 2n ** 63n - 1n] };

/** One element as its dtype's TypedArray takes it. */
function converter(dtype) {
  if (dtype === 'float32' || dtype === 'float64') return Number;
  // NaN is true, as in PyTorch.
  if (dtype === 'bool') return (value) => (value === 0 || value === 0n || value === false ? 0 : 1);
  const [least, most] = ranges[dtype];
  return (value) => {
    if (typeof value === 'number' && !Number.isFinite(value)) throw bad(`${value} is no ${dtype}`, 'dtype');
    const whole = typeof value === 'bigint' ? value : BigInt(Math.trunc(Number(value)));
    if (whole < least || whole > most) throw bad(`${value} does not fit in ${dtype}`, 'dtype');
    return dtype === 'int64' ? whole : Number(whole);
  };
}

export function fill(target, data, dtype) {
  if (isTyped(data) && data.constructor === target.constructor && dtype !== 'bool') {
    target.set(data);
    return;
  }
  const convert = converter(dtype);
  let position = 0;
  const visit = (value) => {
    if (Array.isArray(value) || isTyped(value)) for (const item of value) visit(item);
    else target[position++] = convert(value);
  };
  visit(data);
}
