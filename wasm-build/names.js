// The names by which the parts of a core find what is in the first one.
//
// wasm-split calls them as the functions are called, or by the next name that is free. Numbers are shorter, and one after the other they take gzip next to nothing.
// But parts of another build have them too: where a page is older than a file that it loads, which would overwrite its data and its table. So what is no function
// is called by what is in all the parts, and a part that asks for another name is refused.

import { createHash } from 'node:crypto';
import { EXPORTS, GLOBAL, IMPORTS, exportsOf, importsOf, nameBytes, numberBytes, replaced } from './sections.js';

/** The parts (the first of them first) with numbers for names; those in `known` stay, which Emscripten's script and web/core.js know. */
export function numbered([first, ...others], known) {
  const numbers = new Map();
  const build = createHash('sha256').update(Buffer.concat([first, ...others])).digest('base64url').slice(0, 8);
  const exported = exportsOf(first).map(({ name, kind, index }) => {
    if (!known.has(name)) numbers.set(name, kind === GLOBAL ? build : String(numbers.size));
    return Buffer.concat([nameBytes(numbers.get(name) ?? name), Buffer.from([kind]), numberBytes(index)]);
  });
  const taken = [...numbers.values()].find((number) => known.has(number));
  if (taken !== undefined) throw new Error(`${taken} is a name already`);
  const vector = (items) => Buffer.concat([numberBytes(items.length), ...items]);
  return [
    replaced(first, EXPORTS, vector(exported)),
    ...others.map((part) => {
      const imported = importsOf(part).map(({ names: [module, name], kind, from, ends }) =>
        Buffer.concat([nameBytes(module), nameBytes(module === 'primary' ? (numbers.get(name) ?? name) : name), Buffer.from([kind]), part.subarray(from, ends)]),
      );
      return replaced(part, IMPORTS, vector(imported));
    }),
  ];
}
