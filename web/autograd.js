/**
 * Gradients, as PyTorch's users write them: x.requires_grad, y.backward(), x.grad, torch.no_grad.
 *
 * What happened to a tensor is recorded where its data is (src/chain/variable.h), and backward runs there: for a pointer all
 * this becomes commands, and x.grad is a pointer to the gradient. Whether a gradient has arrived elsewhere is not known here
 * without asking: x.grad is null when none can have arrived, else a pointer, whose reading fails when none has.
 */
import { addCallback, removeCallback } from './callback.js';
import { opNamed } from './call.js';
import { at, check, core, f64, i32, readId, readText, writeId } from './core.js';
import { TensorError } from './errors.js';
import { checkOptions, describe } from './options.js';
import { Tensor, homeOf, invoke, isTensor, liveHandle, nChangesSoFar, setGradOption, torch } from './tensor.js';

const FLAG = { POINTER: 1, REQUIRES_GRAD: 8, NO_LEAF: 16, HAS_GRAD: 32, MULTI: 64 };
const run = (name, self, ...args) => invoke(opNamed(name), self, args);

function bad(message, code = 'argument', op) {
  return new TensorError(message, { code, op });
}

function flagsOf(tensor, use) {
  check(core._tt_wasm_tensor_meta(liveHandle(tensor, use)));
  return i32[at.flags >> 2];
}

/** What is remembered of a tensor's gradient: the tensor that stands for it, and when that was made. */
const known = new WeakMap();
function notesOf(tensor) {
  let notes = known.get(tensor);
  if (notes === undefined) known.set(tensor, (notes = { grad: null, stamp: -1, cleared: -1, isRetained: false }));
  return notes;
}

/** How many backwards there have been: a gradient elsewhere that was taken away has not come back before the next. */
let nBackwards = 0;

/** What a plan does to gradients: while it is noted, else null. */
let watched = null;

/** Runs a function and notes whether there is a backward in it, and whose gradients are taken away after the last. */
export function watchGradients(fn) {
  const outer = watched;
  const seen = { hasBackward: false, cleared: new Set() };
  watched = seen;
  try {
    return [fn(), seen];
  } finally {
    watched = outer;
  }
}

/** The same has happened again, elsewhere. */
export function repeatGradients(hasBackward, cleared) {
  if (hasBackward) nBackwards++;
  cleared.forEach(noteCleared);
}

/** No gradient has arrived at this tensor since. */
export function noteCleared(tensor) {
  watched?.cleared.add(tensor);
  const notes = notesOf(tensor);
  notes.cleared = nBackwards;
  notes.grad = null;
}

// ---- grad_fn ----

/** What made a tensor: its name is PyTorch's. */
export class GradFn {
  #name;

  constructor(name) {
    this.#name = name;
  }

  get name() {
    return this.#name;
  }

  toString() {
    return `<${this.#name}>`;
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    return this.toString();
  }
}

// ---- tensors ----

function gradOf(tensor) {
  const flags = flagsOf(tensor, 'grad');
  const notes = notesOf(tensor);
  const isHere = (flags & (FLAG.POINTER | FLAG.MULTI)) === 0;
  if (isHere) {
    if ((flags & FLAG.HAS_GRAD) === 0) return null;
  } else {
    const mayHave = (flags & FLAG.REQUIRES_GRAD) !== 0 && ((flags & FLAG.NO_LEAF) === 0 || notes.isRetained);
    if (!mayHave || notes.cleared === nBackwards) return null;
  }
  // The same tensor as long as it is the same gradient; elsewhere that is only sure until something changes or it moves.
  const stamp = isHere ? f64[at.numbers >> 3] : `${readText()} ${readId()} ${nChangesSoFar()}`;
  if (notes.grad === null || notes.grad.isDisposed || notes.stamp !== stamp) notes.grad = run('grad', tensor);
  notes.stamp = stamp;
  return notes.grad;
}

const properties = {
  requires_grad: {
    get() {
      return (flagsOf(this, 'requires_grad') & FLAG.REQUIRES_GRAD) !== 0;
    },
    set(value) {
      if (typeof value !== 'boolean') throw bad(`requires_grad is true or false, not ${describe(value)}`, 'argument', 'requires_grad');
      this.requires_grad_(value);
    },
  },
  is_leaf: {
    get() {
      return (flagsOf(this, 'is_leaf') & FLAG.NO_LEAF) === 0;
    },
  },
  grad_fn: {
    get() {
      check(core._tt_wasm_tensor_grad_fn(liveHandle(this, 'grad_fn')));
      const name = readText();
      return name === '' ? null : new GradFn(name);
    },
  },
  grad: {
    get() {
      return gradOf(this);
    },
    set(value) {
      if (value !== null && !isTensor(value)) throw bad(`grad is a tensor or null, not ${describe(value)}`, 'argument', 'grad');
      run('set_grad_', this, value);
      const notes = notesOf(this);
      if (value === null) noteCleared(this);
      else notes.cleared = -1;
    },
  },
};

const methods = {
  requires_grad_(value = true) {
    if (typeof value !== 'boolean') throw bad(`requires_grad_: the argument is true or false, not ${describe(value)}`, 'argument', 'requires_grad_');
    const had = (flagsOf(this, 'requires_grad_') & FLAG.REQUIRES_GRAD) !== 0;
    run('requires_grad_', this, value);
    if (value && !had) noteCleared(this);
    return this;
  },

  backward(gradient, options) {
    const isOptions = gradient !== null && gradient !== undefined && !isTensor(gradient);
    const given = isOptions ? undefined : (gradient ?? undefined);
    const { gradient: named, retain_graph, create_graph } = checkOptions('backward', isOptions ? gradient : options, [
      'gradient',
      'retain_graph',
      'create_graph',
    ]);
    run('backward_', this, { gradient: given ?? named, retain_graph, create_graph });
    nBackwards++;
    if (watched !== null) {
      watched.hasBackward = true;
      watched.cleared.clear();
    }
  },

  retain_grad() {
    run('retain_grad_', this);
    noteCleared(this);
    notesOf(this).isRetained = true;
  },

  register_hook(fn) {
    if (typeof fn !== 'function') throw bad(`register_hook: the argument is a function, not ${describe(fn)}`, 'argument', 'register_hook');
    const tensor = this;
    const handle = liveHandle(tensor, 'register_hook');
    const number = addCallback('a hook on a gradient', (_, [gradient]) => fn(gradient));
    try {
      check(core._tt_wasm_register_hook(homeOf(tensor).handle, handle, number), { op: 'register_hook' });
    } catch (error) {
      removeCallback(number);
      throw error;
    }
    const id = readId();
    return {
      remove() {
        if (tensor.isDisposed) return;
        writeId(id);
        check(core._tt_wasm_remove_hook(liveHandle(tensor, 'remove')));
      },
    };
  },
};

for (const [name, property] of Object.entries(properties)) Object.defineProperty(Tensor.prototype, name, { configurable: true, ...property });
for (const [name, value] of Object.entries(methods)) Object.defineProperty(Tensor.prototype, name, { configurable: true, writable: true, value });

setGradOption((tensor, value) => {
  if (value !== undefined) tensor.requires_grad = value;
  return tensor;
});

// ---- whether calls are recorded ----

let isRecording = true;

function setRecording(value) {
  isRecording = value;
  core._tt_wasm_set_recording(value ? 1 : 0);
}

function withRecording(name, value, fn) {
  if (typeof fn !== 'function') throw bad(`${name}: the argument is a function, such as () => w.sub_(w.grad), not ${describe(fn)}`, 'argument', name);
  const before = isRecording;
  setRecording(value);
  let result;
  try {
    result = fn();
  } finally {
    setRecording(before);
  }
  if (typeof result?.then !== 'function' || isTensor(result)) return result;
  Promise.resolve(result).catch(() => {});
  throw bad(
    `${name}: its function answered a promise, and what runs after an await would not be covered: put the awaits around it`,
    'argument',
    name,
  );
}

const listOf = (where, value) => {
  const list = Array.isArray(value) ? value : [value];
  const wrong = list.findIndex((item) => !isTensor(item));
  if (wrong >= 0 || list.length === 0) throw bad(`${where} is a tensor or an array of them, not ${describe(wrong >= 0 ? list[wrong] : value)}`);
  return list;
};

Object.assign(torch, {
  /** Runs a function without recording what it does; answers what it answers. */
  no_grad: (fn) => withRecording('no_grad', false, fn),
  enable_grad: (fn) => withRecording('enable_grad', true, fn),
  is_grad_enabled: () => isRecording,
  set_grad_enabled(value) {
    if (typeof value !== 'boolean') throw bad(`set_grad_enabled: the argument is true or false, not ${describe(value)}`);
    setRecording(value);
  },
  autograd: {
    /** The gradients of outputs with respect to inputs, as tensors; no leaf's grad changes. */
    grad(outputs, inputs, options) {
      const { grad_outputs, retain_graph, create_graph } = checkOptions('grad', options, ['grad_outputs', 'retain_graph', 'create_graph']);
      const given = grad_outputs === undefined || grad_outputs === null ? undefined : listOf('grad: grad_outputs', grad_outputs);
      return run('autograd_grad', undefined, listOf('grad: outputs', outputs), listOf('grad: inputs', inputs), {
        grad_outputs: given,
        retain_graph,
        create_graph,
      });
    },
    backward(tensors, options) {
      const { grad_tensors, ...rest } = checkOptions('backward', options, ['grad_tensors', 'retain_graph', 'create_graph']);
      const list = listOf('backward: tensors', tensors);
      const gradients = grad_tensors === undefined ? [] : listOf('backward: grad_tensors', grad_tensors);
      list.forEach((item, i) => item.backward(gradients[i], i + 1 < list.length ? { ...rest, retain_graph: true } : rest));
    },
  },
});
