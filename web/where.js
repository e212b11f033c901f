/** Node, where files are read and a timer can be told not to keep the process alive. */
export const isNode = typeof process === 'object' && typeof process.versions?.node === 'string';
/** A page: the thread that must not compute, so that its tensors live in a dedicated Worker. */
export const isPage = typeof window === 'object' && typeof document === 'object';

/** Threads need shared memory, which pages have that are served isolated, and their Workers. */
export const canHaveThreads = !isNode && globalThis.crossOriginIsolated === true;
/** A Worker says in its address how many it wants ("worker.js?threads=4"). A page computes nothing itself, and has one. */
export const nThreadsWanted = canHaveThreads && !isPage ? Number(new URLSearchParams(globalThis.location?.search).get('threads') ?? 1) : 1;
