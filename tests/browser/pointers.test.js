// Pointers in full between real tabs (parity S13, S15, S16): a tab that commands, and three that have.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openHouse } from './tabs.js';

const NAMES = ['bob', 'alice', 'james'];

/** Three tabs with a worker each, and a fourth whose page does what it is given, with their workers as arguments. */
async function gather(t) {
  const house = await openHouse(t);
  const tabs = {};
  for (const name of ['me', ...NAMES]) {
    tabs[name] = await house.tab(`worker.html?id=${name}`);
    await tabs[name].connected();
  }
  const given = await tabs.me.page.evaluateHandle(async (names) => {
    const tabtensor = await import('./core/tabtensor.js');
    const me = new tabtensor.TorchHook().localWorker;
    const workers = await Promise.all(names.map(async (name) => [name, await me.waitFor(name)]));
    return { ...tabtensor, me, ...Object.fromEntries(workers) };
  }, NAMES);
  /** Runs in the page of `me`, with the module and the workers as its argument: nothing of this file is known there. */
  const inPage = (body) => tabs.me.page.evaluate(body, given);
  /** Waits until a tab shows that its store is empty. */
  const isEmpty = (name) => tabs[name].find('#store-empty').waitFor();
  return { tabs, inPage, isEmpty };
}

describe('pointers between four tabs', { timeout: 180_000 }, () => {
  test('S16 pointer to pointer: bob, alice, james, and back by three gets; all stores are empty', async (t) => {
    const { tabs, inPage, isEmpty } = await gather(t);
    const there = await inPage(async ({ FloatTensor, bob, alice, james }) => {
      const x = FloatTensor([1, 2, 3]);
      globalThis.kept = x;
      x.send(bob).send(alice).send(james);
      await x.ready();
      return { location: x.location.id, id: x.idAtLocation, values: await x.array() };
    });
    assert.deepEqual([there.location, there.values], ['james', [1, 2, 3]]);
    for (const name of NAMES) await tabs[name].find('#store tbody tr').first().waitFor();
    const shown = await tabs.james.find('#store tbody tr').first().innerText();
    assert.ok(shown.includes(there.id), shown);

    const back = await inPage(async () => {
      const x = globalThis.kept;
      const places = [];
      for (let i = 0; i < 3; i++) places.push((await x.get()).location?.id ?? null);
      return { places, text: String(x) };
    });
    assert.deepEqual(back, { places: ['alice', 'bob', null], text: 'tensor([1., 2., 3.])' });
    for (const name of NAMES) await isEmpty(name);
  });

  test('S15, S16: ops run at the end of the chain; endGet; a failure there comes back', async (t) => {
    const { inPage, isEmpty } = await gather(t);
    const result = await inPage(async ({ tensor, tidy, bob, alice, james }) =>
      tidy(async (scope) => {
        const x = scope.track(tensor([1, 2, 3]));
        x.send(bob).send(alice).send(james);
        const y = x.add(x).mul(10);
        x.add_(1);
        const text = await x.text();
        const values = await y.array();
        await y.endGet();
        const far = scope.track(tensor([0, 9], { dtype: 'int64' })).send(bob).send(alice).send(james);
        const { code, worker } = await x.index_select(0, far).endGet().catch((error) => error);
        return { text, values, y: String(y), code, worker };
      }),
    );
    assert.deepEqual(result, {
      text: 'tensor([2., 3., 4.])',
      values: [20, 40, 60],
      y: 'tensor([20., 40., 60.])',
      code: 'index',
      worker: 'bob',
    });
    for (const name of NAMES) await isEmpty(name);
  });

  test('S13: bob gives to alice on my word, and the data does not pass through my tab', async (t) => {
    const { inPage, isEmpty } = await gather(t);
    const result = await inPage(async ({ torch, me, bob, alice }) => {
      const n = 300_000;
      const x = await torch.ones(n).send(bob).ready();
      const then = await me.counters();
      x.move(alice);
      const sum = x.sum();
      const total = await sum.item();
      await x.ready();
      const now = await me.counters();
      const location = x.location.id;
      await x.get();
      const length = x.numel();
      x.dispose();
      sum.dispose();
      return { total, location, length, bytes: [now.bytesIn - then.bytesIn, now.bytesOut - then.bytesOut] };
    });
    assert.deepEqual([result.total, result.location, result.length], [300_000, 'alice', 300_000]);
    for (const n of result.bytes) assert.ok(n < 10_000, `${n} bytes`);
    for (const name of NAMES) await isEmpty(name);
  });

  test('S16: copies in three tabs: an op on each, their sum and mean', async (t) => {
    const { inPage, isEmpty } = await gather(t);
    const result = await inPage(async ({ tensor, bob, alice, james }) => {
      const x = tensor([1, 2]).send(bob, alice, james);
      const y = x.mul(2);
      const [first, ...others] = y.children;
      first.add_(3);
      const sum = await y.sumGet();
      const mean = await x.meanGet();
      const answer = [await sum.array(), await mean.array()];
      for (const used of [first, ...others, sum, mean]) used.dispose();
      return answer;
    });
    assert.deepEqual(result, [
      [9, 15],
      [1, 2],
    ]);
    for (const name of NAMES) await isEmpty(name);
  });
});
