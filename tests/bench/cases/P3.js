export const title = 'elementwise, reductions and copies of 1M float32 elements in Chromium, one thread';

const MATRIX = [1000, 1000];
const ROW = [1000];
/** What memory bounds is to be as fast as the best, the rest faster. */
const TASKS = [
  ['add', 'add', [MATRIX, MATRIX], 1],
  ['mul', 'mul', [MATRIX, MATRIX], 1],
  ['sum', 'sum', [MATRIX], 1, 1e-3],
  ['transpose copy', 'transpose', [MATRIX], 1],
  ['add a row', 'add', [MATRIX, ROW], 1],
  ['exp', 'exp', [MATRIX], 1.2],
  ['sigmoid', 'sigmoid', [MATRIX], 1.2],
  ['softmax', 'softmax', [MATRIX], 1.2],
  ['layer_norm', 'layer_norm', [MATRIX, ROW, ROW], 1.2],
];

export async function run(bench) {
  const contestants = await bench.workers(['tabtensor', 'tfjs', 'onnxruntime', 'jax']);
  for (const [row, op, inputs, times, tolerance] of TASKS) await bench.compare({ row, contestants, task: { op, inputs }, target: { times }, tolerance });
}
