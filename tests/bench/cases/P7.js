import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../bench.js';
import { modelOf } from '../page/models.js';
import { openProcess } from '../process.js';

export const title = 'training step natively, one thread';

const PYTHON = '/usr/bin/python3';
const ONE_THREAD = { OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' };

/** An OpenBLAS that is older than the processor takes its slowest kernels, so it is told which ones the processor can run. */
function coreType() {
  const { OPENBLAS_CORETYPE: given } = process.env;
  const flags = readFileSync('/proc/cpuinfo', 'utf8').match(/^flags.*$/m)?.[0].split(' ') ?? [];
  const known = flags.includes('avx512vl') ? 'SkylakeX' : flags.includes('avx2') ? 'Haswell' : undefined;
  return given ?? known;
}

/** Writes what native/training.c reads; answers the rest of its line. */
function writeModel(name) {
  const { parameters, input, labels } = modelOf(name);
  const path = join(root, 'build', `bench-${name}.bin`);
  const bytes = (values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  mkdirSync(join(root, 'build'), { recursive: true });
  writeFileSync(path, Buffer.concat([...parameters, input].map(({ values }) => bytes(values)).concat(bytes(BigInt64Array.from(labels.values, BigInt)))));
  return `${name} ${path} ${input.shape.join(' ')}`;
}

export async function run(bench) {
  const core = coreType();
  const env = core === undefined ? ONE_THREAD : { ...ONE_THREAD, OPENBLAS_CORETYPE: core };
  const version = execFileSync(PYTHON, ['-c', 'import torch; print("PyTorch", torch.__version__)'], { encoding: 'utf8' }).trim();
  bench.versions.torch = `${version}, OpenBLAS for ${core ?? 'what it finds'}`;
  const contestants = [
    openProcess('tabtensor', join(root, 'build/release/bench_training'), []),
    openProcess('torch', PYTHON, [join(root, 'tests/bench/native/torch_training.py')], env),
  ];
  for (const { close } of contestants) bench.atEnd(close);
  for (const [row, model] of [
    ['MLP 784-128-10, batch 64', 'mlp'],
    ['LeNet 28x28, batch 32', 'lenet'],
  ])
    await bench.compare({ row, contestants, task: writeModel(model), target: { atMostTimes: 1 }, unit: 'ms', n: 50, tolerance: 1e-3 });
}
