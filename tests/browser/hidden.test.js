// A tab that is truly hidden goes on answering: its worker is in a thread of its own, which timers' throttling does not hold up.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openHouse } from './tabs.js';

describe('a hidden tab', { timeout: 120_000 }, () => {
  test('answers, and its page keeps up', async (t) => {
    const house = await openHouse(t, { plain: true });
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    const me = await house.tab('two_tabs.html?id=me');
    await me.page.bringToFront();
    await me.text('#bob-state', 'bob is here');
    const visibility = (tab) => tab.page.evaluate(() => document.visibilityState);
    assert.equal(await visibility(me), 'visible');
    assert.equal(await visibility(bob), 'hidden');

    for (let run = 0; run < 10; run++) {
      await me.press('Run');
      assert.equal(await me.text('#result', 'tensor'), 'tensor([ 3.,  6.,  9., 12., 14.])');
      await me.press('Start over');
    }
    // Pages that are hidden may set a timer off once a second at most; ten round trips one after the other take less than ten of those.
    const took = await me.page.evaluate(async () => {
      const { tensor } = await import('./core/tabtensor.js');
      const x = tensor([1, 2, 3]).send('bob');
      const before = performance.now();
      for (let i = 0; i < 20; i++) await x.add(i).sum().item();
      return performance.now() - before;
    });
    assert.ok(took < 10_000, `20 round trips took ${took} ms`);
    assert.equal(await visibility(bob), 'hidden');
    await bob.text('#n-failed', /^0$/);
    await bob.find('#log > li', { hasText: 'add(' }).first().waitFor();
    assert.equal(await visibility(bob), 'hidden');
  });
});
