// The instructions of a function's body, one after the other: as far as it takes to find where each begins and ends.

import { readNumber } from './sections.js';

export const CALL_INDIRECT = 0x11;
export const I32_CONST = 0x41;
export const I64_CONST = 0x42;
const MISCELLANEOUS = 0xfc;
const VECTOR = 0xfd;
export const V128_CONST = (VECTOR << 12) | 12;

/** Reads a signed LEB128 number as a BigInt; answers it and where it ends. */
export function readSigned(bytes, at) {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n, at++) {
    value |= BigInt(bytes[at] & 0x7f) << shift;
    if (bytes[at] < 0x80) return [BigInt.asIntN(Number(shift) + 7, value), at + 1];
  }
}

/** The other way, of a number that has 32 bits. */
export function signedBytes(value) {
  const bytes = [];
  for (;;) {
    const byte = value & 0x7f;
    value >>= 7;
    const isLast = (value === 0 && byte < 0x40) || (value === -1 && byte >= 0x40);
    bytes.push(isLast ? byte : byte | 0x80);
    if (isLast) return Buffer.from(bytes);
  }
}

const skipNumber = (bytes, at) => {
  while (bytes[at] >= 0x80) at++;
  return at + 1;
};
const skipNumbers = (n) => (bytes, at) => {
  for (let i = 0; i < n; i++) at = skipNumber(bytes, at);
  return at;
};
const skipBytes = (n) => (_, at) => at + n;
const nothing = skipBytes(0);
const one = skipNumbers(1);
const two = skipNumbers(2);
const address = skipNumbers(2);
const addressAndLane = (bytes, at) => address(bytes, at) + 1;
const branchTable = (bytes, at) => {
  const [n, begins] = readNumber(bytes, at);
  return skipNumbers(n + 1)(bytes, begins);
};

/** By opcode: [first, last, how its operands are skipped]. */
const single = [
  [0x00, 0x01, nothing],
  [0x02, 0x04, one], // block, loop, if: their type
  [0x05, 0x05, nothing],
  [0x0b, 0x0b, nothing],
  [0x0c, 0x0d, one], // br, br_if
  [0x0e, 0x0e, branchTable],
  [0x0f, 0x0f, nothing],
  [0x10, 0x10, one], // call
  [CALL_INDIRECT, CALL_INDIRECT, two],
  [0x1a, 0x1b, nothing],
  [0x20, 0x24, one], // variables
  [0x28, 0x3e, address], // loads and stores
  [0x3f, 0x40, one], // memory.size, memory.grow
  [I32_CONST, I64_CONST, one],
  [0x43, 0x43, skipBytes(4)],
  [0x44, 0x44, skipBytes(8)],
  [0x45, 0xc4, nothing], // arithmetic
];
const miscellaneous = [
  [0, 7, nothing], // conversions that saturate
  [8, 8, two], // memory.init
  [9, 9, one], // data.drop
  [10, 10, two], // memory.copy
  [11, 11, one], // memory.fill
];
const vectors = [
  [0, 11, address],
  [12, 13, skipBytes(16)], // v128.const, i8x16.shuffle
  [14, 20, nothing],
  [21, 34, skipBytes(1)], // lanes
  [35, 83, nothing],
  [84, 91, addressAndLane], // loads and stores of lanes
  [92, 93, address],
  [94, 275, nothing], // with relaxed SIMD under its final numbers, or an older one (relaxed.js)
];

const byOpcode = (rows) => {
  const skips = [];
  for (const [first, last, skip] of rows) for (let opcode = first; opcode <= last; opcode++) skips[opcode] = skip;
  return skips;
};
const plain = byOpcode(single);
const prefixed = new Map([[MISCELLANEOUS, byOpcode(miscellaneous)], [VECTOR, byOpcode(vectors)]]);

const skipOf = (opcode) => (opcode > 0xff ? prefixed.get(opcode >> 12)[opcode & 0xfff] : plain[opcode]);

/** Whether an instruction reads or writes memory: an alignment and an offset are its first operands. */
export const hasOffset = (opcode) => skipOf(opcode) === address || skipOf(opcode) === addressAndLane;
/** Whether it takes data by its number: memory.init and data.drop. */
export const usesPieces = (opcode) => opcode === ((MISCELLANEOUS << 12) | 8) || opcode === ((MISCELLANEOUS << 12) | 9);

/**
 * Calls `visit(opcode, at, operands, ends)` for each instruction between two places; one that begins with a prefix has the number (prefix << 12) | what follows
 * it. Fails at one that is not known, because what follows would be misread.
 */
export function visitInstructions(bytes, begins, ends, visit) {
  for (let at = begins; at < ends; ) {
    let opcode = bytes[at];
    let operands = at + 1;
    let skip = plain[opcode];
    const followed = prefixed.get(opcode);
    if (followed !== undefined) {
      const [number, after] = readNumber(bytes, operands);
      operands = after;
      skip = followed[number];
      opcode = (opcode << 12) | number;
    }
    if (skip === undefined) throw new Error(`instruction 0x${opcode.toString(16)} is not known`);
    const after = skip(bytes, operands);
    visit(opcode, at, operands, after);
    at = after;
  }
}

/** Where the instructions of each function begin and end, after its locals. `code` is the section of code. */
export function bodiesOf(bytes, code) {
  let [n, at] = readNumber(bytes, code.begins);
  const bodies = [];
  for (; n > 0; n--) {
    const [nBytes, first] = readNumber(bytes, at);
    at = first + nBytes;
    let [nLocals, begins] = readNumber(bytes, first);
    for (; nLocals > 0; nLocals--) begins = skipNumber(bytes, begins) + 1;
    bodies.push({ first, begins, ends: at });
  }
  return bodies;
}
