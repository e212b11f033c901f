// Makes of the modules in web/ what pages load: web/core/tabtensor.js (everything in one file) and web/core/tabtensor_worker.js (what a page's dedicated
// Worker starts with; it takes the rest from the first, so that a page loads that once). Source maps are beside them.
import { build } from 'esbuild';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const web = join(dirname(dirname(fileURLToPath(import.meta.url))), 'web');

/** In one folder files are elsewhere than in the sources. */
const moved = {
  name: 'moved',
  setup({ onResolve }) {
    onResolve({ filter: /\/place\.js$/ }, () => ({ path: join(web, 'place_bundled.js') }));
    onResolve({ filter: /\/serve\.js$/ }, ({ importer }) => (importer.endsWith('tabtensor_worker.js') ? { path: './tabtensor.js', external: true } : undefined));
  },
};

await build({
  entryPoints: { tabtensor: join(web, 'bundled.js'), tabtensor_worker: join(web, 'tabtensor_worker.js') },
  outdir: join(web, 'core'),
  bundle: true,
  minify: true,
  // Classes are known by their names: in what is printed, in errors, on the wire.
  keepNames: true,
  sourcemap: true,
  format: 'esm',
  target: 'es2022',
  external: ['node:*', 'ws'],
  plugins: [moved],
  // Emscripten's script asks whether a file is read from a folder, in ways that do not come up here.
  logLevel: 'error',
});
