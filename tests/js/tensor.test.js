// Tensors of this thread: making, printing, reading, calling ops, errors at the caller's line.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { test } from 'node:test';
import * as tabtensor from '../../web/tabtensor.js';
import { table } from '../../web/call.js';
import { failure } from './failures.js';

const {
  BoolTensor,
  ByteTensor,
  DoubleTensor,
  FloatTensor,
  IntTensor,
  LongTensor,
  Tensor,
  isTensor,
  tensor,
  torch,
} = tabtensor;

test('S2: every row of the op table is a function or a method, and none is hidden by another name', () => {
  assert.ok(table.length > 150);
  for (const op of table) {
    if (op.isMethod)
      assert.equal(Object.getOwnPropertyDescriptor(Tensor.prototype, op.name)?.writable, true, `Tensor.${op.name}`);
    // torch.bool is the dtype, as in PyTorch; x.bool() the op.
    if (!op.isInPlace && !op.isHidden && op.name !== 'bool') assert.equal(typeof torch[op.name], 'function', `torch.${op.name}`);
    if (op.isInPlace || op.isHidden) assert.equal(torch[op.name], undefined, `torch.${op.name}`);
  }
});

test('the signature of a row is read when it is first asked for, and says what its line does', () => {
  for (const op of table) {
    const { name, number, flags, params } = op;
    assert.equal(table[number - 1], op);
    assert.match(op.schema, new RegExp(`^${name}\\(`));
    assert.equal(op.isInPlace, flags.includes('inplace'), name);
    assert.equal(op.isFactory, flags.includes('factory'), name);
    assert.equal(op.isHidden, flags.includes('hidden'), name);
    assert.equal(op.marks.includes('n'), flags.includes('functional'), name);
    const isMethod = params[0]?.type === 'Tensor' && !['factory', 'function', 'hidden'].some((flag) => flags.includes(flag));
    assert.equal(op.isMethod, isMethod, name);
  }
});

test('the dtype follows the data', () => {
  const cases = [
    [[1, 2, 3], 'float32', [3]],
    [[[1.5], [2]], 'float32', [2, 1]],
    [[true, false], 'bool', [2]],
    [[true, 1], 'float32', [2]],
    [[1n, 2n], 'int64', [2]],
    [7, 'float32', []],
    [[], 'float32', [0]],
    [[[], []], 'float32', [2, 0]],
    [new Float32Array(2), 'float32', [2]],
    [new Float64Array(2), 'float64', [2]],
    [new Int8Array(2), 'int32', [2]],
    [new Int32Array(2), 'int32', [2]],
    [new Uint8Array(2), 'uint8', [2]],
    [new Uint16Array(2), 'int32', [2]],
    [new Uint32Array(2), 'int64', [2]],
    [new BigInt64Array(2), 'int64', [2]],
    [[new Float64Array(3), new Float64Array(3)], 'float64', [2, 3]],
  ];
  for (const [data, dtype, shape] of cases) {
    const made = tensor(data);
    assert.equal(made.dtype, dtype, inspect(data));
    assert.deepEqual(made.shape, shape, inspect(data));
    assert.equal(made.ndim, shape.length);
    assert.equal(
      made.numel(),
      shape.reduce((product, size) => product * size, 1),
    );
  }
  assert.equal(tensor([1], { dtype: 'int64' }).dtype, 'int64');
  assert.equal(new FloatTensor([1n]).dtype, 'float32');
  assert.equal(DoubleTensor([1]).dtype, 'float64');
  assert.equal(LongTensor([1]).dtype, 'int64');
  assert.equal(IntTensor([1]).dtype, 'int32');
  assert.equal(ByteTensor([1]).dtype, 'uint8');
  assert.equal(BoolTensor([1]).dtype, 'bool');
});

test('values survive the way in and out, whatever the dtype', async () => {
  const numbers = [
    ['float32', [1.5, -0, Infinity, NaN], Float32Array],
    ['float64', [Math.PI, -0, -Infinity, NaN], Float64Array],
    ['int32', [2147483647, -2147483648], Int32Array],
    ['uint8', [0, 255], Uint8Array],
  ];
  for (const [dtype, values, ArrayType] of numbers) {
    const made = tensor(values, { dtype });
    assert.deepEqual(await made.data(), ArrayType.from(values));
    assert.deepEqual(await made.array(), values);
  }
  const long = tensor([9007199254740993n, -1n, 5n]);
  assert.deepEqual(await long.data(), BigInt64Array.of(9007199254740993n, -1n, 5n));
  assert.deepEqual(await long.array(), [9007199254740993n, -1, 5]);
  const flags = tensor([[true], [false]]);
  assert.deepEqual(await flags.data(), Uint8Array.of(1, 0));
  assert.deepEqual(await flags.array(), [[true], [false]]);
  assert.deepEqual(await BoolTensor([NaN, 0, 2]).array(), [true, false, true]);
  assert.equal(await tensor(2.5).item(), 2.5);
  assert.equal(await tensor([[3n]]).item(), 3);
  assert.deepEqual(
    await tensor([
      [1, 2],
      [3, 4],
    ])
      .transpose(0, 1)
      .array(),
    [
      [1, 3],
      [2, 4],
    ],
  );
  assert.deepEqual(await tensor([[], []]).array(), [[], []]);
});

test('what data() answers is a copy', async () => {
  const x = tensor([1, 2]);
  const data = await x.data();
  data[0] = 100;
  assert.deepEqual(await x.array(), [1, 2]);
  x.add_(1);
  assert.deepEqual([...data], [100, 2]);
});

test('S18: prints as PyTorch does', () => {
  assert.equal(String(tensor([3, 6, 9, 12, 14])), 'tensor([ 3.,  6.,  9., 12., 14.])');
  assert.equal(
    inspect(
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ),
    'tensor([[1., 2.],\n        [3., 4.]])',
  );
  assert.equal(String(tensor([1n, 2n])), 'tensor([1, 2])');
  assert.equal(String(tensor([1, 2], { dtype: 'int32' })), 'tensor([1, 2], dtype=torch.int32)');
  assert.equal(String(tensor([true, false])), 'tensor([ True, False])');
  assert.equal(String(tensor([])), 'tensor([])');
  assert.equal(`${tensor(5)}`, 'tensor(5.)');
});

test('S1: a chain is printed from its head to its tail', () => {
  assert.equal(tensor([1]).chainPrint(), 'FloatTensor > _LocalTensor');
  assert.equal(tensor([1n]).chainPrint(), 'LongTensor > _LocalTensor');
});

test('arguments may be given by position, by name, and without brackets', async () => {
  const x = tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  assert.deepEqual(await x.sum().item(), 21);
  assert.deepEqual(await x.sum(0).array(), [5, 7, 9]);
  assert.deepEqual(await x.sum(1, true).array(), [[6], [15]]);
  assert.deepEqual(await x.sum(1, { keepdim: true }).array(), [[6], [15]]);
  assert.deepEqual(await x.sum({ dim: [0, 1], keepdim: true }).array(), [[21]]);
  assert.equal(x.sum({ dtype: 'float64' }).dtype, 'float64');
  assert.deepEqual(x.view(3, 2).shape, [3, 2]);
  assert.deepEqual(x.view([3, -1]).shape, [3, 2]);
  assert.deepEqual(x.permute(1, 0).shape, [3, 2]);
  assert.deepEqual(torch.zeros(2, 3).shape, [2, 3]);
  assert.deepEqual(torch.ones([2, 3], { dtype: 'int64' }).dtype, 'int64');
  assert.deepEqual(torch.ones(2, 3, { dtype: torch.bool }).dtype, 'bool');
  assert.deepEqual(torch.zeros([]).shape, []);
  assert.deepEqual(await torch.cat([x, x], 1).sum().item(), 42);
  assert.deepEqual((await torch.cat([x, x], { dim: 0 })).shape, [4, 3]);
  const [values, indices] = x.max(1);
  assert.deepEqual(
    [await values.array(), await indices.array()],
    [
      [3, 6],
      [2, 2],
    ],
  );
  assert.equal(await x.max().item(), 6);
  const parts = x.split(1);
  assert.equal(parts.length, 2);
  assert.deepEqual(await parts[1].array(), [[4, 5, 6]]);
  assert.deepEqual(await x.clamp({ max: 2 }).array(), [
    [1, 2, 2],
    [2, 2, 2],
  ]);
});

test('numbers: integral ones are ints, as in Python', async () => {
  const ints = tensor([1n, 2n]);
  assert.equal(ints.add(1).dtype, 'int64');
  assert.equal(ints.mul(0.5).dtype, 'float32');
  assert.equal(ints.add(9007199254740993n).dtype, 'int64');
  assert.deepEqual(await ints.mul(9007199254740993n).data(), BigInt64Array.of(9007199254740993n, 18014398509481986n));
  assert.equal(ints.div(2).dtype, 'float32');
  assert.equal(tensor([true]).add(1).dtype, 'int64');
  assert.equal(tensor([true]).add(true).dtype, 'bool');
  assert.equal(tensor([1]).add(1).dtype, 'float32');
  assert.equal(tensor([1]).add(tensor([1], { dtype: 'float64' })).dtype, 'float64');
  assert.ok(Object.is((await tensor([1]).mul(-0).array())[0], -0));
  assert.equal(torch.arange(5).dtype, 'int64');
  assert.equal(torch.full([2], 1.5).dtype, 'float32');
});

test('an in-place op answers the tensor itself, and its views see it', async () => {
  const x = tensor([
    [1, 2],
    [3, 4],
  ]);
  const row = x.select(0, 1);
  assert.equal(x.add_(10), x);
  assert.deepEqual(await row.array(), [13, 14]);
});

test('seeded random numbers come again', async () => {
  torch.manual_seed(7);
  const first = await torch.rand(5).array();
  torch.manual_seed(7);
  assert.deepEqual(await torch.rand(5).array(), first);
  assert.notDeepEqual(await torch.rand(5).array(), first);
});

test('data that is not a tensor is refused, saying where', () => {
  assert.throws(() => tensor([[1, 2], [3]]), failure('shape', /ragged: at \[1\] there is 1 item, where others have 2/));
  assert.throws(() => tensor([[1, 2], 3]), failure('shape', /ragged: at \[1\] there is the number 3, where others have 2 items/));
  assert.throws(() => tensor([1, [2]]), failure('shape', /ragged: at \[1\] there is 1 item, where others have one number/));
  assert.throws(() => tensor([1, 'two']), failure('argument', /at \[1\] there is the string 'two'/));
  assert.throws(() => tensor([1, undefined]), failure('argument', /at \[1\] there is undefined, no number/));
  assert.throws(() => tensor({}), failure('argument', /the data is an Object, no number/));
  assert.throws(() => tensor([1, 2n]), failure('argument', /mixes BigInts/));
  assert.throws(() => tensor([1], { dtype: 'float16' }), failure('dtype', /no dtype 'float16'; there are bool/));
  assert.throws(() => tensor([NaN], { dtype: 'int64' }), failure('dtype', /NaN is no int64/));
  assert.throws(() => tensor([256], { dtype: 'uint8' }), failure('dtype', /256 does not fit in uint8/));
  assert.throws(() => tensor(tensor([1])), failure('argument', /already/));
  assert.throws(() => tensor([[[[[[[[[1]]]]]]]]]), failure('shape', /9 dimensions, the limit is 8/));
  assert.throws(() => new Tensor(), failure('argument', /tensors are made by/));
});

test("a wrong call is an error on the caller's line, with the op, the shapes and the worker", async () => {
  const x = torch.ones(2, 3);
  assert.throws(
    () => x.add(torch.ones(4)),
    (error) => {
      failure('shape', /add: shapes \[2, 3\] and \[4\] do not broadcast/)(error);
      assert.equal(error.op, 'add');
      assert.equal(error.worker, 'me');
      assert.deepEqual(error.shapes, ['[2, 3]', '[4]']);
      assert.match(error.stack, /tensor\.test\.js/);
      return true;
    },
  );
  assert.throws(() => x.matmul(x), failure('shape', /matmul/));
  assert.throws(() => x.sum(7), failure('index', /7/));
  assert.throws(() => x.sum(0, true, 'float64'), failure('argument', /by name/));
  assert.throws(() => x.sum({ dims: 0 }), failure('argument', /no argument dims; its arguments are sum\(/));
  assert.throws(() => x.sum(0, { dim: 0 }), failure('argument', /dim is given twice/));
  assert.throws(() => x.sum('zero'), failure('argument', /sum/));
  assert.throws(() => x.add(), failure('argument', /add/));
  assert.throws(() => x.add(Symbol('x')), failure('argument', /symbol/));
  assert.throws(() => x.add({ other: 1, alpha: {} }), failure('argument', /alpha/));
  assert.throws(() => torch.cat([x, 1]), failure('argument', /list of tensors, but there is the number 1/));
  assert.throws(() => x.view(1.5, 2), failure('argument', /list of ints/));
  assert.throws(() => torch.zeros([2], { dtype: 'int128' }), failure('dtype', /int128/));
  assert.throws(() => x.add_(torch.ones(4, 2, 3)), failure('shape', /./));
  await assert.rejects(x.item(), failure('shape', /shape \[2, 3\] has 6 elements/));
  assert.deepEqual(await x.add(1).sum().item(), 12, 'the core is whole after all that');
});

test('isTensor knows its own', () => {
  assert.equal(isTensor(tensor([1])), true);
  for (const other of [null, undefined, 1, [], {}, Object.create(Tensor.prototype)]) assert.equal(isTensor(other), false);
});

test('memory that grows moves nothing that is held', async () => {
  const small = tensor([1, 2, 3]);
  const large = torch.ones(4096, 4096);
  assert.deepEqual(await small.add(1).array(), [2, 3, 4]);
  assert.equal(await large.sum().item(), 4096 * 4096);
  large.dispose();
});

test('an option that there is not is refused, naming those there are', async () => {
  const x = tensor([1]);
  assert.throws(() => tensor([1], { dtpe: 'int32' }), failure('argument', /tensor: .*no option 'dtpe'; there are dtype, tags/));
  assert.throws(() => tensor([1], 'int32'), failure('argument', /such as \{ dtype: \.\.\. \}, not the string 'int32'/));
  assert.throws(() => FloatTensor([1], { dtype: 'int32' }), failure('argument', /FloatTensor: .*no option 'dtype'/));
  assert.throws(() => FloatTensor(2, 3), failure('argument', /torch\.zeros\(2, 3, \{ dtype: 'float32' \}\)/));
  assert.throws(() => new LongTensor([1], [2], [3]), failure('argument', /dtype: 'int64'/));
  assert.throws(() => x.send('bob', { tag: '#x' }), failure('argument', /send: .*no option 'tag'; there are id, tags/));
  assert.throws(() => x.send('bob', { policy: 'public' }), failure('argument', /'open', 'compute' or 'closed', not the string 'public'/));
  for (const method of ['get', 'ready', 'text', 'data', 'array', 'tolist', 'item', 'elements', 'getShape'])
    await assert.rejects(x[method]({ timeout: 1 }), failure('argument', /no option 'timeout'; there are signal/), method);
});

test("PyTorch's names: T, mT, size, dim, tolist, torch.linalg, torch.Tensor, randint of one bound", async () => {
  const x = tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  assert.deepEqual(await x.T.array(), await x.transpose(0, 1).array());
  assert.deepEqual(torch.zeros(2, 3, 4).T.shape, [4, 3, 2]);
  assert.deepEqual(torch.zeros(2, 3, 4).mT.shape, [2, 4, 3]);
  assert.deepEqual(tensor([1, 2]).T.shape, [2]);
  assert.deepEqual([x.size(), x.size(0), x.size(-1), x.dim()], [[2, 3], 2, 3, 2]);
  assert.throws(() => x.size(2), failure('index', /no dim 2 in shape \[2, 3\]/));
  assert.throws(() => x.size(-3), failure('index', /no dim -3/));
  assert.throws(() => x.size('0'), failure('argument', /the string '0'/));
  assert.deepEqual(await x.tolist(), await x.array());

  const a = tensor([
    [4, 2],
    [2, 3],
  ]);
  assert.deepEqual(Object.keys(torch.linalg).sort(), ['cholesky', 'det', 'eigh', 'eigvalsh', 'inv', 'qr', 'solve', 'solve_triangular', 'svd', 'svdvals']);
  assert.deepEqual(await torch.linalg.solve(a, tensor([[8], [7]])).round().array(), [[1], [2]]);
  assert.equal(Math.round(await torch.linalg.det(a).item()), 8);
  assert.deepEqual(await torch.linalg.inv(a).matmul(a).round().array(), [[1, 0], [0, 1]]);
  assert.deepEqual(await torch.linalg.cholesky(a).select(0, 0).array(), [2, 0]);

  const named = x.max(1);
  assert.equal(named.values, named[0]);
  assert.equal(named.indices, named[1]);
  assert.deepEqual(await x.topk(1).values.array(), [[3], [6]]);
  assert.equal(inspect(named).split('tensor(').length, 3, 'each is printed once');

  assert.equal(torch.Tensor([1]).dtype, 'float32');
  assert.ok(new torch.Tensor([1]) instanceof torch.Tensor && x instanceof torch.Tensor);
  assert.throws(() => torch.Tensor(2, 3), failure('argument', /torch\.zeros/));
  const drawn = torch.randint(10, [100], { seed: 1 });
  assert.deepEqual(await drawn.array(), await torch.randint(0, 10, [100], { seed: 1 }).array());
  assert.equal(drawn.dtype, 'int64');
});

test('what is no dtype is said without printing code', () => {
  for (const make of [(dtype) => tensor([1], { dtype }), (dtype) => torch.zeros(2, { dtype })]) {
    assert.throws(() => make(torch.float), failure('dtype', /torch\.float is an op; write torch\.float32 or 'float32'/));
    assert.throws(() => make(torch.long), failure('dtype', /write torch\.int64 or 'int64'/));
    assert.throws(() => make(torch.add), failure('dtype', /the function add is no dtype; there are bool/));
    assert.throws(() => make(() => 'source'), (error) => !error.message.includes('source') && failure('dtype', /a function is/)(error));
  }
  assert.throws(() => tensor([1]).add(() => 'source'), (error) => !error.message.includes('source') && error.code === 'argument');
});

test('an undefined argument stands for the default, or is an error that says so', async () => {
  const x = tensor([[1, 2]]);
  assert.throws(() => x.add(undefined), failure('argument', /add: the argument 'other' \(position 1\) is undefined/));
  assert.throws(() => torch.add(x, undefined), failure('argument', /'other' \(position 1\) is undefined/));
  assert.throws(() => torch.zeros(undefined), failure('argument', /'size' \(position 0\) is undefined/));
  assert.throws(() => torch.cat([x, undefined]), failure('argument', /there is undefined in it/));
  assert.equal(await x.sum(undefined, undefined).item(), 3);
  assert.throws(() => torch.manual_seed('a'), failure('argument', /whole number, such as 1, not the string 'a'/));
  assert.throws(() => torch.manual_seed(), failure('argument', /not undefined/));
  assert.throws(() => torch.manual_seed(1.5), failure('argument', /1\.5/));
  assert.throws(() => tabtensor.tidy(5), failure('argument', /tidy: the argument is a function.*the number 5/));
});

test('operators and JSON say what to write instead; text is text', () => {
  const x = tensor([1]);
  assert.throws(() => x + 1, failure('argument', /no operators in JavaScript: write a\.add\(b\)/));
  assert.throws(() => x * x, failure('argument', /no operators/));
  assert.throws(() => x < x, failure('argument', /no operators/));
  assert.equal(`${x}`, 'tensor([1.])');
  assert.equal(String(x), 'tensor([1.])');
  assert.throws(() => JSON.stringify({ x }), failure('argument', /await x\.array\(\)/));
});

test('what is done with a disposed tensor names what was done', async () => {
  const x = tensor([1]);
  x.dispose();
  assert.throws(() => x.add(1), failure('state', /^add: this tensor has been disposed of$/));
  assert.throws(() => torch.cat([x]), failure('state', /^cat: this tensor/));
  assert.throws(() => x.shape, failure('state', /^shape: this tensor/));
  assert.throws(() => x.T, failure('state', /^T: this tensor/));
  await assert.rejects(x.array(), failure('state', /^array: this tensor/));
  assert.equal(String(x), '[disposed tensor]');
});
