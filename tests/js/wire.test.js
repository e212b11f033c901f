// The golden frames, read and written by a second implementation of the protocol: what it and the C code (tests/c/test_wire.c) both take from
// the same file is the protocol, and not what one of them happens to do.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import test from 'node:test'

import * as wire from './wire.js'

const { frames, bad } = JSON.parse(await readFile(new URL('../fixtures/frames.json', import.meta.url), 'utf8'))

// What `decode` answers, as the fixture has it: 64 bits in decimal (a float's bits in hexadecimal), bytes in hexadecimal.
const asFixture = (value, key) => {
  if (typeof value === 'bigint') return key === 'bits' ? value.toString(16).padStart(16, '0') : String(value)
  if (value instanceof Uint8Array) return wire.toHex(value)
  if (Array.isArray(value)) return value.map((item) => asFixture(item, key))
  if (typeof value !== 'object' || value === null || key === 'json' || key === 'metadata') return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, asFixture(item, name)]))
}

for (const golden of frames) {
  test(`golden: ${golden.name}`, () => {
    const bytes = wire.fromHex(golden.hex)
    const decoded = wire.decode(bytes)
    assert.deepEqual(asFixture(decoded.prelude), golden.prelude)
    assert.deepEqual(asFixture(decoded.payload), golden.payload)
    if (golden.written === undefined) assert.equal(wire.toHex(wire.encode(decoded)), golden.hex)
  })
}

for (const { name, hex, status, layer } of bad) {
  // The fields of JSON are judged by who asked for them, which here is nobody.
  if (layer === 'fields') {
    test(`bad fields are still JSON: ${name}`, () => assert.ok(wire.decode(wire.fromHex(hex))))
  } else {
    test(`bad ${layer}: ${name}`, () => assert.throws(() => wire.decode(wire.fromHex(hex)), { name: 'WireError', code: status }))
  }
}

test('the fixture has every type, record and argument', () => {
  const types = new Set(frames.map(({ prelude }) => prelude.type))
  assert.deepEqual([...types].sort(), Object.keys(wire.FRAME_TYPES).sort())
  const records = frames.flatMap(({ payload }) => payload.records ?? [])
  assert.equal(new Set(records.map(({ kind }) => kind)).size, 12)
  assert.equal(new Set(records.flatMap(({ args }) => args ?? []).map(({ type }) => type)).size, 9)
  const dtypes = new Set(frames.map(({ payload }) => payload.dtype).filter(Boolean))
  assert.deepEqual([...dtypes].sort(), [...wire.DTYPES].sort())
})

test('a frame cut short anywhere is no frame', () => {
  for (const { hex } of frames) {
    const bytes = wire.fromHex(hex)
    for (let n = 0; n < bytes.length; n++) assert.throws(() => wire.decodeFrame(bytes.subarray(0, n)), wire.WireError)
  }
})

test('floats keep their bits', () => {
  for (const value of [1.5, -0, Infinity, -Infinity, 5e-324, NaN]) assert.ok(Object.is(wire.floatValue(wire.float(value)), value))
})

test('writers lie when they are told to', () => {
  assert.throws(() => wire.decodeFrame(wire.encodeFrame({ type: 0x77, source: 'a' })), { code: 'protocol' })
  assert.throws(() => wire.decodeFrame(wire.encodeFrame({ type: 'GOODBYE', source: 'a', version: 2 })), { code: 'version' })
  assert.throws(() => wire.decodeFrame(wire.encodeFrame({ type: 'GOODBYE', source: 'a', length: 40 })), { code: 'protocol' })
  assert.throws(() => wire.decodeFrame(wire.encodeFrame({ type: 'GOODBYE', source: Uint8Array.of(0xff) })), { code: 'protocol' })
})
