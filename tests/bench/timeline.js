/**
 * When frames leave and arrive, and how long a tab has with each: what P10 and P12 wait for.
 *
 *     node tests/bench/timeline.js chain       a chain of 1,000 commands, one by one
 *     node tests/bench/timeline.js plan        the same as a plan
 *     node tests/bench/timeline.js boston      some steps of the training in two tabs, and the times of all
 *
 * All workers are in Workers of their tabs, where they can be watched.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './bench.js';
import { summary } from './stats.js';
import { openTabs } from './tabs.js';

const RUNS = {
  chain: { ids: ['alice', 'bob'], ask: (tabs) => tabs.alice.worker('commands', { to: 'bob', n: 1000 }) },
  plan: { ids: ['alice', 'bob'], ask: (tabs) => tabs.alice.worker('plan', { to: 'bob', n: 1000 }) },
  boston: {
    ids: ['me', 'bob', 'alice'],
    ask: (tabs) =>
      tabs.me.worker('boston', { bob: 'bob', alice: 'alice', table: JSON.parse(readFileSync(join(root, 'web/core/boston.json'), 'utf8')), initial: null }),
  },
};
const SHOWN = 40;

const name = process.argv[2];
const run = RUNS[name];
if (run === undefined) {
  console.error(`node tests/bench/timeline.js ${Object.keys(RUNS).join('|')}`);
  process.exit(2);
}
const { ids, ask } = run;
const ends = [];
const tabs = await openTabs({ atEnd: (end) => ends.unshift(end) }, ids);
for (const id of ids) {
  await tabs[id].worker('trace');
  await tabs[id].worker('open', { id, url: tabs.url });
}
await tabs[ids[0]].worker('meet', { ids: ids.slice(1) });
for (let i = 0; i < 20; i++) await ask(tabs);
for (const id of ids) await tabs[id].worker('traced');
await ask(tabs);
const all = (await Promise.all(ids.map(async (id) => (await tabs[id].worker('traced')).map((frame) => ({ id, ...frame })))))
  .flat()
  .sort((a, b) => a.begins - b.begins);
for (const end of ends) await end();

const shown = name === 'boston' ? all.slice(all.length >> 1).slice(0, SHOWN) : all.slice(-SHOWN);
console.log('      ms    takes  who     frame');
for (const { id, what, bytes, begins, ends: ended } of shown) {
  console.log(`${(begins - shown[0].begins).toFixed(2).padStart(8)} ${(ended - begins).toFixed(2).padStart(8)}  ${id.padEnd(6)}  ${what} ${bytes} bytes`);
}
if (name === 'boston') {
  // A step ends as its worker gives the model on.
  const steps = all.filter(({ id, what, bytes }) => id !== 'me' && what === 'sends' && bytes > 4096);
  const gaps = steps.slice(1).map(({ begins }, i) => begins - steps[i].begins);
  const { median, q1, q3 } = summary(gaps);
  console.log(`from step to step: ${median.toFixed(2)} ms (${q1.toFixed(2)}..${q3.toFixed(2)}), ${steps.length} steps, ${all.length} frames sent or taken`);
}
process.exit(0);
