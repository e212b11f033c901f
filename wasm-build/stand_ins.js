// What stands in the first part of a core for the functions of the others.
//
// wasm-split leaves an import for each, two thousand, whose name is the place in the table where the real function will be. To make so many takes longer than
// all else that a core needs to begin, and each call of one goes through JavaScript. As functions of the module they are a tenth of what a page loads. So there
// is one for each type of function and part, and it is told which place is meant: every call through the table, in all parts, leaves its place in a global
// before (withPlacesTold). It has its part loaded, by the one import there is for it, unless that has been done, and calls what is in that place then.
// JavaScript that calls what is in the table has to do the same (web/core.js).

import { CALL_INDIRECT, bodiesOf, visitInstructions } from './instructions.js';
import { CODE, GLOBAL, GLOBALS, IMPORTS, exportsOf, importsOf, nameBytes, numberBytes, readNumber, replaced, sectionsOf } from './sections.js';

/** The name by which the global is exported. */
export const PLACE = 'place';
/** And the one by which that is which says where the stack is: a part that cannot be loaded ends a call in the middle (web/core.js). */
export const STACK = 'stack';

/** The text of the first part (as wasm-dis writes it) with imports from a namespace turned into such functions. */
export function withStandIns(text, namespaces) {
  const types = new Map([...text.matchAll(/^ \(type (\S+) \(func(.*)\)\)$/gm)].map(([, name, signature]) => [signature.trim(), name]));
  const table = /^ \(table (\S+) /m.exec(text)[1];
  const made = [` (global $place (mut i32) (i32.const 0))`, ` (export "${PLACE}" (global $place))`];
  const changing = [...text.matchAll(/^ \(global (\S+) \(mut i32\)/gm)];
  if (changing.length > 1) throw new Error('there are globals besides the one that says where the stack is');
  for (const [, stack] of changing) made.push(` (export "${STACK}" (global ${stack}))`);
  const standIns = new Map();
  let loads = '';
  for (const namespace of namespaces) {
    loads += ` (import "${namespace}" "load" (func $load_${namespace}))\n`;
    made.push(
      ` (global $has_${namespace} (mut i32) (i32.const 0))`,
      ` (func $need_${namespace} (if (i32.eqz (global.get $has_${namespace})) (block (call $load_${namespace}) (global.set $has_${namespace} (i32.const 1)))))`,
    );
    text = text.replace(new RegExp(`^ \\(import "${namespace}" "\\d+" \\(func (\\S+?)( .*)?\\)\\)\\n`, 'gm'), (_, name, signature = '') => {
      const type = types.get(signature.trim());
      const standIn = `$stands_in_${namespace}_${type.slice(1)}`;
      if (![...standIns.values()].includes(standIn)) {
        const params = /\(param ([^)]*)\)/.exec(signature)?.[1].split(' ') ?? [];
        const given = params.map((_type, i) => `(local.get ${i})`).join(' ');
        // The place is read before anything else may call through the table.
        const local = `(local.set ${params.length} (global.get $place))`;
        const call = `(call_indirect ${table} (type ${type}) ${given} (local.get ${params.length}))`;
        made.push(` (func ${standIn}${signature} (local i32) ${local} (call $need_${namespace}) ${call})`);
      }
      standIns.set(name, standIn);
      return '';
    });
  }
  // They are in the table and nowhere else, where a call would tell no place.
  text = text.replace(/^ \(elem .*$/m, (elements) => elements.replace(/\$[^\s)]+/g, (name) => standIns.get(name) ?? name));
  const forgotten = [...text.matchAll(/\$[^\s()]+/g)].find(([name]) => standIns.has(name));
  if (forgotten !== undefined) throw new Error(`${forgotten[0]} is of another part, and not only in the table`);
  const imports = text.indexOf(' (import ');
  const ends = text.lastIndexOf(')');
  return `${text.slice(0, imports)}${loads}${text.slice(imports, ends)}${made.join('\n')}\n)\n`;
}

const GLOBAL_GET = 0x23;
const GLOBAL_SET = 0x24;
const I32 = 0x7f;

/** The number of that global in a module, which imports it if it is not the first part. */
function withPlace(module) {
  const place = exportsOf(module).find((one) => one.name === PLACE);
  if (place !== undefined) return [module, place.index];
  const imports = importsOf(module);
  const section = sectionsOf(module).find(({ id }) => id === IMPORTS);
  const [, begins] = readNumber(module, section.begins);
  const number = imports.filter(({ kind }) => kind === GLOBAL).length;
  if (sectionsOf(module).some(({ id }) => id === GLOBALS)) throw new Error('a part has globals of its own, whose numbers would have to change');
  const added = Buffer.concat([nameBytes('primary'), nameBytes(PLACE), Buffer.from([GLOBAL, I32, 1])]);
  return [replaced(module, IMPORTS, Buffer.concat([numberBytes(imports.length + 1), module.subarray(begins, section.ends), added])), number];
}

/** A part in which every call through the table leaves its place in the global before. */
export function withPlacesTold(part) {
  const [module, number] = withPlace(part);
  const told = Buffer.concat([Buffer.from([GLOBAL_SET]), numberBytes(number), Buffer.from([GLOBAL_GET]), numberBytes(number)]);
  const code = sectionsOf(module).find(({ id }) => id === CODE);
  const bodies = bodiesOf(module, code);
  const written = [numberBytes(bodies.length)];
  for (const { first, begins, ends } of bodies) {
    const pieces = [];
    let from = first;
    visitInstructions(module, begins, ends, (opcode, at) => {
      if (opcode !== CALL_INDIRECT) return;
      pieces.push(module.subarray(from, at), told);
      from = at;
    });
    pieces.push(module.subarray(from, ends));
    written.push(numberBytes(pieces.reduce((sum, piece) => sum + piece.length, 0)), ...pieces);
  }
  return replaced(module, CODE, Buffer.concat(written));
}
