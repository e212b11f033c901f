// The names by which the parts of a core find what is in the first one.
//
// wasm-split calls them as the functions are called, or by the next name that is free. Numbers are shorter, and one after the other they take gzip next to nothing.

import { EXPORTS, IMPORTS, exportsOf, importsOf, nameBytes, numberBytes, replaced } from './sections.js';

/** The parts (the first of them first) with numbers for names; those in `known` stay, which Emscripten's script and web/core.js know. */
export function numbered([first, ...others], known) {
  const numbers = new Map();
  const exported = exportsOf(first).map(({ name, kind, index }) => {
    if (!known.has(name)) numbers.set(name, String(numbers.size));
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
