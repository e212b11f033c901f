// A worker in a process of its own, for tests.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Starts node_worker.js as worker `id` at the relay's `url`, and keeps what it tells. It ends with the test `t` at the latest.
 */
export async function startNode(t, id, url) {
  const child = fork(join(dirname(fileURLToPath(import.meta.url)), 'node_worker.js'), [id, url]);
  const told = [];
  const watchers = new Set();
  child.on('message', (message) => {
    told.push(message);
    for (const watcher of watchers) watcher(message);
  });
  const process = {
    child,
    told,
    /** The first message that fits, past ones included. */
    said: (fits) =>
      new Promise((resolve) => {
        const watcher = (message) => {
          if (!fits(message)) return;
          watchers.delete(watcher);
          resolve(message);
        };
        watchers.add(watcher);
        told.forEach(watcher);
      }),
    async ask(question) {
      told.splice(0, told.length, ...told.filter(({ type }) => type !== 'listed'));
      child.send({ ask: question });
      return (await process.said(({ type }) => type === 'listed')).detail;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.send({ ask: 'stop' });
      assert.deepEqual(await ended, [0, null]);
    },
  };
  t.after(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(([code]) =>
    assert.fail(`the process of ${id} ended with ${code} before it was ready`),
  );
  ended.catch(() => {});
  await Promise.race([process.said(({ type }) => type === 'ready'), ended]);
  return process;
}
