/** The dedicated Workers of a page. The first is started before all else (start.js), and is there when the page's first worker wants it. */
import { begun, startThread } from './start.js';

export function takeThread(nThreads) {
  const { compiled, thread } = begun;
  begun.thread = undefined;
  if (nThreads === 1 && thread !== undefined) return thread;
  thread?.terminate(); // it has the other core
  return startThread(nThreads, compiled);
}
