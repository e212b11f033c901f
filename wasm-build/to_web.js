// Puts a core that Emscripten linked into web/core/.
//
//     node wasm-build/to_web.js WASM_SPLIT WASM_DIS WASM_AS FOLDER [--split] LINKED.js
//
// LINKED.js has LINKED.wasm beside it. With --split FOLDER gets NAME.wasm, what every page needs and loads at once, NAME_more.wasm, what many need, and
// NAME_later.wasm, the rest: web/later.js loads those two when a function of them is first called. Which functions are which is found by a tour
// (tour/tour.js) through what pages usually do. NAME_relaxed, the same core with other tiles, is split as NAME was, and its script has to be the same, since
// one of them serves both. Without --split each has its own script.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renumber } from './relaxed.js';
import { FUNCTION, importsOf, relieved } from './sections.js';
import { withPlacesTold, withStandIns } from './stand_ins.js';

const [wasmSplit, wasmDis, wasmAs, folder, ...rest] = process.argv.slice(2);
const linkedScript = rest.at(-1);
const isSplit = rest[0] === '--split';
const linked = linkedScript.replace(/\.js$/, '.wasm');
const name = basename(linked, '.wasm');
const plainName = name.replace(/_relaxed$/, '');
const isRelaxed = name !== plainName;
const output = (file) => join(folder, file);
const textOf = (file) => execFileSync(wasmDis, ['--all-features', file], { encoding: 'utf8', maxBuffer: 1 << 30 });
const split = (...options) => execFileSync(wasmSplit, options, { stdio: 'inherit' });

/** The functions that a part of the tour calls, one a line. */
const keptFile = (part) => join(dirname(linked), `${plainName}.${part}`);

function takeTour() {
  const work = join(dirname(linked), `${name}.tour`);
  const instrumented = join(work, 'instrumented.wasm');
  const tour = (file) => fileURLToPath(new URL(`./tour/${file}`, import.meta.url));
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  // The tour runs the JavaScript as it is, which wants a core where it always is.
  copyFileSync(linked, output(`${name}.wasm`));
  split('--instrument', '--all-features', linked, '-o', instrumented);
  for (const part of ['first', 'all']) {
    const profiles = join(work, part);
    const profile = join(work, `${part}.profile`);
    mkdirSync(profiles);
    for (const thread of ['here', 'page']) {
      execFileSync(process.execPath, ['--import', tour('watch.js'), tour('tour.js'), part, thread], {
        stdio: 'inherit',
        env: { ...process.env, TT_TOUR_CORE: instrumented, TT_TOUR_PROFILES: profiles },
      });
    }
    split('--merge-profiles', ...readdirSync(profiles).map((file) => join(profiles, file)), '-o', profile);
    split('--split', '--all-features', linked, '--profile', profile, '--symbolmap', '-o1', join(work, name), '-o2', join(work, `${name}_later`));
    const symbols = (ofPart) => readFileSync(join(work, `${ofPart}.symbols`), 'utf8').trim().split('\n').map((line) => line.replace(/^\d+:/, ''));
    // What is exported and not called has one of its name in the primary too, which calls the real one. Imports come first.
    const nImports = importsOf(readFileSync(join(work, `${name}_later`))).filter(({ kind }) => kind === FUNCTION).length;
    const away = new Set(symbols(`${name}_later`).slice(nImports));
    writeFileSync(keptFile(part), symbols(name).filter((symbol) => !away.has(symbol) && !symbol.startsWith('placeholder_')).join('\n'));
  }
}

/** The rest is taken out of the whole, then what many need of what remains: what stands for it is told apart by other names. */
function splitTwice() {
  const remains = join(dirname(linked), `${name}.remains.wasm`);
  const later = output(`${name}_later.wasm`);
  // Functions keep their names until they have been told apart by them once more. Their table becomes larger by that.
  split('--split', '--all-features', '-g', linked, `--keep-funcs=@${keptFile('all')}`, '-o1', remains, '-o2', later);
  writeFileSync(later, relieved(readFileSync(later)));
  split(
    ...['--split', '--all-features', remains, `--keep-funcs=@${keptFile('first')}`, '-o1', output(`${name}.wasm`), '-o2', output(`${name}_more.wasm`)],
    '--placeholder-namespace=more',
  );
  const text = join(dirname(linked), `${name}.wat`);
  writeFileSync(text, withStandIns(textOf(output(`${name}.wasm`)), ['placeholder', 'more']));
  execFileSync(wasmAs, ['--all-features', text, '-o', output(`${name}.wasm`)], { stdio: 'inherit' });
  for (const file of written) writeFileSync(output(file), withPlacesTold(readFileSync(output(file))));
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
    copyFileSync(linkedScript, output(`${name}.js`));
    takeTour();
  } else if (readFileSync(linkedScript, 'utf8').replaceAll(name, plainName) !== readFileSync(output(`${plainName}.js`), 'utf8')) {
    throw new Error(`${linkedScript} differs from ${plainName}.js, which has to serve both`);
  }
  splitTwice();
}
if (isRelaxed) {
  for (const file of written) {
    writeFileSync(output(file), renumber(readFileSync(output(file)), textOf(output(file))));
  }
}
