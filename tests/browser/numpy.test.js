// NumPy's names in a real page (parity S12): at the page's own worker, at another tab's, and in a file.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openHouse } from './tabs.js';

describe('np in two tabs', { timeout: 120_000 }, () => {
  test('S12: calls run where the arrays are, and files are written and read in the page', async (t) => {
    const house = await openHouse(t);
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    const me = await house.tab('worker.html?id=me');
    await me.connected();
    const seen = await me.page.evaluate(async () => {
      const { TorchHook, np } = await import('./core/tabtensor.js');
      const there = await new TorchHook().localWorker.waitFor('bob');
      const a = np.array([[1, 2, 3], [4, 5, 6]]);
      const means = await a.mean({ axis: 0 }).tolist();
      const remote = np.array([[1, 2, 3], [4, 5, 6]]).send(there);
      const sums = np.sum(remote, { axis: 1, keepdims: true });
      const isThere = sums.isPointer;
      const arrived = await (await sums.get()).tolist();
      const file = await np.savez_compressed({ a });
      const read = await np.load(file);
      return { means, isThere, arrived, dtype: a.dtype, magic: [...file.slice(0, 2)], again: await read.a.tolist() };
    });
    assert.deepEqual(seen, {
      means: [2.5, 3.5, 4.5],
      isThere: true,
      arrived: [[6], [15]],
      dtype: 'float64',
      magic: [0x50, 0x4b],
      again: [[1, 2, 3], [4, 5, 6]],
    });
  });
});
