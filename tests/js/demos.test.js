// What the demo pages run, run here with virtual workers (parity S4, S18), against the lines that the page shows and against NumPy.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { analyse, COLUMNS, findSources, halfOf, numbersHeld, registerHalf, tryToGetRows } from '../../web/demos/boston.js';
import { EXPECTED, runLine, steps } from '../../web/demos/seed_example.js';
import { FloatTensor, numTensors, tidy, TorchHook, VirtualWorker, WebSocketWorker } from '../../web/tabtensor.js';
import { maxDistance, numpyReference, tableFile, TOLERANCE } from './boston_numpy.js';

const AsyncFunction = (async () => {}).constructor;
const hook = new TorchHook({ localWorker: new VirtualWorker({ id: 'me', isLocal: true }) });
const me = hook.localWorker;

describe("the seed's example", () => {
  test('S4, S18: step by step', async () => {
    const scope = { hook };
    const printed = [];
    for (const line of steps('virtual')) {
      const text = await runLine(line, scope);
      if (text !== undefined) printed.push(text);
    }
    assert.match(printed[0], /^\[torch\.FloatTensor - Locations:\[<VirtualWorker virtual-bob>\] - id:\d+\]$/);
    assert.equal(printed[1], EXPECTED);
    for (const name of ['x', 'x2', 'y']) scope[name].dispose();
    await scope.bob.close();
  });

  test('the lines that are shown are a program that prints the same', async () => {
    const printed = [];
    const globals = { hook, FloatTensor, VirtualWorker, WebSocketWorker, print: (value) => printed.push(String(value)) };
    const program = new AsyncFunction(...Object.keys(globals), `${steps('virtual').map(({ code }) => code).join('\n')}\nawait bob.close();`);
    await tidy(() => program(...Object.values(globals))); // the lines free nothing
    assert.match(printed[0], /Locations:\[<VirtualWorker virtual-bob>\]/);
    assert.equal(printed[1], EXPECTED);
  });

  test('only the first line differs between the ways', () => {
    const lines = (way) => steps(way, { id: '2', url: 'ws://localhost:8181' }).map(({ code }) => code);
    for (const way of ['native', 'virtual']) {
      assert.notEqual(lines(way)[0], lines('relay')[0]);
      assert.deepEqual(lines(way).slice(1), lines('relay').slice(1));
    }
  });
});

describe('Boston housing', () => {
  const table = JSON.parse(readFileSync(tableFile, 'utf8'));

  test('the halves are all rows, each once, and a fifth is held out', () => {
    assert.deepEqual(table.columns, COLUMNS);
    const halves = ['a', 'b'].map((half) => halfOf(table, half));
    const rows = halves.flatMap(({ fit, heldOut }) => [fit, heldOut].flatMap((part) => part.rows.map((row, i) => [...row, ...part.targets[i]])));
    const sorted = (list) => list.map((row) => row.join()).sort();
    assert.deepEqual(sorted(rows), sorted(table.rows));
    assert.equal(halves[0].fit.rows.length + halves[1].fit.rows.length, 404);
  });

  for (const dtype of ['float64', 'float32']) {
    test(`agrees with NumPy on the pooled data in ${dtype}, and leaves nothing behind`, async () => {
      const holders = [];
      for (const [id, half] of [['alice', 'a'], ['bob', 'b']]) {
        const holder = new VirtualWorker({ id });
        await registerHalf(holder, table, half, 'float64');
        holders.push(holder);
      }
      const sources = await findSources([...me.knownWorkers.values()]);
      assert.equal(sources.length, 2);
      assert.equal(numbersHeld(sources), 506 * 14);
      const nBefore = numTensors();
      const result = await analyse(sources, { dtype });
      assert.equal(numTensors(), nBefore);

      const expected = await numpyReference();
      assert.deepEqual([result.nFit, result.nHeldOut], [expected.nFit, expected.nHeldOut]);
      for (const name of ['mean', 'deviation', 'correlation', 'coefficients', 'coefficientsPerDeviation', 'intercept']) {
        const distance = maxDistance(result[name], expected[name]);
        assert.ok(distance <= TOLERANCE[dtype], `${name} is off by ${distance}`);
      }
      for (const name of ['mse', 'rmse', 'rmseOfMean']) {
        const distance = maxDistance(result.heldOut[name], expected[name]);
        assert.ok(distance <= TOLERANCE[dtype], `${name} is off by ${distance}`);
      }

      for (const { what, error } of await tryToGetRows(sources[0])) assert.equal(error?.code, 'policy', what);
      for (const holder of holders) {
        assert.equal((await holder.list()).length, 4);
        await holder.close();
      }
      assert.deepEqual(await me.list(), []);
    });
  }

  test('without data it says what to do', async () => {
    await assert.rejects(analyse([]), /open a tab that holds some/);
  });
});
