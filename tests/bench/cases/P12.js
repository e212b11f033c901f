import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../bench.js';
import { fingerprint, uniform } from '../page/data.js';
import { openProcess } from '../process.js';
import { openTabs } from '../tabs.js';
import { startNative } from '../../js/native.js';
import { bostonTraining, splitTable } from '../../../web/demos/boston_training.js';
import { SocketWorker, TorchHook, VirtualWorker, tidy } from '../../../web/node.js';

export const title = "Boston training, 10 epochs of 51 batches, over two workers: PyTorch's alone beside it";

/** Weights to begin with, in PyTorch's ranges and in the order of a state_dict. */
function initialWeights() {
  const layers = [[0, 13, 32], [2, 32, 24], [4, 24, 1]];
  const rows = (values, n) => Array.from({ length: values.length / n }, (_, i) => [...values.subarray(i * n, (i + 1) * n)]);
  return Object.fromEntries(
    layers.flatMap(([number, nIn, nOut]) => {
      const drawn = (n, seed) => uniform(n, seed).map((value) => value / Math.sqrt(nIn));
      return [
        [`${number}.weight`, rows(drawn(nIn * nOut, 1 + number), nIn)],
        [`${number}.bias`, [...drawn(nOut, 2 + number)]],
      ];
    }),
  );
}

export async function run(bench) {
  const table = JSON.parse(readFileSync(join(root, 'web/core/boston.json'), 'utf8'));
  const initial = initialWeights();
  const names = Object.keys(initial);
  const path = join(root, 'build/bench-boston.json');
  mkdirSync(join(root, 'build'), { recursive: true });
  writeFileSync(path, JSON.stringify({ ...splitTable(table).training, initial }));
  const torch = openProcess('torch', '/usr/bin/python3', [join(root, 'tests/bench/native/torch_boston.py')], { OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' });
  bench.atEnd(torch.close);

  /** A contestant that trains by `train()`, which answers { seconds, weights }. */
  const ours = (train) => ({
    name: 'tabtensor',
    async prepare() {
      for (let i = 0; i < 3; i++) await train();
    },
    async sample() {
      const { seconds, weights } = await train();
      return { ms: seconds * 1e3, result: fingerprint(names.flatMap((name) => weights[name].flat(Infinity))) };
    },
  });
  const compare = (row, train, times) =>
    bench.compare({ row, contestants: [ours(train), torch], task: path, target: { atMostTimes: times }, unit: 'ms', n: 1, tolerance: 1e-3 });

  const hook = new TorchHook({ localWorker: new SocketWorker({ id: 'me' }) });
  bench.atEnd(() => hook.localWorker.close());
  const trainHere = (bob, alice) => () => tidy(() => bostonTraining({ bob, alice, print: () => {}, keep: (item) => item, table, initial }));

  const [virtualBob, virtualAlice] = ['virtual-bob', 'virtual-alice'].map((id) => new VirtualWorker({ id, hook }));
  await compare('virtual workers in Node', trainHere(virtualBob, virtualAlice), 0.7);

  const start = async (id, ...options) => {
    const worker = await startNative(['worker', '--id', id, '--listen', 'tcp://127.0.0.1:0', ...options], { binary: join(root, 'build/release/tabtensor') });
    bench.atEnd(() => worker.kill('SIGTERM'));
    return worker;
  };
  const bobs = await start('bob');
  const alices = await start('alice', '--connect', bobs.url);
  const [bob, alice] = [['bob', bobs], ['alice', alices]].map(([id, { url }]) => new SocketWorker({ hook, id, url, isPointer: true }));
  await Promise.all([bob.ready, alice.ready]);
  await compare('native workers over TCP, commanded from Node', trainHere(bob, alice), 1);

  // A tab for each worker; who commands them is in a Worker of the first one's, with a connection of its own.
  const tabs = await openTabs(bench, ['bob', 'alice']);
  await tabs.bob.page('open', { id: 'bob', url: tabs.url });
  await tabs.alice.page('open', { id: 'alice', url: tabs.url });
  await tabs.bob.worker('open', { id: 'me', url: tabs.url });
  await tabs.bob.worker('meet', { ids: ['bob', 'alice'] });
  await compare('two tabs over the relay', () => tabs.bob.worker('boston', { bob: 'bob', alice: 'alice', table, initial }), 1.5);
}
