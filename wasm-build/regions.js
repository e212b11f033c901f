// Takes the data of later parts out of the first part of a core.
//
// Such data lies in two regions (regions/begin.c): of NAME_more, and of NAME_later. They become data of those parts, which write it into the memory when they
// are loaded, and zeros in the first part. A function that reads it before would read zeros, and nobody would hear of it. It cannot be in a part that has no
// right to it, because of three things:
//
// - An address comes from a constant in the code or from data. (What code stores at run time came from one of these, or from a part that is there.)
// - Data refers to data by relocations, which place_data.js follows, all of them: what data that stays refers to stays too, and so does all data that is written.
//   (To look for addresses in the data itself would find bytes that look like one.)
// - A constant in the code is the address of some data, as its relocation says, plus what the compilers have added: a member's place, or an index that begins
//   elsewhere, times the size of what it counts. No address of other data is within GUARD_BYTES of a region, so a constant belongs to the region that it is in or
//   near. referencesOf() takes all constants and offsets that are there, even if they are plain numbers; and what has one is of the part that has the data.
//   Sums beyond GUARD_BYTES do not happen: objects' own addends are looked at (place_data.js), and what wasm-opt folds is an index that the source writes.
//
// The data of NAME_more is in NAME_later too, whose functions may refer to all of it. Both write the same: it is constant.

import { I32_CONST, I64_CONST, V128_CONST, bodiesOf, hasOffset, readSigned, signedBytes, usesPieces, visitInstructions } from './instructions.js';
import { CODE, CUSTOM, DATA, DATA_COUNT, FUNCTION, importsOf, numberBytes, readNumber, replaced, sectionsOf } from './sections.js';

const GUARD_BYTES = 64 * 1024;
/** Zeros between two pieces of data that are written rather than left out: gzip makes less of them than of another piece's beginning. */
const MAX_ZEROS = 256;
const MORE = 1;
const LATER = 2;

/** { from, ends, address, begins } of each piece of data: where it stands, where it goes, and where its bytes begin. */
export function dataIn(module) {
  const section = sectionsOf(module).find(({ id }) => id === DATA);
  let [n, at] = readNumber(module, section.begins);
  const found = [];
  for (; n > 0; n--) {
    const from = at;
    if (module[from] !== 0 || module[from + 1] !== I32_CONST) throw new Error('a piece of data does not go to a place that is known');
    const [address, ends] = readSigned(module, from + 2);
    const [nBytes, begins] = readNumber(module, ends + 1);
    at = begins + nBytes;
    found.push({ from, ends: at, address: Number(address), begins });
  }
  return found;
}

/** { part, begins, ends } of both regions, found by what begin.c and end.c put there. */
export function regionsOf(module) {
  const all = dataIn(module);
  const addressOf = (mark) => {
    const found = all.flatMap(({ address, begins, ends }) => {
      const at = module.subarray(begins, ends).indexOf(mark);
      return at < 0 ? [] : [address + at];
    });
    if (found.length !== 1) throw new Error(`"${mark}" is in ${found.length} places`);
    return found[0];
  };
  const [more, later] = ['more', 'later'].map((name) => ({ begins: addressOf(`tabtensor: ${name} begins`), ends: addressOf(`tabtensor: ${name} ends`) + `tabtensor: ${name} ends`.length }));
  Object.assign(more, { part: MORE });
  Object.assign(later, { part: LATER });
  const isIn = ({ begins, ends }) => (piece) => piece.address >= begins && piece.address + piece.ends - piece.begins <= ends;
  const isNear = ({ begins, ends }) => (piece) => piece.address + piece.ends - piece.begins > begins - GUARD_BYTES && piece.address < ends + GUARD_BYTES;
  const strays = all.filter((piece) => [more, later].some((region) => isNear(region)(piece) && !isIn(region)(piece)));
  if (later.begins - more.ends < GUARD_BYTES || strays.length > 0) throw new Error('there is other data near that of later parts');
  return [more, later];
}

/** For each function of a module, the parts (MORE | LATER) whose data its constants may refer to. */
function referencesOf(module, regions) {
  const code = sectionsOf(module).find(({ id }) => id === CODE);
  return bodiesOf(module, code).map(({ begins, ends }) => {
    let parts = 0;
    const see = (value) => {
      const address = value >>> 0;
      for (const region of regions) if (address >= region.begins - GUARD_BYTES && address < region.ends + GUARD_BYTES) parts |= region.part;
    };
    const seeBytes = (at, nBytes) => {
      for (let i = 0; i < nBytes; i += 4) see(module.readUInt32LE(at + i));
    };
    visitInstructions(module, begins, ends, (opcode, at, operands) => {
      if (opcode === I32_CONST) {
        const value = Number(readSigned(module, operands)[0]);
        see(value);
        see(-value); // x - address may have become x + -address
      } else if (opcode === I64_CONST) {
        const [value] = readSigned(module, operands);
        see(Number(value & 0xffffffffn));
        see(Number((value >> 32n) & 0xffffffffn));
      } else if (opcode === V128_CONST) {
        seeBytes(operands, 16);
      } else if (hasOffset(opcode)) {
        see(readNumber(module, readNumber(module, operands)[1])[0]);
      } else if (usesPieces(opcode)) {
        throw new Error('code refers to a piece of data by its number');
      }
    });
    return parts;
  });
}

const FUNCTION_NAMES = 1;

/** The names of a module's own functions, in order. */
function namesOf(module) {
  const names = [];
  for (const { id, begins, ends } of sectionsOf(module)) {
    if (id !== CUSTOM) continue;
    const [nBytes, nameBegins] = readNumber(module, begins);
    if (module.toString('utf8', nameBegins, nameBegins + nBytes) !== 'name') continue;
    for (let at = nameBegins + nBytes; at < ends; ) {
      const type = module[at];
      const [length, contentBegins] = readNumber(module, at + 1);
      at = contentBegins + length;
      if (type !== FUNCTION_NAMES) continue;
      let [n, from] = readNumber(module, contentBegins);
      for (; n > 0; n--) {
        const [index, after] = readNumber(module, from);
        const [nameBytes, first] = readNumber(module, after);
        from = first + nameBytes;
        names[index] = module.toString('utf8', first, from);
      }
    }
  }
  return names.slice(importsOf(module).filter(({ kind }) => kind === FUNCTION).length);
}

/** Functions of a whole core by name that cannot be in the first part, and those that cannot be in NAME_more: { notFirst, notMore }. */
export function referring(module, regions) {
  const names = namesOf(module);
  const references = referencesOf(module, regions);
  const having = (parts) => new Set(names.filter((_, i) => (references[i] & parts) !== 0));
  return { notFirst: having(MORE | LATER), notMore: having(LATER) };
}

function checkReferences(module, regions, parts, what) {
  if (referencesOf(module, regions).some((found) => (found & parts) !== 0)) throw new Error(`${what} refers to data of a part that may not be there`);
}

const END = 0x0b;

/** What a section of data has for pieces of `module`, of which those that lie close together become one. Memory has zeros between them. */
function sectionOf(module, pieces) {
  const joined = [];
  for (const { address, begins, ends } of pieces) {
    const bytes = module.subarray(begins, ends);
    const last = joined.at(-1);
    const nZeros = last === undefined ? -1 : address - last.ends;
    if (nZeros >= 0 && nZeros <= MAX_ZEROS) last.parts.push(Buffer.alloc(nZeros), bytes);
    else joined.push({ address, parts: [bytes] });
    joined.at(-1).ends = address + bytes.length;
  }
  const written = joined.flatMap(({ address, parts, ends }) => [
    Buffer.from([0, I32_CONST]),
    signedBytes(address),
    Buffer.from([END]),
    numberBytes(ends - address),
    ...parts,
  ]);
  return { n: joined.length, content: Buffer.concat([numberBytes(joined.length), ...written]) };
}

/** The parts { first, more, later } with the data of the regions where it belongs. */
export function withDataMoved({ first, more, later }, regions) {
  checkReferences(first, regions, MORE | LATER, 'the first part');
  checkReferences(more, regions, LATER, 'the part of what many need');
  const kept = [];
  const moved = new Map([[MORE, []], [LATER, []]]);
  for (const piece of dataIn(first)) {
    const region = regions.find(({ begins, ends }) => piece.address >= begins && piece.address < ends);
    (moved.get(region?.part) ?? kept).push(piece);
  }
  const withData = (module, pieces) => {
    if (sectionsOf(module).some(({ id }) => id === DATA)) throw new Error('a part has data of its own');
    const { content } = sectionOf(first, pieces);
    return Buffer.concat([module, Buffer.from([DATA]), numberBytes(content.length), content]);
  };
  const { n, content } = sectionOf(first, kept);
  return {
    first: replaced(replaced(first, DATA, content), DATA_COUNT, numberBytes(n)),
    more: withData(more, moved.get(MORE)),
    later: withData(later, [...moved.get(MORE), ...moved.get(LATER)]),
  };
}
