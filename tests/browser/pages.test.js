// The pages themselves: what they say of the connection, that they work by keyboard, in light and dark, wide and narrow, and within the relay's content policy.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openHouse } from './tabs.js';

const PAGES = ['/', 'worker.html?id=bob', 'two_tabs.html?id=me', 'tutorials.html?id=me', 'boston.html?id=carol'];

describe('the pages', { timeout: 120_000 }, () => {
  test('the first page says where one is, whether it is connected, and who else is', async (t) => {
    const house = await openHouse(t);
    const first = await house.tab('/');
    await first.connected();
    assert.equal(await first.find('#address').innerText(), `${house.origin}/`);
    assert.equal(await first.find('#connection').innerText(), `connected to localhost:${house.relay.port}`);
    await first.find('#no-peers').waitFor();
    const worker = await house.tabFrom(first.page.getByRole('link', { name: 'Open a worker tab' }));
    await worker.connected();
    const id = new URL(worker.page.url()).searchParams.get('id');
    await first.find(`#peers [data-id="${id}"]`).waitFor();
    await worker.close();
    await first.find('#no-peers').waitFor();
    for (const [link, title] of [['Open the example', 'me · two tabs'], ['Open the tutorials', 'me · tutorials'], ['Open the demo', 'carol · Boston housing']]) {
      await first.page.getByRole('link', { name: link }).click();
      await first.connected();
      assert.equal(await first.page.title(), title);
      await first.page.goBack();
      await first.connected();
    }
  });

  test('a worker without an id takes a friendly one, which a reload keeps', async (t) => {
    const house = await openHouse(t);
    const worker = await house.tab('worker.html');
    await worker.connected();
    const id = await worker.find('#self').innerText();
    assert.match(id, /^[a-z]+-[a-z]+-\d+$/);
    await worker.page.reload();
    await worker.connected();
    assert.equal(await worker.find('#self').innerText(), id);
  });

  test('a command that fails at a worker is told on both pages', async (t) => {
    const house = await openHouse(t);
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    const me = await house.tab('two_tabs.html?id=me');
    await me.text('#bob-state', 'bob is here');
    await me.page.evaluate(async () => {
      const { tensor } = await import('./core/tabtensor.js');
      // Whether a matrix can be inverted shows only where the data is.
      globalThis.lost = tensor([[1, 2], [2, 4]]).send('bob').inverse();
    });
    assert.match(await me.problem('A command failed'), /inverse/);
    assert.match(await bob.problem('A command of me failed here'), /inverse/);
    await bob.text('#n-failed', /^1$/);
    await bob.find('#log > li.failed').waitFor();
    await me.page.getByRole('button', { name: 'Dismiss this error' }).click();
    assert.equal(await me.find('#problems').isVisible(), false);
  });

  test('a thousand commands: all are counted, the latest are listed', async (t) => {
    const house = await openHouse(t);
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    const me = await house.tab('two_tabs.html?id=me');
    await me.text('#bob-state', 'bob is here');
    const last = await me.page.evaluate(async () => {
      const { tensor, tidy } = await import('./core/tabtensor.js');
      return tidy(() => {
        let y = tensor([1]).send('bob');
        for (let i = 0; i < 1000; i++) y = y.add(1);
        return y;
      }).item();
    });
    assert.equal(last, 1001);
    await bob.text('#n-commands', /^1000$/);
    await bob.text('#n-removed', /^1000$/);
    await bob.text('#store-note', /^1 object$/);
    assert.equal(await bob.find('#log > li').count(), 200);
    assert.match(await bob.find('#log-note').innerText(), /^The latest 200 of \d+\.$/);
  });

  test('the core cannot be loaded: the page says so', async (t) => {
    const house = await openHouse(t);
    await house.context.route('**/*.wasm', (route) => route.abort());
    const tab = await house.tab('worker.html?id=bob');
    await tab.problem('This page could not start');
    await tab.find('#state[data-state="disconnected"]').waitFor();
    tab.complaints.splice(0); // the browser itself reports what it could not load
  });

  test('back from the cache of pages, a worker is there again', async (t) => {
    const house = await openHouse(t, { plain: true });
    const first = await house.tab('/');
    await first.connected();
    const worker = await house.tab('worker.html?id=bob');
    await worker.connected();
    await first.find('#peers [data-id="bob"]').waitFor();
    await worker.page.getByRole('link', { name: 'Two tabs' }).click();
    await worker.text('h1', 'One tab');
    await first.find('#peers [data-id="bob"]').waitFor({ state: 'detached' });
    await worker.page.goBack();
    await worker.text('h1', 'bob');
    await worker.connected();
    await first.find('#peers [data-id="bob"]').waitFor();
  });

  test('by keyboard alone', async (t) => {
    const house = await openHouse(t);
    const me = await house.tab('two_tabs.html?id=me');
    await me.connected();
    const focused = () => me.page.evaluate(() => document.activeElement.value || document.activeElement.textContent.trim());
    const tabTo = async (name) => {
      for (let i = 0; i < 30; i++) {
        await me.page.keyboard.press('Tab');
        if ((await focused()) === name) return;
      }
      assert.fail(`Tab does not reach ${name}`);
    };
    await me.page.keyboard.press('Tab');
    assert.equal(await focused(), 'To the content');
    await tabTo('relay');
    await me.page.keyboard.press('ArrowDown');
    await me.page.keyboard.press('ArrowDown');
    assert.equal(await focused(), 'virtual');
    await tabTo('Run');
    await me.page.keyboard.press('Enter');
    assert.equal(await me.text('#result', 'tensor'), 'tensor([ 3.,  6.,  9., 12., 14.])');
  });

  test('in light and dark, wide and narrow: nothing is wider than the window', async (t) => {
    const house = await openHouse(t);
    for (const path of PAGES) {
      const tab = await house.tab(path);
      await tab.connected();
      const backgrounds = new Set();
      for (const colorScheme of ['light', 'dark']) {
        await tab.page.emulateMedia({ colorScheme });
        backgrounds.add(await tab.page.evaluate(() => getComputedStyle(document.body).backgroundColor));
        for (const width of [1280, 800, 360]) {
          await tab.page.setViewportSize({ width, height: 800 });
          const over = await tab.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          assert.ok(over <= 0, `${path} is ${over} pixels too wide at ${width}`);
        }
      }
      assert.equal(backgrounds.size, 2, `${path} looks the same in light and dark`);
      await tab.close();
    }
  });

  test('they are isolated, and their content policy allows no script or style of others', async (t) => {
    const house = await openHouse(t);
    for (const path of PAGES) {
      const tab = await house.tab(path);
      await tab.connected();
      assert.equal(await tab.page.evaluate(() => crossOriginIsolated), true, path);
      const response = await fetch(new URL(path, house.origin));
      const html = await response.text();
      assert.match(response.headers.get('content-security-policy'), /default-src 'self'/);
      assert.doesNotMatch(html, /<style|style=|<script(?![^>]*src=)|\son\w+=/, `${path} has inline script or style`);
      await tab.close();
    }
  });

  test('every control has a name, every page one heading, a language and a main part', async (t) => {
    const house = await openHouse(t);
    for (const path of PAGES) {
      const tab = await house.tab(path);
      await tab.connected();
      const found = await tab.page.evaluate(() => ({
        language: document.documentElement.lang,
        nHeadings: document.querySelectorAll('h1').length,
        nMains: document.querySelectorAll('main').length,
        unnamed: [...document.querySelectorAll('button, a[href], input, select')].filter((item) => !(item.textContent.trim() || item.getAttribute('aria-label') || item.labels?.length)).map((item) => item.outerHTML),
      }));
      assert.deepEqual(found, { language: 'en', nHeadings: 1, nMains: 1, unnamed: [] }, path);
      await tab.close();
    }
  });
});
