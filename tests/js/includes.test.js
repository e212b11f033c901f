// Holds the order of the floors: who may include whom, and which file alone knows a library. The order is drawn in README.md.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** What a floor may include beside its own files: other floors, or single headers of them. */
const floors = {
  base: [],
  net: ['base'],
  tensor: ['base'],
  kernels: ['tensor', 'base'],
  ops: ['kernels', 'tensor', 'base'],
  chain: ['ops', 'kernels', 'tensor', 'base'],
  numpy: ['chain', 'ops', 'kernels', 'tensor', 'base'],
  nn: ['chain', 'ops', 'kernels', 'tensor', 'base'],
  wire: ['nn', 'chain', 'ops', 'kernels', 'tensor', 'base'],
  worker: ['wire', 'nn', 'chain', 'ops', 'kernels', 'tensor', 'base'],
  relay: ['base', 'net', 'wire/prelude.h'],
  transport: ['worker', 'wire', 'nn', 'chain', 'ops', 'kernels', 'tensor', 'base'],
  cli: ['transport', 'worker', 'relay', 'wire', 'nn', 'numpy', 'chain', 'ops', 'kernels', 'tensor', 'net', 'base'],
  wasm: ['transport', 'worker', 'wire', 'nn', 'numpy', 'chain', 'ops', 'kernels', 'tensor', 'base'],
};
/** Single files that may include a floor which the rest of theirs may not. */
const exceptions = [
  { files: /^transport\/(native_door|websocket_native|socket)\.[ch]$/, may: 'net' },
  { files: /^wire\/prelude\.[ch]$/, mayOnly: ['base', 'wire/prelude.h'] },
];
/** Libraries, and the files that alone may know them. */
const libraries = [
  { header: /^(libwebsockets\.h|libwebsockets\/|lws|ev\.h|uv\.h|openssl\/)/, files: /^net\//, name: 'libwebsockets, its loop and TLS' },
  { header: /^(cjson\/)?cJSON\.h$/, files: /^wire\/(json|control|safetensors)\.c$/, name: 'cJSON' },
  { header: /^zip\.h$/, files: /^wire\/npz\.c$/, name: 'libzip' },
  { header: /^emscripten/, files: /^(wasm\/|transport\/websocket_browser\.c$)/, name: "Emscripten's headers" },
];

const includesOf = (text) =>
  [...text.replaceAll(/\/\*[\s\S]*?\*\//g, '').matchAll(/^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]/gm)].map(([, quote, path]) => ({
    isOurs: quote === '"',
    path,
  }));

/** Every rule that a file breaks, as sentences. `file` is its path from src/ down. */
function violations(file, text, exists) {
  const wrong = [];
  const floor = file.split('/')[0];
  if (!(floor in floors)) return [`${file} is in no floor that this test knows`];
  for (const { isOurs, path } of includesOf(text)) {
    for (const library of libraries) {
      if (library.header.test(path) && !library.files.test(file)) wrong.push(`${file} includes ${path}: it must not know ${library.name}`);
    }
    if (!isOurs) {
      if (exists(path)) wrong.push(`${file} includes <${path}>: our own headers are written in quotes`);
      continue;
    }
    if (!path.includes('/') || path.startsWith('.')) {
      wrong.push(`${file} includes "${path}": write it from src/ down`);
      continue;
    }
    if (!exists(path)) {
      wrong.push(`${file} includes "${path}", which is not there`);
      continue;
    }
    const special = exceptions.filter((exception) => exception.files.test(file));
    const strict = special.find((exception) => exception.mayOnly)?.mayOnly;
    const allowed = strict ?? [floor, ...floors[floor], ...special.map((exception) => exception.may)];
    if (!allowed.some((entry) => path === entry || path.startsWith(`${entry}/`))) {
      wrong.push(`${file} includes "${path}": ${strict ? 'it' : `${floor}/`} may only include ${allowed.join(', ')}`);
    }
  }
  if (file.endsWith('.h')) {
    const guard = `TT_${file.toUpperCase().replaceAll(/[/.]/g, '_')}`;
    const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').trim();
    if (!code.startsWith(`#ifndef ${guard}\n#define ${guard}\n`) || !code.endsWith('#endif')) wrong.push(`${file} has no include guard ${guard}`);
    if (!text.startsWith('/*')) wrong.push(`${file} does not open with what it is for`);
  }
  return wrong;
}

const files = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.(c|h|def)$/.test(entry.name))
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 5))
  .sort();
const known = new Set(files);

test('a floor includes only what lies below it, and one file alone knows a library', () => {
  assert.ok(files.length > 20, `only ${files.length} files were found`);
  const wrong = files.flatMap((file) => violations(file, readFileSync(join(root, 'src', file), 'utf8'), (path) => known.has(path)));
  assert.deepEqual(wrong, []);
});

test('the scan sees what is wrong', () => {
  const exists = (path) => ['tensor/shape.h', 'base/status.h', 'wire/prelude.h', 'wire/control.h', 'net/loop.h', 'worker/worker.h'].includes(path);
  const of = (file, text) => violations(file, text, exists).length;
  assert.equal(of('kernels/add.c', '#include "tensor/shape.h"\n#include <math.h>\n'), 0);
  assert.equal(of('base/map.c', '#include "tensor/shape.h"\n'), 1);
  assert.equal(of('base/map.c', '/* #include "tensor/shape.h" */\n'), 0);
  assert.equal(of('ops/op.c', '  #  include "worker/worker.h"\n'), 1);
  assert.equal(of('relay/router.c', '#include "wire/prelude.h"\n'), 0);
  assert.equal(of('relay/router.c', '#include "wire/control.h"\n'), 1);
  assert.equal(of('relay/router.c', '#include <libwebsockets.h>\n'), 1);
  assert.equal(of('wire/prelude.c', '#include "tensor/shape.h"\n'), 1);
  assert.equal(of('wire/codec.c', '#include <cjson/cJSON.h>\n'), 1);
  assert.equal(of('worker/worker.c', '#include <emscripten/websocket.h>\n'), 1);
  assert.equal(of('transport/virtual.c', '#include "net/loop.h"\n'), 1);
  assert.equal(of('transport/socket.c', '#include "net/loop.h"\n'), 0);
  assert.equal(of('ops/op.c', '#include "op.h"\n#include "../base/status.h"\n#include <base/status.h>\n#include "base/nowhere.h"\n'), 4);
  assert.equal(of('attic/old.c', ''), 1);
  assert.equal(of('base/a.h', '/* a */\n#ifndef TT_BASE_A_H\n#define TT_BASE_A_H\n#endif\n'), 0);
  assert.equal(of('base/a.h', '#ifndef TT_A_H\n#define TT_A_H\n#endif\n'), 2);
});

test('every header compiles by itself', async () => {
  // Emscripten's headers are not the native compiler's to read; a body is written for what its includers define.
  const headers = files.filter((file) => file.endsWith('.h') && !file.endsWith('_body.h') && !/<emscripten/.test(readFileSync(join(root, 'src', file), 'utf8')));
  const run = promisify(execFile);
  const wrong = [];
  const compile = async () => {
    for (let file = headers.pop(); file !== undefined; file = headers.pop()) {
      await run('gcc', ['-std=c11', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-Isrc', '-include', `src/${file}`, '-x', 'c', '/dev/null'], { cwd: root })
        .catch((error) => wrong.push(`${file}: ${error.stderr}`));
    }
  };
  await Promise.all([compile(), compile()]);
  assert.deepEqual(wrong, []);
});
