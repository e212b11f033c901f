// The parts that wasm-build/to_web.js makes of a core: what of the data goes to later parts, and how a call finds a function that is not there yet.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { signedBytes } from '../../wasm-build/instructions.js';
import { dataIn, referring, regionsOf, withDataMoved } from '../../wasm-build/regions.js';
import { GLOBAL, exportsOf, importsOf, numberBytes } from '../../wasm-build/sections.js';
import { withPlacesTold, withStandIns } from '../../wasm-build/stand_ins.js';

const run = promisify(execFile);
const part = (name) => readFileSync(new URL(`../../web/core/${name}.wasm`, import.meta.url));

// ---- the core itself ----

for (const core of ['tabtensor_core', 'tabtensor_core_relaxed']) {
  test(`the parts of ${core} have data of their own, which agrees`, () => {
    const placesOf = (module) => dataIn(module).map(({ address, begins, ends }) => [address, address + ends - begins]);
    const [first, more, later] = ['', '_more', '_later'].map((ending) => part(core + ending));
    for (const moved of [more, later]) {
      assert.ok(placesOf(moved).length > 0);
      for (const [begins, ends] of placesOf(moved)) assert.ok(placesOf(first).every((other) => other[1] <= begins || ends <= other[0]));
    }
    // What both have is written twice when both are loaded.
    const pieces = (module) => dataIn(module).map(({ address, begins, ends }) => `${address}: ${module.toString('latin1', begins, ends)}`);
    const all = new Set(pieces(later));
    assert.deepEqual(pieces(more).filter((piece) => !all.has(piece)), []);
  });
}

test('a part asks for its own build by name, so that it is refused by the core of another', () => {
  const own = ['tabtensor_core', 'tabtensor_core_relaxed'].map((core) => {
    const given = exportsOf(part(core)).map(({ name }) => name);
    const [asked, ...others] = ['_more', '_later'].map((ending) =>
      importsOf(part(core + ending)).filter(({ kind, names }) => kind === GLOBAL && names[1] !== 'place').map(({ names }) => names[1]),
    );
    assert.deepEqual(others, [asked]);
    assert.deepEqual(asked.map((name) => name.length), [8]);
    assert.ok(given.includes(asked[0]));
    return asked[0];
  });
  assert.notEqual(own[0], own[1]);
});

/** What every page does, then what it is told when it is wrong; `loaded` are the parts that have been. */
const FIRST_MOMENTS = `
  const { FloatTensor, VirtualWorker, TorchHook, tensor, torch } = await import('../../web/tabtensor.js');
  const said = [];
  const hook = new TorchHook();
  const bob = new VirtualWorker({ id: 'bob', hook });
  const [a, b] = [tensor([[1, 2], [3, 4.5]]), tensor([[-1, 1e10], [NaN, 0]])];
  for (const op of ['add', 'sub', 'mul', 'div']) said.push(String(a[op](b)), String(a[op](2)));
  said.push(String(a.sum()), String(a.t()), String(a.reshape([4])), String(torch.zeros([2])), String(torch.ones([1])));
  const x = FloatTensor([1, 2, 3]).send(bob);
  said.push(String(await x.add(x).mul(2).get()), (await bob.whoami()).id, loaded.join());
  const refused = async (call) => { try { said.push('not refused: ' + await call()); } catch (error) { said.push(error.code + ' ' + error.message); } };
  await refused(() => a.add(tensor([1, 2, 3])));
  await refused(() => a.add('b'));
  await refused(() => a.reshape([3]));
  await refused(() => x.add(FloatTensor([1, 2]).send(bob)).get());
  await refused(() => x.add(a));
  x.dispose();
  await refused(() => x.add(1));`;

/** What that says when the memory where later parts have their data holds `filler` until they are loaded; and which have been. */
async function saidOver(filler) {
  const { stdout } = await run('node', ['-e', `
    const fs = require('node:fs');
    const loaded = [];
    const { readFileSync } = fs;
    fs.readFileSync = (path, ...rest) => {
      if (/_(more|later)\\.wasm$/.test(path)) loaded.push(String(path).split('_').at(-1));
      return readFileSync(path, ...rest);
    };
    require('node:module').syncBuiltinESMExports();
    const instantiate = WebAssembly.instantiate.bind(WebAssembly);
    (async () => {
      const { dataIn } = await import('../../wasm-build/regions.js');
      const pieces = dataIn(readFileSync('../../web/core/tabtensor_core_later.wasm'));
      WebAssembly.validate = () => false;
      WebAssembly.instantiate = async (...args) => {
        const instance = await instantiate(...args);
        const memory = Object.values(instance.exports).find((value) => value instanceof WebAssembly.Memory);
        for (const { address, begins, ends } of pieces) new Uint8Array(memory.buffer, address, ends - begins).fill(${filler});
        return instance;
      };
      ${FIRST_MOMENTS}
      console.log(JSON.stringify({ said, loaded }));
      process.exit();
    })();`], { cwd: new URL('.', import.meta.url) });
  return JSON.parse(stdout);
}

test('nothing reads the data of a later part before it is loaded', async () => {
  const [zeros, others] = [await saidOver(0), await saidOver(0xa5)];
  assert.deepEqual(others, zeros);
  assert.equal(zeros.said.length, 22);
  assert.equal(zeros.said[15], '');
  assert.deepEqual(zeros.loaded, ['more.wasm']);
  assert.deepEqual(zeros.said.filter((text) => /not refused|[\0\u{a5}]/u.test(text)), []);
});

// ---- how a call finds its function ----

const assembler = /^TT_wasm-as:\w+=(.*)$/m.exec(readFileSync(new URL('../../build/wasm/CMakeCache.txt', import.meta.url), 'utf8'))[1];

/** A core in two parts: 1 and 2 of the table are in the other, whose instance is made when its namespace's "load" is called. */
async function coreInParts() {
  const folder = mkdtempSync(join(tmpdir(), 'tabtensor-parts-'));
  const assemble = async (wat) => {
    writeFileSync(join(folder, 'a.wat'), wat);
    await run(assembler, ['--all-features', join(folder, 'a.wat'), '-o', join(folder, 'a.wasm')]);
    return readFileSync(join(folder, 'a.wasm'));
  };
  try {
    const first = withStandIns(
      `(module
 (type $i32_=>_i32 (func (param i32) (result i32)))
 (type $i32_f64_=>_f64 (func (param i32 f64) (result f64)))
 (import "env" "memory" (memory $0 1))
 (import "later" "1" (func $later_1 (param i32) (result i32)))
 (import "later" "2" (func $later_2 (param i32) (result i32)))
 (import "later" "3" (func $later_3 (param i32 f64) (result f64)))
 (table $0 5 5 funcref)
 (elem (i32.const 1) $later_1 $later_2 $later_3 $here)
 (export "table" (table $0))
 (export "call" (func $call))
 (func $here (param $0 i32) (result i32) (i32.add (local.get $0) (i32.const 1)))
 (func $call (param $0 i32) (param $1 i32) (result i32) (call_indirect $0 (type $i32_=>_i32) (local.get $0) (local.get $1)))
)
`,
      ['later'],
    );
    const later = `(module
 (type $i32_=>_i32 (func (param i32) (result i32)))
 (import "primary" "table" (table $0 5 funcref))
 (elem (i32.const 1) $1 $2 $3)
 (func $1 (param $0 i32) (result i32) (i32.mul (local.get $0) (i32.const 10)))
 (func $2 (param $0 i32) (result i32) (call_indirect $0 (type $i32_=>_i32) (i32.mul (local.get $0) (i32.const 100)) (i32.const 4)))
 (func $3 (param $0 i32) (param $1 f64) (result f64) (f64.add (local.get $1) (f64.convert_i32_s (local.get $0))))
)
`;
    return { first: withPlacesTold(await assemble(first)), later: withPlacesTold(await assemble(later)), text: first };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a stand-in serves all functions of its type, and the part is loaded once', async () => {
  const { first, later, text: wat } = await coreInParts();
  assert.equal(wat.match(/\(func \$stands_in/g).length, 2);
  let n = 0;
  let mayLoad = false;
  const env = { memory: new WebAssembly.Memory({ initial: 1 }) };
  const { instance } = await WebAssembly.instantiate(first, {
    env,
    later: {
      load() {
        if (!mayLoad) throw new Error('not there');
        n++;
        new WebAssembly.Instance(new WebAssembly.Module(later), { primary: instance.exports });
      },
    },
  });
  const { call, place, table } = instance.exports;
  assert.equal(call(5, 4), 6);
  assert.throws(() => call(5, 2), /not there/);
  mayLoad = true;
  assert.equal(call(5, 2), 501);
  assert.deepEqual([call(5, 1), call(5, 2), n], [50, 501, 1]);
  // From JavaScript, as core.js has it; what was got before is a stand-in for good.
  const again = await WebAssembly.instantiate(first, { env, later: { load: () => new WebAssembly.Instance(new WebAssembly.Module(later), { primary: again.instance.exports }) } });
  const standIn = again.instance.exports.table.get(3);
  again.instance.exports.place.value = 3;
  assert.equal(standIn(2, 0.5), 2.5);
  again.instance.exports.place.value = 3;
  assert.equal(standIn(3, 0.5), 3.5);
  assert.equal(table.get(3)(2, 0.5), 2.5);
  assert.equal(place.value, 4);
});

test('what is of another part and not only in the table is refused', () => {
  const wat = ' (type $none_=>_none (func))\n (import "later" "1" (func $later_1))\n (table $0 2 2 funcref)\n (elem (i32.const 1) $later_1)\n (func $0 (call $later_1))\n)\n';
  assert.throws(() => withStandIns(wat, ['later']), /\$later_1 is of another part/);
});

// ---- by modules of a few bytes ----

const leb = (value) => [...signedBytes(value)];
const vector = (items) => [...numberBytes(items.length), ...items.flat()];
const text = (value) => vector([...Buffer.from(value)]);
const section = (id, content) => [id, ...numberBytes(content.length), ...content];
const [TYPE, FUNCTION, MEMORY, DATA_COUNT, CODE, DATA, CUSTOM] = [1, 3, 5, 12, 10, 11, 0];
const END = 0x0b;
const i32 = (value) => [0x41, ...leb(value)];

/** A module with functions of that code, by name, and data at addresses. */
function moduleOf(functions, pieces) {
  const names = Object.keys(functions);
  return Buffer.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(TYPE, vector([[0x60, 0, 1, 0x7f]])),
    ...section(FUNCTION, vector(names.map(() => [0]))),
    ...section(MEMORY, vector([[0, 64]])),
    ...section(DATA_COUNT, [...numberBytes(pieces.length)]),
    ...section(CODE, vector(Object.values(functions).map((code) => vector([0, ...code, END].map((byte) => [byte]))))),
    ...section(DATA, vector(pieces.map(([address, content]) => [0, ...i32(address), END, ...text(content)]))),
    ...section(CUSTOM, [...text('name'), 1, ...[vector(names.map((name, i) => [i, ...text(name)]))].flatMap((content) => [...numberBytes(content.length), ...content])]),
  ]);
}

const AT = { near: 1024, more: 600_000, later: 700_000 };
const DATA_OF_ALL = [
  [AT.near, 'of the first'],
  [AT.more, 'tabtensor: more begins, and tabtensor: more ends'],
  [AT.later, 'tabtensor: later begins'],
  [AT.later + 100, 'tabtensor: later ends'],
];
const load = (offset) => [0x28, 2, ...numberBytes(offset)];

test('a function belongs to the part whose data its constants may refer to', () => {
  const module = moduleOf(
    {
      nothing: i32(AT.near),
      inMore: i32(AT.more + 3),
      beforeMore: i32(AT.more - 4000),
      inLater: i32(AT.later + 50),
      behindLater: i32(AT.later + 130_000 - 65_536),
      byOffset: [...i32(0), ...load(AT.later)],
      negated: [...i32(8), ...i32(-AT.more), 0x6a],
      inLong: [0x42, ...leb(AT.later), 0xa7],
      inVector: [0xfd, 12, ...[0, 0, AT.more, 0].flatMap((word) => [...new Uint8Array(Uint32Array.of(word).buffer)]), 0xfd, 27, 0],
      farAway: i32(900_000),
    },
    DATA_OF_ALL,
  );
  assert.ok(WebAssembly.validate(module));
  const { notFirst, notMore } = referring(module, regionsOf(module));
  assert.deepEqual([...notFirst], ['inMore', 'beforeMore', 'inLater', 'behindLater', 'byOffset', 'negated', 'inLong', 'inVector']);
  assert.deepEqual([...notMore], ['inLater', 'behindLater', 'byOffset', 'inLong']);
});

test('a part that refers to data of a later one is refused', () => {
  const whole = moduleOf({ nothing: i32(1) }, DATA_OF_ALL);
  const regions = regionsOf(whole);
  const harmless = moduleOf({ nothing: i32(1) }, []);
  const wrong = moduleOf({ wrong: i32(AT.later) }, DATA_OF_ALL);
  assert.throws(() => withDataMoved({ first: wrong, more: harmless, later: harmless }, regions), /the first part refers to data of a part that may not be there/);
  assert.throws(() => withDataMoved({ first: whole, more: wrong, later: harmless }, regions), /of what many need refers to data/);
});

test('other data near that of later parts is refused', () => {
  const module = moduleOf({ nothing: i32(1) }, [...DATA_OF_ALL, [AT.more - 60_000, 'astray']]);
  assert.throws(() => regionsOf(module), /other data near/);
});

test('an instruction that is not known is refused', () => {
  const module = moduleOf({ nothing: [0xff] }, DATA_OF_ALL);
  assert.throws(() => referring(module, regionsOf(module)), /instruction 0xff is not known/);
});
