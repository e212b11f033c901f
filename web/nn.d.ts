/** The types of torch.nn. The layers come from the core's table: core/nn.d.ts, which `npm run build` writes. */
import type { layers } from './core/nn.js';
import type { FunctionalOps, Ops } from './core/ops.js';
import type { BaseWorker, Dtype, SendOptions, Tensor, Waiting } from './index.js';

/** A tensor that a module keeps: a leaf that requires grad. */
export interface ParameterClass {
  new (data: Tensor, requires_grad?: boolean): Tensor;
  [Symbol.hasInstance](value: unknown): boolean;
}

/** What has parameters and a forward. Extend it: its children and parameters are its properties. */
export class Module {
  readonly training: boolean;
  /** The worker that has it; null when it is here, undefined when it is at several places. */
  readonly location: BaseWorker | null | undefined;

  forward(...inputs: any[]): any;
  /** PyTorch's model(x). */
  call(...inputs: any[]): any;

  register_buffer(name: string, tensor: Tensor | null): void;
  register_parameter(name: string, parameter: Tensor | null): void;
  add_module(name: string, module: Module): void;
  named_children(): [string, Module][];
  children(): Module[];
  /** Of this module ('') and of all below it, by dotted names. */
  named_modules(): [string, Module][];
  modules(): Module[];
  named_parameters(): [string, Tensor][];
  parameters(): Tensor[];
  named_buffers(): [string, Tensor][];
  buffers(): Tensor[];

  /** All parameters and buffers by name; the tensors share the module's memory. */
  state_dict(): Record<string, Tensor>;
  /** Copies the tensors of a state_dict into those of this module, wherever they are. */
  load_state_dict(state: Record<string, Tensor>, options?: { strict?: boolean }): { missing_keys: string[]; unexpected_keys: string[] };

  train(mode?: boolean): this;
  eval(): this;
  requires_grad_(value?: boolean): this;
  zero_grad(): void;
  apply(fn: (module: Module) => void): this;
  /** Exchanges what the floating tensors hold for the same in another dtype. */
  to(dtype: Dtype): this;
  float(): this;
  double(): this;

  /** Gives all parameters and buffers to a worker, at once; they become pointers. */
  send(worker: BaseWorker | string, options?: SendOptions): this;
  /** From the worker that has it straight to another. */
  move(worker: BaseWorker | string, options?: Waiting): this;
  get(options?: Waiting): Promise<this>;
  ready(options?: Waiting): Promise<this>;
  /** A module of the same form, with copies of all tensors where the originals are. */
  copy(): this;
  /** Lets go of all parameters and buffers. */
  dispose(): void;
  [Symbol.dispose](): void;
  extra_repr(): string;
  toString(): string;
}

/** Modules by number. */
declare class Numbered extends Module {
  readonly length: number;
  readonly [i: number]: any;
  append(module: Module): this;
  at(i: number): any;
  [Symbol.iterator](): IterableIterator<Module>;
}

/** Modules one behind the other; or one object of them, by names. */
export class Sequential extends Numbered {
  constructor(...modules: Module[]);
  constructor(modules: Record<string, Module>);
}

/** Modules in a list, which is not called. */
export class ModuleList extends Numbered {
  constructor(modules?: Iterable<Module>);
  extend(modules: Iterable<Module>): this;
}

interface KaimingOptions {
  a?: number;
  mode?: 'fan_in' | 'fan_out';
  nonlinearity?: string;
}

/** Functions that fill a tensor, and answer it. */
export interface Init {
  uniform_(tensor: Tensor, a?: number, b?: number): Tensor;
  normal_(tensor: Tensor, mean?: number, std?: number): Tensor;
  constant_(tensor: Tensor, val: number): Tensor;
  ones_(tensor: Tensor): Tensor;
  zeros_(tensor: Tensor): Tensor;
  xavier_uniform_(tensor: Tensor, gain?: number): Tensor;
  xavier_normal_(tensor: Tensor, gain?: number): Tensor;
  kaiming_uniform_(tensor: Tensor, options?: KaimingOptions): Tensor;
  kaiming_normal_(tensor: Tensor, options?: KaimingOptions): Tensor;
  orthogonal_(tensor: Tensor, gain?: number): Tensor;
  calculate_gain(nonlinearity: string, param?: number): number;
}

export interface NNUtils {
  /** Scales the gradients so that their norm together is at most max_norm. Answers the norm before. */
  clip_grad_norm_(parameters: Iterable<Tensor> | Tensor, max_norm: number, norm_type?: number): Tensor;
  clip_grad_value_(parameters: Iterable<Tensor> | Tensor, clip_value: number): void;
}

/** torch.nn */
export const nn: typeof layers & {
  Module: typeof Module;
  Parameter: ParameterClass;
  Sequential: typeof Sequential;
  ModuleList: typeof ModuleList;
  init: Init;
  utils: NNUtils;
  functional: FunctionalOps & Pick<Ops, 'relu' | 'sigmoid' | 'tanh' | 'softmax' | 'log_softmax'> & { relu_(self: Tensor): Tensor };
};

export {};
