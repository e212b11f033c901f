// Writes web/core/numpy.d.ts (the types of NumPy's functions, which web/index.d.ts takes in) and web/docs/numpy.md (the table for readers, and what is
// missing) from the JSON of src/numpy/numpy.def.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const table = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const known = readFileSync('tests/oracle/numpy_names.txt', 'utf8').trim().split('\n');

const typeNames = {
  Tensor: 'ArrayLike',
  'Tensor[]': 'ArrayLike[]',
  Scalar: 'Scalar',
  'Tensor|Scalar': 'ArrayLike',
  int: 'Int',
  'int[]': 'Int | Int[]',
  float: 'number',
  bool: 'boolean',
  ScalarType: 'Dtype',
  str: 'string',
};
const typeOf = (param) => typeNames[param.type] + (param.optional ? ' | null' : '');
const isLeftOut = (param) => param.has_default || param.optional;
const positionalOf = (param, isOptional) => `${param.name}${isOptional ? '?' : ''}: ${typeOf(param)}`;
const resultOf = (row) => {
  if (row.result === 'list') return 'NDArray[]';
  return row.result === 'tuple' ? `[${row.result_names.map((name) => `${name}: NDArray`).join(', ')}]` : 'NDArray';
};

function options(params, isOptional) {
  if (params.length === 0) return [];
  return [`options${isOptional ? '?' : ''}: { ${params.map((param) => `${param.name}${isLeftOut(param) ? '?' : ''}: ${typeOf(param)}`).join('; ')} }`];
}

/** Positional parameters, and any of them from some place on by name, in an object. */
function signatures(row, name, params) {
  const positional = params.filter((param) => !param.keyword_only);
  const named = params.filter((param) => param.keyword_only);
  const line = (list) => `${name}(${list.join(', ')}): ${resultOf(row)};`;
  const found = [line([...positional.map((param) => positionalOf(param, isLeftOut(param))), ...options(named, named.every(isLeftOut))])];
  const last = positional.at(-1);
  if (last?.type === 'int[]' && (!isLeftOut(last) || row.name === 'transpose'))
    found.push(line([...positional.slice(0, -1).map((param) => positionalOf(param, false)), `...${last.name}: Int[]`]));
  for (let n = positional.length - 1; n >= 0; n--) {
    if (!isLeftOut(positional[n])) break;
    found.push(line([...positional.slice(0, n).map((param) => positionalOf(param, false)), ...options([...positional.slice(n), ...named], false)]));
  }
  return found;
}

const member = (row, name, params) => `  /** ${row.schema.replace(/ -> .*/, '')} */\n${signatures(row, name, params).map((text) => `  ${text}`).join('\n')}`;
const within = (module) => table.filter(({ name, flags }) => !flags.includes('only_method') && (module === '' ? !name.includes('.') : name.startsWith(`${module}.`)));
const listed = (module) =>
  within(module)
    .filter(({ name }) => !['random.rand', 'random.randn', 'einsum', 'pad'].includes(name))
    .map((row) => member(row, row.name.split('.').at(-1), row.params))
    .join('\n');

const types = `// Generated from src/numpy/numpy.def by npm run docs.
import type { ArrayLike, Dtype, Int, NDArray, Scalar } from '../index.js';

/** NumPy's functions. */
export interface NumpyFunctions {
${listed('')}
}

/** numpy.linalg */
export interface LinalgFunctions {
${listed('linalg')}
}

/** numpy.random */
export interface RandomFunctions {
${listed('random')}
}

/** Those that are methods of an array too. */
export interface NDArrayMethods {
${table
  .filter(({ flags }) => flags.includes('method'))
  .map((row) => member(row, row.name, row.params.slice(1)))
  .join('\n')}
}
`;

// What web/numpy.js has beside the table.
const beside = ['array', 'asarray', 'load', 'save', 'savez', 'savez_compressed', 'shape', 'ndim', 'size', 'random.seed', 'random.default_rng'];
const names = new Set([...table.map(({ name }) => name), ...beside]);
const missing = known.filter((name) => !names.has(name));
const cell = (text) => text.replaceAll('|', '\\|');
const inNumpy = (row) => cell(row.schema.replace(/ -> .*/, '').replaceAll(/(Tensor\|Scalar|Tensor\[\]|Tensor|ScalarType|Scalar|int\[\]|int|float|bool|str)\?? /g, ''));
const wrapped = (list) => list.reduce((lines, name) => {
  if (`${lines.at(-1)}${name}, `.length > 150) lines.push('');
  lines[lines.length - 1] += `${name}, `;
  return lines;
}, ['']).map((line) => line.trimEnd()).join('\n').replace(/,$/, '');

const document = `# NumPy's names

${table.length} functions, generated from src/numpy/numpy.def; each is compared with NumPy 1.24 in values, dtypes, shapes and errors. They run on the same core as the ops and, op by
op, wherever the data is: an array that was sent away is a pointer, and so are results of calls on it.

\`\`\`js
import { np } from 'tabtensor';

const a = np.array([[1, 2], [3, 4]]).send(bob);
String(await a.mean({ axis: 0 }).get());             // [2. 3.]
\`\`\`

| there | here |
|---|---|
| \`np.sum(a, axis=0, keepdims=True)\` | \`np.sum(a, { axis: 0, keepdims: true })\`, \`a.sum({ axis: 0, keepdims: true })\`, \`a.sum(0)\` |
| \`np.array([1, 2])\` is int64 | float64, since JavaScript has one kind of number; \`np.array([1n, 2n])\` or \`{ dtype: 'int64' }\`. \`np.arange(3)\` is int64 as there |
| \`a + b\`, \`a[0]\`, \`a[1:3]\` | \`np.add(a, b)\`, \`np.take(a, 0, { axis: 0 })\`, \`a.tensor.slice(0, 1, 3).numpy()\` |
| \`print(a)\`, \`repr(a)\` | \`String(a)\` or \`\${a}\`, what \`console.log(a)\` shows in Node; \`await a.text()\` where it is elsewhere |
| \`a.tolist()\`, \`a.item()\` | \`await a.tolist()\`, \`await a.item()\` |
| \`torch.from_numpy(a)\`, \`t.numpy()\` | the same; the memory is shared |
| \`np.load(file)\`, \`np.save(file, a)\` | \`await np.load(source)\` of bytes, a Response, a Blob, a URL or (in Node) a path; \`await np.save(a)\` answers bytes, \`np.save(path, a)\` writes a file in Node |
| \`np.savez(file, x=x, y=y)\` | \`await np.savez({ x, y })\`, \`np.savez_compressed({ x, y })\`, or with a path in front |
| \`np.random.default_rng(1)\` | the same names; the same seed gives the same numbers on every machine, but not those of NumPy |

What differs on purpose:

- Dtypes are bool, uint8, int32, int64, float32 and float64. Where NumPy answers another, the result has the one that holds its values: float16 becomes float32; int8, int16 and uint16
  int32; uint32 and uint64 int64.
- Dividing integers by zero is an error, where NumPy warns and answers 0.
- A 0-d array that is elsewhere is weak beside floats, as in NumPy; beside integers it counts with its dtype, because its value is not known here.
- \`sort\` answers a sorted copy; there is no method of the name. Of \`linalg.norm\` matrices have the default (Frobenius) alone, \`repeat\` takes one number, \`tensordot\` a number of axes.
- \`out\`, \`where\`, \`order\`, \`casting\` and \`subok\` are not offered; sum, mean and their like take axis, dtype and keepdims.
- Results over everything are arrays without dimensions, not numbers.

| function | signature | runs | method |
|---|---|---|---|
${table.map((row) => `| ${row.name} | \`${inNumpy(row)}\` | ${row.op} | ${row.flags.includes('method') ? 'yes' : ''} |`).join('\n')}

Beside the table: ${beside.join(', ')}.

## Missing

${missing.length} functions of numpy, numpy.linalg and numpy.random are not here:

${wrapped(missing)}
`;

const isCheck = process.argv.includes('--check');
for (const [path, text] of [['web/core/numpy.d.ts', types], ['web/docs/numpy.md', document]]) {
  mkdirSync(dirname(path), { recursive: true });
  const old = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (old === text) continue;
  if (isCheck && path.endsWith('.md')) {
    console.error(`docs: ${path} is not what src/numpy/numpy.def says any more; run npm run docs and commit it`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, text);
  }
}
if (process.exitCode === undefined) console.log(`docs: ${table.length} functions of NumPy's in web/core/numpy.d.ts and web/docs/numpy.md`);
