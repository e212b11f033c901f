// Files: .npy and .npz both ways against NumPy itself, .safetensors against the fixture, damaged archives.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { TensorError, TorchHook, VirtualWorker, loadSafetensors, np, numTensors, saveSafetensors, tensor, torch } from '../../web/tabtensor.js';
import { crc32, unzip, zip } from '../../web/zip.js';
import { python, pythonBytes } from './python.js';

const fixture = async (name) => JSON.parse(await readFile(new URL(`../fixtures/${name}.json`, import.meta.url), 'utf8'));
const fromHex = (hex) => new Uint8Array(Buffer.from(hex, 'hex'));
const hexOf = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('hex');

const failure = (code, message) => (error) => {
  assert.ok(error instanceof TensorError, `${error}`);
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

test('S12: .npy files that NumPy wrote are read, and what is written is what NumPy writes', async () => {
  const { files, bad } = await fixture('npy');
  for (const { name, npy, dtype, shape, data, is_ours: isOurs } of files) {
    const a = await np.load(fromHex(npy));
    const elements = await a.elements();
    assert.equal(a.dtype, dtype, name);
    assert.deepEqual(a.shape, shape, name);
    assert.equal(hexOf(elements.data), data, name);
    if (isOurs) assert.equal(hexOf(await np.save(a)), npy, name);
  }
  // An archive is read as one here.
  for (const { name, npy, status, words } of bad.filter(({ name: of }) => of !== 'a .npz'))
    await assert.rejects(np.load(fromHex(npy)), (error) => {
      assert.equal(error.code, status, name);
      assert.ok(error.message.includes(words), `${name}: ${error.message}`);
      return true;
    });
});

test('S12: NumPy reads the .npy and .npz files that we write', async () => {
  const x = np.array([[1.5, -2], [0.25, NaN]]);
  const flags = np.array([true, false, true]);
  const counts = np.array([1n, -(2n ** 62n)]);
  const told = python('import sys, io, json, numpy as np; a = np.load(io.BytesIO(sys.stdin.buffer.read())); print(json.dumps([str(a.dtype), repr(a.tolist())]))', await np.save(x));
  assert.deepEqual(told, ['float64', '[[1.5, -2.0], [0.25, nan]]']);
  for (const save of [np.savez, np.savez_compressed]) {
    const bytes = await save({ x, flags, counts });
    const script = 'import sys, io, json, numpy as np; z = np.load(io.BytesIO(sys.stdin.buffer.read())); print(json.dumps({k: [str(z[k].dtype), repr(z[k].tolist())] for k in z.files}))';
    assert.deepEqual(python(script, bytes), {
      x: ['float64', '[[1.5, -2.0], [0.25, nan]]'],
      flags: ['bool', '[True, False, True]'],
      counts: ['int64', `[1, ${-(2n ** 62n)}]`],
    });
    const again = await np.load(bytes);
    assert.deepEqual(Object.keys(again), ['x', 'flags', 'counts']);
    assert.equal(String(again.counts), `[                   1 ${-(2n ** 62n)}]`);
  }
  const listed = await np.load(await np.savez([x, flags]));
  assert.deepEqual(Object.keys(listed), ['arr_0', 'arr_1']);
});

test('S12: .npz files that NumPy wrote are read, stored and deflated', async () => {
  for (const save of ['savez', 'savez_compressed']) {
    const bytes = pythonBytes(`import sys, io, numpy as np
out = io.BytesIO()
np.${save}(out, weights=np.arange(6, dtype='f4').reshape(2, 3), grid=np.asfortranarray(np.arange(20000).reshape(100, 200)), big=np.arange(3, dtype='>i2'))
sys.stdout.buffer.write(out.getvalue())`);
    const { weights, grid, big } = await np.load(bytes);
    assert.deepEqual(await weights.tolist(), [[0, 1, 2], [3, 4, 5]]);
    assert.equal(await grid.sum().item(), (19999 * 20000) / 2);
    assert.equal(big.dtype, 'int32');
    assert.deepEqual(await big.tolist(), [0, 1, 2]);
  }
});

test('what np.load takes: bytes, an ArrayBuffer, a Blob, a Response, a URL, a path; np.save writes a path', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tabtensor-'));
  const path = join(folder, 'a.npy');
  try {
    const a = np.array([1, 2, 3]);
    assert.equal(await np.save(path, a), undefined);
    await np.savez(join(folder, 'a.npz'), { a });
    const bytes = await np.save(a);
    const server = createServer((request, response) => (request.url === '/a.npy' ? response.end(Buffer.from(bytes)) : response.writeHead(404).end()));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${server.address().port}`;
    try {
      const sources = [bytes, bytes.buffer, Buffer.from(bytes), new Blob([bytes]), new Response(bytes), path, pathToFileURL(path), `${url}/a.npy`, new URL(`${url}/a.npy`)];
      for (const source of sources) assert.deepEqual(await (await np.load(source)).tolist(), [1, 2, 3]);
      await assert.rejects(np.load(`${url}/b.npy`), failure('connection', /404/));
    } finally {
      server.closeAllConnections();
      server.close();
    }
    assert.deepEqual(await (await np.load(join(folder, 'a.npz'))).a.tolist(), [1, 2, 3]);
    await assert.rejects(np.load(join(folder, 'none.npy')), { code: 'ENOENT' });
    await assert.rejects(np.load(Symbol('path')), failure('argument', /a path, not the symbol/));
    await assert.rejects(np.save(1, a), failure('argument', /the path is a string/));
    await assert.rejects(np.load(17), failure('argument', /the number 17/));
    await assert.rejects(np.load(bytes, { maxBytes: 1 }), failure('argument', /no option 'maxBytes'/));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a pointer is saved: its elements are fetched', async () => {
  const hook = new TorchHook();
  const bob = new VirtualWorker({ hook, id: 'bob-of-files' });
  const p = np.array([[1, 2], [3, 4]]).send(bob);
  assert.deepEqual(await (await np.load(await np.save(np.add(p, 1)))).tolist(), [[2, 3], [4, 5]]);
  const { tensors } = await loadSafetensors(await saveSafetensors({ w: p.tensor }));
  assert.deepEqual(await tensors.w.array(), [[1, 2], [3, 4]]);
});

test('archives: checksums, sizes and a ceiling hold', async () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
  const text = new TextEncoder().encode('tensors '.repeat(1000));
  for (const deflate of [false, true]) {
    const bytes = await zip([['a.txt', text], ['b', new Uint8Array()]], { deflate });
    assert.equal(deflate, bytes.length < 1000);
    const members = await unzip(bytes, 8000);
    assert.deepEqual(members.map(([name, { length }]) => [name, length]), [['a.txt', 8000], ['b', 0]]);
    assert.deepEqual(members[0][1], text);
    await assert.rejects(unzip(bytes, 7999), failure('full', /take 8000 bytes; at most 7999/));
    // What is said to be smaller than it is, a bomb's way, stops where it said.
    const small = bytes.slice();
    const directory = Buffer.from(small).lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2]), -60 - 22);
    const first = Buffer.from(small).indexOf(Buffer.from([0x50, 0x4b, 1, 2]));
    assert.ok(directory >= first);
    new DataView(small.buffer).setUint32(first + 24, 10, true);
    await assert.rejects(unzip(small, 8000), failure('argument', deflate ? /inflates to more than the 10 bytes/ : /its two sizes differ/));
    const damaged = bytes.slice();
    damaged[40] ^= 0x55;
    await assert.rejects(unzip(damaged, 8000), failure('argument', /checksum|does not inflate|inflates to more|has \d+ bytes, not/));
    for (let n = 0; n < bytes.length; n += 1 + Math.floor(n / 40)) await assert.rejects(unzip(bytes.slice(0, n), 8000), TensorError);
  }
});

test('damaged archives are refused and never crash', async () => {
  const bytes = await np.savez_compressed({ a: np.arange(100), b: np.array([true, false]) });
  let seed = 1;
  const next = (n) => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return seed % n;
  };
  let nRefused = 0;
  for (let round = 0; round < 300; round++) {
    const damaged = bytes.slice();
    for (let i = 0; i <= next(3); i++) damaged[next(damaged.length)] = next(256);
    try {
      await np.load(damaged, { max_bytes: 1 << 20 });
    } catch (error) {
      assert.ok(error instanceof TensorError, `${error.stack}`);
      nRefused++;
    }
  }
  assert.ok(nRefused > 200, `${nRefused}`);
});

test('.safetensors files of the fixture are read and written', async () => {
  const { files, bad } = await fixture('safetensors');
  for (const { name, bytes, metadata, tensors: wanted, is_ours: isOurs } of files) {
    const { tensors, metadata: found } = await loadSafetensors(fromHex(bytes));
    assert.deepEqual(found, metadata, name);
    assert.deepEqual(Object.keys(tensors), wanted.map((item) => item.name), name);
    for (const item of wanted) {
      const { dtype, shape, data } = await tensors[item.name].elements();
      assert.deepEqual([dtype, shape, hexOf(data)], [item.dtype, item.shape, item.data], `${name}: ${item.name}`);
    }
    if (isOurs) assert.equal(hexOf(await saveSafetensors(tensors, { metadata: found })), bytes, name);
  }
  const before = numTensors();
  for (const { name, bytes, status, words } of bad)
    await assert.rejects(loadSafetensors(fromHex(bytes)), (error) => {
      assert.equal(error.code, status, name);
      assert.ok(error.message.includes(words), `${name}: ${error.message}`);
      return true;
    });
  assert.equal(numTensors(), before);
});

test('.safetensors: what cannot be saved is said', async () => {
  const w = torch.zeros(2);
  await assert.rejects(saveSafetensors({ __metadata__: w }), failure('argument', /keeps for metadata/));
  await assert.rejects(saveSafetensors({ w: 1 }), failure('argument', /'w' is the number 1, no tensor/));
  await assert.rejects(saveSafetensors([w]), failure('argument', /objects/));
  await assert.rejects(saveSafetensors({ 'a\0b': w }), failure('argument', /U\+0000/));
  await assert.rejects(saveSafetensors({ w }, { metadata: { step: 1 } }), failure('argument', /the metadata 'step' is a string/));
  const { tensors } = await loadSafetensors(await saveSafetensors({ w: tensor([1.5]), __proto__x: w }));
  assert.deepEqual(Object.keys(tensors).sort(), ['__proto__x', 'w']);
});
