// What stands in the first part of a core for the functions of the others.
//
// wasm-split leaves an import for each, two thousand, whose name is the place in the table where the real function will be. To make so many takes longer than
// all else that a core needs to begin, and each call of one goes through JavaScript. Here they become functions of the module: such a function has its part
// loaded, by the one import there is for it, unless that has been done, and calls what is in the table then.

/** The text of a module (as wasm-dis writes it) with imports from a namespace turned into such functions. */
export function withStandIns(text, namespaces) {
  const types = new Map([...text.matchAll(/^ \(type (\S+) \(func(.*)\)\)$/gm)].map(([, name, signature]) => [signature.trim(), name]));
  const table = /^ \(table (\S+) /m.exec(text)[1];
  const made = [];
  let loads = '';
  for (const namespace of namespaces) {
    loads += ` (import "${namespace}" "load" (func $load_${namespace}))\n`;
    made.push(
      ` (global $has_${namespace} (mut i32) (i32.const 0))`,
      ` (func $need_${namespace} (if (i32.eqz (global.get $has_${namespace})) (block (call $load_${namespace}) (global.set $has_${namespace} (i32.const 1)))))`,
    );
    text = text.replace(new RegExp(`^ \\(import "${namespace}" "(\\d+)" \\(func (\\S+?)( .*)?\\)\\)\\n`, 'gm'), (_, slot, name, signature = '') => {
      const params = /\(param ([^)]*)\)/.exec(signature)?.[1].split(' ') ?? [];
      const given = params.map((_type, i) => `(local.get ${i})`).join(' ');
      const call = `(call_indirect ${table} (type ${types.get(signature.trim())}) ${given} (i32.const ${slot}))`;
      made.push(` (func ${name}${signature} (call $need_${namespace}) ${call})`);
      return '';
    });
  }
  const imports = text.indexOf(' (import ');
  const ends = text.lastIndexOf(')');
  return `${text.slice(0, imports)}${loads}${text.slice(imports, ends)}${made.join('\n')}\n)\n`;
}
