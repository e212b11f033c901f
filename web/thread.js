/**
 * The dedicated Workers of a page. The first is started when this module is, before the core (core.js): it loads its own at the same time as the page, and is
 * there when the page's first worker wants it.
 */
import { threadUrl } from './place.js';
import { isPage } from './where.js';

/** Threads are another core, so whether there will be any (`nThreads` above 1) is said before it is loaded. */
function start(nThreads) {
  const address = new URL(threadUrl);
  if (nThreads > 1) address.searchParams.set('threads', nThreads);
  return new Worker(address, { type: 'module', name: 'tabtensor' });
}

let ready;
if (isPage && typeof Worker === 'function') {
  ready = start(1);
  // Whoever asks for a thread then starts another, and hears of it.
  ready.onerror = (event) => {
    event.preventDefault?.();
    ready = undefined;
  };
}

export function takeThread(nThreads) {
  const thread = ready;
  ready = undefined;
  if (nThreads === 1 && thread !== undefined) return thread;
  thread?.terminate(); // it has the other core
  return start(nThreads);
}
