/** The types of torch.optim. The optimisers come from the core's table: core/nn.d.ts, which `npm run build` writes. */
import type { optimizers } from './core/nn.js';
import type { Tensor, Waiting } from './index.js';

/** Parameters, and the options that count for them from the next step on. */
export interface ParamGroup {
  params: Iterable<Tensor>;
  lr?: number;
  [option: string]: any;
}

export interface OptimizerState {
  state: Record<string, Record<string, Tensor>>;
  param_groups: Record<string, any>[];
}

export class Optimizer {
  protected constructor(...args: any[]);
  readonly param_groups: (ParamGroup & { params: Tensor[]; lr: number })[];
  readonly defaults: Record<string, any>;
  /** What there is of state. */
  readonly state: Map<Tensor, Record<string, Tensor>>;

  add_param_group(group: ParamGroup): void;
  /** Changes every parameter by its gradient; `closure` computes the loss anew before. */
  step(): null;
  step<T>(closure: () => T): T;
  /** Lets go of the gradients; with set_to_none: false those that there are become zeros. */
  zero_grad(options?: { set_to_none?: boolean }): void;
  state_dict(): OptimizerState;
  load_state_dict(state: OptimizerState): void;
  /** Settles when parameters are where they are going, and the state of those that have come back is here too. */
  ready(options?: Waiting): Promise<this>;
  /** Lets go of the state. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/** A rate that is a function of the initial one, the steps so far and the group's number. */
export class LRScheduler {
  constructor(optimizer: Optimizer, rateOf: (initial: number, nSteps: number, group: number) => number);
  readonly optimizer: Optimizer;
  readonly last_epoch: number;
  readonly base_lrs: number[];
  /** Call it behind optimizer.step(), or at the end of an epoch. */
  step(): void;
  get_last_lr(): number[];
  state_dict(): { last_epoch: number; base_lrs: number[] };
  load_state_dict(state: { last_epoch: number; base_lrs: number[] }): void;
}

interface ScheduleClass<Args extends any[]> {
  new (optimizer: Optimizer, ...args: Args): LRScheduler;
}

export interface PlateauOptions {
  mode?: 'min' | 'max';
  factor?: number;
  patience?: number;
  threshold?: number;
  threshold_mode?: 'rel' | 'abs';
  cooldown?: number;
  min_lr?: number;
  eps?: number;
}

/** Makes the rate smaller when a number has stopped getting better. */
export class ReduceLROnPlateau {
  constructor(optimizer: Optimizer, options?: PlateauOptions);
  constructor(optimizer: Optimizer, mode: 'min' | 'max', options?: PlateauOptions);
  readonly best: number;
  readonly num_bad_epochs: number;
  step(metric: number): void;
  get_last_lr(): number[];
  state_dict(): Record<string, number>;
  load_state_dict(state: Record<string, number>): void;
}

/** torch.optim */
export const optim: typeof optimizers & {
  Optimizer: typeof Optimizer;
  lr_scheduler: {
    LRScheduler: typeof LRScheduler;
    LambdaLR: ScheduleClass<[fn: ((nSteps: number) => number) | ((nSteps: number) => number)[]]>;
    ReduceLROnPlateau: typeof ReduceLROnPlateau;
    StepLR: ScheduleClass<[step_size: number, gamma?: number] | [options: { step_size: number; gamma?: number }]>;
    MultiStepLR: ScheduleClass<[milestones: number[], gamma?: number] | [options: { milestones: number[]; gamma?: number }]>;
    ConstantLR: ScheduleClass<[factor?: number, total_iters?: number] | [options: { factor?: number; total_iters?: number }]>;
    LinearLR: ScheduleClass<
      [start_factor?: number, end_factor?: number, total_iters?: number] | [options: { start_factor?: number; end_factor?: number; total_iters?: number }]
    >;
    ExponentialLR: ScheduleClass<[gamma: number] | [options: { gamma: number }]>;
    PolynomialLR: ScheduleClass<[total_iters?: number, power?: number] | [options: { total_iters?: number; power?: number }]>;
    CosineAnnealingLR: ScheduleClass<[T_max: number, eta_min?: number] | [options: { T_max: number; eta_min?: number }]>;
  };
};

export {};
