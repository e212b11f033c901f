export const title = 'conv2d in Chromium, one thread, batch 16, filters of 3x3';

const SHAPES = [
  { image: [16, 3, 32, 32], nFilters: 16 },
  { image: [16, 16, 16, 16], nFilters: 32 },
];

export async function run(bench) {
  const contestants = await bench.workers(['tabtensor', 'tfjs', 'onnxruntime', 'jax', 'jax-eager'], { 'jax-eager': { isEager: true } });
  for (const { image, nFilters } of SHAPES) {
    const [nImages, nChannels, ...sides] = image;
    const name = `${nChannels}x${sides.join('x')} to ${nFilters}`;
    const inputs = [image, [nFilters, nChannels, 3, 3], [nFilters]];
    const gradient = [nImages, nFilters, ...sides];
    await bench.compare({ row: `${name}, forward`, contestants, task: { op: 'conv2d', inputs }, target: { times: 1.3 } });
    await bench.compare({
      row: `${name}, forward and backward`,
      contestants: contestants.filter((contestant) => contestant.name !== 'onnxruntime'),
      task: { op: 'conv2d_backward', inputs: [...inputs, gradient] },
      target: { times: 1.3 },
      tolerance: 1e-3,
    });
  }
}
