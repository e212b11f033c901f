// Writes web/core/ops.d.ts (the types of the ops, which web/index.d.ts takes in), web/docs/ops.md (the table for readers) and web/docs/parity.md (what
// PyTorch 0.3.1 had, and what does it here) from the op table's JSON and .scripts/pytorch-0.3.1.txt.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const table = JSON.parse(readFileSync(process.argv[2], 'utf8'));

const typeNames = {
  Tensor: 'Tensor',
  'Tensor[]': 'Tensor[]',
  Scalar: 'Scalar',
  'Tensor|Scalar': 'Tensor | Scalar',
  int: 'Int',
  'int[]': 'Int | Int[]',
  float: 'number',
  bool: 'boolean',
  ScalarType: 'Dtype',
  str: 'string',
};
const reserved = new Set(['default', 'in', 'function', 'with', 'new', 'delete', 'var']);

const typeOf = (param) => typeNames[param.type] + (param.optional ? ' | null' : '');
const wordOf = (name) => (reserved.has(name) ? `${name}_` : name);
const parameter = (param) => `${wordOf(param.name)}${param.has_default || param.optional ? '?' : ''}: ${typeOf(param)}`;

function resultOf(op) {
  if (op.result === 'list') return 'Tensor[]';
  if (op.result === 'tuple') return `NamedTensors<[${op.result_names.map((name) => `${wordOf(name)}: Tensor`).join(', ')}], ${op.result_names.map((name) => `'${name}'`).join(' | ')}>`;
  return 'Tensor';
}

/** A list of ints that stands last may be written without brackets, where PyTorch allows it: view(2, 3). */
const isSpread = (param) => param?.type === 'int[]' && !param.has_default && !param.optional;
const isLeftOut = (param) => param.has_default || param.optional;
const options = (params) => {
  if (params.length === 0) return [];
  const fields = params.map((param) => `${param.name}${isLeftOut(param) ? '?' : ''}: ${typeOf(param)}`).join('; ');
  return [`options${params.every(isLeftOut) ? '?' : ''}: { ${fields} }`];
};

/** The signatures as JavaScript writes them: positional parameters, and any of them from some place on by name, in an object. */
function signatures(op, given) {
  // Over everything there is one result, over a dimension the indices as well.
  const isOneWithoutDim = op.result === 'tuple' && given.some((param) => param.name === 'dim' && param.optional);
  const params = isOneWithoutDim ? given.map((param) => (param.name === 'dim' ? { ...param, optional: false, has_default: false } : param)) : given;
  const positional = params.filter((param) => !param.keyword_only);
  const named = params.filter((param) => param.keyword_only);
  const found = [];
  const add = (list) => found.push(`${op.name}(${list.join(', ')}): ${resultOf(op)};`);
  if (isOneWithoutDim) found.push(`${op.name}(${given.filter((param) => param.type === 'Tensor').map(parameter).join(', ')}): Tensor;`);
  // What stands before a required parameter is required too, though it may be null.
  const isNeededFor = (i) => [...positional.slice(i + 1), ...named].some((param) => !isLeftOut(param));
  add([...positional.map((param, i) => (isNeededFor(i) ? parameter(param).replace('?:', ':') : parameter(param))), ...options(named)]);
  const last = positional.at(-1);
  if (isSpread(last)) {
    const before = positional.slice(0, -1).map(parameter);
    add([...before, `...${last.name}: Int[]`]);
    if (named.length > 0) add([...before, `...args: [...${last.name}: Int[], ${options(named)[0].replace('options?:', 'options:')}]`]);
  }
  for (let n = positional.length - 1; n >= 0; n--) {
    const before = positional.slice(0, n).map((param) => parameter(param).replace('?:', ':'));
    add([...before, ...options([...positional.slice(n), ...named]).map((text) => text.replace('options?:', 'options:'))]);
    if (n > 0 && !isLeftOut(positional[n - 1])) break;
  }
  return found;
}

const isMethod = (op) => op.params[0]?.type === 'Tensor' && !op.flags.includes('factory') && !op.flags.includes('function') && !op.flags.includes('hidden');
const member = (op, params) =>
  `  /** ${op.schema}${op.flags.includes('inplace') ? ' (changes this tensor)' : ''} */\n${signatures(op, params).map((line) => `  ${line}`).join('\n')}`;

const types = `// Generated from src/ops/ops.def by npm run docs.
import type { Dtype, Int, NamedTensors, Scalar, Tensor } from '../index.js';

/** Every op that is a method of a tensor. */
export interface TensorOps {
${table.filter((op) => isMethod(op) && op.name !== 'requires_grad_').map((op) => member(op, op.params.slice(1))).join('\n')}
}

/** PyTorch's torch.nn.functional: these change their first argument where the name ends in an underscore. */
export interface FunctionalOps {
${table.filter((op) => op.torch_name.startsWith('torch.nn.functional.')).map((op) => member(op, op.params)).join('\n')}
}

/** Every op as a function. */
export interface Ops {
${table.filter((op) => !op.flags.includes('inplace') && !op.flags.includes('hidden')).map((op) => member(op, op.params)).join('\n')}
}
`;

const cell = (text) => text.replaceAll('|', '\\|');
const document = `# Ops

${table.filter((op) => !op.flags.includes('hidden')).length} ops, generated from src/ops/ops.def. A method may be called on a tensor or a pointer to one; "gradient" says that the row has a gradient rule,\nwhich is compared with PyTorch's own gradients. [What PyTorch 0.3.1 had](parity.md) and what does it here is listed by name.

| op | signature | in PyTorch | agrees to | gradient | remote |
|---|---|---|---|---|---|
${table
  .filter((op) => !op.flags.includes('hidden'))
  .map((op) => `| ${op.name} | \`${cell(op.schema)}\` | ${op.torch_name} | ${op.tolerance} | ${op.differentiable ? 'yes' : ''} | ${op.flags.includes('remote') ? 'yes' : ''} |`)
  .join('\n')}
`;

// ---- parity ----

const names = new Set(table.map((op) => op.name));
/** Rows that are no methods. */
const functions = new Set(table.filter((op) => op.flags.includes('function')).map((op) => op.name));
const complaints = [];

/** A line of pytorch-0.3.1.txt: the name and what there is here. */
function readEntry(line) {
  const [, name, sign, text] = /^(\S+)(?:\s+([=:!])\s+(.+))?$/.exec(line) ?? [];
  if (name === undefined) {
    complaints.push(`not a line of pytorch-0.3.1.txt: ${line}`);
    return { name: line, kind: 'missing', text: '' };
  }
  const isOfTensor = sections.at(-1).title.includes('Tensor');
  if (isOfTensor && functions.has(name)) return { name, kind: 'other', text: `a function: \`torch.${name}(x, ...)\`` };
  if (names.has(name)) return { name, kind: 'same', text: '' };
  if (sign === '=') {
    const [row, remark] = text.split(' -- ');
    if (names.has(row)) return { name, kind: 'other', text: `\`${row}\`${remark ? `, ${remark}` : ''}` };
    complaints.push(`pytorch-0.3.1.txt says that ${row} does ${name}, but there is no such row`);
  } else if (sign === ':') {
    return { name, kind: 'other', text };
  } else if (sign === undefined) {
    complaints.push(`pytorch-0.3.1.txt does not say what there is for ${name}`);
  }
  return { name, kind: 'missing', text: text ?? '' };
}

const sections = [];
for (const line of readFileSync(new URL('pytorch-0.3.1.txt', import.meta.url), 'utf8').split('\n')) {
  if (line === '' || line.startsWith('#')) continue;
  if (line.startsWith('[')) sections.push({ title: line.slice(1, -1), entries: [] });
  else sections.at(-1).entries.push(readEntry(line));
}

const ofKind = (section, kind) => section.entries.filter((entry) => entry.kind === kind);
const rowsOf = (section) =>
  section.entries
    .filter((entry) => entry.kind !== 'same')
    .map((entry) => `| ${entry.name} | ${entry.kind === 'missing' ? `missing: ${cell(entry.text)}` : cell(entry.text)} |`)
    .join('\n');
const parity = `# What PyTorch 0.3.1 had

Every method and function that PyTorch 0.3.1 documents, and what does it here. Generated from .scripts/pytorch-0.3.1.txt and src/ops/ops.def.
${sections
  .map(
    (section) => `
## ${section.title}

Of ${section.entries.length} names ${ofKind(section, 'same').length} are the same here, ${ofKind(section, 'other').length} have another form and ${ofKind(section, 'missing').length} are missing.

The same: ${ofKind(section, 'same').map((entry) => `\`${entry.name}\``).join(' ')}

| in PyTorch 0.3.1 | here |
|---|---|
${rowsOf(section)}
`,
  )
  .join('')}`;

for (const complaint of complaints) {
  console.error(`docs: ${complaint}`);
  process.exitCode = 1;
}

const isCheck = process.argv.includes('--check');
for (const [path, text] of [['web/core/ops.d.ts', types], ['web/docs/ops.md', document], ['web/docs/parity.md', parity]]) {
  mkdirSync(dirname(path), { recursive: true });
  const old = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (old === text) continue;
  if (isCheck && path.endsWith('.md')) {
    console.error(`docs: ${path} is not what src/ops/ops.def says any more; run npm run docs and commit it`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, text);
  }
}
if (process.exitCode === undefined) console.log(`docs: ${table.filter((op) => !op.flags.includes('hidden')).length} ops in web/core/ops.d.ts, web/docs/ops.md and web/docs/parity.md`);
