// The seed's example between real tabs (parity S5, S18), and what the pages say when things go wrong.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openHouse } from './tabs.js';

const RESULT = 'tensor([ 3.,  6.,  9., 12., 14.])';
const POINTER = /^\[torch\.FloatTensor - Locations:\[<WebSocketWorker bob>\] - id:(\d+)\]$/;

/** The lines of the log, the oldest first: { kind, what, who }. */
const logOf = async (tab) =>
  (
    await tab.find('#log > li').evaluateAll((list) =>
      list.map((item) => ({
        kind: item.querySelector('.kind').textContent,
        what: item.querySelector('.what').textContent,
        who: item.querySelector('.who')?.textContent ?? '',
      })),
    )
  ).reverse();

describe('the example of the seed in two tabs', { timeout: 180_000 }, () => {
  test('S5, S18: run by the button; both pages show it', async (t) => {
    const house = await openHouse(t);
    const me = await house.tab('two_tabs.html?id=me');
    await me.connected();
    await me.text('#bob-state', 'bob is not here yet');

    const bob = await house.tabFrom(me.find('#another'));
    await bob.connected();
    await me.text('#bob-state', 'bob is here');
    assert.equal(await bob.page.title(), 'bob · worker');

    await me.press('Run');
    assert.equal(await me.text('#result', 'tensor'), RESULT);
    const printed = await me.find('#code samp').allInnerTexts();
    assert.equal(printed.at(-1), RESULT);
    const id = printed.at(-2).match(POINTER)?.[1];
    assert.ok(id, `not a pointer with its location and id: ${printed.at(-2)}`);
    assert.equal(await me.find('#pointer-location').innerText(), 'bob');
    assert.equal(await me.find('#pointer-id').innerText(), id);
    assert.equal(await me.find('#pointer-shape').innerText(), '[5]');

    // y, which was at bob under the id that the pointer tells, has been taken.
    await bob.find('#log > li', { hasText: /left.*taken/ }).waitFor();
    await bob.find('#log > li', { hasText: /left.*freed/ }).waitFor();
    const log = await logOf(bob);
    assert.ok(log.every(({ who }) => who === 'me'), 'all of it came from me');
    const short = (text) => text.match(/…\d+/g);
    const arrived = log.filter(({ kind }) => kind === 'arrived').map(({ what }) => what);
    assert.equal(arrived.length, 2);
    for (const what of arrived) assert.match(what, /^…\d+ float32 \[5\]$/);
    const [[x], [x2]] = arrived.map(short);
    const ran = log.filter(({ kind }) => kind === 'ran').map(({ what }) => what);
    assert.equal(ran.length, 2);
    const [sum, y] = ran.map((what) => short(what).at(-1));
    assert.deepEqual(ran, [`add(${x}, ${x2}) → ${sum}`, `add(${sum}, ${x}) → ${y}`]);
    assert.equal(y, `…${id.slice(-5)}`);
    assert.deepEqual(new Set(log.filter(({ kind }) => kind === 'made').map(({ what }) => short(what)[0])), new Set([sum, y]));
    const left = log.filter(({ kind }) => kind === 'left').map(({ what }) => what);
    assert.deepEqual(new Set(left), new Set([`${sum} freed`, `${y} taken`]));
    for (const [name, n] of Object.entries({ arrived: 2, commands: 2, made: 2, removed: 2, failed: 0 })) assert.equal(await bob.find(`#n-${name}`).innerText(), String(n), name);

    // x and x2 are still there, with shape, dtype and owner.
    await bob.find('#store tbody tr').nth(1).waitFor();
    const rows = await bob.find('#store tbody tr').evaluateAll((list) => list.map((row) => [...row.cells].map((cell) => cell.textContent)));
    assert.deepEqual(new Set(rows.map(([rowId]) => `…${rowId.slice(-5)}`)), new Set([x, x2]));
    for (const [, shape, dtype, from] of rows) assert.deepEqual([shape, dtype, from], ['[5]', 'float32', 'me']);

    // Starting over frees them at bob.
    await me.press('Start over');
    await bob.find('#store-empty').waitFor();
    assert.equal(await bob.find('#store tbody tr').count(), 0);
  });

  test('step by step, with nothing run before its turn', async (t) => {
    const house = await openHouse(t);
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    const me = await house.tab('two_tabs.html?id=me');
    await me.text('#bob-state', 'bob is here');
    const nLines = await me.find('#code > li').count();
    for (let i = 0; i < nLines; i++) {
      assert.equal(await me.find('#code > li.done').count(), i);
      assert.equal(await me.find('#result').isVisible(), false);
      await me.press('Step');
      await me.find('#code > li').nth(i).and(me.find('.done')).waitFor();
    }
    assert.equal(await me.text('#result', 'tensor'), RESULT);
    assert.equal(await me.page.getByRole('button', { name: 'Step', exact: true }).isDisabled(), true);
    // Run begins anew.
    await me.press('Run');
    await bob.text('#n-commands', /^4$/);
    assert.equal(await me.text('#result', 'tensor'), RESULT);
  });

  test('S4: with a virtual worker in the page', async (t) => {
    const house = await openHouse(t);
    const me = await house.tab('two_tabs.html?id=me');
    await me.connected();
    await me.choose(/In this very page/);
    for (let run = 0; run < 2; run++) {
      await me.press('Run');
      assert.equal(await me.text('#result', 'tensor'), RESULT);
      assert.match((await me.find('#code samp').allInnerTexts()).at(-2), /^\[torch\.FloatTensor - Locations:\[<VirtualWorker virtual-bob>\] - id:\d+\]$/);
      assert.equal(await me.find('#pointer-location').innerText(), 'virtual-bob');
      await me.press('Start over');
    }
  });

  test('bob is not there: the page says so, at the line and above', async (t) => {
    const house = await openHouse(t);
    const me = await house.tab('two_tabs.html?id=me');
    await me.connected();
    await me.press('Run');
    assert.match(await me.problem('Line 1'), /me knows no worker bob; here now: nobody/);
    assert.match(await me.text('#code > li.failed samp', 'bob'), /knows no worker bob/);
    // When he is, the same button goes on from that line.
    const bob = await house.tabFrom(me.find('#another'));
    await bob.connected();
    await me.text('#bob-state', 'bob is here');
    await me.press('Run');
    assert.equal(await me.text('#result', 'tensor'), RESULT);
    assert.equal(await me.find('#problems').isVisible(), false);
  });

  test('bob is closed with calls open: they reject at once, and the page says why', async (t) => {
    const house = await openHouse(t);
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    const me = await house.tab('two_tabs.html?id=me');
    await me.text('#bob-state', 'bob is here');
    // Work for a minute or more, so that the calls behind it are open for sure when bob goes.
    await me.page.evaluate(async () => {
      const { tensor, torch } = await import('./core/tabtensor.js');
      const bobs = torch.rand([1500, 1500]).send('bob');
      let product = bobs;
      for (let i = 0; i < 200; i++) product = product.matmul(bobs);
      globalThis.waiting = Promise.allSettled([product.get(), tensor([1]).send('bob').ready(), bobs.add(1).getShape(), bobs.item()]);
    });
    await me.press('Run');
    await me.find('#code > li.running').waitFor();
    assert.match(await me.find('#code > li.running code').innerText(), /y\.get\(\)/);
    const before = performance.now();
    await bob.close();
    assert.match(await me.problem('Line 6'), /bob/);
    assert.ok(performance.now() - before < 10_000, 'at once');
    const settled = await me.page.evaluate(async () => (await globalThis.waiting).map(({ reason }) => reason && { code: reason.code, message: reason.message }));
    for (const reason of settled.filter((one) => one !== undefined)) {
      assert.equal(reason.code, 'connection', reason.message);
      assert.match(reason.message, /bob/);
    }
    assert.equal(settled[0]?.code, 'connection');
    await me.text('#bob-state', 'bob is not here yet');
  });

  test("bob's tab is reloaded: it is there again under the same id, with an empty store", async (t) => {
    const house = await openHouse(t);
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    const me = await house.tab('two_tabs.html?id=me');
    await me.text('#bob-state', 'bob is here');
    await me.press('Run');
    assert.equal(await me.text('#result', 'tensor'), RESULT);
    await bob.page.reload();
    await bob.connected();
    assert.equal(await bob.find('#store tbody tr').count(), 0);
    await me.text('#bob-state', 'bob is here');
    await me.press('Start over');
    await me.press('Run');
    assert.equal(await me.text('#result', 'tensor'), RESULT);
    await bob.text('#n-commands', /^2$/);
  });

  test('an id that is taken is refused, and the page says so', async (t) => {
    const house = await openHouse(t);
    const first = await house.tab('worker.html?id=bob');
    await first.connected();
    const second = await house.tab('worker.html?id=bob');
    await second.find('#state[data-state="refused"]').waitFor();
    assert.match(await second.problem('refused'), /bob/);
    assert.match(await first.find('#state').innerText(), /bob: connected/);
    // A worker of another id is welcome in its place.
    const third = await house.tabFrom(second.find('#another'));
    await third.connected();
    await first.text('#peers', /-\d+/);
  });

  test('a page that is opened again without an id takes another one, and works', async (t) => {
    const house = await openHouse(t);
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    for (const [path, preferred] of [['two_tabs.html', 'me'], ['boston.html', 'carol']]) {
      const first = await house.tab(path);
      await first.connected();
      assert.equal(await first.find('#self').innerText(), preferred);
      const second = await house.tab(path);
      await second.connected();
      const id = await second.find('#self').innerText();
      assert.match(id, /^[a-z]+-[a-z]+-\d+$/);
      assert.equal(new URL(second.page.url()).searchParams.get('id'), id);
      assert.equal(await second.find('#problems').isVisible(), false);
      if (preferred !== 'me') continue;
      await second.text('#bob-state', 'bob is here');
      await second.press('Run');
      assert.equal(await second.text('#result', 'tensor'), RESULT);
    }
  });

  test('a page under an id that was asked for and is taken: nothing can be run; another name is offered', async (t) => {
    const house = await openHouse(t);
    for (const [path, buttons] of [['two_tabs.html?id=me', ['Run', 'Step']], ['boston.html?id=carol', ['Search for #boston', 'Run']]]) {
      const first = await house.tab(path);
      await first.connected();
      const second = await house.tab(path);
      await second.find('#state[data-state="refused"]').waitFor();
      await second.problem('The relay refused this tab');
      for (const name of buttons) assert.equal(await second.page.getByRole('button', { name, exact: true }).isDisabled(), true, name);
      await second.page.getByRole('link', { name: 'Open under another name' }).click();
      await second.connected();
      assert.equal(await second.find('#problems').isVisible(), false);
    }
  });

  test('the relay ends and comes back: the page says both, whatever is pressed', async (t) => {
    const house = await openHouse(t);
    let isBack = false;
    await house.context.route(`${house.origin}/`, (route) => (isBack ? route.fulfill({ status: 200 }) : route.abort('connectionrefused')));
    const me = await house.tab('two_tabs.html');
    const carol = await house.tab('boston.html');
    for (const tab of [me, carol]) await tab.connected();
    await house.relay.stop();
    for (const tab of [me, carol]) await tab.problem('This tab is not connected');
    await me.press('Run');
    assert.match(await me.problem('Nothing was run'), /not connected: reload the page once the relay is back/);
    await carol.press('Search for #boston');
    await carol.text('#found-note', 'not connected: reload the page once the relay is back');
    for (const tab of [me, carol]) {
      await tab.problem('This tab is not connected');
      await tab.page.getByRole('button', { name: 'Reload' }).waitFor();
    }
    isBack = true;
    for (const tab of [me, carol]) assert.match(await tab.problem(/^The relay is back/), /reload this page to connect it again/);
    assert.equal(await me.find('#problems > li.lasting').count(), 1);
  });

  test('the relay ends: every page says that it is disconnected', async (t) => {
    const house = await openHouse(t);
    const tabs = await Promise.all([house.tab('worker.html?id=bob'), house.tab('two_tabs.html?id=me'), house.tab('boston.html?id=carol'), house.tab('/')]);
    for (const tab of tabs) await tab.connected();
    await tabs[1].text('#bob-state', 'bob is here');
    await house.relay.stop();
    for (const tab of tabs) {
      await tab.find('#state[data-state="disconnected"]').waitFor();
      await tab.problem('not connected');
    }
    await tabs[1].text('#bob-state', 'not connected');
    await tabs[1].choose(/In this very page/);
    await tabs[1].press('Run');
    assert.equal(await tabs[1].text('#result', 'tensor'), RESULT, 'a virtual worker needs no relay');
  });
});
