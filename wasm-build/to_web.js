// Puts a core that Emscripten linked into web/core/.
//
//     node wasm-build/to_web.js WASM_SPLIT WASM_DIS FOLDER [--split] LINKED.js
//
// LINKED.js has LINKED.wasm beside it. With --split FOLDER gets NAME.wasm, what most pages need and load at once, and NAME_later.wasm, the rest, which
// web/later.js loads when a function of it is first called; which functions are which is found by a tour (tour/tour.js) through what pages usually do.
// NAME_relaxed, the same core with other tiles, is split as NAME was, and its script has to be the same, since one of them serves both. Without --split
// each has its own script.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renumber } from './relaxed.js';

const [wasmSplit, wasmDis, folder, ...rest] = process.argv.slice(2);
const linkedScript = rest.at(-1);
const isSplit = rest[0] === '--split';
const linked = linkedScript.replace(/\.js$/, '.wasm');
const name = basename(linked, '.wasm');
const plainName = name.replace(/_relaxed$/, '');
const isRelaxed = name !== plainName;
const output = (file) => join(folder, file);
const split = (...options) => execFileSync(wasmSplit, options, { stdio: 'inherit' });

/** The functions that the tour calls, one a line. */
const keptFile = join(dirname(linked), `${plainName}.kept`);

function takeTour() {
  const work = join(dirname(linked), `${name}.tour`);
  const profiles = join(work, 'profiles');
  const instrumented = join(work, 'instrumented.wasm');
  const profile = join(work, 'profile');
  const tour = (file) => fileURLToPath(new URL(`./tour/${file}`, import.meta.url));
  rmSync(work, { recursive: true, force: true });
  mkdirSync(profiles, { recursive: true });
  // The tour runs the JavaScript as it is, which wants a core where it always is.
  copyFileSync(linked, output(`${name}.wasm`));
  split('--instrument', '--all-features', linked, '-o', instrumented);
  for (const mode of ['here', 'page']) {
    execFileSync(process.execPath, ['--import', tour('watch.js'), tour('tour.js'), mode], {
      stdio: 'inherit',
      env: { ...process.env, TT_TOUR_CORE: instrumented, TT_TOUR_PROFILES: profiles },
    });
  }
  split('--merge-profiles', ...readdirSync(profiles).map((file) => join(profiles, file)), '-o', profile);
  split('--split', '--all-features', linked, '--profile', profile, '--symbolmap', '-o1', join(work, name), '-o2', join(work, `${name}_later`));
  const symbols = readFileSync(join(work, `${name}.symbols`), 'utf8').trim().split('\n');
  const names = symbols.map((line) => line.replace(/^\d+:/, '')).filter((symbol) => !symbol.startsWith('placeholder_'));
  writeFileSync(keptFile, names.join('\n'));
}

const written = isSplit ? [`${name}.wasm`, `${name}_later.wasm`] : [`${name}.wasm`];
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
  split('--split', '--all-features', linked, `--keep-funcs=@${keptFile}`, '-o1', output(written[0]), '-o2', output(written[1]));
}
if (isRelaxed) {
  for (const file of written) {
    const text = execFileSync(wasmDis, ['--all-features', output(file)], { encoding: 'utf8', maxBuffer: 1 << 30 });
    writeFileSync(output(file), renumber(readFileSync(output(file)), text));
  }
}
