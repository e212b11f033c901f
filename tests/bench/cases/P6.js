export const title = 'training step in Chromium, one thread';

export async function run(bench) {
  const [ours, tfjs, jax, eager] = await bench.workers(['tabtensor', 'tfjs', 'jax', 'jax-eager'], { 'jax-eager': { isEager: true } });
  const compare = (row, model, contestants, times, n) =>
    bench.compare({ row, contestants, task: { op: 'training', model }, target: { times }, unit: 'ms', n, tolerance: 1e-3 });
  await compare('MLP 784-128-10, batch 64, and tfjs', 'mlp', [ours, tfjs], 5, 10);
  await compare('MLP 784-128-10, batch 64, and jax-js', 'mlp', [ours, jax], 1.2, 10);
  await compare('LeNet 28x28, batch 32', 'lenet', [ours, tfjs, jax, eager], 1.2, 4);
}
