/**
 * Rows of the core's tables: its ops, modules, optimisers, NumPy's functions. There are more than a thousand, and a page calls few of them: what is
 * known at once is a row's name and what sort of thing it is, and its signature is read when somebody first asks for it.
 */
import { check, constants, core, readText } from './core.js';

/** The core's JSON of a row, with what calls need beside it. */
export function signatureOf(row) {
  const positional = row.params.filter((param) => !param.keyword_only);
  const last = positional.at(-1);
  return {
    ...row,
    nPositional: positional.length,
    // Where ints without brackets may begin: PyTorch allows it where the list is what the op is about.
    spread: last?.type === 'int[]' && !last.has_default && !last.optional ? positional.length - 1 : -1,
    index: new Map(row.params.map((param, i) => [param.name, i])),
  };
}

export class Row {
  #read;
  #signature;

  /** `marks`: letters that say what it is (tt_wasm_table). `run`: the function of the core that runs it. `read()` answers signatureOf(...). */
  constructor(name, number, marks, run, read) {
    this.name = name;
    this.number = number;
    this.run = run;
    this.isMethod = marks.includes('m');
    this.isInPlace = marks.includes('i');
    this.isFactory = marks.includes('f');
    this.isHidden = marks.includes('h');
    this.marks = marks;
    this.#read = read;
  }

  get signature() {
    return (this.#signature ??= this.#read());
  }

  get schema() {
    return this.signature.schema;
  }

  get params() {
    return this.signature.params;
  }

  get flags() {
    return this.signature.flags;
  }

  get result() {
    return this.signature.result;
  }

  get result_names() {
    return this.signature.result_names;
  }

  get torch_name() {
    return this.signature.torch_name;
  }

  /** By parameters' names: which they are. */
  get index() {
    return this.signature.index;
  }

  get nPositional() {
    return this.signature.nPositional;
  }
}

/** A table, by its name among the constants: one Row each. */
export function readTable(name, { run, first = 0 } = {}) {
  const table = constants.table[name];
  check(core._tt_wasm_table(table));
  const lines = readText().split('\n');
  lines.pop();
  return lines.map((line, i) => {
    const space = line.indexOf(' ');
    const number = first + i;
    return new Row(line.slice(0, space), number, line.slice(space + 1), run, () => {
      check(core._tt_wasm_row(table, number));
      return signatureOf(JSON.parse(readText()));
    });
  });
}
