/**
 * Rows of the core's tables: its ops, modules, optimisers, NumPy's functions. There are more than a thousand, and a page calls few of them: what is
 * known at once is a row's name and what sort of thing it is, and its signature is read when somebody first asks for it.
 */
import { check, constants, core, readText } from './core.js';

export class Row {
  #table;
  #signature;

  /** `marks`: letters that say what it is (tt_wasm_table). `table`: { number, run, read }, where `run` is the function of the core that runs its rows. */
  constructor(table, name, number, marks) {
    this.#table = table;
    this.name = name;
    this.number = number;
    this.marks = marks;
    this.run = table.run;
    this.isMethod = marks.includes('m');
    this.isInPlace = marks.includes('i');
    this.isFactory = marks.includes('f');
    this.isHidden = marks.includes('h');
  }

  get signature() {
    return (this.#signature ??= signatureOf(this.#table.read(this)));
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

/** The core's JSON of a row, with what calls need beside it. */
function signatureOf(row) {
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

function readRow(number, row) {
  check(core._tt_wasm_row(number, row.number));
  return JSON.parse(readText());
}

/** A table, by its name among the constants: one Row each. */
export function readTable(name, { run, first = 0 } = {}) {
  const number = constants.table[name];
  check(core._tt_wasm_table(number));
  const table = { run, read: (row) => readRow(number, row) };
  const lines = readText().split('\n');
  lines.pop();
  return lines.map((line, i) => {
    const space = line.indexOf(' ');
    return new Row(table, line.slice(0, space), first + i, line.slice(space + 1));
  });
}

/**
 * Gives a class a method for each row that is one, unless it has one of that name. V8 copies all that a prototype has whenever something is added, which took
 * 30 ms for the ops: but not once something has been deleted, as long as nobody looks for a property.
 */
export function addMethods({ prototype }, rows, methodOf) {
  const [first, second] = [Symbol('first'), Symbol('second')];
  for (const key of [first, second]) prototype[key] = undefined;
  for (const key of [first, second]) delete prototype[key];
  for (const row of rows) {
    if (!row.isMethod || Object.hasOwn(prototype, row.name)) continue;
    Object.defineProperty(prototype, row.name, { configurable: true, writable: true, value: methodOf(row) });
  }
}
