/**
 * nn: modules, as torch.nn has them. Layers are the core's (src/nn/): a class for each row of its table, whose parameters are
 * tensors of ours. What users write themselves extends Module; its children and parameters are its properties.
 *
 *     class Net extends nn.Module {
 *       constructor() {
 *         super();
 *         this.fc1 = new nn.Linear(784, 128);
 *         this.fc2 = new nn.Linear(128, 10);
 *       }
 *       forward(x) {
 *         return this.fc2.forward(this.fc1.forward(x).relu());
 *       }
 *     }
 *
 * Parameters belong to their module: no tidy takes them, dispose() of the module frees them.
 */
import { endCall, resultAt, writeArguments, writeHandles } from './call.js';
import { at, check, checkViews, core, f64, i32, readText, takeThrown, u32, writeInput } from './core.js';
import { TensorError } from './errors.js';
import { checkOptions, describe, isPlain, noDtype } from './options.js';
import { Row, readTable } from './rows.js';
import { forgetMeta, homeOf, homeOfNew, isTensor, liveHandle, makeTensor, moveTo, noteChange, takeResults, torch } from './tensor.js';

/** The tables of src/nn/. */
export const tables = Object.fromEntries(['modules', 'optimizers', 'inits', 'schedules'].map((name) => [name, readTable(name)]));

function bad(where, message, code = 'argument') {
  return new TensorError(`${where}: ${message}`, { code, op: where });
}

// ---- parameters ----

const parameters = new WeakSet();

/** A tensor for a module to keep: a leaf that requires grad, unless the second argument says otherwise. It shares the data's memory. */
export class Parameter {
  constructor(data, requiresGrad = true) {
    if (!isTensor(data)) throw bad('Parameter', `the data is a tensor, not ${describe(data)}`);
    if (typeof requiresGrad !== 'boolean') throw bad('Parameter', `requires_grad is true or false, not ${describe(requiresGrad)}`);
    const made = adopt(data.detach());
    if (requiresGrad) made.requires_grad_(true);
    parameters.add(made);
    return made;
  }

  static [Symbol.hasInstance](value) {
    return isTensor(value) && parameters.has(value);
  }
}

/** Takes a tensor out of any tidy: it belongs to a module. */
function adopt(tensor) {
  moveTo(tensor, null);
  return tensor;
}

// ---- modules ----

const forgotten = new FinalizationRegistry((handle) => core._tt_wasm_module_free(handle));

/** What the core has of a module: its handle there, its row and its home. */
const inCore = new WeakMap();
const hasOwn = (object, name) => Object.prototype.hasOwnProperty.call(object, name);
const join = (prefix, name) => (prefix === '' ? name : `${prefix}.${name}`);

/** What is kept of a module beside its properties. */
const notes = new WeakMap();
function notesOf(module) {
  let found = notes.get(module);
  if (found === undefined) notes.set(module, (found = { buffers: new Set(), isTraining: true }));
  return found;
}

/** [name, tensor] of the properties that are tensors. */
function tensorsOf(module, isWanted) {
  return Object.keys(module).flatMap((name) => (isTensor(module[name]) && isWanted(module[name], name) ? [[name, module[name]]] : []));
}
const isParameter = (tensor) => parameters.has(tensor);
const parametersOf = (module) => tensorsOf(module, isParameter);
const buffersOf = (module) => tensorsOf(module, (_, name) => notesOf(module).buffers.has(name));

/** Of a module and of all below it, with dotted names. */
const gather = (module, of) =>
  module.named_modules().flatMap(([prefix, inner]) => of(inner).map(([name, tensor]) => [join(prefix, name), tensor]));

/** Parameters and buffers, in the order of a state_dict; a module that stands in two places is in it twice. */
const stateOf = (module, prefix = '') => [
  ...[...parametersOf(module), ...buffersOf(module)].map(([name, tensor]) => [join(prefix, name), tensor]),
  ...module.named_children().flatMap(([name, child]) => stateOf(child, join(prefix, name))),
];
/** The same tensors without their names, each once: what every move of a model looks at. */
export function allTensors(module, found = new Set(), modules = null) {
  modules?.push(module);
  const children = [];
  const { buffers } = notesOf(module);
  for (const name of Object.keys(module)) {
    const value = module[name];
    if (typeof value !== 'object' || value === null) continue;
    if (value instanceof Module) children.push(value);
    else if (isTensor(value) && (isParameter(value) || buffers.has(name))) found.add(value);
  }
  for (const child of children) allTensors(child, found, modules);
  return found;
}

export class Module {
  get training() {
    return notesOf(this).isTraining;
  }

  forward() {
    throw bad(this.constructor.name, 'this module has no forward: write one', 'state');
  }

  /** PyTorch's model(x). */
  call(...inputs) {
    return this.forward(...inputs);
  }

  // ---- what is in it ----

  /** A tensor that is kept with the module and is no parameter, such as a running mean. */
  register_buffer(name, tensor) {
    if (tensor !== null && !isTensor(tensor)) throw bad('register_buffer', `a buffer is a tensor or null, not ${describe(tensor)}`);
    notesOf(this).buffers.add(checkName('register_buffer', name));
    this[name] = tensor === null ? null : adopt(tensor);
  }

  register_parameter(name, parameter) {
    if (parameter !== null && !(parameter instanceof Parameter))
      throw bad('register_parameter', `a parameter is an nn.Parameter or null, not ${describe(parameter)}`);
    this[checkName('register_parameter', name)] = parameter;
  }

  add_module(name, module) {
    if (!(module instanceof Module)) throw bad('add_module', `the second argument is a module, not ${describe(module)}`);
    this[checkName('add_module', name)] = module;
  }

  /** [name, module] of the children: the properties that are modules. */
  named_children() {
    return Object.keys(this)
      .filter((name) => this[name] instanceof Module)
      .map((name) => [name, this[name]]);
  }

  children() {
    return unique(this.named_children()).map(([, child]) => child);
  }

  /** [name, module] of this module ('') and of all below it, each once. */
  named_modules(prefix = '', seen = new Set()) {
    if (seen.has(this)) return [];
    seen.add(this);
    return [[prefix, this], ...this.named_children().flatMap(([name, child]) => child.named_modules(join(prefix, name), seen))];
  }

  modules() {
    return this.named_modules().map(([, module]) => module);
  }

  /** [name, parameter] of this module and of all below it, by their dotted names, each tensor once. */
  named_parameters() {
    return unique(gather(this, parametersOf));
  }

  parameters() {
    return this.named_parameters().map(([, parameter]) => parameter);
  }

  named_buffers() {
    return unique(gather(this, buffersOf));
  }

  buffers() {
    return this.named_buffers().map(([, buffer]) => buffer);
  }

  // ---- states ----

  /** { name: tensor } of all parameters and buffers; the tensors share the module's memory. */
  state_dict() {
    return Object.fromEntries(stateOf(this).map(([name, tensor]) => [name, tensor.detach()]));
  }

  /** Copies the tensors of a state_dict into those of this module, wherever they are. */
  load_state_dict(state, options) {
    const { strict = true } = checkOptions('load_state_dict', options, ['strict']);
    if (!isPlain(state)) throw bad('load_state_dict', `the first argument is an object of tensors, not ${describe(state)}`);
    const own = new Map(stateOf(this));
    const missing_keys = [...own.keys()].filter((name) => !hasOwn(state, name));
    const unexpected_keys = Object.keys(state).filter((name) => !own.has(name));
    const wrong = [];
    if (strict && unexpected_keys.length > 0) wrong.push(`Unexpected key(s) in state_dict: ${unexpected_keys.join(', ')}`);
    if (strict && missing_keys.length > 0) wrong.push(`Missing key(s) in state_dict: ${missing_keys.join(', ')}`);
    for (const [name, target] of own) {
      if (!hasOwn(state, name)) continue;
      const source = state[name];
      if (!isTensor(source)) wrong.push(`${name} is a tensor, not ${describe(source)}`);
      else if (source.shape !== null && target.shape !== null && source.shape.join() !== target.shape.join())
        wrong.push(`size mismatch for ${name}: the state has [${source.shape.join(', ')}], this module [${target.shape.join(', ')}]`);
    }
    if (wrong.length > 0) throw bad(`load_state_dict of ${this.constructor.name}`, wrong.join('; '));
    torch.no_grad(() => {
      for (const [name, target] of own) if (hasOwn(state, name)) copyInto(target, state[name]);
    });
    return { missing_keys, unexpected_keys };
  }

  train(mode = true) {
    if (typeof mode !== 'boolean') throw bad('train', `the argument is true or false, not ${describe(mode)}`);
    for (const module of this.modules()) {
      notesOf(module).isTraining = mode;
      const own = inCore.get(module);
      if (own !== undefined) core._tt_wasm_module_train(own.handle, mode ? 1 : 0);
    }
    return this;
  }

  eval() {
    return this.train(false);
  }

  requires_grad_(value = true) {
    for (const parameter of this.parameters()) parameter.requires_grad_(value);
    return this;
  }

  /** Lets go of all gradients. */
  zero_grad() {
    for (const parameter of this.parameters()) parameter.grad = null;
  }

  /** Calls fn with each module below this one, and with this one at last. */
  apply(fn) {
    if (typeof fn !== 'function') throw bad('apply', `the argument is a function, not ${describe(fn)}`);
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }

  // ---- dtypes and places ----

  /** Exchanges what the floating tensors hold for the same in another dtype; the tensors stay the objects they are. */
  to(dtype) {
    if (dtype !== 'float32' && dtype !== 'float64') throw bad('to', typeof dtype === 'string' ? `a module's parameters are float32 or float64, not ${dtype}` : noDtype(dtype, ['float32', 'float64']), 'dtype');
    torch.no_grad(() => {
      for (const tensor of allTensors(this)) {
        if (!tensor.dtype.startsWith('float') || tensor.dtype === dtype) continue;
        const converted = tensor.to(dtype);
        try {
          if (tensor.requires_grad) converted.requires_grad_(true);
          replace(tensor, converted);
        } finally {
          converted.dispose();
        }
      }
    });
    return this;
  }

  float() {
    return this.to('float32');
  }

  double() {
    return this.to('float64');
  }

  /** Gives all parameters and buffers to a worker, at once; they become pointers and stay the objects they are. */
  send(worker, options) {
    for (const tensor of allTensors(this)) tensor.send(worker, options);
    return this;
  }

  /** From the worker that has it straight to another. */
  move(worker, options) {
    for (const tensor of allTensors(this)) tensor.move(worker, options);
    return this;
  }

  /** Brings all that is elsewhere back. Answers this module. */
  async get(options) {
    const isAway = (tensor) => tensor.isPointer;
    await Promise.all([...allTensors(this)].filter(isAway).map((tensor) => tensor.get(options)));
    return this;
  }

  /** Settles when all has arrived where it was sent. Answers this module. */
  async ready(options) {
    await Promise.all([...allTensors(this)].map((tensor) => tensor.ready(options)));
    return this;
  }

  /** The worker that has it; null when it is here, undefined when it is at several places. */
  get location() {
    let found;
    for (const tensor of allTensors(this)) {
      const { location } = tensor;
      if (found !== undefined && location !== found) return undefined;
      found = location;
    }
    return found ?? null;
  }

  /** A module of the same form, with copies of all tensors where the originals are. */
  copy() {
    const copied = new Map();
    const copyOf = (module) => {
      if (copied.has(module)) return copied.get(module);
      const made = Object.create(Object.getPrototypeOf(module));
      copied.set(module, made);
      notes.set(made, { buffers: new Set(notesOf(module).buffers), isTraining: notesOf(module).isTraining });
      const own = inCore.get(module);
      if (own !== undefined) {
        check(core._tt_wasm_module_copy(own.home.handle, own.handle), { op: 'copy' });
        checkViews();
        place(made, resultAt(0), own.row, own.home);
      }
      for (const name of Object.keys(module)) if (!hasOwn(made, name)) made[name] = copyValue(module[name]);
      return made;
    };
    const copyValue = (value) => {
      if (value instanceof Module) return copyOf(value);
      if (!isTensor(value)) return Array.isArray(value) ? value.map(copyValue) : value;
      if (copied.has(value)) return copied.get(value);
      const isOfModule = isParameter(value);
      const clone = adopt(torch.no_grad(() => value.clone()));
      if (isOfModule && value.requires_grad) clone.requires_grad_(true);
      if (isOfModule) parameters.add(clone);
      copied.set(value, clone);
      return clone;
    };
    return copyOf(this);
  }

  // ---- the end ----

  /** Lets go of all parameters and buffers. Again is harmless. */
  dispose() {
    for (const module of this.modules()) {
      const own = inCore.get(module);
      for (const [, tensor] of [...parametersOf(module), ...buffersOf(module)]) tensor.dispose();
      if (own === undefined) continue;
      core._tt_wasm_module_free(own.handle);
      own.handle = 0;
      forgotten.unregister(module);
    }
  }

  [Symbol.dispose]() {
    this.dispose();
  }

  /** As PyTorch prints it. */
  toString() {
    const children = this.named_children();
    const name = this.constructor.name;
    if (children.length === 0) return `${name}(${this.extra_repr()})`;
    const lines = children.map(([child, module]) => `  (${child}): ${String(module).replaceAll('\n', '\n  ')}`);
    return [`${name}(`, ...lines, ')'].join('\n');
  }

  /** What stands between the parentheses of its text. */
  extra_repr() {
    return '';
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    return this.toString();
  }
}

/** What the core made of a row becomes a module's: its tensors are properties. */
function place(module, handle, row, home) {
  inCore.set(module, { handle, row, home });
  forgotten.register(module, handle, module);
  for (let i = 0, n = 1; i < n; i++) {
    check(core._tt_wasm_module_tensor(handle, i));
    checkViews();
    n = f64[at.numbers >> 3];
    if (i < n) placeTensor(module, handle, row, home, i);
  }
}

function placeTensor(module, handle, row, home, i) {
  const isForParameters = i32[at.flags >> 2] === 1;
  const name = readText();
  let tensor = u32[at.n_results >> 2] > 0 ? adopt(makeTensor(resultAt(0), home)) : null;
  if (!isForParameters) notesOf(module).buffers.add(name);
  else if (tensor !== null) parameters.add(tensor);
  Object.defineProperty(module, name, {
    enumerable: true,
    get: () => tensor,
    set(value) {
      if (value !== null && !isTensor(value)) throw bad(row.name, `${name} is a tensor or null, not ${describe(value)}`);
      if (value !== null && isForParameters && !parameters.has(value)) throw bad(row.name, `${name} is a parameter: write new nn.Parameter(tensor)`);
      check(core._tt_wasm_module_set_tensor(handle, i, value === null ? 0 : liveHandle(value, row.name)), { op: row.name });
      tensor = value === null ? null : adopt(value);
    },
  });
}

function checkName(where, name) {
  if (typeof name === 'string' && name !== '' && !name.includes('.')) return name;
  throw bad(where, `a name is a string without dots, not ${describe(name)}`);
}

/** Pairs whose second is not in an earlier one. */
function unique(pairs) {
  const seen = new Set();
  return pairs.filter(([, value]) => !seen.has(value) && seen.add(value));
}

/** `target` holds from now on what `source` holds. */
function replace(target, source) {
  check(core._tt_wasm_tensor_assign(liveHandle(target, 'to'), liveHandle(source, 'to')), { op: 'to' });
  forgetMeta(target);
}

/** Copies values, going to where the target is first. */
function copyInto(target, source) {
  if (target.location === source.location) {
    target.copy_(source);
    return;
  }
  if (target.location === null || source.location !== null)
    throw bad('load_state_dict', 'a tensor of the state is at another worker: await its get() first', 'location');
  const copy = source.clone();
  copy.send(target.location);
  target.copy_(copy);
  copy.dispose();
}

// ---- the core's modules ----

/** What the constructor was given, by name: properties, as PyTorch's modules have them. */
function argumentsOf(row, args) {
  const options = isPlain(args.at(-1)) ? args.at(-1) : {};
  const given = isPlain(args.at(-1)) ? args.slice(0, -1) : args;
  return row.params.map(({ name, default: otherwise = null }, i) => [name, given[i] ?? options[name] ?? otherwise]);
}

const isElsewhereNamed = new Set(['training', 'location']);

function construct(module, row, args) {
  const home = homeOfNew();
  const nArgs = writeArguments(row, undefined, args);
  takeThrown();
  endCall(row, core._tt_wasm_module_new(home.handle, row.number, nArgs));
  place(module, resultAt(0), row, home);
  for (const [name, value] of argumentsOf(row, args)) if (!(name in module) && !isElsewhereNamed.has(name)) module[name] = value;
}

/** What forward takes, as a row. */
const inputsTable = {
  read: ({ name: module }) => ({
    schema: `${module}.forward(Tensor input, Tensor? ...)`,
    params: ['input', 'other', 'another', 'last'].map((name, i) => ({ name, type: 'Tensor', optional: i > 0, keyword_only: false, has_default: false })),
  }),
};
const inputsOf = ({ name }) => new Row(inputsTable, name, 0, '');

function forward(module, row, inputRow, inputs) {
  const { handle, home } = inCore.get(module);
  const flat = inputs.flat();
  const nArgs = writeArguments(inputRow, undefined, flat);
  takeThrown();
  const nResults = endCall(inputRow, core._tt_wasm_module_forward(home.handle, handle, nArgs));
  const results = takeResults(nResults, home, flat.find(isTensor));
  if (row.result !== 'tuple') return results[0];
  // As LSTM's: output, (h_n, c_n).
  return row.result_names[0] === 'output' && nResults > 2 ? [results[0], results.slice(1)] : results;
}

/** An argument of the constructor as Python shows it; where a parameter has its name, whether there is one. */
function shown(value, otherwise) {
  if (isTensor(value)) return 'True';
  if (value === null && typeof otherwise === 'boolean') return 'False';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `(${value.join(', ')})`;
  return value === null ? 'None' : String(value);
}

function classOf(row) {
  const inputRow = inputsOf(row);
  return {
    [row.name]: class extends Module {
      constructor(...args) {
        super();
        construct(this, row, args);
      }

      forward(...inputs) {
        return forward(this, row, inputRow, inputs);
      }

      extra_repr() {
        return row.params.map(({ name, default: otherwise }) => `${name}=${shown(this[name], otherwise)}`).join(', ');
      }
    },
  }[row.name];
}

// ---- containers: what is in them may be anybody's modules ----

/** Modules by number: model[0], model.length, for (const module of model). */
class Numbered extends Module {
  get length() {
    return this.named_children().length;
  }

  append(module) {
    this.add_module(String(this.length), module);
    return this;
  }

  at(i) {
    return this[i < 0 ? this.length + i : i];
  }

  [Symbol.iterator]() {
    const modules = this.named_children().map(([, module]) => module);
    return modules[Symbol.iterator]();
  }
}

/** Modules one behind the other; or one object of them, by names. */
class Sequential extends Numbered {
  constructor(...modules) {
    super();
    const named = modules.length === 1 && isPlain(modules[0]) ? Object.entries(modules[0]) : modules.map((module, i) => [String(i), module]);
    for (const [name, module] of named) this.add_module(name, module);
  }

  forward(...inputs) {
    return [...this].reduce((values, module) => [module.forward(...values)], inputs)[0];
  }
}

/** Modules in a list, which is not called. */
class ModuleList extends Numbered {
  constructor(modules = []) {
    super();
    this.extend(modules);
  }

  extend(modules) {
    if (typeof modules?.[Symbol.iterator] !== 'function') throw bad('ModuleList', `the modules are an array of them, not ${describe(modules)}`);
    for (const module of modules) this.append(module);
    return this;
  }
}

// ---- init and utils ----

function initBy(row) {
  return Object.defineProperty(
    (tensor, ...args) => {
      if (!isTensor(tensor)) throw bad(row.name, `the first argument is the tensor to fill, not ${describe(tensor)}`);
      const nArgs = writeArguments(row, undefined, [tensor, ...args]);
      takeThrown();
      noteChange();
      endCall(row, core._tt_wasm_init(homeOf(tensor).handle, row.number, nArgs));
      return tensor;
    },
    'name',
    { value: row.name },
  );
}

/** torch.nn.init: functions that fill a tensor, and answer it. */
const init = Object.fromEntries(tables.inits.map((row) => [row.name, initBy(row)]));
init.calculate_gain = (nonlinearity, param = 0.01) => {
  if (typeof nonlinearity !== 'string') throw bad('calculate_gain', `the nonlinearity is its name, such as 'relu', not ${describe(nonlinearity)}`);
  if (typeof param !== 'number') throw bad('calculate_gain', `param is a number, not ${describe(param)}`);
  writeInput(nonlinearity);
  check(core._tt_wasm_gain(param), { op: 'calculate_gain' });
  checkViews();
  return f64[at.numbers >> 3];
};

/** Puts the gradients of parameters into the scratch. Answers them. */
function writeGradients(where, given) {
  if (typeof given?.[Symbol.iterator] !== 'function' && !isTensor(given))
    throw bad(where, `the parameters are an array, such as model.parameters(), not ${describe(given)}`);
  const list = isTensor(given) ? [given] : [...given];
  if (!list.every(isTensor)) throw bad(where, `the parameters are tensors, not ${describe(list.find((item) => !isTensor(item)))}`);
  const gradients = list.map((parameter) => parameter.grad).filter((grad) => grad !== null);
  writeHandles(
    where,
    gradients.map((grad) => liveHandle(grad, where)),
  );
  return gradients;
}

function checkNumber(where, name, value) {
  if (typeof value !== 'number' || Number.isNaN(value)) throw bad(where, `${name} is a number, not ${describe(value)}`);
}

/** torch.nn.utils */
const utils = {
  /** Scales the gradients so that their norm together is at most max_norm. Answers the norm before, a tensor. */
  clip_grad_norm_(params, max_norm, norm_type = 2) {
    checkNumber('clip_grad_norm_', 'max_norm', max_norm);
    checkNumber('clip_grad_norm_', 'norm_type', norm_type);
    const gradients = writeGradients('clip_grad_norm_', params);
    if (gradients.length === 0) return torch.zeros([]);
    const home = homeOf(gradients[0]);
    check(core._tt_wasm_clip_norm(home.handle, gradients.length, max_norm, norm_type), { op: 'clip_grad_norm_' });
    noteChange();
    checkViews();
    return takeResults(1, home, gradients[0])[0];
  },

  /** Bounds each element of the gradients by -clip_value and clip_value. */
  clip_grad_value_(params, clip_value) {
    checkNumber('clip_grad_value_', 'clip_value', clip_value);
    const gradients = writeGradients('clip_grad_value_', params);
    if (gradients.length === 0) return;
    check(core._tt_wasm_clip_value(homeOf(gradients[0]).handle, gradients.length, clip_value), { op: 'clip_grad_value_' });
    noteChange();
  },
};

/** torch.nn */
export const nn = { Module, Parameter, init, utils };
for (const row of tables.modules) nn[row.name] = classOf(row);
Object.assign(nn, { Sequential, ModuleList });
nn.functional = torch.nn.functional;
torch.nn = nn;
