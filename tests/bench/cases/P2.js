export const title = 'float32 matmul in Chromium, two threads';

const ONE = 'tabtensor-one';
const TWO_THREADS = { nThreads: 2 };

export async function run(bench) {
  const contestants = await bench.workers(['tabtensor-two', ONE, 'onnxruntime-two'], { 'tabtensor-two': TWO_THREADS, 'onnxruntime-two': TWO_THREADS });
  for (const n of [512, 1024]) {
    await bench.compare({
      row: `${n}x${n}x${n}`,
      contestants,
      task: { op: 'matmul', inputs: [[n, n], [n, n]] },
      target: { times: 1.8, against: ONE },
      note: (us) => `${((2 * n ** 3) / us / 1e3).toFixed(1)} GFLOP/s`,
    });
  }
}
