export const title = 'training step in Chromium, one thread';

const N_STEPS = 10;

export async function run(bench) {
  const [ours, tfjs, jax] = await bench.workers(['tabtensor', 'tfjs', 'jax']);
  const compare = (row, model, contestants, times) =>
    bench.compare({ row, contestants, task: { op: 'training', model }, target: { times }, unit: 'ms', n: N_STEPS, tolerance: 1e-3 });
  await compare('MLP 784-128-10, batch 64, and tfjs', 'mlp', [ours, tfjs], 5);
  await compare('MLP 784-128-10, batch 64, and jax-js', 'mlp', [ours, jax], 1.2);
  await compare('LeNet 28x28, batch 32', 'lenet', [ours, tfjs, jax], 1.2);
}
