// Object files of WebAssembly, as far as it takes to tell which functions and data refer to which data, and to have the linker put data elsewhere.
// The layout is in https://github.com/WebAssembly/tool-conventions/blob/main/Linking.md.

import { readFileSync } from 'node:fs';
import { bodiesOf, readSigned } from './instructions.js';
import { CODE, CUSTOM, DATA, FUNCTION, importsOf, nameBytes, numberBytes, readNumber, sectionsOf } from './sections.js';

const SEGMENT_NAMES = 5;
const SYMBOLS = 8;
const SYMBOL = { FUNCTION: 0, DATA: 1, SECTION: 3 };
const LOCAL = 0x02;
const UNDEFINED = 0x10;
const HAS_NAME = 0x40;

// Types of relocations: calls, types of functions, and those that an addend follows.
const FUNCTION_INDEX = 0;
const TYPE_INDEX = 6;
const HAVE_ADDENDS = new Set([3, 4, 5, 8, 9, 11, 14, 15, 16, 17, 21, 22, 23]);

/** The members of an archive: { name, bytes } each. */
export function membersOf(file) {
  const archive = readFileSync(file);
  const members = [];
  let longNames = '';
  for (let at = 8; at < archive.length; ) {
    const field = (from, length) => archive.toString('latin1', at + from, at + from + length).trim();
    const nBytes = Number(field(48, 10));
    const bytes = archive.subarray(at + 60, at + 60 + nBytes);
    const name = field(0, 16);
    at += 60 + nBytes + (nBytes % 2);
    if (name === '//') longNames = bytes.toString('latin1');
    else if (/^\/\d+$/.test(name)) members.push({ name: longNames.slice(Number(name.slice(1))).split('/')[0], bytes });
    else if (name !== '/') members.push({ name: name.replace(/\/$/, ''), bytes });
  }
  return members;
}

/** Reads what follows one after the other. */
class Reader {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }

  byte() {
    return this.bytes[this.at++];
  }

  number() {
    const [value, ends] = readNumber(this.bytes, this.at);
    this.at = ends;
    return value;
  }

  signed() {
    const [value, ends] = readSigned(this.bytes, this.at);
    this.at = ends;
    return Number(value);
  }

  text() {
    const nBytes = this.number();
    this.at += nBytes;
    return this.bytes.toString('utf8', this.at - nBytes, this.at);
  }

  repeat(read) {
    return Array.from({ length: this.number() }, () => read());
  }
}

function readSegments(bytes) {
  const section = sectionsOf(bytes).find(({ id }) => id === DATA);
  if (section === undefined) return [];
  const reader = new Reader(bytes, section.begins);
  return reader.repeat(() => {
    reader.at += 2; // in memory 0, from a constant
    reader.signed();
    reader.byte();
    const nBytes = reader.number();
    reader.at += nBytes;
    return { begins: reader.at - nBytes - section.begins, ends: reader.at - section.begins };
  });
}

function readSymbol(reader, imported) {
  const kind = reader.byte();
  const flags = reader.number();
  const symbol = { kind, isUndefined: (flags & UNDEFINED) !== 0, isLocal: (flags & LOCAL) !== 0 };
  if (kind === SYMBOL.DATA) {
    symbol.name = reader.text();
    if (!symbol.isUndefined) for (const field of ['segment', 'offset', 'nBytes']) symbol[field] = reader.number();
    return symbol;
  }
  symbol.index = reader.number();
  if (kind !== SYMBOL.SECTION) symbol.name = symbol.isUndefined && (flags & HAS_NAME) === 0 ? imported[symbol.index] : reader.text();
  return symbol;
}

/**
 * { bytes, items, symbols, segments, linking } of an object file; undefined if it is none. `items` are its functions and data: { name, isData, isLocal,
 * nBytes, segment, offset, references }, a reference being { symbol, addend, isCall }. `segments` have names and an `isConstant`. `linking` is where their names
 * are written.
 */
export function readObject(bytes) {
  const sections = sectionsOf(bytes);
  const custom = sections.flatMap((section) => {
    if (section.id !== CUSTOM) return [];
    const reader = new Reader(bytes, section.begins);
    return [{ name: reader.text(), at: reader.at, section }];
  });
  const linking = custom.find(({ name }) => name === 'linking');
  if (linking === undefined) return undefined;

  const segments = readSegments(bytes);
  const imported = importsOf(bytes).filter(({ kind }) => kind === FUNCTION).map(({ names }) => names[1]);
  let symbols = [];
  const reader = new Reader(bytes, linking.at);
  reader.number();
  const parts = [];
  while (reader.at < linking.section.ends) {
    const from = reader.at;
    const type = reader.byte();
    const nBytes = reader.number();
    const begins = reader.at;
    if (type === SEGMENT_NAMES) {
      reader.number();
      for (const segment of segments) Object.assign(segment, { name: reader.text(), alignment: reader.number(), flags: reader.number() });
    } else if (type === SYMBOLS) {
      symbols = reader.repeat(() => readSymbol(reader, imported));
    }
    reader.at = begins + nBytes;
    parts.push({ type, from, ends: reader.at });
  }
  for (const segment of segments) segment.isConstant = segment.name.startsWith('.rodata');

  const code = sections.find(({ id }) => id === CODE);
  const bodies = code === undefined ? [] : bodiesOf(bytes, code);
  const functions = [];
  const data = segments.map(() => []);
  for (const symbol of symbols) {
    if (symbol.isUndefined || symbol.kind > SYMBOL.DATA) continue;
    const isData = symbol.kind === SYMBOL.DATA;
    const body = isData ? undefined : bodies[symbol.index - imported.length];
    symbol.item = { ...symbol, isData, nBytes: isData ? symbol.nBytes : body.ends - body.first, references: [] };
    if (isData) data[symbol.segment].push(symbol.item);
    else (functions[symbol.index - imported.length] ??= []).push(symbol.item);
  }

  data.forEach((items, segment) => {
    const { begins, ends } = segments[segment];
    if (items.length === 0) items.push({ name: '', isData: true, isLocal: true, nBytes: ends - begins, segment, offset: 0, references: [] });
  });

  for (const { name, at } of custom) {
    if (!name.startsWith('reloc.')) continue;
    const relocations = new Reader(bytes, at);
    const target = sections[relocations.number()];
    relocations.repeat(() => {
      const type = relocations.byte();
      const offset = relocations.number();
      const index = relocations.number();
      const addend = HAVE_ADDENDS.has(type) ? relocations.signed() : 0;
      if (type === TYPE_INDEX || (target.id !== CODE && target.id !== DATA)) return;
      const reference = { symbol: symbols[index], addend, isCall: type === FUNCTION_INDEX };
      for (const item of holdersOf(target, offset, { code, bodies, functions, segments, data })) item.references.push(reference);
    });
  }
  return { bytes, symbols, segments, items: [...functions.flat(), ...data.flat()].filter((item) => item !== undefined), linking: { ...linking, parts } };
}

/** What the place at `offset` of a section belongs to. Data may have several names; where it has none, it belongs to all of its segment. */
function holdersOf(target, offset, { code, bodies, functions, segments, data }) {
  if (target.id === CODE) {
    const at = code.begins + offset;
    return functions[bodies.findIndex(({ first, ends }) => at >= first && at < ends)] ?? [];
  }
  const i = segments.findIndex(({ begins, ends }) => offset >= begins && offset < ends);
  const within = offset - segments[i].begins;
  const named = data[i].filter((item) => within >= item.offset && within < item.offset + item.nBytes);
  return named.length > 0 ? named : data[i];
}

/** The object file with segments under other names: `nameOf(segment)`. */
export function withSegmentNames({ bytes, segments, linking }, nameOf) {
  const { section, at, parts } = linking;
  const [, versionEnds] = readNumber(bytes, at);
  const content = [bytes.subarray(section.begins, versionEnds)];
  for (const { type, from, ends } of parts) {
    if (type !== SEGMENT_NAMES) {
      content.push(bytes.subarray(from, ends));
      continue;
    }
    const names = segments.flatMap((segment) => [nameBytes(nameOf(segment)), numberBytes(segment.alignment), numberBytes(segment.flags)]);
    const written = Buffer.concat([numberBytes(segments.length), ...names]);
    content.push(Buffer.from([type]), numberBytes(written.length), written);
  }
  const written = Buffer.concat(content);
  return Buffer.concat([bytes.subarray(0, section.from), Buffer.from([CUSTOM]), numberBytes(written.length), written, bytes.subarray(section.ends)]);
}
