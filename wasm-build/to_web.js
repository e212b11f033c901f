// Puts a core that Emscripten linked into web/core/.
//
//     node wasm-build/to_web.js WASM_SPLIT WASM_DIS WASM_AS WASM_OPT FOLDER [--split] LINKED.js
//
// LINKED.js has LINKED.wasm beside it. With --split FOLDER gets NAME.wasm, what every page needs and loads at once, NAME_more.wasm, what many need, and
// NAME_later.wasm, the rest: web/later.js loads those two when a function of them is first called. Which functions are which is found by a tour
// (take_tour.js) through what pages usually do, and data goes with them (regions.js). NAME_relaxed, the same core with other tiles, is split as NAME was, and its script has to be the same, since
// one of them serves both. Without --split each has its own script.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { numbered } from './names.js';
import { referring, regionsOf, withDataMoved } from './regions.js';
import { renumber } from './relaxed.js';
import { exportsOf, relieved } from './sections.js';
import { PLACE, STACK, withPlacesTold, withStandIns } from './stand_ins.js';
import { takeTour } from './take_tour.js';

const [wasmSplit, wasmDis, wasmAs, wasmOpt, folder, ...rest] = process.argv.slice(2);
const linkedScript = rest.at(-1);
const isSplit = rest[0] === '--split';
const linked = linkedScript.replace(/\.js$/, '.wasm');
const name = basename(linked, '.wasm');
const plainName = name.replace(/_relaxed$/, '');
const isRelaxed = name !== plainName;
const output = (file) => join(folder, file);
const textOf = (file) => execFileSync(wasmDis, ['--all-features', file], { encoding: 'utf8', maxBuffer: 1 << 30 });
const split = (...options) => execFileSync(wasmSplit, options, { stdio: 'inherit' });

/** Emscripten's script without the addresses of what marks the regions of data (regions/), which it has as exported (67e4 is one). Nobody asks for them. */
const scriptOf = (file) => readFileSync(file, 'utf8').replace(/var (_tt_\w+) ?= ?Module\["\1"\] ?= ?[\de]+;/g, '');

/** The functions that a part of the tour calls, which the relaxed core reads too. */
const tourFile = join(dirname(linked), `${plainName}.called.json`);

/** The rest is taken out of the whole, then what many need of what remains: what stands for it is told apart by other names. */
function splitTwice() {
  const whole = readFileSync(linked);
  const regions = regionsOf(whole);
  const { notFirst, notMore } = referring(whole, regions);
  const called = JSON.parse(readFileSync(tourFile, 'utf8'));
  const keep = (part, without) => {
    const file = join(dirname(linked), `${name}.${part}`);
    writeFileSync(file, called[part].filter((symbol) => !without.has(symbol)).join('\n'));
    return `--keep-funcs=@${file}`;
  };
  const remains = join(dirname(linked), `${name}.remains.wasm`);
  const [first, more, later] = written.map(output);
  // Functions keep their names until they have been told apart by them once more. Their table becomes larger by that.
  split('--split', '--all-features', '-g', linked, keep('all', notMore), '-o1', remains, '-o2', later);
  split('--split', '--all-features', remains, keep('first', notFirst), '-o1', first, '-o2', more, '--placeholder-namespace=more');
  for (const part of [first, more]) execFileSync(wasmOpt, ['--all-features', '-O3', '--low-memory-unused', '--zero-filled-memory', part, '-o', part], { stdio: 'inherit' });
  const text = join(dirname(linked), `${name}.wat`);
  writeFileSync(text, withStandIns(textOf(first), ['placeholder', 'more']));
  execFileSync(wasmAs, ['--all-features', text, '-o', first], { stdio: 'inherit' });
  const read = (file) => readFileSync(file);
  const moved = withDataMoved({ first: read(first), more: read(more), later: relieved(read(later)) }, regions);
  const known = new Set([PLACE, STACK, ...exportsOf(whole).map((one) => one.name)]);
  numbered(Object.values(moved).map(withPlacesTold), known).forEach((part, i) => writeFileSync(output(written[i]), part));
}

const written = ['', ...(isSplit ? ['_more', '_later'] : [])].map((part) => `${name}${part}.wasm`);
if (!isSplit) {
  // With threads there is a script for theirs too.
  for (const ending of ['js', 'worker.js', 'wasm']) {
    const from = join(dirname(linked), `${name}.${ending}`);
    if (existsSync(from)) copyFileSync(from, output(`${name}.${ending}`));
  }
} else {
  if (!isRelaxed) {
    const called = await takeTour({ wasmSplit, web: folder, script: linkedScript });
    writeFileSync(tourFile, JSON.stringify(called));
    writeFileSync(output(`${name}.js`), scriptOf(linkedScript));
  } else if (scriptOf(linkedScript).replaceAll(name, plainName) !== readFileSync(output(`${plainName}.js`), 'utf8')) {
    throw new Error(`${linkedScript} differs from ${plainName}.js, which has to serve both`);
  }
  splitTwice();
}
if (isRelaxed) {
  for (const file of written) {
    writeFileSync(output(file), renumber(readFileSync(output(file)), textOf(output(file))));
  }
}
