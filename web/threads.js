/**
 * How many threads share the work of a large op, as PyTorch names it. In a page, which computes nothing itself, these are the threads of its workers.
 *
 * The threads are the core's (src/kernels/parallel.h). They start at the first op that is large enough, and take part from the next turn of the event
 * loop on. Results are the same for any number.
 */
import { check, constants, core } from './core.js';
import { TensorError } from './errors.js';
import { describe } from './options.js';
import { canHaveThreads, isPage, nThreadsWanted } from './where.js';

/** In a page: functions that are told of another number. */
export const followers = new Set();
let nThreads = 1;

export function set_num_threads(n) {
  if (!Number.isInteger(n))
    throw new TensorError(`set_num_threads: how many is a whole number, such as 2, not ${describe(n)}`, { code: 'argument' });
  const status = core._tt_wasm_set_threads(Math.max(-1, Math.min(n, 1e6)));
  // That the page itself has no threads is as it should be.
  if (!(isPage && canHaveThreads && status === constants.status.state)) check(status);
  nThreads = n;
  for (const tell of followers) tell(n);
}

export const get_num_threads = () => (isPage ? nThreads : core._tt_wasm_get_threads());

if (nThreadsWanted > 1) core._tt_wasm_set_threads(nThreadsWanted);
