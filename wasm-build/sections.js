// The sections of a WebAssembly module.

/** Reads an unsigned LEB128 number; answers it and where it ends. */
export function readNumber(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7, at++) {
    value += (bytes[at] & 0x7f) * 2 ** shift;
    if (bytes[at] < 0x80) return [value, at + 1];
  }
}

/** { id, from, begins, ends } of each: where it stands, and where what is in it begins. */
export function sectionsOf(module) {
  const found = [];
  for (let from = 8; from < module.length; from = found.at(-1).ends) {
    const [length, begins] = readNumber(module, from + 1);
    found.push({ id: module[from], from, begins, ends: begins + length });
  }
  return found;
}

export const IMPORTS = 2;
export const GLOBALS = 6;
export const EXPORTS = 7;
export const CODE = 10;
export const DATA = 11;
export const DATA_COUNT = 12;
export const CUSTOM = 0;
export const FUNCTION = 0;
const TABLE = 1;
export const GLOBAL = 3;
const HAS_MAXIMUM = 1;

/** { names, kind, from, ends } of each import: [its module, its own], what it is, and where it is described. */
export function importsOf(module) {
  const section = sectionsOf(module).find(({ id }) => id === IMPORTS);
  const found = [];
  if (section === undefined) return found;
  let [n, at] = readNumber(module, section.begins);
  const skip = (nNumbers) => {
    for (; nNumbers > 0; nNumbers--) [, at] = readNumber(module, at);
  };
  for (; n > 0; n--) {
    const names = [0, 1].map(() => {
      const [nBytes, begins] = readNumber(module, at);
      at = begins + nBytes;
      return module.toString('utf8', begins, at);
    });
    const kind = module[at++];
    const from = at;
    if (kind === FUNCTION) {
      skip(1);
    } else if (kind === GLOBAL) {
      at += 2; // its type, and whether it changes
    } else {
      if (kind === TABLE) at++;
      const flags = module[at++];
      skip((flags & HAS_MAXIMUM) === 0 ? 1 : 2);
    }
    found.push({ names, kind, from, ends: at });
  }
  return found;
}

export function numberBytes(value) {
  const bytes = [];
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value > 0);
  return Buffer.from(bytes);
}

/** A name as it is written. */
export const nameBytes = (name) => Buffer.concat([numberBytes(Buffer.byteLength(name)), Buffer.from(name)]);

/** { name, kind, index } of each export. */
export function exportsOf(module) {
  const section = sectionsOf(module).find(({ id }) => id === EXPORTS);
  const found = [];
  if (section === undefined) return found;
  let [n, at] = readNumber(module, section.begins);
  for (; n > 0; n--) {
    const [nBytes, begins] = readNumber(module, at);
    const [index, ends] = readNumber(module, begins + nBytes + 1);
    found.push({ name: module.toString('utf8', begins, begins + nBytes), kind: module[begins + nBytes], index });
    at = ends;
  }
  return found;
}

/** A module with another content of the section `id`. */
export function replaced(module, id, content) {
  const { from, ends } = sectionsOf(module).find((section) => section.id === id);
  return Buffer.concat([module.subarray(0, from), Buffer.from([id]), numberBytes(content.length), content, module.subarray(ends)]);
}

/** A module without what it says to people, and without how large a table may be that it imports. */
export function relieved(module) {
  const parts = [module.subarray(0, 8)];
  for (const { id, from, begins, ends } of sectionsOf(module)) {
    if (id === CUSTOM) continue;
    const table = id === IMPORTS ? importsOf(module).find(({ kind }) => kind === TABLE) : undefined;
    if (table === undefined) {
      parts.push(module.subarray(from, ends));
      continue;
    }
    const [, minimumEnds] = readNumber(module, table.from + 2);
    const content = [module.subarray(begins, table.from + 1), Buffer.from([0]), module.subarray(table.from + 2, minimumEnds), module.subarray(table.ends, ends)];
    parts.push(Buffer.from([id]), numberBytes(Buffer.concat(content).length), ...content);
  }
  return Buffer.concat(parts);
}
