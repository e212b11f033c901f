// Writes web/core/nn.d.ts (the types of modules and optimisers, which web/index.d.ts takes in) and the tables in web/docs/nn.md from the core's own
// tables (src/nn/*.def), which web/nn.js has read. What PyTorch has beside them is named there.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { tables } from '../web/nn.js';

const typeNames = { Tensor: 'Tensor', int: 'Int', 'int[]': 'Int | Int[]', float: 'number', bool: 'boolean', str: 'string', ScalarType: 'Dtype', Scalar: 'Scalar' };
const typeOf = (param) => typeNames[param.type] + (param.optional ? ' | null' : '');
const isLeftOut = (param) => param.has_default || param.optional;
const fields = (params) => params.map((param) => `${param.name}${isLeftOut(param) ? '?' : ''}: ${typeOf(param)}`).join('; ');

/** Positional parameters, and any of them from some place on by name, in an object. */
function constructors(row) {
  const positional = row.params.filter((param) => !param.keyword_only);
  const named = row.params.filter((param) => param.keyword_only);
  const options = (params) => (params.length === 0 ? [] : [`options${params.every(isLeftOut) ? '?' : ''}: { ${fields(params)} }`]);
  const written = (param) => `${param.name}${isLeftOut(param) ? '?' : ''}: ${typeOf(param)}`;
  const found = [[...positional.map(written), ...options(named)]];
  for (let n = positional.length - 1; n >= 0; n--) {
    found.push([...positional.slice(0, n).map((param) => `${param.name}: ${typeOf(param)}`), ...options([...positional.slice(n), ...named])]);
    if (n > 0 && !isLeftOut(positional[n - 1])) break;
  }
  return [...new Set(found.map((list) => `    constructor(${list.join(', ')});`))];
}

const isContainer = (row) => ['Sequential', 'ModuleList'].includes(row.name);
const resultOf = (row) => {
  if (row.result !== 'tuple') return 'Tensor';
  const [first, ...others] = row.result_names;
  return first === 'output' && others.length > 1 ? `[Tensor, Tensor[]]` : `[${row.result_names.map(() => 'Tensor').join(', ')}]`;
};
const optionsOf = (row) => {
  const [beta1] = row.params.filter(({ name }) => name === 'beta1');
  const plain = row.params.filter(({ name }) => name !== 'beta1' && name !== 'beta2');
  return `${fields(plain)}${beta1 === undefined ? '' : '; betas?: [number, number]'}`;
};

const types = `// Generated from src/nn/ by npm run docs.
import type { Int, Tensor } from '../index.js';
import { Module } from '../nn.js';
import { Optimizer, type ParamGroup } from '../optim.js';

/** Every module of the core, as a class. */
export namespace layers {
${tables.modules
  .filter((row) => !isContainer(row))
  .map(
    (row) => `  /** ${row.schema} */
  class ${row.name} extends Module {
${constructors(row).join('\n')}
    forward(input: Tensor, ...others: (Tensor | Tensor[])[]): ${resultOf(row)};
    call(input: Tensor, ...others: (Tensor | Tensor[])[]): ${resultOf(row)};
    [name: string]: any;
  }`,
  )
  .join('\n')}
}

/** Every optimiser. */
export namespace optimizers {
${tables.optimizers
  .map(
    (row) => `  /** ${row.schema} */
  class ${row.name} extends Optimizer {
    constructor(params: Iterable<Tensor> | Iterable<ParamGroup>, options${row.params.every(isLeftOut) ? '?' : ''}: { ${optionsOf(row)} });
  }`,
  )
  .join('\n')}
}
`;

const missing = readFileSync('tests/oracle/nn_names.txt', 'utf8').trim().split('\n').map((line) => line.split(' '));
const has = {
  module: new Set([...tables.modules.map(({ name }) => name), 'Module', 'Parameter']),
  optimizer: new Set([...tables.optimizers.map(({ name }) => name), 'Optimizer']),
};
const absent = (kind) => missing.filter(([of, name]) => of === kind && !has[kind].has(name)).map(([, name]) => name);
const cell = (text) => text.replaceAll('|', '\\|');
const table = (rows) => rows.map((row) => `| ${row.name} | \`${cell(row.schema.replace(/ -> Tensor$/, ''))}\` |`).join('\n');
const generated = `<!-- generated from src/nn/ by npm run docs: begin -->

## Modules

| module | constructor |
|---|---|
${table(tables.modules)}

PyTorch 1.13 has beside them: ${absent('module').join(', ')}.

## Optimisers

| optimiser | options |
|---|---|
${table(tables.optimizers)}

PyTorch 1.13 has beside them: ${absent('optimizer').join(', ')}.

<!-- generated: end -->
`;

const isCheck = process.argv.includes('--check');
const page = 'web/docs/nn.md';
const before = existsSync(page) ? readFileSync(page, 'utf8') : '';
const document = before.replace(/<!-- generated from[\s\S]*generated: end -->\n/, () => generated);
for (const [path, text] of [['web/core/nn.d.ts', types], [page, document]]) {
  mkdirSync(dirname(path), { recursive: true });
  const old = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (old === text) continue;
  if (isCheck && path.endsWith('.md')) {
    console.error(`docs: ${path} is not what src/nn/ says any more; run npm run docs and commit it`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, text);
  }
}
if (process.exitCode === undefined) console.log(`docs: ${tables.modules.length} modules and ${tables.optimizers.length} optimisers in web/core/nn.d.ts and ${page}`);
