/**
 * Plans (PySyft's func2plan): a function whose commands are sent to a worker once and performed there by name from then on, so that a step of a training is one
 * small record, however many commands it is.
 *
 * The function is called as it is when there is nothing to win (its tensors are here), and the first time for tensors of these shapes, so that whatever it makes
 * once, such as an optimiser's state, is made by then. The second time it is called with placeholders: what it calls is noted (src/worker/plan.c). From then on
 * it is not called any more.
 */
import { repeatGradients, watchGradients } from './autograd.js';
import { resultAt, writeHandles } from './call.js';
import { at, check, checkViews, constants, core, u32 } from './core.js';
import { TensorError } from './errors.js';
import { Module, allTensors } from './nn.js';
import { Optimizer, bringState, hasOptions, optionsOf, stateVersion } from './optim.js';
import { checkOptions, describe } from './options.js';
import { tidy } from './scope.js';
import { homeOf, isTensor, liveHandle, makeTensor, moveTo, noteChange, takeResults, torch } from './tensor.js';

const WHERE = 'func2plan';
/** Of one function: the one that was made first goes. */
const MAX_CASES = 64;
const bad = (message, code = 'argument') => new TensorError(`${WHERE}: ${message}`, { code, op: WHERE });

/** The plans of functions that nobody has any more. */
const forgotten = new FinalizationRegistry((cases) => endAll(cases));

/** What a function knows by itself: the tensors of `state` but for those of optimisers, and the modules. It is looked at anew at every call. */
function knownOf(state) {
  const found = new Set();
  const modules = [];
  for (const item of state) {
    if (isTensor(item)) found.add(item);
    else if (item instanceof Module) allTensors(item, found, modules);
  }
  return { tensors: [...found], modules };
}

/** What is part of the commands: shapes, which tensors and modules there are, options, whether a layer is being trained. */
const caseOf = (args, { tensors, modules }, optimizers) => ({
  home: homeOf(args[0]),
  isRecording: torch.is_grad_enabled(),
  dtypes: args.map(({ dtype }) => dtype),
  shapes: args.map(({ shape }) => shape),
  tensors,
  modules,
  trainings: modules.map(({ training }) => training),
  options: optimizers.map(({ param_groups }) => param_groups.map(optionsOf)),
  versions: optimizers.map(stateVersion),
  noted: null, // it was called once
});

const isSame = (a, b) => a.length === b.length && a.every((value, i) => Object.is(value, b[i]));

/** Whether a call is such a case; it is asked at every call. */
function isCase(one, args, { tensors, modules }, optimizers) {
  if (one.dtypes.length !== args.length || one.home !== homeOf(args[0]) || one.isRecording !== torch.is_grad_enabled()) return false;
  for (let i = 0; i < args.length; i++) {
    if (one.dtypes[i] !== args[i].dtype || !isSame(one.shapes[i], args[i].shape)) return false;
  }
  if (!isSame(one.tensors, tensors) || !isSame(one.modules, modules)) return false;
  for (let i = 0; i < modules.length; i++) if (one.trainings[i] !== modules[i].training) return false;
  return optimizers.every(
    (optimizer, i) =>
      one.versions[i] === stateVersion(optimizer) &&
      one.options[i].length === optimizer.param_groups.length &&
      one.options[i].every((options, k) => hasOptions(optimizer.param_groups[k], options)),
  );
}

/** A plan within a plan is called as it is. */
let isNoting = false;

/** What the function answers, as a list; names are those of results such as max(dim)'s. */
function listOf(answer) {
  if (answer === undefined || answer === null) return { outputs: [], isList: false, names: [] };
  if (!Array.isArray(answer)) return { outputs: [answer], isList: false, names: [] };
  const names = Object.getOwnPropertyNames(answer).filter((name) => name !== 'length' && !/^\d+$/.test(name));
  return { outputs: [...answer], isList: true, names: names.map((name) => [name, answer.indexOf(answer[name])]).filter(([, i]) => i >= 0) };
}

/** Calls the function with placeholders. */
function note(fn, args, { tensors }, optimizers) {
  const home = homeOf(args[0]);
  const states = optimizers.flatMap((optimizer) => [...optimizer.state.values()].flatMap((named) => Object.values(named)));
  // They stay as long as the plan, whatever tidy is running.
  for (const tensor of states) moveTo(tensor, null);
  check(core._tt_wasm_plan_new(home.handle), { op: WHERE });
  checkViews();
  const noted = { handle: resultAt(0), tensors: [...tensors, ...states], states };
  isNoting = true;
  try {
    // What is made goes with the outer tidy: what is answered as well, and nothing that was there before.
    tidy(() => {
      const inputs = [...args, ...noted.tensors];
      writeHandles(
        WHERE,
        inputs.map((tensor) => liveHandle(tensor, WHERE)),
      );
      check(core._tt_wasm_plan_inputs(noted.handle, args.length, noted.tensors.length), { op: WHERE });
      checkViews();
      const placeholders = args.map((_, i) => makeTensor(resultAt(i), home));
      const [answer, { hasBackward, cleared }] = watchGradients(() => tidy(() => fn(...placeholders)));
      if (typeof answer?.then === 'function' && !isTensor(answer)) {
        Promise.resolve(answer).then((late) => isTensor(late) && late.dispose(), () => {});
        throw bad('its function answered a promise: it must not await, send or read; put that around it');
      }
      const { outputs, ...form } = listOf(answer);
      const wrong = outputs.find((output) => !isTensor(output));
      if (wrong !== undefined) throw bad(`its function answers a tensor, an array of tensors or nothing, not ${describe(wrong)}`);
      writeHandles(
        WHERE,
        outputs.map((output) => liveHandle(output, WHERE)),
      );
      check(core._tt_wasm_plan_end(noted.handle, outputs.length), { op: WHERE });
      Object.assign(noted, form, {
        hasBackward,
        clearedArgs: placeholders.flatMap((tensor, i) => (cleared.has(tensor) ? [i] : [])),
        cleared: tensors.filter((tensor) => cleared.has(tensor)),
      });
    });
    return noted;
  } catch (error) {
    end(noted);
    if (error.code !== 'location' && error.code !== 'state') throw error;
    throw bad(`${error.message}. What the function knows beside its arguments, an optimiser too, belongs into \`state\``, error.code);
  } finally {
    isNoting = false;
  }
}

function end({ handle, states }) {
  core._tt_wasm_plan_free(handle);
  for (const tensor of states) tensor.dispose();
}

function endAll(cases, n = cases.length) {
  for (const { noted } of cases.splice(0, n)) if (noted !== null) end(noted);
}

/** Undefined when its tensors require grad otherwise than when it was noted. */
function perform(noted, args, optimizers) {
  if (noted.states.length > 0) optimizers.forEach(bringState);
  writeHandles(
    WHERE,
    [...args, ...noted.tensors].map((tensor) => liveHandle(tensor, WHERE)),
  );
  const status = core._tt_wasm_plan_perform(noted.handle, args.length + noted.tensors.length);
  if (status === constants.status.aborted) return undefined;
  check(status, { op: WHERE });
  checkViews();
  noteChange();
  const results = takeResults(u32[at.n_results >> 2], homeOf(args[0]), args[0]);
  repeatGradients(noted.hasBackward, [...noted.cleared, ...noted.clearedArgs.map((i) => args[i])]);
  for (const [name, i] of noted.names) Object.defineProperty(results, name, { value: results[i] });
  return { answer: noted.isList ? results : results[0] };
}

/**
 * A function that does what `fn` does with tensors at a worker, by one record. `fn` takes tensors and answers a tensor, an array of them or nothing; what it
 * reads beside its arguments are the tensors of `state`: modules, optimisers, tensors. Everything else in it is as it was when it was noted: it must not await, send or read.
 */
export function func2plan(fn, options) {
  if (typeof fn !== 'function') throw bad(`the first argument is a function of tensors, not ${describe(fn)}`);
  const { state = [] } = checkOptions(WHERE, options, ['state']);
  const list = Array.isArray(state) ? [...state] : [state];
  const wrong = list.find((item) => !isTensor(item) && !(item instanceof Module) && !(item instanceof Optimizer));
  if (wrong !== undefined) throw bad(`state is modules, optimizers and tensors, not ${describe(wrong)}`);
  const optimizers = list.filter((item) => item instanceof Optimizer);
  const cases = [];
  const plan = (...args) => {
    const other = args.find((arg) => !isTensor(arg));
    if (args.length === 0 || other !== undefined)
      throw bad(`a plan is called with tensors, not ${args.length === 0 ? 'with nothing' : describe(other)}`);
    const isHere = !homeOf(args[0]).isPage && !args[0].isPointer;
    if (isNoting || isHere || args.some((arg) => arg.shape === null)) return fn(...args);
    const known = knownOf(list);
    const one = cases.find((made) => isCase(made, args, known, optimizers));
    if (one === undefined) {
      const made = caseOf(args, known, optimizers); // as it is before the call
      const isMulti = args.some((arg) => arg.isMultiPointer);
      const answer = fn(...args);
      if (isMulti) return answer;
      if (cases.length === MAX_CASES) endAll(cases, 1);
      cases.push(made);
      return answer;
    }
    one.noted ??= note(fn, args, known, optimizers);
    const done = perform(one.noted, args, optimizers);
    if (done !== undefined) return done.answer;
    end(one.noted);
    one.noted = null;
    one.noted = note(fn, args, known, optimizers);
    return perform(one.noted, args, optimizers).answer;
  };
  /** Lets go of it, here and at the workers that have it. It may be called again, and begins anew. */
  plan.dispose = () => endAll(cases);
  forgotten.register(plan, cases);
  return plan;
}
