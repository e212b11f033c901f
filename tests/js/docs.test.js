// What the pages in web/docs show runs and prints what they say: the blocks "```js run" of a page are one module, its blocks "```c run" one program, and their
// comments "// → text" are the lines that it prints, in that order.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const run = promisify(execFile);
const LIMIT_MS = 60_000;

/** The code of a page's runnable blocks in a language, and the lines that it says are printed; undefined when there are none. */
function programOf(text, language) {
  const blocks = [...text.matchAll(/^```(\w+) run\n([\s\S]*?)^```$/gm)].filter(([, named]) => named === language).map(([, , code]) => code);
  if (blocks.length === 0) return undefined;
  const code = blocks.join('\n');
  return { code, printed: [...code.matchAll(/\/\/ → (.*)$/gm)].map(([, line]) => line) };
}

const linesOf = (output) => output.replace(/\n$/, '').split('\n');

/** As a module of somebody who has installed the package. */
function runModule(code) {
  const child = run('node', ['--input-type=module', '-'], { cwd: root, timeout: LIMIT_MS });
  child.child.stdin.end(code);
  return child;
}

async function runProgram(t, code) {
  const build = ['release', 'debug'].map((name) => join(root, 'build', name)).find((path) => existsSync(join(path, 'libtt_chain.a')));
  assert.ok(build !== undefined, 'there is no native build: .scripts/build release');
  const folder = mkdtempSync(join(tmpdir(), 'tabtensor-docs-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'page');
  const libraries = ['chain', 'ops', 'kernels', 'tensor', 'base'].map((name) => join(build, `libtt_${name}.a`));
  const sanitizers = build.endsWith('debug') ? ['-fsanitize=address,undefined'] : [];
  const compiling = run('gcc', ['-std=c11', '-Wall', '-Wextra', '-Werror', ...sanitizers, '-Isrc', '-x', 'c', '-', '-x', 'none', ...libraries, '-lm', '-lpthread', '-o', program], { cwd: root, timeout: LIMIT_MS });
  compiling.child.stdin.end(code);
  await compiling;
  return run(program, { timeout: LIMIT_MS });
}

const pages = readdirSync(join(root, 'web/docs')).filter((name) => name.endsWith('.md'));

for (const page of pages) {
  const text = readFileSync(join(root, 'web/docs', page), 'utf8');
  for (const [language, start] of [['js', (t, code) => runModule(code)], ['c', runProgram]]) {
    const program = programOf(text, language);
    if (program === undefined) continue;
    test(`${page} prints what it says it does (${language})`, async (t) => {
      assert.ok(program.printed.length > 0, 'it says nothing of what it prints');
      const { stdout } = await start(t, program.code);
      assert.deepEqual(linesOf(stdout), program.printed);
    });
  }
  test(`the links of ${page} lead somewhere`, () => {
    for (const [, target] of text.matchAll(/\]\(([^)#:]+)\)/g)) assert.ok(existsSync(join(root, 'web/docs', target)), `${page}: ${target}`);
  });
}

test('what is not printed as a page says is seen', async () => {
  const wrong = programOf('# Page\n\n```js run\nconsole.log(1 + 1); // → 3\n```\n\n```js\nnot run\n```\n', 'js');
  assert.deepEqual(wrong.printed, ['3']);
  const { stdout } = await runModule(wrong.code);
  assert.notDeepEqual(linesOf(stdout), wrong.printed);
  await assert.rejects(runModule('import { nothing } from "tabtensor";'), /does not provide an export named 'nothing'/);
});
