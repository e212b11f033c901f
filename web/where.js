/** Node, where files are read and a timer can be told not to keep the process alive. */
export const isNode = typeof process === 'object' && typeof process.versions?.node === 'string';
/** A page: the thread that must not compute, so that its tensors live in a dedicated Worker. */
export const isPage = typeof window === 'object' && typeof document === 'object';
