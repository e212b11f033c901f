/**
 * What takes long and needs no other module: starting a page's dedicated Worker, and compiling the core. .scripts/bundle.js puts it into the file that pages
 * import, ahead of the other modules, which are fetched meanwhile; whoever evaluates it there leaves what has begun where this module finds it. A Worker is
 * given its page's compiled core in the same way (tabtensor_worker.js).
 */
import { coreFile, here, threadUrl } from './place.js';
import { hasFusedMultiplyAdd, isNode, isPage, nThreadsWanted } from './where.js';

export const nameHere = (name) => (hasFusedMultiplyAdd() ? `${name}_relaxed` : name);

/** Fetches and compiles a core: a promise of its WebAssembly.Module. */
export async function compile(name) {
  const url = coreFile(`${nameHere(name)}.wasm`);
  if (!isNode) return WebAssembly.compileStreaming(fetch(url));
  const { readFile } = await import('node:fs/promises');
  return WebAssembly.compile(await readFile(url));
}

/**
 * Starts a dedicated Worker and gives it the compiled core. With threads (`nThreads` above 1) that is another one, which the Worker loads: so it is told
 * before.
 */
export function startThread(nThreads, compiled) {
  const address = new URL(threadUrl);
  if (nThreads > 1) address.searchParams.set('threads', nThreads);
  const thread = new Worker(address, { type: 'module', name: 'tabtensor' });
  if (nThreads === 1) compiled.then((module) => thread.postMessage({ module })).catch(() => {});
  return thread;
}

function begin() {
  let giveCompiled;
  const all = { compiled: new Promise((resolve) => (giveCompiled = resolve)), thread: undefined };
  // First of all, since it takes longest until a Worker asks for its own files.
  if (isPage && typeof Worker === 'function') {
    all.thread = startThread(1, all.compiled);
    // Whoever asks for a thread then starts another, and hears of it.
    all.thread.onerror = (event) => {
      event.preventDefault?.();
      all.thread = undefined;
    };
  }
  giveCompiled(compile('tabtensor_core'));
  // Whoever waits for it hears of a failure.
  all.compiled.catch(() => {});
  return all;
}

/** By its folder, because a page may have two versions of this package. A Worker has one. */
export const place = Symbol.for(`tabtensor ${here}`);
const given = Symbol.for('tabtensor');

/** { compiled, thread }: the core without threads, compiled, and the Worker that nobody has taken yet. Undefined where there will be threads. */
export const begun = nThreadsWanted > 1 ? undefined : (globalThis[place] ?? globalThis[given] ?? begin());
