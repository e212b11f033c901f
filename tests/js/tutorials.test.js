// The tutorials with virtual workers (parity S2, S4, S10, S15 to S18), as run.js runs them; numbers against PyTorch's own training.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeModel, shuffledIndices, splitTable } from '../../web/demos/boston_training.js';
import { TUTORIALS, findTutorial, runTutorial } from '../../web/demos/tutorials.js';
import { TorchHook, VirtualWorker, numTensors } from '../../web/tabtensor.js';
import { assertClose, bostonTable, trainBoston, trainToy } from './torch_training.js';

const hook = new TorchHook({ localWorker: new VirtualWorker({ id: 'me', isLocal: true }) });

/** What a tutorial answers and prints; it leaves nothing behind, here or at the workers. */
async function runOne(name, settings = {}) {
  const tutorial = findTutorial(name);
  const workers = Object.fromEntries(tutorial.workers.map((id) => [id, new VirtualWorker({ hook, id })]));
  const lines = [];
  try {
    for (const worker of Object.values(workers)) await tutorial.prepare?.(worker);
    const counts = () => Promise.all(Object.values(workers).map(async (worker) => (await worker.whoami()).objects));
    const before = [numTensors(), await counts()];
    const result = await runTutorial(tutorial, { hook, workers, print: (line) => lines.push(line), ...settings });
    assert.deepEqual([numTensors(), await counts()], before);
    return { result, text: lines.join('\n') };
  } finally {
    for (const worker of Object.values(workers)) await worker.close();
  }
}

test('basic tools: S15 send, compute, get; S10 search; errors', async () => {
  const { result, text } = await runOne('basic');
  assert.deepEqual(result, { y: [2, 8, 18, 32, 50], x: [1, 2, 3, 4, 5], errors: ['location', 'shape', 'index'], nTaken: 1 });
  assert.match(text, /^at bob: +\[torch\.FloatTensor - Locations:\[<VirtualWorker bob>\] - id:\d+\]$/m);
  assert.match(text, /^got: +tensor\(\[ 2\., {2}8\., 18\., 32\., 50\.\]\)$/m);
  assert.match(text, /^found: +5 one to five: sum 15$/m);
});

test('a toy federated model: S17 the loss falls at every step, as in PyTorch, and as it does here bit for bit', async () => {
  for (const seed of [1, 2, 3]) {
    const { result, text } = await runOne('toy', { seed });
    const { initial, losses, weights, isSame } = result;
    assert.equal(losses.length, 10);
    assert.ok(losses.every((loss, i) => i === 0 || loss < losses[i - 1]), String(losses));
    const expected = trainToy(initial);
    assertClose(losses, expected.losses, 1e-4, 1e-7);
    assertClose(weights, expected.weights, 1e-4, 1e-6);
    assert.equal(isSame, true);
    assert.match(text, /bit for bit: yes$/);
  }
});

test('advanced tools: S16 a pointer to a pointer to a pointer and back; move; copies; S2 a kind of one\'s own', async () => {
  const { result } = await runOne('advanced');
  assert.deepEqual(result.chain, { held: [1, 1, 1], places: ['james', 'alice', 'bob'], values: [1, 2, 3] });
  assert.equal(result.bytesThroughUs, 0);
  assert.deepEqual(result.both, [[1, 2, 3], [10, 20, 30]]);
  assert.deepEqual(result.sum, [13, 24, 35]);
  assert.match(result.kind.chain, /^FloatTensor > _ContraryTensor > _PointerTensor\(bob, \d+\)$/);
  assert.deepEqual([result.kind.added, result.kind.multiplied], [[0, 0, 0], [1, 4, 9]]);
  assert.deepEqual(result.left, [0, 0, 0]);
});

test('a trusted aggregator: only the mean comes back; rows and single models are refused; as in PyTorch', async () => {
  const { result } = await runOne('aggregator');
  assert.deepEqual(result.refusals.map(({ what, code }) => [what, code]), [
    ["bob's rows", 'policy'],
    ["bob's rows, times one", 'policy'],
    ["bob's model, at james", 'policy'],
    ["alice's model, at james", 'policy'],
  ]);
  // In every round two weights and a bias, and a loss from each of two owners: 5 float32 numbers.
  assert.equal(result.bytesIn, 10 * 5 * 4);
  const expected = trainToy(result.initial, { averaged: true });
  assertClose(result.losses, expected.losses, 1e-4, 1e-7);
  assertClose(result.weights, expected.weights, 1e-4, 1e-6);
  assert.ok(result.losses.at(-1) < result.losses[0] / 10);
});

describe('Boston housing', () => {
  const table = bostonTable();

  test('the shuffle takes every row once; the training inputs have mean 0 and deviation 1, but for the river', () => {
    assert.deepEqual(shuffledIndices(506).sort((a, b) => a - b), Array.from({ length: 506 }, (_, i) => i));
    const { training, test: held } = splitTable(table);
    assert.deepEqual([training.inputs.length, training.prices.length, held.inputs.length, held.prices.length], [404, 404, 102, 102]);
    for (let column = 0; column < 13; column++) {
      const values = training.inputs.map((row) => row[column]);
      if (column === 3) {
        assert.deepEqual([...new Set(values)].sort(), [0, 1]);
        continue;
      }
      const mean = values.reduce((sum, value) => sum + value) / 404;
      const variance = values.reduce((sum, value) => sum + value * value, 0) / 404;
      assert.ok(Math.abs(mean) < 1e-9 && Math.abs(variance - 1) < 1e-9, `column ${column}: ${mean}, ${variance}`);
    }
    const model = makeModel();
    assert.deepEqual(model.parameters().map(({ shape }) => shape), [[32, 13], [32], [24, 32], [24], [1, 24], [1]]);
    model.dispose();
  });

  test("S17 from PyTorch's weights the loss follows PyTorch's at every batch", async () => {
    const expected = trainBoston();
    const moved = await runOne('boston', { table, initial: expected.initial });
    assert.equal(moved.result.nBatches, 51);
    assert.equal(moved.result.losses.length, 510);
    assertClose(moved.result.losses, expected.losses, 1e-4);
    assertClose([moved.result.testMse], [expected.testMse], 1e-4);
    assert.match(moved.text, /^test MSE \d+\.\d\d on 102 rows; .* s\n\(the original reached 20\.78, on another split\)$/m);
    assert.ok(moved.result.testMse < 20.78);
  });

  test('bit for bit the same whether the parameters come back, go on to the next worker, or stay here', async () => {
    const settings = { table, nEpochs: 2 };
    const { result: goesOn } = await runOne('boston', settings);
    const { result: comesBack } = await runOne('boston', { ...settings, comesBack: true });
    const tutorial = findTutorial('boston');
    const here = await runTutorial(tutorial, { hook, workers: { bob: null, alice: null }, print: () => {}, ...settings });
    for (const other of [comesBack, here]) assert.deepEqual([other.losses, other.weights, other.testMse], [goesOn.losses, goesOn.weights, goesOn.testMse]);
  });
});

test('Boston housing: a worker that leaves between two batches is told of once', async () => {
  const bob = new VirtualWorker({ hook, id: 'bob' });
  const alice = new VirtualWorker({ hook, id: 'alice' });
  const leavesAtFirstBatch = (line) => line.includes('epoch  1') && queueMicrotask(() => bob.close());
  // The loss of that batch and the parameters on their way back fail both; a rejection that nobody handles fails the test.
  const training = runTutorial(findTutorial('boston'), { hook, workers: { bob, alice }, print: leavesAtFirstBatch, table: bostonTable(), nEpochs: 2, comesBack: true });
  await assert.rejects(training, /bob: has left/);
  await alice.close();
});

test('what fails is told, and what was made is freed', async () => {
  const bob = new VirtualWorker({ hook, id: 'bob' });
  const before = numTensors();
  await assert.rejects(runTutorial(findTutorial('aggregator'), { hook, workers: { bob, alice: bob, james: bob }, print: () => {} }), /bob has nothing under #aggregator and #rows/);
  assert.equal(numTensors(), before);
  await bob.close();
  assert.throws(() => findTutorial('nobody'), /no example 'nobody'; there are basic, toy, advanced, aggregator, boston/);
});

describe('npm run example', () => {
  const run = (...args) => promisify(execFile)(process.execPath, [fileURLToPath(new URL('../../web/demos/run.js', import.meta.url)), ...args]);

  test('without a name it lists them; each has its file', async () => {
    const { stdout } = await run();
    for (const { name, title, file } of TUTORIALS) {
      assert.match(stdout, new RegExp(`^${name} +${title}: `, 'm'));
      assert.ok(existsSync(fileURLToPath(new URL(`../../web/demos/${file}`, import.meta.url))));
    }
  });

  test('with a name it runs one, and ends', async () => {
    for (const { name } of TUTORIALS.filter((tutorial) => tutorial.name !== 'boston')) {
      const { stdout, stderr } = await run(name);
      assert.notEqual(stdout, '');
      assert.equal(stderr, '');
    }
  });

  test('with a name that there is not, it says what there is, and fails', async () => {
    await assert.rejects(run('nobody'), (error) => error.code === 1 && /there are basic/.test(error.stderr));
  });
});
