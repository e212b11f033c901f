// The tutorials in real tabs (parity S2, S5, S15 to S17): run by their buttons, and what the page says when somebody is missing or leaves.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { TUTORIALS } from '../../web/demos/tutorials.js';
import { root } from '../js/native.js';
import { openHouse } from './tabs.js';

const NAMES = ['bob', 'alice', 'james'];

/** The page, and a tab for each of these workers. */
async function openWith(house, names) {
  const me = await house.tab('tutorials.html?id=me');
  await me.connected();
  const others = {};
  for (const name of names) {
    others[name] = await house.tabFrom(me.find(`#open-${name}`));
    await others[name].connected();
  }
  for (const name of names) await me.find(`#peers [data-id="${name}"]`).waitFor();
  return { me, others };
}

/** Presses a tutorial's button and answers what it printed, once it is done. */
async function runOne(me, name, button = `[data-run="${name}"]`) {
  await me.find(`${button}:enabled`).click();
  await me.find(`#${name}[data-state="done"]`).and(me.find(':has([aria-busy="false"])')).waitFor();
  return me.find(`[data-output="${name}"] > li`).allInnerTexts();
}

describe('the tutorials', { timeout: 180_000 }, () => {
  test('S15, S16, S17, S2: four of them, each worker in a tab of its own', async (t) => {
    const house = await openHouse(t);
    const { me, others } = await openWith(house, NAMES);

    const basic = await runOne(me, 'basic');
    assert.match(basic.join('\n'), /^at bob: +\[torch\.FloatTensor - Locations:\[<WebSocketWorker bob>\] - id:\d+\]$/m);
    assert.match(basic.join('\n'), /^got: +tensor\(\[ 2\., {2}8\., 18\., 32\., 50\.\]\)$/m);
    assert.match(basic.at(-1), /^back: +tensor\(\[1\., 2\., 3\., 4\., 5\.\]\); bob has 1 object less, me has the data$/);

    const toy = await runOne(me, 'toy');
    const losses = toy.filter((line) => line.startsWith('step')).map((line) => Number(line.match(/loss (\S+)/)[1]));
    assert.equal(losses.length, 10);
    assert.ok(losses.every((loss, i) => i === 0 || loss < losses[i - 1]), String(losses));
    assert.match(toy.at(-1), /bit for bit: yes$/);

    const advanced = await runOne(me, 'advanced');
    assert.match(advanced[0], /<WebSocketWorker james>.*bob, alice and james hold 1, 1, 1$/);
    assert.deepEqual(advanced.slice(2, 6), ['get 1: x is at alice', 'get 2: x is at bob', 'get 3: x is here', 'x: tensor([1., 2., 3.])']);
    assert.match(advanced[7], /^moved: .*<WebSocketWorker alice>.*; 0 bytes of it came by here$/);
    assert.match(advanced.at(-2), /^z \+ z: \[0,0,0\]; z \* z, inherited: \[1,4,9\]$/);
    assert.match(advanced.at(-1), /hold 0, 0, 0: everything is back$/);

    const aggregator = await runOne(me, 'aggregator');
    assert.match(aggregator[0], /^bob's rows: bob keeps object \d+ \(policy compute\)/);
    assert.match(aggregator[2], /^bob's model, at james: james keeps object \d+ \(policy compute\)/);
    assert.match(aggregator.at(-1), /^200 bytes of tensors came here in 10 rounds/);

    // The owners' rows and the seal are all that is left, and nothing has failed there.
    await others.bob.text('#store-note', /^2 objects$/);
    await others.alice.text('#store-note', /^2 objects$/);
    await others.james.text('#store-note', /^1 object$/);
    for (const name of NAMES) assert.ok(Number(await others[name].find('#n-commands').innerText()) > 0, name);
    others.bob.complaints.splice(0); // what a tutorial does wrong on purpose is told there as well
  });

  test('S17: Boston housing trained over two tabs gives bit for bit the weights of training in one', async (t) => {
    const house = await openHouse(t);
    const { me, others } = await openWith(house, ['bob', 'alice']);
    await me.find('#epochs').selectOption('2');
    const there = await runOne(me, 'boston');
    assert.match(there.join('\n'), /^51 batches: 26 at bob, 25 at alice$/m);
    assert.match(there.at(-2), /^test MSE \d+\.\d\d on 102 rows/);
    for (const name of ['bob', 'alice']) assert.ok(Number(await others[name].find('#n-commands').innerText()) > 25 * 2 * 10, name);
    const here = await runOne(me, 'boston', '[data-run-here]');
    assert.match(here.join('\n'), /^51 batches: 26 at this worker, 25 at this worker$/m);
    assert.equal(here.at(-1), 'trained by two workers and trained here, 2 epochs: the weights are the same, bit for bit');
    // As in the original: the parameters come back after each batch.
    await me.find('#comes-back').check();
    const original = await runOne(me, 'boston');
    assert.equal(original.at(-1), here.at(-1));
    const epochs = (lines) => lines.filter((line) => line.startsWith('epoch'));
    assert.deepEqual(epochs(here), epochs(there));
    assert.deepEqual(epochs(original), epochs(there));
  });

  test('in two tabs: one holds all three workers', async (t) => {
    const house = await openHouse(t);
    const me = await house.tab('tutorials.html?id=me');
    await me.connected();
    const workers = await house.tabFrom(me.find('#open-all'));
    for (const name of NAMES) await me.find(`#peers [data-id="${name}"]`).waitFor();
    assert.equal(await workers.find('iframe').count(), 3);
    for (const name of ['toy', 'advanced', 'aggregator']) assert.ok((await runOne(me, name)).length > 5);
    await me.find('#epochs').selectOption('2');
    assert.match((await runOne(me, 'boston')).at(-2), /^test MSE/);
    await workers.page.frameLocator('iframe[title="worker bob"]').locator('#log > li.ran').first().waitFor();
    // The same workers, from Node.
    const run = (...args) => promisify(execFile)(process.execPath, [join(root, 'web/demos/run.js'), ...args, '--relay', house.origin]);
    assert.match((await run('aggregator')).stdout, /^200 bytes of tensors came here in 10 rounds/m);
    await workers.close();
    await me.find('#no-peers').waitFor();
    await assert.rejects(run('basic'), (error) => error.code === 1 && error.stderr.includes(`bob is not there: open ${house.origin}/worker.html?id=bob&load=tutorials`));
  });

  test('S4: with virtual workers in the page; what needs tabs says so', async (t) => {
    const house = await openHouse(t);
    const me = await house.tab('tutorials.html?id=me');
    await me.connected();
    await me.choose(/In this very page/);
    for (const name of ['basic', 'toy', 'advanced']) assert.ok((await runOne(me, name)).length > 5);
    assert.equal(await me.find('[data-run="aggregator"]').isDisabled(), true);
    await me.text('[data-hint="aggregator"]', 'in tabs only');
  });

  test('the source that is shown is the module', async (t) => {
    const house = await openHouse(t);
    const me = await house.tab('tutorials.html?id=me');
    await me.connected();
    for (const { name, file } of TUTORIALS) {
      const shown = me.find(`#${name} .source code`);
      await shown.waitFor();
      assert.equal(await shown.evaluate((code) => code.textContent), readFileSync(join(root, 'web/demos', file), 'utf8'));
    }
  });

  test('somebody is missing, comes, leaves in the middle, comes back', async (t) => {
    const house = await openHouse(t);
    const me = await house.tab('tutorials.html?id=me');
    await me.connected();
    assert.equal(await me.text('[data-hint="toy"]', 'are not here yet'), 'bob and alice are not here yet: open their tabs first');
    assert.equal(await me.find('[data-run="toy"]').isDisabled(), true);
    const bob = await house.tabFrom(me.find('#open-bob'));
    await bob.connected();
    assert.equal(await me.text('[data-hint="toy"]', 'alice is not here'), 'alice is not here yet: open that tab first');
    assert.equal(await me.find('[data-run="basic"]').isEnabled(), true);
    const alice = await house.tabFrom(me.find('#open-alice'));
    await alice.connected();
    await me.find('[data-run="boston"]:enabled').click();
    await me.text('[data-output="boston"]', 'epoch  1');
    await alice.close();
    assert.match(await me.problem('“Boston housing over two workers” stopped'), /alice/);
    await me.text('[data-hint="boston"]', 'alice is not here yet');
    await me.find('[data-output="boston"] > .failed').waitFor();
    // What was at bob is freed all the same.
    await bob.text('#store-note', /^2 objects$/);
    const again = await house.tabFrom(me.find('#open-alice'));
    await again.connected();
    assert.match((await runOne(me, 'toy')).at(-1), /bit for bit: yes$/);
    assert.equal(await me.find('#problems').isVisible(), false);
  });

  test('a worker that has no rows of its own: the page says what is missing', async (t) => {
    const house = await openHouse(t);
    const me = await house.tab('tutorials.html?id=me');
    const workers = await Promise.all(NAMES.map((name) => house.tab(`worker.html?id=${name}`)));
    for (const worker of workers) await worker.connected();
    await me.find('[data-run="aggregator"]:enabled').click();
    assert.match(await me.problem('“A trusted aggregator” stopped'), /bob has nothing under #aggregator and #rows/);
    for (const worker of workers) {
      await worker.press('Load what the tutorials ask for');
      await worker.text('#store-note', /object/);
    }
    assert.match((await runOne(me, 'aggregator')).at(-1), /came here in 10 rounds/);
  });
});
