// Finds what pages do, by a tour (tour/tour.js) through a core that Emscripten linked.

import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FUNCTION, importsOf } from './sections.js';

const NAME = 'tabtensor_core';
const run = promisify(execFile);
const tour = (file) => fileURLToPath(new URL(`./tour/${file}`, import.meta.url));

/**
 * The functions' names that are called: { first, all }. `script` is what Emscripten linked, which has its core beside it; `web` the folder where pages have
 * theirs. Leaves both there.
 */
export async function takeTour({ wasmSplit, web, script }) {
  const linked = script.replace(/\.js$/, '.wasm');
  const work = `${linked.slice(0, -'.wasm'.length)}.tour`;
  const instrumented = join(work, 'instrumented.wasm');
  const split = (...options) => execFileSync(wasmSplit, options, { stdio: 'inherit' });
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  // The tour runs the JavaScript as it is, which wants a core where it always is.
  writeFileSync(join(web, `${NAME}.js`), readFileSync(script, 'utf8').replaceAll(basename(linked, '.wasm'), NAME));
  copyFileSync(linked, join(web, `${NAME}.wasm`));
  split('--instrument', '--all-features', linked, '-o', instrumented);
  const called = {};
  for (const part of ['first', 'all']) {
    const profiles = join(work, part);
    const profile = join(work, `${part}.profile`);
    const [kept, away] = ['kept', 'away'].map((which) => join(work, `${part}.${which}`));
    mkdirSync(profiles);
    const env = { ...process.env, TT_TOUR_CORE: instrumented, TT_TOUR_PROFILES: profiles };
    await Promise.all(['here', 'page'].map((thread) => run(process.execPath, ['--import', tour('watch.js'), tour('tour.js'), part, thread], { env })));
    split('--merge-profiles', ...readdirSync(profiles).map((file) => join(profiles, file)), '-o', profile);
    split('--split', '--all-features', linked, '--profile', profile, '--symbolmap', '-o1', kept, '-o2', away);
    const symbols = (file) => readFileSync(`${file}.symbols`, 'utf8').trim().split('\n').map((line) => line.replace(/^\d+:/, ''));
    // What is exported and not called has one of its name in the primary too, which calls the real one. Imports come first.
    const nImports = importsOf(readFileSync(away)).filter(({ kind }) => kind === FUNCTION).length;
    const notCalled = new Set(symbols(away).slice(nImports));
    called[part] = symbols(kept).filter((symbol) => !notCalled.has(symbol) && !symbol.startsWith('placeholder_'));
  }
  return called;
}
