import { existsSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { PEERS, root, versionOf } from '../bench.js';
import { onnxModel } from '../page/onnx.js';
import { serveFolder } from '../server.js';

export const title = 'what a page loads (gzip), and the time from import to the first result';

const SUM = [2, 4, 6];
const [X, Y] = ['x', 'y'].map((name) => ({ name, shape: [3] }));

/** What a page does to add [1, 2, 3] to itself; answers the sums. These run in the page. */
const LIBRARIES = {
  tabtensor: async () => {
    const { tensor } = await import('/web/core/tabtensor.js');
    const x = tensor([1, 2, 3]);
    return x.add(x).data();
  },
  tfjs: async ({ peers }) => {
    await import(`${peers}/@tensorflow/tfjs/dist/tf.min.js`);
    await import(`${peers}/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js`);
    const { tf } = globalThis;
    tf.wasm.setWasmPaths(`${peers}/@tensorflow/tfjs-backend-wasm/dist/`);
    tf.wasm.setThreadsCount(1);
    await tf.setBackend('wasm');
    const x = tf.tensor([1, 2, 3]);
    return tf.add(x, x).data();
  },
  onnxruntime: async ({ peers, model }) => {
    const ort = await import(`${peers}/onnxruntime-web/dist/ort.wasm.min.mjs`);
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = `${location.origin}${peers}/onnxruntime-web/dist/`;
    const session = await ort.InferenceSession.create(Uint8Array.from(model), { executionProviders: ['wasm'] });
    const { y } = await session.run({ x: new ort.Tensor('float32', Float32Array.of(1, 2, 3), [3]) });
    return y.data;
  },
  jax: async ({ peers }) => {
    const { numpy } = await import(`${peers}/@jax-js/jax/dist/index.js`);
    const x = numpy.array([1, 2, 3]);
    return x.ref.add(x).data();
  },
};

const MODEL = [...onnxModel({ nodes: [{ op: 'Add', inputs: ['x', 'x'], output: 'y' }], inputs: [X], outputs: [Y] })];
const GIVEN = { peers: PEERS, model: MODEL };

/** Loads a page in an empty profile and has it do that: { ms, files } with the files that were asked for. */
async function load(bench, start, isIsolated) {
  const files = new Set();
  const server = await serveFolder(root, { isIsolated, onRequest: (path) => files.add(path) });
  const context = await (await bench.browser()).newContext();
  try {
    const page = await context.newPage();
    await page.goto(`${server.origin}/tests/bench/page/blank.html`);
    files.clear();
    const { ms, result } = await page.evaluate(`(async () => {
      const start = ${start};
      const begins = performance.now();
      const result = await start(${JSON.stringify(GIVEN)});
      return { ms: performance.now() - begins, result: [...result] };
    })()`);
    if (String(result) !== String(SUM)) throw new Error(`not ${SUM}: ${result}`);
    return { ms, files };
  } finally {
    await context.close();
    await server.close();
  }
}

const gzipKilobytes = (files) => files.reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0) / 1000;

/** A load takes a second where the library is large. */
const MAX_ROUNDS = 7;

/** The parts of the core that are loaded when they are first called. */
const laterFiles = (files) =>
  files.flatMap((file) => ['_more', '_later'].map((part) => file.replace(/\.wasm$/, `${part}.wasm`))).filter((file) => !files.includes(file) && existsSync(file));

export async function run(bench) {
  bench.versions.tfjs = `tfjs ${versionOf('@tensorflow/tfjs')}`;
  for (const isIsolated of [true, false]) {
    const times = {};
    const sizes = {};
    const problems = {};
    let loaded;
    for (let round = 0; round < Math.min(bench.settings.rounds, MAX_ROUNDS); round++) {
      // What the others need is the same on a plain page.
      for (const [name, start] of Object.entries(LIBRARIES)) {
        if (name in problems || (!isIsolated && name !== 'tabtensor')) continue;
        try {
          const { ms, files } = await load(bench, start, isIsolated);
          (times[name] ??= []).push(ms);
          sizes[name] ??= [gzipKilobytes([...files])];
          if (name === 'tabtensor') loaded = [...files];
        } catch (error) {
          problems[name] = error.message.split('\n')[0];
          delete times[name];
        }
      }
    }
    const note = () => `${loaded.length} files; the parts that are loaded when first called: ${Math.round(gzipKilobytes(laterFiles(loaded)))} kB more`;
    const page = isIsolated ? 'isolated page' : 'plain page';
    bench.record({ row: `size, ${page}`, unit: 'kB', isRate: false, samples: sizes, problems, target: { atMost: 150 }, note });
    bench.record({ row: `start, ${page}`, unit: 'ms', samples: times, problems, target: { atMost: 40 } });
  }
}
