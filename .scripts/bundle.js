// Makes of the modules in web/ what pages load, in web/core/; source maps are beside the files.
//
//   tabtensor.js          what a page imports: begins with what takes long (web/start.js), and loads the modules meanwhile
//   tabtensor_modules.js  what a page needs of them and its Worker does not
//   tabtensor_both.js     what both need
//   tabtensor_serve.js    what the Worker needs beside that
//   tabtensor_worker.js   what the Worker begins with
//   tabtensor_zip.js      what is loaded when an archive is read or written
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
    onResolve({ filter: /\/(serve|zip)\.js$/ }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path: path.replace('./', './tabtensor_'), external: true } : undefined,
    );
    // Errors are of one class, which the modules export.
    onResolve({ filter: /\/errors\.js$/ }, ({ importer }) => (importer.endsWith('zip.js') ? { path: './tabtensor_modules.js', external: true } : undefined));
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
const [, { exports }] = Object.entries(metafile.outputs).find(([file]) => file.endsWith('/tabtensor_modules.js'));

// What these two load imports tabtensor_both.js, which is asked for before it is there to say so.
const ahead = "import('./tabtensor_both.js').catch(() => {});\n";
const entry = (name, before, after = '') => ({
  ...options,
  stdin: { contents: before + readFileSync(join(web, name), 'utf8') + after, resolveDir: web, sourcefile: name },
  format: 'esm',
});
const names = `{ ${exports.join(', ')} }`;
await build({ ...entry('bundled.js', '', `${ahead}export const ${names} = await import('./tabtensor_modules.js');\n`), outfile: output('tabtensor') });
await build({ ...entry('tabtensor_worker.js', ahead), outfile: output('tabtensor_worker') });
await build({ ...options, entryPoints: [join(web, 'zip.js')], outfile: output('tabtensor_zip'), format: 'esm' });
