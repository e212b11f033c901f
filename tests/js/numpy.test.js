// NumPy's face: np's functions and arrays here, and on pointers; what is printed; conversions. Values are compared by tests/oracle/compare_numpy.py.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { Tensor, TorchHook, VirtualWorker, isTensor, np, numTensors, tensor, tidy, torch } from '../../web/tabtensor.js';
import { numpyTable } from '../../web/numpy.js';
import { python } from './python.js';
import { failure } from './failures.js';

const hook = new TorchHook();
let nBobs = 0;
const newBob = () => new VirtualWorker({ hook, id: `numpy-bob-${++nBobs}` });

test('S12: every row of the table is a function of np, and the methods are there', () => {
  assert.ok(numpyTable.length > 150);
  for (const row of numpyTable) {
    const names = row.name.split('.');
    const owner = names.length === 2 ? np[names[0]] : np;
    if (!row.flags.includes('only_method')) assert.equal(typeof owner[names.at(-1)], 'function', row.name);
    if (row.isMethod) assert.equal(typeof np.ndarray.prototype[row.name], 'function', row.name);
  }
});

test('S12: np.array knows dtypes as NumPy does, numbers being floats', () => {
  assert.equal(np.array([1, 2, 3]).dtype, 'float64');
  assert.equal(np.array([true, false]).dtype, 'bool');
  assert.equal(np.array([1n, 2n]).dtype, 'int64');
  assert.equal(np.array([true, 2]).dtype, 'float64');
  assert.equal(np.array(new Float32Array([1, 2])).dtype, 'float32');
  assert.equal(np.array([]).dtype, 'float64');
  assert.equal(np.array([1.7, 2], { dtype: np.int32 }).dtype, 'int32');
  assert.equal(np.array(5).ndim, 0);
  assert.equal(np.arange(3).dtype, 'int64');
  assert.equal(np.arange(0, 1, 0.25).dtype, 'float64');
  assert.equal(np.zeros([2, 2]).dtype, 'float64');
  const a = np.array([[1, 2], [3, 4]]);
  assert.deepEqual([a.shape, a.ndim, a.size], [[2, 2], 2, 4]);
  assert.deepEqual(np.array([a, [[5, 6], [7, 8]]]).shape, [2, 2, 2]);
  assert.throws(() => np.array([[1, 2], [3]]), failure('shape', /ragged/));
});

test('S12: axis, keepdims, ddof and dtype, by position and by name', async () => {
  const a = np.arange(6).reshape(2, 3);
  assert.deepEqual(await np.sum(a, { axis: 0, keepdims: true }).tolist(), [[3, 5, 7]]);
  assert.deepEqual(await a.sum({ axis: [0, 1] }).item(), 15);
  assert.deepEqual(await a.sum(1).tolist(), [3, 12]);
  assert.equal(a.mean().dtype, 'float64');
  assert.equal(await a.var({ ddof: 1 }).item(), 3.5);
  assert.equal(a.sum({ dtype: 'float32' }).dtype, 'float32');
  assert.deepEqual(await a.max({ axis: -1 }).tolist(), [2, 5]);
  assert.deepEqual(a.transpose(1, 0).shape, [3, 2]);
  assert.deepEqual(a.T.shape, [3, 2]);
  assert.deepEqual(await a.flatten().tolist(), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(await np.divmod(a, 4)[1].tolist(), [[0, 1, 2], [3, 0, 1]]);
  assert.deepEqual((await Promise.all(np.split(a, 3, { axis: 1 }).map((part) => part.tolist())))[2], [[2], [5]]);
  assert.throws(() => a.sum({ axis: 2 }), failure('index', /np\.sum: axis 2 is out of bounds for array of dimension 2/));
  assert.throws(() => a.sum({ dim: 0 }), failure('argument', /there is no argument dim/));
  assert.throws(() => np.concatenate([a, np.zeros([2, 2])]), failure('shape', /must match exactly/));
  assert.throws(() => np.add(a, np.zeros([4])), failure('shape', /broadcast/));
  assert.throws(() => np.subtract(np.array([true]), np.array([false])), failure('dtype', /bool/));
  assert.throws(() => np.floor_divide(np.array([1n]), 0), failure('numeric', /zero/));
});

test("S12: promotion is NumPy's: int32 and float32 make float64, scalars are weak, integers divide to float64", () => {
  const i = np.ones([2], { dtype: 'int32' });
  const f = np.ones([2], { dtype: 'float32' });
  const u = np.ones([2], { dtype: 'uint8' });
  assert.equal(np.add(i, f).dtype, 'float64');
  assert.equal(np.add(u, f).dtype, 'float32');
  assert.equal(np.add(f, 1.5).dtype, 'float32');
  assert.equal(np.add(f, np.array(1.5)).dtype, 'float32');
  assert.equal(np.multiply(i, 1.5).dtype, 'float64');
  assert.equal(np.add(u, 300).dtype, 'int32');
  assert.equal(np.true_divide(i, i).dtype, 'float64');
  assert.equal(np.sqrt(i).dtype, 'float64');
  assert.equal(i.sum().dtype, 'int64');
  assert.equal(np.dot(f, np.array(2)).dtype, 'float64');
  assert.equal(np.add([1, 2], [3, 4]).dtype, 'float64');
  assert.equal(np.add(1, 2).ndim, 0);
});

test('S12: pointers to arrays: calls run where the data is, results are pointers', async () => {
  const bob = newBob();
  const a = np.array([[1, 2], [3, 4]]);
  assert.equal(a.send(bob), a);
  assert.ok(a.isPointer);
  assert.equal(a.location, bob);
  const m = np.divide(a, a.sum({ axis: 1, keepdims: true }));
  assert.ok(m.isPointer);
  assert.deepEqual(m.shape, [2, 2]);
  assert.match(String(m), /^\[numpy\.ndarray - Locations:\[<VirtualWorker numpy-bob-\d+>\] - id:\d+\]$/);
  assert.equal(await m.text(), '[[0.33333333 0.66666667]\n [0.42857143 0.57142857]]');
  assert.deepEqual(await np.add(2, a).tolist(), [[3, 4], [5, 6]]);
  assert.deepEqual(await np.maximum(3, a).tolist(), [[3, 3], [3, 4]]);
  assert.deepEqual(await np.median(a, { axis: 0 }).tolist(), [2, 3]);
  assert.deepEqual(await np.concatenate([a, np.zeros_like(a)], { axis: null }).tolist(), [1, 2, 3, 4, 0, 0, 0, 0]);
  const [rows, columns] = np.nonzero(np.greater(a, 2));
  assert.equal(rows.shape, null);
  assert.deepEqual([await rows.tolist(), await columns.tolist()], [[1, 1], [0, 1]]);
  assert.throws(() => a.sum({ axis: 5 }), failure('index', /axis 5/));
  assert.throws(() => np.add(a, np.array([1, 2])), failure('location', /./));
  await m.get();
  assert.ok(!m.isPointer);
  assert.equal(await a.get(), a);
  assert.equal(String(a), '[[1. 2.]\n [3. 4.]]');
});

test('S12: einsum takes arrays one after the other, pad a pair of widths for each dimension', async () => {
  const bob = newBob();
  const [a, b] = [np.arange(6).reshape(2, 3), np.ones([3, 2], { dtype: 'int64' })];
  assert.deepEqual(await np.einsum('ij,jk->ik', a, b).tolist(), [[3, 3], [12, 12]]);
  assert.deepEqual(await np.einsum('ij,jk', [a, b]).tolist(), [[3, 3], [12, 12]]);
  assert.deepEqual(await np.einsum('ij->', a.send(bob)).item(), 15);
  assert.deepEqual(await np.pad([[1]], [[1, 0], [0, 2]]).tolist(), [[0, 0, 0], [1, 0, 0]]);
  assert.deepEqual(await np.pad([1, 2], 1, { constant_values: 9 }).tolist(), [9, 1, 2, 9]);
});

test('S12: a pointer without dimensions counts with its dtype beside integers, and is weak beside floats', () => {
  const bob = newBob();
  const u = np.ones([2], { dtype: 'uint8' }).send(bob);
  const f = np.ones([2], { dtype: 'float32' }).send(bob);
  assert.equal(np.add(u, np.array(5n).send(bob)).dtype, 'int64');
  assert.equal(np.add(f, np.array(5).send(bob)).dtype, 'float32');
});

test('S12: what is printed is what NumPy prints', async () => {
  const cases = [
    ['np.array([1.5, 2])', np.array([1.5, 2])],
    ['np.arange(2000).reshape(40, 50)', np.arange(2000).reshape(40, 50)],
    ["np.array([1, 2], 'f4') / 3", np.divide(np.array([1, 2], { dtype: 'float32' }), 3)],
    ['np.array([[True, False]])', np.array([[true, false]])],
    ['np.array(0.1)', np.array(0.1)],
    ['np.zeros((0, 3))', np.zeros([0, 3])],
    ['np.array([np.nan, np.inf, -1e10])', np.array([NaN, Infinity, -1e10])],
    ['np.arange(30) / 7', np.divide(np.arange(30), 7)],
  ];
  const wanted = python(`import json, numpy as np\nprint(json.dumps([[str(a), repr(a)] for a in [${cases.map(([text]) => text).join(', ')}]]))`);
  cases.forEach(([text, a], i) => assert.deepEqual([String(a), inspect(a)], wanted[i], text));
  assert.throws(() => cases[0][1] + 1, failure('argument', /np\.add/));
  assert.throws(() => JSON.stringify(cases[0][1]), failure('argument', /tolist/));
});

test('from PyTorch and back, the memory is shared', async () => {
  const t = tensor([1, 2, 3]);
  const a = t.numpy();
  assert.equal(a.dtype, 'float32');
  t.add_(1);
  assert.equal(String(a), '[2. 3. 4.]');
  const again = torch.from_numpy(a);
  assert.ok(isTensor(again) && again instanceof Tensor);
  again.mul_(10);
  assert.equal(String(a), '[20. 30. 40.]');
  assert.equal(String(np.add(t, a)), '[40. 60. 80.]');
  assert.equal(np.asarray(a), a);
  const copy = np.array(a);
  again.zero_();
  assert.equal(String(copy), '[20. 30. 40.]');
  assert.equal(np.asarray(t).dtype, 'float32');
  assert.throws(() => torch.from_numpy(t), failure('argument', /array of np's/));
  assert.throws(() => tensor([1], { requires_grad: true }).numpy(), failure('state', /detach/));
});

test('tidy knows arrays; dispose frees; an argument is never the result', async () => {
  const a = np.array([[1, 2], [3, 4]]);
  const before = numTensors();
  const kept = tidy(() => [np.add(a, a).sum({ axis: 0 })]);
  assert.equal(numTensors(), before + 1);
  assert.deepEqual(await kept[0].tolist(), [8, 12]);
  const same = np.atleast_1d(a);
  same.dispose();
  assert.ok(same.isDisposed && !a.isDisposed);
  assert.equal(String(same), '[disposed array]');
  assert.throws(() => same.sum(), failure('state', /disposed/));
});

test('random: seeds repeat, generators have a state of their own', async () => {
  np.random.seed(7);
  const first = await np.random.rand(2, 2).tolist();
  np.random.seed(7);
  assert.deepEqual(await np.random.rand(2, 2).tolist(), first);
  const [one, two] = [np.random.default_rng(1), np.random.default_rng(1)];
  const drawn = await one.random(3).tolist();
  assert.deepEqual(await two.random([3]).tolist(), drawn);
  assert.notDeepEqual(await one.random(3).tolist(), drawn);
  assert.equal(one.normal(0, 1, [2, 3]).dtype, 'float64');
  const dice = await one.integers(1, 7, 600).tolist();
  assert.ok(dice.every((n) => n >= 1 && n <= 6) && new Set(dice).size === 6);
  assert.throws(() => np.random.default_rng('x'), failure('argument', /whole number/));
});
