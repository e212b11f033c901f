/**
 * Callbacks: functions here that the core calls from within an op (src/wasm/callback.h): methods of kinds, hooks on gradients.
 *
 * Such a function is synchronous and calls ops, as any other; the core has set aside what the op outside has in the scratch.
 * What it makes is freed when it is done, except what it keeps (kinds.js) or what was there before. What it throws, the caller
 * of the op gets: as `cause`, when that is in this thread.
 */
import { readArguments, table } from './call.js';
import { check, constants, core, setCallback, writeInput } from './core.js';
import { TensorError } from './errors.js';
import { describe } from './options.js';
import { tidy } from './scope.js';
import { homeAt, isTensor, liveHandle, makeTensor } from './tensor.js';

const functions = new Map();
let last = 0;

/**
 * Gives the core a number for `fn(op, args)`: op is a row of the table (undefined when the arguments are no op's), args are
 * values in the order of its schema. It answers a tensor, an array of them, or undefined. What `op` and `what` (a word for
 * errors) are is the caller's to say.
 */
export function addCallback(what, fn) {
  last++;
  functions.set(last, { what, fn });
  return last;
}

export function removeCallback(number) {
  functions.delete(number);
}

function answersOf(what, answer) {
  if (answer === undefined) return [];
  const list = Array.isArray(answer) ? answer : [answer];
  if (list.every(isTensor)) return list;
  const wrong = list.find((item) => !isTensor(item));
  if (typeof wrong?.then === 'function')
    throw new TensorError(`${what} answered a promise: it cannot wait within an op`, { code: 'argument' });
  throw new TensorError(`${what} answers a tensor or an array of them, not ${describe(wrong)}`, { code: 'argument' });
}

/** What the core calls. Throws nothing: there is C between here and who would catch it. */
function run(number, worker, opNumber, nArgs) {
  try {
    const { what, fn } = functions.get(number);
    const home = homeAt(worker);
    tidy(() => {
      const op = table[opNumber - 1];
      const args = readArguments(op, nArgs, (handle) => makeTensor(handle, home));
      for (const tensor of answersOf(what, fn(op, args))) check(core._tt_wasm_callback_result(liveHandle(tensor, what)));
    });
    return { status: 0 };
  } catch (error) {
    return { status: report(error), error };
  }
}

function report(error) {
  const status = (error instanceof TensorError ? constants.status[error.code] : undefined) ?? constants.status.state;
  try {
    writeInput(error instanceof TensorError ? error.message : String(error));
    core._tt_wasm_callback_fail(status);
  } catch {
    // No memory for the sentence: the core says so.
  }
  return status;
}

setCallback(run, removeCallback);
