/**
 * npm run bench: measures tabtensor and its peers side by side. What is set up and built before is in .scripts/bench.
 *
 *     npm run bench                         every case
 *     npm run bench -- P1 P8                these
 *     npm run bench -- --quick              fewer and shorter samples: for a look, not for a claim
 *     npm run bench -- --out FILE           where the results go as JSON; build/bench.json otherwise
 *
 * Ends with 1 when something was wrong: ours failed, or results were not the same. A target that is not reached is no failure.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Bench, root } from './bench.js';
import { line, table } from './table.js';

const USAGE = 'npm run bench -- [CASE...] [--quick] [--out FILE]';
const folder = join(root, 'tests/bench/cases');
const ids = readdirSync(folder)
  .filter((file) => /^P\d+\.js$/.test(file))
  .map((file) => file.slice(0, -'.js'.length))
  .sort((a, b) => a.slice(1) - b.slice(1));

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: { quick: { type: 'boolean', default: false }, out: { type: 'string', default: join(root, 'build/bench.json') }, help: { type: 'boolean' } },
      allowPositionals: true,
    });
    const unknown = positionals.find((id) => !ids.includes(id));
    if (unknown !== undefined) throw new Error(`there is no case ${unknown}; there are ${ids.join(' ')}`);
    return { ...values, chosen: positionals.length > 0 ? positionals : ids };
  } catch (error) {
    console.error(`bench: ${error.message}\n${USAGE}`);
    return process.exit(2);
  }
}

const { quick, out, help, chosen } = readArguments();
if (help) {
  console.log(`${USAGE}\ncases: ${ids.join(' ')}`);
  process.exit(0);
}

// Ends at once when it is told to, and the browser with it; a case that waits for the browser would wait for ever.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const settings = quick ? { isQuick: true, rounds: 5, sampleMs: 15 } : { isQuick: false, rounds: 15, sampleMs: 50 };
const bench = new Bench(settings, (row) => console.log(line(row)));
const began = new Date();
for (const id of chosen) {
  const { title, run } = await import(join(folder, `${id}.js`));
  console.log(`\n${id}: ${title}`);
  await bench.runCase({ id, title, run });
}
await bench.close();

console.log(`\n${table(bench.rows)}`);
const report = {
  began: began.toISOString(),
  seconds: Math.round((Date.now() - began) / 1000),
  machine: { cpu: cpus()[0].model, cores: cpus().length },
  versions: { node: process.version, ...bench.versions },
  settings,
  rows: bench.rows,
};
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, `${JSON.stringify(report, null, 1)}\n`);
console.log(`\nwritten: ${out}`);
process.exitCode = bench.rows.some((row) => Object.keys(row.problems).some((name) => name.startsWith('tabtensor')) || Object.values(row.problems).some((text) => text.startsWith('not '))) ? 1 : 0;
