// The numbers that every contestant computes with, and what is kept of a result to compare it.

/** Uniform numbers in [-1, 1), the same for the same seed in every contestant. */
export function uniform(n, seed) {
  const values = new Float32Array(n);
  let state = seed;
  for (let i = 0; i < n; i++) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    values[i] = ((mixed ^ (mixed >>> 14)) >>> 0) / 2147483648 - 1;
  }
  return values;
}

export const product = (shape) => shape.reduce((n, size) => n * size, 1);

/** The inputs of a task, { shape, values } each: uniform numbers, a seed for each place. */
export const inputsOf = (task) => task.inputs.map((shape, i) => ({ shape, values: uniform(product(shape), 1 + i) }));

const N_KEPT = 256;

/** Some of a result's values, evenly spaced, and two numbers in which all of them are. */
export function fingerprint(values) {
  let sum = 0;
  let squares = 0;
  for (const value of values) {
    sum += value;
    squares += value * value;
  }
  const step = Math.max(1, Math.floor(values.length / N_KEPT));
  const kept = Array.from({ length: Math.min(N_KEPT, values.length) }, (_, i) => values[i * step]);
  return { length: values.length, mean: sum / values.length, rms: Math.sqrt(squares / values.length), kept };
}

const isNear = (a, b, tolerance) => Math.abs(a - b) <= tolerance * (1 + Math.abs(b));

/** What is different between two fingerprints, as a sentence; undefined when nothing is. */
export function difference(a, b, tolerance) {
  if (a.length !== b.length) return `${a.length} values instead of ${b.length}`;
  for (const name of ['mean', 'rms']) if (!isNear(a[name], b[name], tolerance)) return `the ${name} is ${a[name]} instead of ${b[name]}`;
  const i = a.kept.findIndex((value, place) => !isNear(value, b.kept[place], tolerance));
  return i < 0 ? undefined : `value ${i} of those kept is ${a.kept[i]} instead of ${b.kept[i]}`;
}
