// Splits a core in two: what most pages need, which they load at once, and the rest, which web/later.js loads when a function of it is first called.
// Which functions are which is found by a tour (tour/tour.js) through what pages usually do. Both files are always shipped together.
//
//     node wasm-build/split.js WASM_SPLIT LINKED.js FOLDER
//
// LINKED.js is what Emscripten wrote, with LINKED.wasm beside it; FOLDER gets NAME.js, NAME.wasm and NAME_later.wasm.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [wasmSplit, linkedScript, folder] = process.argv.slice(2);
const linked = linkedScript.replace(/\.js$/, '.wasm');
const name = basename(linked, '.wasm');
const work = join(dirname(linked), `${name}.tour`);
const profiles = join(work, 'profiles');
const instrumented = join(work, 'instrumented.wasm');
const profile = join(work, 'profile');
const tour = (file) => fileURLToPath(new URL(`./tour/${file}`, import.meta.url));
const split = (...options) => execFileSync(wasmSplit, options, { stdio: 'inherit' });

rmSync(work, { recursive: true, force: true });
mkdirSync(profiles, { recursive: true });
// The tour runs the JavaScript as it is, which wants a core where it always is.
copyFileSync(linkedScript, join(folder, `${name}.js`));
copyFileSync(linked, join(folder, `${name}.wasm`));

split('--instrument', '--all-features', linked, '-o', instrumented);
for (const mode of ['here', 'page']) {
  execFileSync(process.execPath, ['--import', tour('watch.js'), tour('tour.js'), mode], {
    stdio: 'inherit',
    env: { ...process.env, TT_TOUR_CORE: instrumented, TT_TOUR_PROFILES: profiles },
  });
}
split('--merge-profiles', ...readdirSync(profiles).map((file) => join(profiles, file)), '-o', profile);
split('--split', '--all-features', linked, '--profile', profile, '-o1', join(folder, `${name}.wasm`), '-o2', join(folder, `${name}_later.wasm`));
