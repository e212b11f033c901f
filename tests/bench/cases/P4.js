export const title = 'one small op from JavaScript, the core in the same thread';

const inputs = [
  [10, 10],
  [10, 10],
];

export async function run(bench) {
  const [ours, ...peers] = await bench.workers(['tabtensor', 'tfjs', 'jax']);
  await bench.compare({ row: 'add 10x10 and dispose', contestants: [ours, ...peers], task: { op: 'add', inputs }, target: { atMost: 1 } });
  await bench.compare({ row: 'add 10x10 in a tidy', contestants: [ours], task: { op: 'add_in_tidy', inputs }, target: { atMost: 1 } });
}
