/**
 * lr_scheduler: learning rates that change while training goes on, as torch.optim.lr_scheduler has them: a class for each row of the
 * core's table (src/nn/schedule.def), and those that need JavaScript.
 *
 * A rate is computed from the one at the beginning (a group's initial_lr), so that an optimiser has one scheduler at a time.
 */
import { endCall, writeArguments } from './call.js';
import { at, checkViews, core, f64, takeThrown } from './core.js';
import { TensorError } from './errors.js';
import { tables } from './nn.js';
import { Optimizer, optim } from './optim.js';
import { checkOptions, describe, isPlain } from './options.js';

function bad(where, message, code = 'argument') {
  return new TensorError(`${where}: ${message}`, { code, op: where });
}

function checkOptimizer(where, optimizer) {
  if (!(optimizer instanceof Optimizer)) throw bad(where, `the first argument is an optimizer, not ${describe(optimizer)}`);
}

/** One whose rate is a function of the step: `rateOf(initial rate, steps so far, number of the group)`. */
class LRScheduler {
  #rateOf;

  constructor(optimizer, rateOf) {
    checkOptimizer(new.target.name, optimizer);
    this.#rateOf = rateOf;
    this.optimizer = optimizer;
    this.last_epoch = 0;
    for (const group of optimizer.param_groups) group.initial_lr ??= group.lr;
    this.base_lrs = optimizer.param_groups.map(({ initial_lr }) => initial_lr);
    this.#apply();
  }

  #apply() {
    const rates = this.base_lrs.map((base, i) => this.#rateOf(base, this.last_epoch, i));
    this.optimizer.param_groups.forEach((group, i) => {
      if (i < rates.length) group.lr = rates[i];
    });
  }

  /** One more step (or epoch) has been done: call it behind optimizer.step(). */
  step() {
    this.last_epoch++;
    this.#apply();
  }

  get_last_lr() {
    return this.optimizer.param_groups.map(({ lr }) => lr);
  }

  state_dict() {
    return { last_epoch: this.last_epoch, base_lrs: [...this.base_lrs] };
  }

  load_state_dict(state) {
    if (!isPlain(state) || !Number.isInteger(state.last_epoch) || !Array.isArray(state.base_lrs))
      throw bad('load_state_dict', `the argument is { last_epoch, base_lrs }, not ${describe(state)}`);
    this.last_epoch = state.last_epoch;
    this.base_lrs = [...state.base_lrs];
    this.#apply();
  }
}

function classOf(row) {
  const rateOf = (args) => (base, nSteps) => {
    const nArgs = writeArguments(row, undefined, args);
    takeThrown();
    endCall(row, core._tt_wasm_schedule_rate(row.number, nArgs, base, nSteps));
    checkViews();
    return f64[at.numbers >> 3];
  };
  return {
    [row.name]: class extends LRScheduler {
      constructor(optimizer, ...args) {
        super(optimizer, rateOf(args));
      }
    },
  }[row.name];
}

/** The rate at the beginning times what a function says of the step; or an array of functions, one a group. */
class LambdaLR extends LRScheduler {
  constructor(optimizer, fn) {
    checkOptimizer('LambdaLR', optimizer);
    const list = Array.isArray(fn) ? fn : optimizer.param_groups.map(() => fn);
    const wrong = list.find((item) => typeof item !== 'function');
    if (wrong !== undefined) throw bad('LambdaLR', `the second argument is a function of the step, or an array of them, not ${describe(wrong)}`);
    if (list.length !== optimizer.param_groups.length)
      throw bad('LambdaLR', `${list.length} functions do not fit ${optimizer.param_groups.length} groups`);
    super(optimizer, (base, nSteps, i) => base * list[i](nSteps));
  }
}

const plateau = { mode: 'min', factor: 0.1, patience: 10, threshold: 1e-4, threshold_mode: 'rel', cooldown: 0, min_lr: 0, eps: 1e-8 };

/** Makes the rate smaller when a number (such as the loss of the test set) has stopped getting better. */
class ReduceLROnPlateau {
  #options;

  constructor(optimizer, mode, options) {
    const where = 'ReduceLROnPlateau';
    checkOptimizer(where, optimizer);
    const named = isPlain(mode) ? mode : { mode, ...options };
    this.#options = { ...plateau, ...Object.fromEntries(Object.entries(checkOptions(where, named, Object.keys(plateau))).filter(([, value]) => value !== undefined)) };
    if (!['min', 'max'].includes(this.#options.mode)) throw bad(where, `mode is 'min' or 'max', not ${describe(this.#options.mode)}`);
    if (!['rel', 'abs'].includes(this.#options.threshold_mode))
      throw bad(where, `threshold_mode is 'rel' or 'abs', not ${describe(this.#options.threshold_mode)}`);
    if (!(this.#options.factor < 1)) throw bad(where, `factor is below 1, not ${this.#options.factor}`);
    this.optimizer = optimizer;
    this.best = this.#options.mode === 'min' ? Infinity : -Infinity;
    this.num_bad_epochs = 0;
    this.cooldown_counter = 0;
    this.last_epoch = 0;
  }

  #isBetter(value) {
    const { mode, threshold, threshold_mode } = this.#options;
    if (threshold_mode === 'rel') return mode === 'min' ? value < this.best * (1 - threshold) : value > this.best * (1 + threshold);
    return mode === 'min' ? value < this.best - threshold : value > this.best + threshold;
  }

  /** `metric`: a number, as await loss.item() answers it. */
  step(metric) {
    if (typeof metric !== 'number') throw bad('ReduceLROnPlateau', `step takes a number, such as await loss.item(), not ${describe(metric)}`);
    const { factor, patience, cooldown, min_lr, eps } = this.#options;
    this.last_epoch++;
    if (this.#isBetter(metric)) {
      this.best = metric;
      this.num_bad_epochs = 0;
    } else {
      this.num_bad_epochs++;
    }
    if (this.cooldown_counter > 0) {
      this.cooldown_counter--;
      this.num_bad_epochs = 0;
    }
    if (this.num_bad_epochs <= patience) return;
    for (const group of this.optimizer.param_groups) {
      const smaller = Math.max(group.lr * factor, min_lr);
      if (group.lr - smaller > eps) group.lr = smaller;
    }
    this.cooldown_counter = cooldown;
    this.num_bad_epochs = 0;
  }

  get_last_lr() {
    return this.optimizer.param_groups.map(({ lr }) => lr);
  }

  state_dict() {
    const { best, num_bad_epochs, cooldown_counter, last_epoch } = this;
    return { best, num_bad_epochs, cooldown_counter, last_epoch };
  }

  load_state_dict(state) {
    if (!isPlain(state)) throw bad('load_state_dict', `the argument is a state_dict of a scheduler, not ${describe(state)}`);
    const { best, num_bad_epochs, cooldown_counter, last_epoch } = { ...this.state_dict(), ...state };
    Object.assign(this, { best, num_bad_epochs, cooldown_counter, last_epoch });
  }
}

/** torch.optim.lr_scheduler */
optim.lr_scheduler = { LRScheduler, LambdaLR, ReduceLROnPlateau };
for (const row of tables.schedules) optim.lr_scheduler[row.name] = classOf(row);
