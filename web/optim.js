/**
 * optim: optimisers, as torch.optim has them: a class for each row of the core's table (src/nn/optim.def).
 *
 * A group is { params, lr, ... } as in PyTorch; its options may be changed at any time and are so from the next step on. The state
 * of a parameter is where the parameter is. When that has moved to another worker since, its state follows; when it has come back
 * here, await optimizer.ready() before the next step.
 */
import { noteCleared } from './autograd.js';
import { endCall, resultAt, writeArguments, writeHandles } from './call.js';
import { at, check, checkViews, core, readText, takeThrown, u32, writeInput } from './core.js';
import { TensorError } from './errors.js';
import { tables } from './nn.js';
import { checkOptions, describe, isPlain } from './options.js';
import { homeOf, homeOfNew, isTensor, liveHandle, makeTensor, noteChange, torch } from './tensor.js';

function bad(where, message, code = 'argument') {
  return new TensorError(`${where}: ${message}`, { code, op: where });
}

/** Calls `visit` with the options of a group, one behind the other, as long as it answers true; answers whether it always did. */
function eachOption(group, visit) {
  for (const name in group) {
    const value = group[name];
    if (name === 'params') {
      if (!visit(value.length)) return false;
    } else if (Array.isArray(value)) {
      if (!value.every(visit)) return false;
    } else if (!visit(value)) {
      return false;
    }
  }
  return true;
}

/** A group's options as they are now, and whether it still has them: asked at every step. */
export function optionsOf(group) {
  const options = [];
  eachOption(group, (value) => options.push(value) > 0);
  return options;
}
export function hasOptions(group, options) {
  let n = 0;
  return eachOption(group, (value) => Object.is(value, options[n++])) && n === options.length;
}

/** How often other state has been put in the place of an optimiser's. */
const versions = new WeakMap();
export const stateVersion = (optimizer) => versions.get(optimizer) ?? 0;
/** Has an optimiser's state follow its parameters, as a step does. */
export let bringState;

const forgotten = new FinalizationRegistry((handle) => core._tt_wasm_optimizer_free(handle));

/** PyTorch gives two of Adam's numbers as one pair. */
const toRow = ({ betas, ...options }) => (betas === undefined ? options : { ...options, beta1: betas[0], beta2: betas[1] });

function fromRow(row) {
  const options = Object.fromEntries(row.params.map(({ name, default: otherwise }) => [name, otherwise]));
  if (!row.index.has('beta1')) return options;
  const { beta1, beta2, ...rest } = options;
  return { ...rest, betas: [beta1, beta2] };
}

export class Optimizer {
  #row;
  #handle = 0;
  #home;
  /** For each group the options that the core has. */
  #told = [];

  static {
    bringState = (optimizer) =>
      check(core._tt_wasm_optimizer_bring(optimizer.#home.handle, optimizer.#live), { op: optimizer.#row.name });
  }

  constructor(row, params, options) {
    if (!(new.target.prototype instanceof Optimizer)) throw bad('Optimizer', 'optimisers are made by new optim.SGD(...) and its like');
    this.#row = row;
    this.defaults = fromRow(row);
    Object.assign(this.defaults, checkOptions(row.name, options, Object.keys(this.defaults)));
    this.param_groups = [];
    const list = listOf(row.name, params);
    this.#home = homeOf(isTensor(list[0]) ? list[0] : listOf(row.name, list[0].params)[0]) ?? homeOfNew();
    check(core._tt_wasm_optimizer_new(row.number), { op: row.name });
    checkViews();
    this.#handle = resultAt(0);
    forgotten.register(this, this.#handle, this);
    try {
      for (const group of isTensor(list[0]) ? [{ params: list }] : list) this.add_param_group(group);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  get #live() {
    if (this.#handle === 0) throw bad(this.#row.name, 'this optimizer has been disposed of', 'state');
    return this.#handle;
  }

  /** Adds { params, lr, ... }: what it does not say is as the constructor was told. */
  add_param_group(group) {
    const where = this.#row.name;
    if (!isPlain(group)) throw bad(where, `a group is an object { params, ... }, not ${describe(group)}`);
    checkOptions(where, group, ['params', ...Object.keys(this.defaults)]);
    const params = listOf(where, group.params);
    if (!params.every(isTensor)) throw bad(where, `parameters are tensors, not ${describe(params.find((param) => !isTensor(param)))}`);
    const made = { ...this.defaults, ...group, params };
    const nArgs = this.#write(made);
    writeHandles(
      where,
      params.map((param) => liveHandle(param, where)),
    );
    takeThrown();
    endCall(this.#row, core._tt_wasm_optimizer_add_group(this.#live, params.length, nArgs));
    this.#told.push(optionsOf(made));
    this.param_groups.push(made);
  }

  /** What else is kept in a group, such as a scheduler's initial_lr, is not the core's. */
  #write(group) {
    const options = Object.fromEntries(Object.keys(this.defaults).map((name) => [name, group[name]]));
    return writeArguments(this.#row, undefined, [toRow(options)]);
  }

  /**
   * Changes every parameter by its gradient. `closure`, when it is given, computes the loss anew before; what it answers is
   * answered.
   */
  step(closure) {
    const loss = closure === undefined ? null : torch.enable_grad(closure);
    const handle = this.#live;
    this.param_groups.forEach((group, i) => {
      if (hasOptions(group, this.#told[i] ?? [])) return;
      const nArgs = this.#write(group);
      takeThrown();
      endCall(this.#row, core._tt_wasm_optimizer_set_options(handle, i, nArgs));
      this.#told[i] = optionsOf(group);
    });
    takeThrown();
    noteChange();
    endCall(this.#row, core._tt_wasm_optimizer_step(this.#home.handle, handle));
    return loss;
  }

  /** Lets go of the gradients; with set_to_none: false those that there are become zeros. */
  zero_grad(options) {
    const { set_to_none = true } = checkOptions('zero_grad', options, ['set_to_none']);
    takeThrown();
    noteChange();
    endCall(this.#row, core._tt_wasm_optimizer_zero_grad(this.#home.handle, this.#live, set_to_none ? 1 : 0));
    if (set_to_none) for (const { params } of this.param_groups) params.forEach(noteCleared);
  }

  // ---- state ----

  /** The states of a parameter that there are, by name. */
  #stateOf(group, i) {
    const found = {};
    for (let k = 0; ; k++) {
      check(core._tt_wasm_optimizer_state(this.#live, group, i, k), { op: this.#row.name });
      checkViews();
      const name = readText();
      if (name === '') return found;
      if (u32[at.n_results >> 2] > 0) found[name] = makeTensor(resultAt(0), this.#home);
    }
  }

  /** Every parameter, with its group's number and its own there. */
  #each() {
    return this.param_groups.flatMap(({ params }, group) => params.map((param, i) => ({ param, group, i })));
  }

  /** What there is of state, as a Map from parameters to { name: tensor }. */
  get state() {
    return new Map(this.#each().map(({ param, group, i }) => [param, this.#stateOf(group, i)]));
  }

  /** { state, param_groups }, in which parameters are numbers; the tensors are the optimiser's own. */
  state_dict() {
    const state = Object.fromEntries(
      this.#each()
        .map(({ group, i }, number) => [number, this.#stateOf(group, i)])
        .filter(([, states]) => Object.keys(states).length > 0),
    );
    let n = 0;
    return { state, param_groups: this.param_groups.map(({ params, ...options }) => ({ ...options, params: params.map(() => n++) })) };
  }

  /** Takes the options and copies of the states from a state_dict of an optimiser with groups of the same sizes. */
  load_state_dict(dict) {
    const where = `load_state_dict of ${this.#row.name}`;
    const sizes = (groups) => groups.map(({ params }) => params.length).join(', ');
    if (!isPlain(dict) || !Array.isArray(dict.param_groups) || !isPlain(dict.state)) throw bad(where, 'the argument is { state, param_groups }');
    if (sizes(dict.param_groups) !== sizes(this.param_groups))
      throw bad(where, `groups of ${sizes(dict.param_groups)} parameters do not fit groups of ${sizes(this.param_groups)}`);
    const each = this.#each();
    versions.set(this, stateVersion(this) + 1);
    for (const [number, states] of Object.entries(dict.state)) {
      const { group, i } = each[number] ?? {};
      if (group === undefined) throw bad(where, `there is no parameter number ${number}`);
      for (const [name, tensor] of Object.entries(states)) {
        if (!isTensor(tensor)) throw bad(where, `the state ${name} of parameter ${number} is a tensor, not ${describe(tensor)}`);
        writeInput(name);
        check(core._tt_wasm_optimizer_set_state(this.#home.handle, this.#live, group, i, liveHandle(tensor, where)), { op: where });
      }
    }
    dict.param_groups.forEach((group, i) => Object.assign(this.param_groups[i], { ...group, params: this.param_groups[i].params }));
  }

  /** Settles when all parameters are where they are going, and the state of those that have come back is here too. Answers this optimizer. */
  async ready(options) {
    await Promise.all(
      this.#each().map(async ({ param, group, i }) => {
        const states = Object.values(this.#stateOf(group, i));
        try {
          await param.ready(options);
          if (!param.isPointer) await Promise.all(states.filter((state) => state.isPointer).map((state) => state.get(options)));
        } finally {
          for (const state of states) state.dispose();
        }
      }),
    );
    return this;
  }

  // ---- the end ----

  /** Lets go of the state; parameters stay. Again is harmless. */
  dispose() {
    if (this.#handle === 0) return;
    core._tt_wasm_optimizer_free(this.#handle);
    this.#handle = 0;
    forgotten.unregister(this);
  }

  [Symbol.dispose]() {
    this.dispose();
  }
}

function listOf(where, params) {
  if (params === null || params === undefined || isTensor(params) || typeof params[Symbol.iterator] !== 'function')
    throw bad(where, `the parameters are an array, such as model.parameters(), not ${describe(params)}`);
  const list = [...params];
  if (list.length === 0) throw bad(where, 'the list of parameters is empty');
  return list;
}

/** torch.optim */
export const optim = { Optimizer };
for (const row of tables.optimizers) {
  optim[row.name] = {
    [row.name]: class extends Optimizer {
      constructor(params, options) {
        super(row, params, options);
      }
    },
  }[row.name];
}
torch.optim = optim;
