// Writes web/core/ops.d.ts (the types of the ops, which web/index.d.ts takes in) and web/docs/ops.md (the table for readers) from the op table's JSON.
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

${table.filter((op) => !op.flags.includes('hidden')).length} ops, generated from src/ops/ops.def. A method may be called on a tensor or a pointer to one; "gradient" says that the row has a gradient rule,\nwhich is compared with PyTorch's own gradients.

| op | signature | in PyTorch | agrees to | gradient | remote |
|---|---|---|---|---|---|
${table
  .filter((op) => !op.flags.includes('hidden'))
  .map((op) => `| ${op.name} | \`${cell(op.schema)}\` | ${op.torch_name} | ${op.tolerance} | ${op.differentiable ? 'yes' : ''} | ${op.flags.includes('remote') ? 'yes' : ''} |`)
  .join('\n')}
`;

const isCheck = process.argv.includes('--check');
for (const [path, text] of [['web/core/ops.d.ts', types], ['web/docs/ops.md', document]]) {
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
if (process.exitCode === undefined) console.log(`docs: ${table.length} ops in web/core/ops.d.ts and web/docs/ops.md`);
