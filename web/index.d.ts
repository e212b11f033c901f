/// <reference lib="esnext.disposable" />
/**
 * The types of tabtensor. Methods and functions that are ops come from the op table: core/ops.d.ts, which `npm run build`
 * writes.
 */
import type { Ops, TensorOps } from './core/ops.js';
import type { Module, nn } from './nn.js';
import type { Optimizer, optim } from './optim.js';
import type { LinalgFunctions, NDArrayMethods, NumpyFunctions, RandomFunctions } from './core/numpy.js';

export { nn } from './nn.js';
export { optim } from './optim.js';

export type Dtype = 'bool' | 'uint8' | 'int32' | 'int64' | 'float32' | 'float64';
/** A whole number; a BigInt is exact beyond 2^53. */
export type Int = number | bigint;
/**
 * A number as an argument of an op: integral ones are ints as in Python (they do not turn an int tensor into a float one),
 * others floats.
 */
export type Scalar = number | bigint | boolean;
/** What an id may be given as; it is answered as a string of digits. */
export type Id = string | bigint | number;
export type Policy = 'open' | 'compute' | 'closed';

/** Several results, by position and by name. */
export type NamedTensors<List extends Tensor[], Names extends string> = List & { readonly [N in Names]: Tensor };

export type NestedNumbers = number | bigint | boolean | NestedNumbers[];
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;
export type TensorData = number | bigint | boolean | TypedArray | TensorData[];
export type ElementArray = Float32Array | Float64Array | Int32Array | Uint8Array | BigInt64Array;

export interface Waiting {
  /** Aborting gives up waiting, at once; what was to come stays where it is. */
  signal?: AbortSignal;
}

export interface Described {
  /** What `search` finds it by, beside its id. */
  tags?: string | string[];
  description?: string;
}

export interface TensorOptions extends Described {
  dtype?: Dtype;
  /** It is a leaf whose gradient matters. */
  requires_grad?: boolean;
}

export interface BackwardOptions {
  /** Whether the graph can be gone through again; by default only when create_graph. */
  retain_graph?: boolean;
  /** Whether the gradients have a graph of their own, for gradients of gradients. */
  create_graph?: boolean;
}

/** What made a tensor that requires grad. */
export class GradFn {
  private constructor();
  /** As PyTorch names it: "MulBackward0". */
  readonly name: string;
  toString(): string;
}

export interface SendOptions extends Described, Waiting {
  /** The id that it takes there; any by default. */
  id?: Id;
  /** What others than you may do with it there. */
  policy?: Policy;
}

export interface CopyOptions extends Described {
  policy?: Policy;
}

export interface SharingOptions extends CopyOptions, Waiting {}

export interface MoveOptions extends Waiting {
  /** The id that it takes there; any by default. */
  id?: Id;
}

export interface PointerOptions {
  location: BaseWorker | string;
  id: Id;
  /** float32 by default. */
  dtype?: Dtype;
  /** Not known by default: `await getShape()` finds out. */
  shape?: number[] | null;
}

/** Every failure of the core. */
export class TensorError extends Error {
  constructor(
    message: string,
    details?: Partial<Pick<TensorError, 'code' | 'worker' | 'op' | 'command' | 'shapes' | 'failure' | 'cause'>>,
  );
  /** "shape", "dtype", "location", "connection", "aborted", "unknown_worker", ...: PROTOCOL.md has them all. */
  code: string;
  /** Where it went wrong. */
  worker?: string;
  op?: string;
  /** The position of the command in its run. */
  command?: number;
  /** The shapes of the operands, as text. */
  shapes?: string[];
  /** The number under which the same failure is reported again. */
  failure?: string;
}

/** A tensor, or a pointer to one that is elsewhere: ops are the same on both. */
export interface Tensor extends TensorOps {}
export class Tensor {
  private constructor();
  /** The sizes of its dimensions; null while they depend on data elsewhere. */
  readonly shape: number[] | null;
  readonly dtype: Dtype;
  readonly ndim: number | null;
  /** Whether its data is at another worker. */
  readonly isPointer: boolean;
  /** The worker that has the data; null when it is here, and of a multi-pointer. */
  readonly location: BaseWorker | null;
  /** The id that it has there; null when it is here. */
  readonly idAtLocation: string | null;
  /** Whether it stands for a copy at each of several workers. */
  readonly isMultiPointer: boolean;
  /** The copies of a multi-pointer, each a pointer; null of anything else. */
  readonly children: Tensor[] | null;
  /** The workers that have its data; none when it is here. */
  readonly locations: (BaseWorker | null)[];
  /** The local worker that it belongs to. */
  readonly owner: BaseWorker;
  readonly isDisposed: boolean;
  get tags(): string[];
  set tags(tags: string | string[]);
  description: string;

  /** Whether gradients flow to it; for a pointer, as far as it was called from here. */
  requires_grad: boolean;
  /** Whether nothing that was recorded made it. */
  readonly is_leaf: boolean;
  /** What made it; null for a leaf. */
  readonly grad_fn: GradFn | null;
  /**
   * The gradient that has arrived, null when none has. Of a pointer it is a pointer; where none has arrived there, reading it
   * fails.
   */
  grad: Tensor | null;
  requires_grad_(requires_grad?: boolean): this;
  /** Adds the gradients of this tensor to the leaves that it was made from; of a pointer, where the data is. */
  backward(gradient?: Tensor | null, options?: BackwardOptions): void;
  backward(options: BackwardOptions & { gradient?: Tensor | null }): void;
  /** Has the gradient of a tensor that is no leaf kept as well. */
  retain_grad(): void;
  /** Calls a function with each gradient of this tensor; it may answer another. For local tensors. */
  register_hook(fn: (grad: Tensor) => Tensor | undefined | void): { remove(): void };

  /** How many elements it has; null while the shape is not known. */
  numel(): number | null;
  /** The shape, or the size of one dimension; null while the shape is not known. */
  size(): number[] | null;
  size(dim: number): number | null;
  /** How many dimensions it has: ndim. */
  dim(): number | null;
  /** A view with its dimensions in reverse order. */
  readonly T: Tensor;
  /** A view with its last two dimensions swapped. */
  readonly mT: Tensor;
  /** An array of np's with the same memory; x.detach() first when x requires grad. */
  numpy(): NDArray;
  /** A copy of the elements, row by row (bool: 0 and 1; int64: a BigInt64Array). */
  data(options?: Waiting): Promise<ElementArray>;
  /** The elements as nested arrays. */
  array(options?: Waiting): Promise<NestedNumbers>;
  /** PyTorch's name of array(). */
  tolist(options?: Waiting): Promise<NestedNumbers>;
  /** The only element. */
  item(options?: Waiting): Promise<number | bigint | boolean>;
  /** dtype, shape and a copy of the elements. */
  elements(options?: Waiting): Promise<{ dtype: Dtype; shape: number[]; data: ElementArray }>;
  /** The shape, asked for when it is not known here. */
  getShape(options?: Waiting): Promise<number[]>;
  /** As PyTorch prints it, wherever it is. */
  text(options?: Waiting): Promise<string>;
  /** As PyTorch prints it when its values are here, else where they are. */
  toString(): string;
  /** "FloatTensor > _PointerTensor(bob, 17)" */
  chainPrint(): string;
  /** Puts a kind (its class, or its name) into this tensor's chain, where its rank says; answers this tensor. */
  wrap(kind: KindClass | string): this;
  /** Takes a kind out of this tensor's chain, the highest when none is named; answers this tensor. */
  unwrap(kind?: KindClass | string): this;
  /** A new tensor: this one as it is below its highest kind; null when it has none. */
  readonly child: Tensor | null;

  /**
   * Gives the data to a worker; this tensor is a pointer to it from now on. A pointer is given as one: this tensor then points to
   * a pointer. To several workers go copies, and this tensor is a multi-pointer.
   */
  send(worker: BaseWorker | string, options?: SendOptions): this;
  send(...workersAndOptions: [BaseWorker | string, BaseWorker | string, ...(BaseWorker | string | CopyOptions)[]]): this;
  /**
   * Brings back what it points to, and takes it away there unless it is only borrowed: the data or, of a pointer to a pointer,
   * that pointer. Of a multi-pointer it is the list of its copies, and the multi-pointer ends: `get<Tensor[]>()`.
   */
  get<T = this>(options?: Waiting): Promise<T>;
  /** Brings the data back from the end of a chain of pointers. */
  endGet(options?: Waiting): Promise<this>;
  /** The worker that has the data gives it to another, directly; this tensor points to it there from now on. */
  move(worker: BaseWorker | string, options?: MoveOptions): this;
  /** Says anew what others may do with it where it is, and what `search` finds it by. */
  configure(options: SharingOptions): Promise<this>;
  /** The sum of a multi-pointer's copies, brought back; it ends. */
  sumGet(options?: Waiting): Promise<Tensor>;
  /** Their mean. */
  meanGet(options?: Waiting): Promise<Tensor>;
  /** Settles when it has arrived where it was sent, or the commands that make it are done and it is known to be sound. */
  ready(options?: Waiting): Promise<this>;

  /** Lets go of it, here and, when this pointer owns it, there. */
  dispose(): void;
  [Symbol.dispose](): void;
}

export function tensor(data: TensorData, options?: TensorOptions): Tensor;
export function isTensor(value: unknown): value is Tensor;

/** tensor(data) of one dtype; with `new` or without. */
export interface TensorClass {
  (data: TensorData, options?: Described): Tensor;
  new (data: TensorData, options?: Described): Tensor;
}
export const FloatTensor: TensorClass;
export const DoubleTensor: TensorClass;
export const IntTensor: TensorClass;
export const LongTensor: TensorClass;
export const ByteTensor: TensorClass;
export const BoolTensor: TensorClass;

/** PyTorch's namespace. */
export const torch: Omit<Ops, Dtype | 'randint'> & { readonly [D in Dtype]: D } & {
  tensor: typeof tensor;
  /** FloatTensor, and what every tensor is an instance of. */
  Tensor: TensorClass;
  randint: Ops['randint'] & ((high: Int, size: Int[], options?: { seed?: Int | null; dtype?: Dtype | null }) => Tensor);
  linalg: {
    solve: Ops['linalg_solve'];
    solve_triangular: Ops['linalg_solve_triangular'];
    cholesky: Ops['cholesky'];
    det: Ops['det'];
    inv: Ops['inverse'];
    qr: Ops['linalg_qr'];
    eigh: Ops['linalg_eigh'];
    eigvalsh: Ops['linalg_eigvalsh'];
    svd: Ops['linalg_svd'];
    svdvals: Ops['linalg_svdvals'];
  };
  nn: typeof nn;
  optim: typeof optim;
  FloatTensor: TensorClass;
  DoubleTensor: TensorClass;
  IntTensor: TensorClass;
  LongTensor: TensorClass;
  ByteTensor: TensorClass;
  BoolTensor: TensorClass;
  /** Runs a function without recording what it does for gradients; answers what it answers. It must not wait. */
  no_grad<T>(fn: () => T): T;
  enable_grad<T>(fn: () => T): T;
  is_grad_enabled(): boolean;
  set_grad_enabled(value: boolean): void;
  autograd: {
    /** Gradients of outputs with respect to inputs; no grad changes. */
    grad(
      outputs: Tensor | Tensor[],
      inputs: Tensor | Tensor[],
      options?: BackwardOptions & { grad_outputs?: Tensor | Tensor[] | null },
    ): Tensor[];
    backward(tensors: Tensor | Tensor[], options?: BackwardOptions & { grad_tensors?: Tensor | Tensor[] }): void;
  };
  /** Seeds what unseeded random ops of the local worker draw from. */
  manual_seed(seed: Int): void;
  /** How many threads share the work of a large op (web/docs/threads.md): in a page, those of the workers that it makes from then on. */
  get_num_threads(): number;
  set_num_threads(n: number): void;
  /** A tensor with the same memory. */
  from_numpy(a: NDArray): Tensor;
};

export interface Scope {
  /** Gives a tensor to this scope: for what is made from nothing after an `await`. */
  track<T extends Tensor>(tensor: T): T;
}
/** Disposes of every tensor that `fn` makes and does not return; when it returns a promise, once that settles. */
export function tidy<T>(fn: (scope: Scope) => T): T;

/** A function that is performed where its tensors are, as one message from the third call on (for tensors of the same shapes). */
export interface Plan<A extends Tensor[], R> {
  (...args: A): R;
  /** Lets go of it, here and at the workers that have it; it may be called again. */
  dispose(): void;
}
/**
 * PySyft's func2plan. `fn` must not await, send or read; what it knows beside its arguments stands in `state`. Throws `location` (its tensors are at several workers, or one is not in
 * `state`), `argument` (it answers no tensors, an input, or the same one twice), `state` (it keeps what it makes).
 */
export function func2plan<A extends Tensor[], R extends Tensor | Tensor[] | void>(
  fn: (...args: A) => R,
  options?: { state?: Module | Optimizer | Tensor | readonly (Module | Optimizer | Tensor)[] },
): Plan<A, R>;

export interface WorkerInfo {
  id: string;
  kind: 'browser' | 'node' | 'native' | 'virtual' | (string & {});
  software: string;
  /** Objects in its store. */
  objects: number;
  /** Bytes of their data. */
  bytes: number;
  /** What it is connected to, for a worker that is here. */
  urls?: string[];
}

export interface ListedObject {
  id: string;
  dtype: Dtype;
  shape: number[] | null;
  owner: string;
  policy: Policy;
  tags?: string[];
  description?: string;
  location?: string;
  location_id?: string;
}

export interface Counters {
  framesIn: number;
  framesOut: number;
  bytesIn: number;
  bytesOut: number;
  commandsIn: number;
  commandsOut: number;
  tensorBytesIn: number;
  tensorBytesOut: number;
}

/** What workers tell, by the type of the event. */
export interface WorkerEvents {
  /** A relay (peer "") or a worker has answered. */
  connected: { peer: string; url?: string };
  disconnected: { peer: string; url?: string; reason: string; error: TensorError };
  joined: { worker: string };
  left: { worker: string; reason: string };
  /** Something came into the store or left it. */
  object: { action: 'added' | 'removed'; id: string; peer: string; dtype?: Dtype; shape?: number[] | null; reason?: string };
  /** A command was executed here. */
  command: { peer: string; op: string; operands: string[]; results: string[] };
  /** A command of somebody else's has failed here. */
  failure: { peer: string; error: TensorError; results: string[] };
  /** One of ours has failed and nobody awaited it; a warning is printed when nobody listens. */
  error: { error: TensorError; peer?: string; results?: string[] };
  /** A peer's bytes or request were refused, or ours by a peer. */
  refused: { peer: string; error: TensorError };
  /** How many objects and commands there were beyond those told. */
  skipped: { counts: Record<string, number> };
  warning: { message: string };
  closed: Record<string, never>;
}

export class WorkerEvent<K extends keyof WorkerEvents = keyof WorkerEvents> extends Event {
  readonly type: K;
  readonly detail: WorkerEvents[K];
  readonly error: TensorError | undefined;
}

export interface SetOptions extends Described, Waiting {
  id?: Id;
  policy?: Policy;
}

/** The interface to every worker, here or elsewhere. */
export abstract class BaseWorker extends EventTarget {
  readonly id: string;
  /** Whether it is elsewhere: this object only stands for it. */
  readonly isPointer: boolean;
  readonly isClosed: boolean;
  /** Settles when it is connected. */
  ready: Promise<void>;

  whoami(options?: Waiting): Promise<WorkerInfo>;
  list(options?: Waiting): Promise<ListedObject[]>;
  /** Tensors whose id, tags or description hold every term; of a worker elsewhere, pointers that borrow. */
  search(terms?: string | bigint | (string | bigint)[], options?: Waiting): Promise<Tensor[]>;
  getObj(id: Id, options?: Waiting): Promise<Tensor>;
  /** Registers a tensor and answers its id. */
  setObj(tensor: Tensor, options?: SetOptions): Promise<string>;
  /** A pointer to an object of another worker, which it borrows; nothing is asked there. */
  createPointer(options: PointerOptions): Tensor;
  rmObj(id: Id, options?: Waiting): Promise<void>;
  sendObj(tensor: Tensor, worker: BaseWorker | string, options?: SendOptions): Promise<Tensor>;
  counters(): Promise<Counters>;

  addWorker<W extends BaseWorker>(worker: W): W;
  /** Throws `unknown_worker`, naming those that are here. */
  getWorker(id: Id): BaseWorker;
  readonly knownWorkers: Map<string, BaseWorker>;
  /** Rejects when there is no connection over which it could come. */
  waitFor(id: Id, options?: Waiting): Promise<BaseWorker>;
  close(): Promise<void>;

  addEventListener<K extends keyof WorkerEvents>(
    type: K,
    listener: ((event: WorkerEvent<K>) => void) | { handleEvent(event: WorkerEvent<K>): void } | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof WorkerEvents>(
    type: K,
    listener: ((event: WorkerEvent<K>) => void) | { handleEvent(event: WorkerEvent<K>): void } | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

export interface StoreLimits {
  /** 1 GiB by default. */
  maxStoreBytes?: number;
  maxObjects?: number;
}

/** A worker of this process or tab, for development and tests. */
export class VirtualWorker extends BaseWorker {
  constructor(options: { id: Id; hook?: TorchHook; isLocal?: boolean } & StoreLimits);
}

/** A worker over a WebSocket: a local one attached to a relay, or (isPointer) one that listens by itself. */
export class WebSocketWorker extends BaseWorker {
  constructor(
    options: { id: Id; url?: string | null; host?: string; port?: number; isPointer?: boolean; hook?: TorchHook } & StoreLimits,
  );
  readonly url: string | undefined;
}

/** A class that extends TensorKind. */
export type KindClass = { new (): TensorKind; readonly name: string; readonly rank: number | undefined };

/**
 * A kind of tensors: what ops mean on tensors that have it in their chain. A method with the name of an op overrides that op;
 * it gets the op's arguments, tensors as they are one level below, and what is given by name in an object behind them. A
 * method that is no op begins with `_` or `#`. `handleCall(op, args)` stands for every op that has no method of its own.
 */
export class TensorKind {
  /** From 300 to 999; the higher stands nearer to the head. */
  static readonly rank: number | undefined;
  static wrap<T extends Tensor>(x: T): T;
  static unwrap<T extends Tensor>(x: T): T;
  /** Lets a tensor that a method has made outlive the call. */
  keep<T extends Tensor>(x: T): T;
}

/** On it add means subtract, and sub means add. */
export class PlusIsMinusTensor extends TensorKind {}

/** Records the commands that pass. */
export class LogTensor extends TensorKind {
  /** As text, the oldest first; the last 256 are kept. */
  static commands(x: Tensor): string[];
}

/** Connects tensors and workers. There is one; a second answers the first and says so in `warning`. */
export class TorchHook {
  constructor(options?: { localWorker?: BaseWorker });
  readonly localWorker: BaseWorker;
  warning: string | null;
  /** Makes a kind known by its name and rank; answers the class. */
  registerKind<T extends KindClass>(kind: T): T;
  /** The kinds that are known, by name. */
  readonly kinds: Map<string, KindClass>;
}

/** What stands for an array: one, a tensor, or data of which one is made. */
export type ArrayLike = NDArray | Tensor | TensorData | ArrayLike[];

/** An array of np's, or a pointer to one that is elsewhere. docs/numpy.md says what it has. */
export interface NDArray extends NDArrayMethods {}
export class NDArray {
  private constructor();
  /** The tensor that it stands for. */
  readonly tensor: Tensor;
  /** The sizes of its dimensions; null while they depend on data elsewhere. */
  readonly shape: number[] | null;
  readonly dtype: Dtype;
  readonly ndim: number | null;
  /** How many elements it has. */
  readonly size: number | null;
  /** A view with its dimensions in reverse order. */
  readonly T: NDArray;
  readonly isPointer: boolean;
  readonly location: BaseWorker | null;
  readonly idAtLocation: string | null;
  readonly owner: BaseWorker;
  readonly isDisposed: boolean;
  get tags(): string[];
  set tags(tags: string | string[]);
  description: string;
  flatten(): NDArray;
  tolist(options?: Waiting): Promise<NestedNumbers>;
  item(options?: Waiting): Promise<number | bigint | boolean>;
  data(options?: Waiting): Promise<ElementArray>;
  elements(options?: Waiting): Promise<{ dtype: Dtype; shape: number[]; data: ElementArray }>;
  /** As NumPy prints it, wherever it is. */
  text(options?: Waiting): Promise<string>;
  /** As NumPy prints it when its values are here, else where they are. */
  toString(): string;
  send(worker: BaseWorker | string, options?: SendOptions): this;
  get(options?: Waiting): Promise<this>;
  ready(options?: Waiting): Promise<this>;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** numpy.random's generators: the same seed gives the same numbers on every machine, but not NumPy's own. */
export interface Generator {
  random(size?: Int | Int[] | null): NDArray;
  standard_normal(size?: Int | Int[] | null): NDArray;
  normal(loc?: number, scale?: number, size?: Int | Int[] | null): NDArray;
  uniform(low?: number, high?: number, size?: Int | Int[] | null): NDArray;
  integers(low: Int, high?: Int | null, size?: Int | Int[] | null): NDArray;
  permutation(n: Int): NDArray;
}

/** What a file may be given as; a string is a path in Node and a URL elsewhere. */
export type FileSource = ArrayBuffer | ArrayBufferView | Blob | Response | URL | string;

/** NumPy's namespace. */
export const np: NumpyFunctions & {
  readonly ndarray: typeof NDArray;
  array(data: ArrayLike, options?: TensorOptions): NDArray;
  asarray(data: ArrayLike, options?: { dtype?: Dtype }): NDArray;
  einsum(subscripts: string, ...operands: ArrayLike[]): NDArray;
  pad(array: ArrayLike, pad_width: Int | Int[] | Int[][], options?: { constant_values?: Scalar }): NDArray;
  shape(a: ArrayLike): number[] | null;
  ndim(a: ArrayLike): number | null;
  size(a: ArrayLike): number | null;
  /** An array of a .npy file; of a .npz file an object of arrays (and bytes, where a member is no array). */
  load(source: FileSource, options?: { max_bytes?: number }): Promise<any>;
  save(a: ArrayLike): Promise<Uint8Array>;
  save(path: string | URL, a: ArrayLike): Promise<void>;
  savez(arrays: Record<string, ArrayLike> | ArrayLike[]): Promise<Uint8Array>;
  savez(path: string | URL, arrays: Record<string, ArrayLike> | ArrayLike[]): Promise<void>;
  savez_compressed(arrays: Record<string, ArrayLike> | ArrayLike[]): Promise<Uint8Array>;
  savez_compressed(path: string | URL, arrays: Record<string, ArrayLike> | ArrayLike[]): Promise<void>;
  readonly linalg: LinalgFunctions;
  readonly random: RandomFunctions & {
    rand(...sizes: Int[]): NDArray;
    randn(...sizes: Int[]): NDArray;
    seed(seed: Int): void;
    default_rng(seed?: Int): Generator;
    readonly Generator: new (seed: bigint) => Generator;
  };
  readonly pi: number;
  readonly e: number;
  readonly inf: number;
  readonly nan: number;
  readonly bool_: 'bool';
  readonly uint8: 'uint8';
  readonly int32: 'int32';
  readonly int64: 'int64';
  readonly float32: 'float32';
  readonly float64: 'float64';
};

/** Tensors by name, and the texts that were saved with them, of a .safetensors file. */
export function loadSafetensors(source: FileSource): Promise<{ tensors: Record<string, Tensor>; metadata: Record<string, string> }>;
/** The bytes of a .safetensors file. */
export function saveSafetensors(tensors: Record<string, Tensor>, options?: { metadata?: Record<string, string> }): Promise<Uint8Array>;

/** "tabtensor 0.1.0" */
export const version: string;
/** How many tensors JavaScript holds. */
export function numTensors(): number;
/** How many threads have come to share large ops with this one, so far. They start at the first that is large enough (torch.set_num_threads). */
export function numThreadHelpers(): number;
