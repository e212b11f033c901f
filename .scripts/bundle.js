// Makes of the modules in web/ what pages load, in web/core/; source maps are beside the files.
//
//   tabtensor.js          what a page imports: begins with what takes long (web/start.js), and loads the modules meanwhile
//   tabtensor_modules.js  what a page needs of them and its Worker does not
//   tabtensor_both.js     what both need
//   tabtensor_serve.js    what the Worker needs beside that
//   tabtensor_worker.js   what the Worker begins with
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const web = join(dirname(dirname(fileURLToPath(import.meta.url))), 'web');
const output = (name) => join(web, 'core', `${name}.js`);

/** In one folder files are elsewhere than in the sources. */
const moved = {
  name: 'moved',
  setup({ onResolve }) {
    onResolve({ filter: /\/place\.js$/ }, () => ({ path: join(web, 'place_bundled.js') }));
    onResolve({ filter: /\/serve\.js$/ }, ({ kind }) => (kind === 'dynamic-import' ? { path: './tabtensor_serve.js', external: true } : undefined));
  },
};

const options = {
  bundle: true,
  minify: true,
  // Classes are known by their names: in what is printed, in errors, on the wire.
  keepNames: true,
  sourcemap: true,
  target: 'es2022',
  external: ['node:*', 'ws', './tabtensor_*'],
  plugins: [moved],
  // Emscripten's script asks whether a file is read from a folder, in ways that do not come up here.
  logLevel: 'error',
};

const { metafile } = await build({
  ...options,
  entryPoints: { tabtensor_modules: join(web, 'tabtensor.js'), tabtensor_serve: join(web, 'serve.js') },
  outdir: join(web, 'core'),
  format: 'esm',
  splitting: true,
  chunkNames: 'tabtensor_both',
  metafile: true,
});
const [, { exports: names }] = Object.entries(metafile.outputs).find(([file]) => file.endsWith('/tabtensor_modules.js'));

const stdin = (name, more) => ({ contents: `${readFileSync(join(web, name), 'utf8')}${more}`, resolveDir: web, sourcefile: name });
// The first is what the other two import: it is asked for before they are there to say so.
await build({
  ...options,
  stdin: stdin('bundled.js', `import('./tabtensor_both.js').catch(() => {});\nexport const { ${names.join(', ')} } = await import('./tabtensor_modules.js');\n`),
  outfile: output('tabtensor'),
  format: 'esm',
});
// No module, but what makes one would be the same: it has no name to keep, and nothing at its top.
await build({
  ...options,
  keepNames: false,
  stdin: stdin('tabtensor_worker.js', `import('./tabtensor_both.js').catch(() => {});\n`),
  outfile: output('tabtensor_worker'),
  format: 'esm',
});
