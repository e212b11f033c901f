/**
 * The C core in this thread, and how it is called: nothing above this file knows its memory.
 *
 * Arguments and results go through the scratch (src/wasm/scratch.h), whose layout the core tells once. What the core reports
 * comes through `host` and is only noted there; it is worked off in a microtask, so that nothing calls into the core from
 * within the core. The one exception are the functions that the core calls from within an op (callback.js): those may call
 * ops, and nothing that concerns workers.
 */
import createSingle from './core/tabtensor_core.js';
import { TensorError, abortError } from './errors.js';
import { loadPart } from './later.js';
import { coreFile } from './place.js';
import { begun, compile, nameHere } from './start.js';
import { isNode, nThreadsWanted } from './where.js';

export { isNode, isPage } from './where.js';

// ---- loading ----

let instance;
let memory;
/** Views of the core's memory. When it grows they are detached, or too short: checkViews() comes before each use. */
export let u8, i32, u32, f64;

export function checkViews() {
  if (u8 !== undefined) return;
  u8 = new Uint8Array(memory.buffer);
  i32 = new Int32Array(memory.buffer);
  u32 = new Uint32Array(memory.buffer);
  f64 = new Float64Array(memory.buffer);
}

/** Emscripten's script has memory grow by its method, which is where that is seen: views of shared memory do not tell. */
function watchMemory(imports) {
  // Names may be minified; there is exactly one memory: exported, or imported where it is shared.
  const all = [...Object.values(instance.exports), ...Object.values(imports).flatMap((module) => Object.values(module))];
  memory = all.find((value) => value instanceof WebAssembly.Memory);
  memory.grow = (nPages) => {
    const before = WebAssembly.Memory.prototype.grow.call(memory, nPages);
    u8 = undefined;
    return before;
  };
}

/** Who calls through the table tells the core which place is meant (wasm-build/stand_ins.js): what the core does itself, JavaScript has to do too. */
function watchTable() {
  const { place } = instance.exports;
  // The core with threads is not in parts.
  if (place === undefined) return;
  const table = Object.values(instance.exports).find((value) => value instanceof WebAssembly.Table);
  table.get = (i) => {
    const run = WebAssembly.Table.prototype.get.call(table, i);
    return (...args) => {
      place.value = i;
      return run(...args);
    };
  };
}

// Node has a WebSocket of its own from version 22 on; before that the package ws serves, when it is there.
if (isNode && globalThis.WebSocket === undefined) {
  const ws = await import('ws').catch(() => undefined);
  if (ws !== undefined) globalThis.WebSocket = ws.WebSocket;
}

const host = { random, wantFlush, wantFlushLater, wake: schedulePump, answer, events, portPost, portClosed, callback, callbackGone: (number) => callbackGone(number) };

/** The parts that are loaded later, by the names under which the first asks for them. */
const PARTS = { placeholder: 'later', more: 'more' };

/** Where the core's stack is before a call into it: at its end, or where that call has come to which one of our functions is called from. */
let stackBegins;

/** A part that cannot be loaded ends the call into the core, whose functions do not get to giving the stack back. */
function loadOrEnd(url) {
  try {
    loadPart(url, instance.exports);
  } catch (error) {
    instance.exports.stack.value = stackBegins;
    throw error;
  }
}

async function load(createCore, name, compiled = compile(name)) {
  const module = await compiled;
  return new Promise((resolve, reject) => {
    createCore({
      host,
      instantiateWasm(imports, receive) {
        for (const [namespace, part] of Object.entries(PARTS))
          imports[namespace] = { load: () => loadOrEnd(coreFile(`${nameHere(name)}_${part}.wasm`)) };
        WebAssembly.instantiate(module, imports).then((made) => {
          instance = made;
          watchMemory(imports);
          watchTable();
          stackBegins = instance.exports.stack?.value;
          receive(instance, module);
        }, reject);
        return {};
      },
    }).then(resolve, reject);
  });
}

/** The core with threads is another file, for whoever wants them; a machine may have no room for its memory. */
async function loadWanted() {
  if (nThreadsWanted > 1) {
    try {
      const { default: createThreads } = await import(coreFile(`${nameHere('tabtensor_threads')}.js`).href);
      return await load(createThreads, 'tabtensor_threads');
    } catch (error) {
      console.warn(`tabtensor: one thread instead of ${nThreadsWanted}: ${error.message}`);
    }
  }
  return load(createSingle, 'tabtensor_core', begun?.compiled);
}

/** The exported functions, as core._tt_wasm_... */
export const core = await loadWanted();

/**
 * A function of the core that is in the way of every op, itself: Emscripten's first forms only fetch the real ones when they are
 * called. `name` is one that refuses handles which stand for nothing.
 */
export function direct(name) {
  core[name](0, 0, 0);
  return core[name];
}

// ---- functions that the core calls from within an op ----

let runCallback;
let callbackGone;
/**
 * callback.js tells what runs them: `run(number, worker, op, nArgs)` answers { status, error } and throws nothing;
 * `gone(number)` forgets one that the core will not call any more.
 */
export function setCallback(run, gone) {
  runCallback = run;
  callbackGone = gone;
}

let callbackDepth = 0;
let thrown;

function callback(number, worker, op, nArgs) {
  const outside = stackBegins;
  stackBegins = instance.exports.stack?.value;
  callbackDepth++;
  const { status, error } = runCallback(number, worker, op, nArgs);
  callbackDepth--;
  stackBegins = outside;
  thrown = error;
  return status;
}

/** What a function threw last, since an op was called from outside of all of them; it is asked for once. */
export function takeThrown() {
  const error = thrown;
  thrown = undefined;
  return error;
}

/** For what must not happen while an op is running: closing workers, sending, taking things out of a store. */
export function refuseWithinOps(what) {
  if (callbackDepth === 0) return;
  throw new TensorError(`${what}: an op is running that has called this function; in there only ops may be called`, {
    code: 'state',
  });
}

// What may be called in there: ops, and what only looks.
const ALLOWED_WITHIN_OPS =
  /^_tt_wasm_(start|scratch|input|text|text_bytes|constants|table|row|call|n_tensors|numpy_.*|tensor_.*|kind.*|callback_.*|register_hook|remove_hook|set_recording|set_threads|get_threads|count_helpers|init|gain|schedule_rate|clip_.*|module_.*|optimizer_(?!step|bring).*|get_object|create_pointer|worker_(listen|seed|counters|events|whoami|search|peers))$/;
for (const [name, plain] of Object.entries(core)) {
  if (!name.startsWith('_tt_wasm_') || ALLOWED_WITHIN_OPS.test(name)) continue;
  // Emscripten's functions put the exported one in their own place when they are first called.
  let run = plain;
  const guarded = (...args) => {
    if (callbackDepth > 0) refuseWithinOps(name.slice('_tt_wasm_'.length));
    if (run !== plain) return run(...args);
    try {
      return plain(...args);
    } finally {
      run = core[name];
      core[name] = guarded;
    }
  };
  core[name] = guarded;
}

function random(begins, nBytes) {
  checkViews();
  // Not into the memory itself, which may be shared.
  u8.set(crypto.getRandomValues(new Uint8Array(nBytes)), begins);
}

// ---- text and numbers ----

const decoder = new TextDecoder();
const encoder = new TextEncoder();

const MAX_SHORT_BYTES = 64;
/** The last short text, and its bytes: the id of one worker is read again and again. */
let lastShort = '';
let lastBytes = new Uint8Array(0);

/** The text that the last call left. */
export function readText() {
  const at = core._tt_wasm_text() >>> 0;
  const nBytes = core._tt_wasm_text_bytes();
  checkViews();
  if (nBytes === lastBytes.length) {
    let i = 0;
    while (i < nBytes && u8[at + i] === lastBytes[i]) i++;
    if (i === nBytes) return lastShort;
  }
  // A copy, because decoders refuse shared or resizable memory.
  const bytes = u8.slice(at, at + nBytes);
  const text = decoder.decode(bytes);
  if (nBytes <= MAX_SHORT_BYTES) [lastShort, lastBytes] = [text, bytes];
  return text;
}

/** The other way: short texts and their bytes. */
const encodedShort = new Map();
const MAX_ENCODED = 256;

function encoded(text) {
  if (text.length > MAX_SHORT_BYTES) return encoder.encode(text);
  let bytes = encodedShort.get(text);
  if (bytes === undefined) {
    if (encodedShort.size === MAX_ENCODED) encodedShort.clear();
    bytes = encoder.encode(text);
    encodedShort.set(text, bytes);
  }
  return bytes;
}

/** Writes strings to the input, each with a terminator, and answers their offsets. */
export function writeInput(...strings) {
  const parts = strings.map(encoded);
  const nBytes = parts.reduce((sum, part) => sum + part.length + 1, 0);
  const at = core._tt_wasm_input(nBytes) >>> 0;
  if (at === 0) throw new TensorError(`the core has no memory for ${nBytes} bytes of text`, { code: 'memory' });
  checkViews();
  let offset = 0;
  return parts.map((part) => {
    const begins = offset;
    u8.set(part, at + begins);
    u8[at + begins + part.length] = 0;
    offset += part.length + 1;
    return begins;
  });
}

/** The length of a string in the input, without its terminator. */
export const textBytes = (string) => encoder.encode(string).length;

const startStatus = core._tt_wasm_start();
const scratchAt = core._tt_wasm_scratch() >>> 0;
core._tt_wasm_constants();
/** The core's enums by name, its limits, and its version. */
export const constants = JSON.parse(readText());
/** Addresses of the scratch's fields, in bytes. */
export const at = Object.fromEntries(Object.entries(constants.scratch).map(([name, offset]) => [name, scratchAt + offset]));
const invert = (names) => Object.fromEntries(Object.entries(names).map(([name, number]) => [number, name]));
export const dtypeNames = invert(constants.dtype);
const statusNames = invert(constants.status);
const eventNames = invert(constants.event);

/** Throws what a status other than 0 stands for; `about` adds what the core does not know (op, worker). */
export function check(status, about) {
  if (status !== 0) throw failureOf(status, about);
}

function failureOf(status, about) {
  const code = statusNames[status] ?? 'state';
  return new TensorError(readText() || `the core answered ${code}`, { code, ...about });
}

check(startStatus);

function writeId64(address, id) {
  checkViews();
  const value = BigInt.asUintN(64, BigInt(id));
  u32[address >> 2] = Number(value & 0xffffffffn);
  u32[(address >> 2) + 1] = Number(value >> 32n);
}

function readId64(address) {
  checkViews();
  return ((BigInt(u32[(address >> 2) + 1]) << 32n) | BigInt(u32[address >> 2])).toString();
}

export function writeId(id) {
  writeId64(at.id, id);
}

export function writeIdThere(id) {
  writeId64(at.id_there, id);
}

export function readId() {
  return readId64(at.id);
}

export function readIdThere() {
  return readId64(at.id_there);
}

/** A 64-bit integer at a byte address, as a number: exact up to 2^53. */
const readInt = (address) => i32[(address >> 2) + 1] * 4294967296 + u32[address >> 2];

export function writeInt(address, value) {
  i32[address >> 2] = value;
  i32[(address >> 2) + 1] = Math.floor(value / 4294967296);
}

/** dtype and shape from the scratch; shape is null when it is not known. */
export function readMeta() {
  checkViews();
  const nDims = i32[at.n_dims >> 2];
  const shape = nDims < 0 ? null : Array.from({ length: nDims }, (_, i) => readInt(at.dims + 8 * i));
  return { dtype: dtypeNames[i32[at.dtype >> 2]], shape };
}

export function writeMeta(dtype, shape) {
  checkViews();
  i32[at.dtype >> 2] = constants.dtype[dtype];
  i32[at.n_dims >> 2] = shape === null ? -1 : shape.length;
  if (shape !== null) shape.forEach((size, i) => writeInt(at.dims + 8 * i, size));
}

/** Turns an id given as a string, number or BigInt into a decimal string. */
export function idText(id) {
  try {
    const value = BigInt(id);
    if (value > 0n && value < 1n << 64n) return value.toString();
  } catch {
    // Said below.
  }
  throw new TensorError(`${String(id)} is not an id: ids are whole numbers from 1 to 2^64 - 1, written as a string or BigInt`, {
    code: 'argument',
  });
}

// ---- the end of a turn ----

const workersToFlush = new Set();
let isPumpScheduled = false;

function wantFlush(worker) {
  workersToFlush.add(worker);
  schedulePump();
}

/** Commands gather until the end of the turn; then they leave, and virtual workers get what was sent to them. */
function schedulePump() {
  if (isPumpScheduled) return;
  isPumpScheduled = true;
  queueMicrotask(() => {
    isPumpScheduled = false;
    pump();
  });
}

const workersToFlushLater = new Set();
let isLaterScheduled = false;
const LATER_MS = 4;

/** What nobody waits for leaves a little later: as a rule along with what is said until then. */
function wantFlushLater(worker) {
  workersToFlushLater.add(worker);
  if (isLaterScheduled) return;
  isLaterScheduled = true;
  setTimeout(() => {
    isLaterScheduled = false;
    for (const late of workersToFlushLater) workersToFlush.add(late);
    workersToFlushLater.clear();
    pump();
  }, LATER_MS);
}

/** The same now. */
export function pump() {
  for (const worker of workersToFlush) {
    workersToFlush.delete(worker);
    core._tt_wasm_worker_flush(worker);
  }
  core._tt_wasm_virtual_poll();
}

/** A timer that does not keep Node alive. */
function background(timer) {
  if (isNode) timer.unref();
  return timer;
}

// ---- requests ----

const open = new Map();
let lastToken = 0;

function answer(token, form, tensor, jsonAt, nBytes) {
  const entry = open.get(token);
  open.delete(token);
  if (entry === undefined) {
    if (tensor !== 0) core._tt_wasm_tensor_dispose(tensor);
    return;
  }
  checkViews();
  const text = nBytes === 0 ? '' : decoder.decode(u8.slice(jsonAt, jsonAt + nBytes));
  const { answer: forms } = constants;
  if (form === forms.ERROR) {
    const error =
      text === ''
        ? new TensorError('the core has no memory to say what went wrong', { code: 'memory' })
        : TensorError.fromWire(JSON.parse(text).error);
    entry.reject(error.code === 'aborted' && entry.signal?.aborted ? abortError(entry.signal.reason) : error);
  } else if (form === forms.CONTROL) {
    entry.resolve(JSON.parse(text));
  } else {
    entry.resolve(form === forms.TENSOR ? tensor : undefined);
  }
}

/**
 * Makes a request: `start(token)` calls the core and answers its status; what it refuses at once is thrown here and now. The
 * promise settles with the core's answer. An aborted signal gives up waiting, at once.
 */
export function request(worker, start, { signal, about } = {}) {
  if (signal?.aborted) throw abortError(signal.reason);
  lastToken = (lastToken % 0x7fffffff) + 1;
  const token = lastToken;
  const entry = { signal, resolve: undefined, reject: undefined };
  const promise = new Promise((resolve, reject) => {
    entry.resolve = resolve;
    entry.reject = reject;
  });
  open.set(token, entry);
  const status = start(token);
  if (status !== 0) {
    open.delete(token);
    throw failureOf(status, about);
  }
  if (signal === undefined) return promise;
  const id = readId();
  const giveUp = () => {
    writeId(id);
    core._tt_wasm_cancel(worker);
  };
  signal.addEventListener('abort', giveUp, { once: true });
  return promise.finally(() => signal.removeEventListener('abort', giveUp));
}

/** Asks a peer a query of PROTOCOL.md; answers its JSON. */
export function query(worker, peer, fields, options) {
  const json = JSON.stringify({ request: '1', ...fields });
  const [, offset] = writeInput(peer, json);
  const answered = request(worker, (token) => core._tt_wasm_query(worker, offset, textBytes(json), token), options);
  if (!asking.has(worker)) asking.set(worker, new Set());
  const asked = asking.get(worker).add(answered);
  const settled = () => asked.delete(answered);
  answered.then(settled, settled);
  return answered;
}

/** Queries that wait for their answers, by worker. */
const asking = new Map();

/** Tells of a failure that a command of ours reports, unless a query that is on its way is answered with that same failure. */
export function tellUnlessAsked(worker, failure, tell) {
  const asked = [...(asking.get(worker) ?? [])];
  if (asked.length === 0) {
    tell();
    return;
  }
  Promise.allSettled(asked).then((answers) => {
    if (!answers.some(({ reason }) => reason?.failure !== undefined && reason.failure === failure)) tell();
  });
}

// ---- events ----

const BATCH_MS = 50;
const listeners = new Map();
const urgent = new Set();
const batched = new Map();

/**
 * `listener(events, skipped)` is called with what a worker reports, in batches: soon for what matters at once, every 50 ms for
 * objects and commands.
 */
export function onEvents(worker, listener) {
  listeners.set(worker, listener);
}

export function forgetWorker(worker) {
  listeners.delete(worker);
  asking.delete(worker);
  workersToFlush.delete(worker);
  workersToFlushLater.delete(worker);
  clearTimeout(batched.get(worker));
  batched.delete(worker);
}

function events(worker, isUrgent) {
  if (isUrgent) {
    if (urgent.has(worker)) return;
    urgent.add(worker);
    queueMicrotask(() => {
      urgent.delete(worker);
      takeEvents(worker);
    });
  } else if (!batched.has(worker)) {
    batched.set(
      worker,
      setTimeout(() => takeEvents(worker), BATCH_MS),
    );
  }
}

/** Hands a worker's events over now. */
export function takeEvents(worker) {
  clearTimeout(batched.get(worker));
  batched.delete(worker);
  const listener = listeners.get(worker);
  if (listener === undefined || core._tt_wasm_worker_events(worker) !== 0) return;
  const begins = core._tt_wasm_text() >>> 0;
  const nBytes = core._tt_wasm_text_bytes();
  checkViews();
  const skipped = {};
  let nSkipped = 0;
  for (const [number, name] of Object.entries(eventNames)) {
    const n = f64[(at.numbers >> 3) + Number(number)];
    if (n > 0) skipped[name] = n;
    nSkipped += n;
  }
  const records = u8.slice(begins, begins + nBytes);
  listener(readEvents(records), nSkipped > 0 ? skipped : undefined);
}

/** The records of src/wasm/event_log.h. */
function readEvents(bytes) {
  const view = new DataView(bytes.buffer);
  const found = [];
  for (let begins = 0; begins < bytes.length; begins += view.getUint32(begins, true)) {
    const word = (i) => view.getUint32(begins + 8 + 4 * i, true);
    const [transport, nOperands, nResults, peerBytes, textLength, errorBytes] = [0, 1, 2, 3, 4, 5].map(word);
    const nDims = view.getInt8(begins + 7);
    let position = begins + 32;
    const id = () => {
      position += 8;
      return view.getBigUint64(position - 8, true).toString();
    };
    const text = (n) => {
      position += n;
      return decoder.decode(bytes.subarray(position - n, position));
    };
    const object = id();
    const shape = nDims < 0 ? null : Array.from({ length: nDims }, () => Number(id()));
    const operands = Array.from({ length: nOperands }, id);
    const results = Array.from({ length: nResults }, id);
    const event = {
      type: eventNames[view.getUint8(begins + 4)],
      isOurs: view.getUint8(begins + 5) !== 0,
      transport,
      object,
      operands,
      results,
    };
    if (nDims !== -2) Object.assign(event, { dtype: dtypeNames[view.getUint8(begins + 6)], shape });
    event.peer = text(peerBytes);
    event.text = text(textLength);
    if (errorBytes > 0) event.error = JSON.parse(text(errorBytes)).error;
    found.push(event);
  }
  return found;
}

// ---- message ports ----

const ports = new Map();
let lastPort = 0;
const FLAGS = { INITIATES: 1, CONTROLLER: 2 };

function portPost(port, frameAt, nBytes) {
  checkViews();
  const frame = u8.slice(frameAt, frameAt + nBytes).buffer;
  ports.get(port)?.post(frame);
}

function portClosed(port) {
  const { closed } = ports.get(port) ?? {};
  ports.delete(port);
  closed?.();
}

/**
 * Links a worker to what is at the other end of a message channel; `post(frame)` sends an ArrayBuffer, and `closed()` (neither
 * may call the core) is told when the worker is done with it. Answers the function that takes what arrives, and the one that
 * says that the channel is lost.
 */
export function openPort(worker, { post, closed, initiates = false, controller = false, expected, isOwn = false }) {
  const port = ++lastPort;
  ports.set(port, { post, closed });
  const flags = (initiates ? FLAGS.INITIATES : 0) | (controller ? FLAGS.CONTROLLER : 0);
  writeInput(expected ?? '');
  const status = core._tt_wasm_port_open(worker, port, flags, expected === undefined ? 0 : 1, isOwn ? 1 : 0);
  if (status !== 0) ports.delete(port);
  check(status);
  checkViews();
  const number = u32[at.n_results >> 2];
  return {
    number,
    receive(frame) {
      if (!ports.has(port)) return;
      const bytes = new Uint8Array(frame);
      const into = core._tt_wasm_input(bytes.length) >>> 0;
      if (into === 0) throw new TensorError('the core has no memory for a frame', { code: 'memory' });
      checkViews();
      u8.set(bytes, into);
      core._tt_wasm_port_receive(number, bytes.length);
    },
    lost(reason) {
      if (!ports.delete(port)) return;
      writeInput(reason);
      core._tt_wasm_port_lost(number);
    },
  };
}

// ---- the clock ----

const ticking = new Set();

/** Has the worker's deadlines looked at once a second, until forgotten. */
export function tick(worker) {
  ticking.add(worker);
}

export function stopTicking(worker) {
  ticking.delete(worker);
}

background(
  setInterval(() => {
    for (const worker of ticking) core._tt_wasm_worker_tick(worker);
  }, 1000),
);
