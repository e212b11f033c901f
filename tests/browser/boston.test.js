// Three tabs: two hold half of the Boston housing data each, the third computes with all of it and gets no row.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { maxDistance, numpyReference, TOLERANCE } from '../js/boston_numpy.js';
import { openHouse } from './tabs.js';

const openThree = async (house, dtype) => {
  const carol = await house.tab('boston.html?id=carol');
  await carol.connected();
  const holders = [];
  for (const link of ['#open-a', '#open-b']) {
    const holder = await house.tabFrom(carol.find(link));
    await holder.connected();
    await holder.find('#store tbody tr').nth(3).waitFor();
    // What the page makes on its way to the four objects is not counted.
    await holder.text('#n-arrived', /^4$/);
    assert.equal(await holder.find('#n-removed').innerText(), '0');
    assert.equal(await holder.find('#log > li').count(), 4);
    holders.push(holder);
  }
  if (dtype) await carol.find('#dtype').selectOption(dtype);
  await carol.find('#peers [data-id="alice"]').waitFor();
  await carol.find('#peers [data-id="bob"]').waitFor();
  await carol.text('#run-hint', 'Search first');
  await carol.press('Search for #boston');
  await carol.find('#found tbody tr').nth(1).waitFor();
  assert.equal(await carol.find('#run-hint').isVisible(), false);
  return { carol, holders };
};

describe('Boston housing in three tabs', { timeout: 180_000 }, () => {
  for (const dtype of ['float64', 'float32']) {
    test(`the numbers on the page agree with NumPy's on the pooled data: ${dtype}`, async (t) => {
      const house = await openHouse(t);
      const { carol, holders } = await openThree(house, dtype);
      const found = await carol.find('#found tbody tr').evaluateAll((list) => list.map((row) => [...row.cells].map((cell) => cell.textContent)));
      assert.deepEqual(found, [
        ['alice', '202', '51', '13 and the target', 'float64', 'compute'],
        ['bob', '202', '51', '13 and the target', 'float64', 'compute'],
      ]);

      await carol.press('Run');
      await carol.find('#results').waitFor();
      const expected = await numpyReference();
      const columns = await carol.find('#fit tbody tr').evaluateAll((list) => list.map((row) => [...row.querySelectorAll('data')].map((item) => Number(item.value))));
      const features = columns.slice(0, -1);
      const shown = {
        mean: columns.map(([mean]) => mean),
        deviation: columns.map(([, deviation]) => deviation),
        coefficientsPerDeviation: features.map(([, , perDeviation]) => perDeviation),
        coefficients: features.map(([, , , coefficient]) => coefficient),
        correlation: await carol.numbers('#correlation tbody'),
        intercept: await carol.numbers('[data-figure="intercept"]'),
        mse: await carol.numbers('[data-figure="mse"]'),
        rmse: await carol.numbers('[data-figure="rmse"]'),
      };
      for (const [name, values] of Object.entries(shown)) {
        const distance = maxDistance(values, expected[name]);
        assert.ok(distance <= TOLERANCE[dtype], `${name} is off by ${distance}`);
      }

      // Sums came, 480 numbers, and what moved in all is less than a third of the data.
      const bytesHeld = 506 * 14 * (dtype === 'float64' ? 8 : 4);
      assert.deepEqual(await carol.numbers('[data-measure="data"]'), [bytesHeld]);
      const [moved] = await carol.numbers('[data-measure="moved"]');
      assert.ok(moved > 480 * 8 && moved < bytesHeld / 3, `${moved} bytes moved`);
      assert.deepEqual(await carol.numbers('[data-figure="got"]'), [480]);

      // The holders ran it, and what carol made there is gone again.
      for (const holder of holders) {
        assert.ok(Number(await holder.find('#n-commands').innerText()) > 10);
        await holder.text('#store-note', /^4 objects$/);
      }
    });
  }

  test('the rows are refused, plainly and in disguise', async (t) => {
    const house = await openHouse(t);
    const { carol } = await openThree(house);
    await carol.press('Try to get the rows');
    await carol.find('.refusal').nth(2).waitFor();
    const refusals = await carol.find('.refusal').evaluateAll((list) => list.map((item) => ({ code: item.dataset.code, text: item.textContent })));
    assert.equal(refusals.length, 3);
    for (const { code, text } of refusals) {
      assert.equal(code, 'policy', text);
      assert.match(text, /alice keeps object \d+ \(policy compute\)/);
    }
  });

  test('a holder leaves: the page says so, and the rest is still there to compute with', async (t) => {
    const house = await openHouse(t);
    const { carol, holders } = await openThree(house);
    await holders[1].close();
    assert.equal(await carol.text('#found-note', 'left'), 'bob left, with the data');
    assert.equal(await carol.find('#found tbody tr').count(), 1);
    await carol.press('Run');
    await carol.find('#results').waitFor();
    assert.equal((await carol.numbers('[data-figure="mse"]')).length, 1);
    await holders[0].close();
    await carol.text('#found-note', 'alice left');
    assert.equal(await carol.page.getByRole('button', { name: 'Run', exact: true }).isDisabled(), true);
  });

  test('nobody has data: the page says what to do', async (t) => {
    const house = await openHouse(t);
    const carol = await house.tab('boston.html?id=carol');
    await carol.connected();
    await carol.press('Search for #boston');
    await carol.text('#found-note', 'Nobody else is here: open the two tabs first.');
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    await carol.find('#peers [data-id="bob"]').waitFor();
    await carol.press('Search for #boston');
    await carol.text('#found-note', 'Nobody here has any.');
    // The same tab takes both halves by its own buttons, and lets everything go again.
    await bob.find('#dtype').selectOption('float32');
    await bob.press('Load half A');
    await bob.text('#store-note', /^4 objects$/);
    assert.deepEqual(await bob.find('#store tbody tr td:nth-child(3)').allInnerTexts(), Array(4).fill('float32'));
    assert.deepEqual(await bob.find('#store tbody tr td:nth-child(5)').allInnerTexts(), Array(4).fill('compute'));
    await bob.press('Free everything');
    await bob.find('#store-empty').waitFor();
    await bob.text('#n-removed', /^4$/);
    await carol.press('Search for #boston');
    await carol.text('#found-note', 'Nobody here has any.');
  });
});
