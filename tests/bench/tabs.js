/**
 * Tabs with workers, over a relay of their own, for the cases of the wire.
 *
 * Chromium is spoken to directly: Playwright has the browser report every WebSocket frame, which costs several times what the frame does.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import WebSocket from 'ws';
import { EXECUTABLE, FLAGS } from '../browser/browser.js';
import { root, startNative } from '../js/native.js';

// A tab that is not in front is as fast as the one that is.
const AWAKE = ['--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding'];

/** A browser of an empty profile: `send(method, params, session)` of its protocol. */
async function startBrowser(bench) {
  const profile = mkdtempSync(join(tmpdir(), 'tabtensor-bench-'));
  const child = spawn(EXECUTABLE, ['--headless=new', '--remote-debugging-port=0', `--user-data-dir=${profile}`, ...FLAGS, ...AWAKE, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const closed = once(child, 'close');
  const address = await new Promise((resolve, reject) => {
    closed.then(() => reject(new Error(`${EXECUTABLE} ended before it listened`)));
    createInterface({ input: child.stderr }).on('line', (line) => {
      const listening = line.match(/DevTools listening on (ws:\S+)/);
      if (listening) resolve(listening[1]);
    });
  });
  const socket = new WebSocket(address, { perMessageDeflate: false });
  await once(socket, 'open');
  const waiting = new Map();
  let last = 0;
  socket.on('message', (text) => {
    const { id, result, error } = JSON.parse(text);
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error !== undefined) reject?.(new Error(error.message));
    else resolve?.(result);
  });
  const send = (method, params = {}, sessionId = undefined) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      socket.send(JSON.stringify({ id: last, method, params, sessionId }));
    });
  bench.atEnd(async () => {
    send('Browser.close').catch(() => {});
    await closed;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return { send, pid: child.pid };
}

/** Opens a tab for each id; `tabs.bob.worker(verb, args)` asks the Worker in bob's, `tabs.bob.page(verb, args)` its page (page/tab.js). */
export async function openTabs(bench, ids) {
  const binary = join(root, 'build/release/tabtensor');
  const relay = await startNative(['relay', '--port', '0', '--pages', join(root, 'web'), '--mount', `/bench/=${join(root, 'tests/bench/page')}`, '--quiet'], { binary });
  bench.atEnd(() => relay.stop());
  const origin = `http://localhost:${relay.port}`;
  const { send, pid } = await startBrowser(bench);

  async function openTab() {
    const { targetId } = await send('Target.createTarget', { url: `${origin}/bench/blank.html` });
    const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
    const evaluate = async (expression) => {
      const { result, exceptionDetails } = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true }, sessionId);
      if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    // A page that is being opened cannot be asked yet.
    const isOpen = () => evaluate(`location.pathname === '/bench/blank.html' && document.readyState === 'complete'`).catch(() => false);
    while (!(await isOpen())) await setTimeout(10);
    await evaluate(`
      globalThis.inPage = async (question) => (await import('/bench/tab.js')).ask(question);
      globalThis.inWorker = (question) => {
        if (globalThis.thread === undefined) {
          globalThis.thread = new Worker('/bench/tab_worker.js', { type: 'module' });
          thread.onmessage = ({ data: { number, value, error } }) => {
            const { resolve, reject } = waiting.get(number);
            waiting.delete(number);
            if (error === undefined) resolve(value);
            else reject(new Error(error));
          };
          globalThis.waiting = new Map();
          globalThis.lastNumber = 0;
        }
        return new Promise((resolve, reject) => {
          waiting.set(++lastNumber, { resolve, reject });
          thread.onerror = (event) => reject(new Error(event.message));
          thread.postMessage({ number: lastNumber, ...question });
        });
      };
      0`);
    const askOf = (where) => (verb, args = {}) => evaluate(`${where}(${JSON.stringify({ verb, args })})`);
    return { page: askOf('inPage'), worker: askOf('inWorker') };
  }

  const tabs = {};
  for (const id of ids) tabs[id] = await openTab();
  return { ...tabs, url: `ws://localhost:${relay.port}/`, browserPid: pid };
}
