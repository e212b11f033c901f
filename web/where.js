/** Node, where files are read and a timer can be told not to keep the process alive. */
export const isNode = typeof process === 'object' && typeof process.versions?.node === 'string';
/** A page: the thread that must not compute, so that its tensors live in a dedicated Worker. */
export const isPage = typeof window === 'object' && typeof document === 'object';

/** Threads need shared memory, which pages have that are served isolated, and their Workers. */
export const canHaveThreads = !isNode && globalThis.crossOriginIsolated === true;
/** A Worker says in its address how many it wants ("worker.js?threads=4"). A page computes nothing itself, and has one. */
export const nThreadsWanted = canHaveThreads && !isPage ? Number(new URLSearchParams(globalThis.location?.search).get('threads') ?? 1) : 1;

let isFused;
/** Whether the engine has relaxed SIMD, and so f32x4.relaxed_madd, which is all that this module does. */
export const hasFusedMultiplyAdd = () =>
  (isFused ??= WebAssembly.validate(
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 8, 1, 0x60, 3, 0x7b, 0x7b, 0x7b, 1, 0x7b, 3, 2, 1, 0, 10, 13, 1, 11, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0xfd, 0x85, 2, 11),
  ));
