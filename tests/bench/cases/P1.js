export const title = 'float32 matmul in Chromium, one thread';

const SQUARE = [64, 128, 256, 512, 1024].map((n) => [n, n, n]);
const OTHERS = [
  [64, 784, 128],
  [8, 13, 32],
];

export async function run(bench) {
  const contestants = await bench.workers(['tabtensor', 'tfjs', 'onnxruntime', 'jax']);
  const [bound] = await bench.workers(['bound']);
  for (const [m, k, n] of [...SQUARE, ...OTHERS]) {
    await bench.compare({
      row: `${m}x${k}x${n}`,
      contestants,
      task: { op: 'matmul', inputs: [[m, k], [k, n]] },
      target: { times: m < 512 ? 1.3 : 1.15 },
      bound,
      note: (us, share) => `${((2 * m * k * n) / us / 1e3).toFixed(1)} GFLOP/s, ${share?.toFixed(2)} of its multiplications and additions alone`,
    });
  }
}
