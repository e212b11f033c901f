/**
 * A real relay and a real browser for tests: each test file has its own, on a port of its own.
 *
 *     const house = await openHouse(t)
 *     const bob = await house.tab('worker.html?id=bob')
 *     await bob.connected()
 *
 * A tab collects what its page throws and prints as an error, and what its content policy refuses; closing the house insists that there was nothing of it.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { chromium } from 'playwright-core';
import { root, startNative } from '../js/native.js';
import { EXECUTABLE, FLAGS, launchChromium } from './browser.js';

/** Set to try the core with threads: so many for every page's worker. */
const THREADS = process.env.TT_BROWSER_THREADS;

function askForThreads(n) {
  window.Worker = class extends Worker {
    constructor(address, options) {
      const asking = new URL(address, location.href);
      if (!asking.searchParams.has('threads')) asking.searchParams.set('threads', n);
      super(asking, options);
    }
  };
}

let shared;
after(async () => (await shared)?.close());

/** { context, close } of an empty profile; the tests of a file share the browser. */
async function launch() {
  shared ??= launchChromium();
  const context = await (await shared).newContext();
  return { context, close: () => context.close() };
}

/**
 * A browser as users have it. Playwright keeps every tab of a browser that it starts awake, focused and visible, so this one is started without it, and watched.
 */
async function launchPlain() {
  const profile = mkdtempSync(join(tmpdir(), 'tabtensor-profile-'));
  const child = spawn(EXECUTABLE, ['--headless=new', '--remote-debugging-port=0', `--user-data-dir=${profile}`, ...FLAGS, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const closed = once(child, 'close');
  const log = [];
  const address = new Promise((resolve) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      const listening = line.match(/DevTools listening on (ws:\S+)/);
      if (listening) resolve(listening[1]);
    });
  });
  const endpoint = await Promise.race([address, closed.then(() => assert.fail(`${EXECUTABLE} ended before it listened:\n${log.join('\n')}`))]);
  const browser = await chromium.connectOverCDP(endpoint, { noDefaults: true });
  return {
    context: browser.contexts()[0],
    close: async () => {
      await browser.close();
      child.kill();
      await closed;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export const startRelay = (...options) => startNative(['relay', '--port', '0', '--pages', join(root, 'web'), ...options]);

/** A tab: Playwright's page with a few words of our own. */
export class Tab {
  /** What the page said of itself that it should not have. */
  complaints = [];

  constructor(page) {
    this.page = page;
    page.on('pageerror', (error) => this.complaints.push(`thrown: ${error.message}`));
    page.on('console', (message) => {
      // A page whose relay has ended asks for it now and then, and the browser reports each time that nobody answers.
      if (message.location().url === new URL('/', page.url()).href && message.text().includes('ERR_CONNECTION_REFUSED')) return;
      if (['error', 'warning'].includes(message.type())) this.complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    });
  }

  find(selector, options) {
    return this.page.locator(selector, options);
  }

  press(name) {
    return this.page.getByRole('button', { name, exact: true }).click();
  }

  /** Chooses by what a label says. */
  choose(label) {
    return this.page.getByLabel(label).check();
  }

  /** The text of an element, once it fits. */
  async text(selector, pattern) {
    const found = this.page.locator(selector).filter({ hasText: pattern }).first();
    await found.waitFor();
    return found.innerText();
  }

  /** Waits until the page says that it is connected. */
  async connected() {
    await this.page.locator('#state[data-state="connected"]').waitFor();
    return this;
  }

  /** Waits until the page shows an error that fits, and answers its text. */
  problem(pattern) {
    return this.text('#problems > li', pattern);
  }

  /** The numbers that the page shows under a selector, exact. */
  numbers(selector) {
    return this.page.locator(`${selector} data`).evaluateAll((list) => list.map((item) => Number(item.value)));
  }

  close() {
    return this.page.close();
  }
}

/** Opens relay and browser; both are closed when the test ends. `plain`: tabs that are not in front are hidden, as they are for users. */
export async function openHouse(t, { plain = false } = {}) {
  const [relay, browser] = await Promise.all([startRelay(), plain ? launchPlain() : launch()]);
  const { context } = browser;
  if (THREADS !== undefined) await context.addInitScript(askForThreads, THREADS);
  context.setDefaultTimeout(30_000);
  const tabs = [];
  const adopt = (page) => {
    const made = new Tab(page);
    tabs.push(made);
    return made;
  };
  const origin = `http://localhost:${relay.port}`;
  t.after(async () => {
    await browser.close();
    await relay.stop();
    for (const { complaints } of tabs) assert.deepEqual(complaints, []);
  });
  return {
    relay,
    context,
    origin,
    /** A new tab at that address of the relay. */
    async tab(path) {
      const made = adopt(await context.newPage());
      await made.page.goto(new URL(path, origin).href);
      return made;
    },
    /** The tab that pressing a link opens. */
    async tabFrom(link) {
      const [page] = await Promise.all([context.waitForEvent('page'), link.click()]);
      return adopt(page);
    },
  };
}
