/**
 * Files: .npy and .safetensors by the core's codecs, .npz by zip.js around them. Sources are bytes, a Response, a Blob, a URL, or (in Node) a path.
 */
import { at, check, checkViews, core, isNode, readText, u32, u8, writeInput, writeMeta } from './core.js';
import { resultAt } from './call.js';
import { TensorError } from './errors.js';
import { checkOptions, describe, isPlain } from './options.js';
import { adopt, isTensor } from './tensor.js';

/** What the members of one archive may take together, unless the option max_bytes says another number. */
const MAX_NPZ_BYTES = 2 ** 30;

/** Few have archives. */
const archives = () => import('./zip.js');

const bad = (where, message, code = 'argument') => new TensorError(`${where}: ${message}`, { code, op: where });

/** The bytes of whatever a user calls a file. */
async function bytesOf(where, source) {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (typeof Response === 'function' && source instanceof Response) {
    if (!source.ok) throw bad(where, `${source.url} was answered with ${source.status} ${source.statusText}`, 'connection');
    return new Uint8Array(await source.arrayBuffer());
  }
  if (typeof Blob === 'function' && source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  if (typeof source === 'string' || source instanceof URL) {
    const isWeb = source instanceof URL ? source.protocol !== 'file:' : /^https?:\/\//.test(source);
    if (!isNode || isWeb) return bytesOf(where, await fetch(source));
    const { readFile } = await import('node:fs/promises');
    return readFile(source);
  }
  throw bad(where, `the file is bytes, a Response, a Blob, a URL or a path, not ${describe(source)}`);
}

async function writeFile(where, path, bytes) {
  if (!isNode) throw bad(where, 'there are no files in a page: without a path it answers the bytes', 'state');
  if (typeof path !== 'string' && !(path instanceof URL)) throw bad(where, `the path is a string or a file's URL, not ${describe(path)}`);
  const fs = await import('node:fs/promises');
  await fs.writeFile(path, bytes);
}

/** Calls `use(address, nBytes)` with a copy of bytes in the core's memory. */
function inCore(where, bytes, use) {
  const address = core._malloc(Math.max(bytes.length, 1)) >>> 0;
  if (address === 0) throw bad(where, `the core has no memory for ${bytes.length} bytes`, 'memory');
  try {
    checkViews();
    u8.set(bytes, address);
    return use(address, bytes.length);
  } finally {
    core._free(address);
  }
}

/** Calls `use(handle)` with a tensor of these elements in this thread's core. */
export function withElements({ dtype, shape, data }, use) {
  writeMeta(dtype, shape);
  check(core._tt_wasm_tensor_new());
  checkViews();
  const handle = resultAt(0);
  try {
    u8.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), u32[at.data >> 2]);
    core._tt_wasm_tensor_read_end();
    return use(handle);
  } finally {
    core._tt_wasm_tensor_dispose(handle);
  }
}

/** A copy of what the core has written, which it may forget then. */
function takeWritten() {
  checkViews();
  const begins = u32[at.data >> 2];
  const bytes = u8.slice(begins, begins + u32[at.data_bytes >> 2]);
  core._tt_wasm_file_end();
  return bytes;
}

// ---- .npy and .npz ----

const isZip = (bytes) => bytes[0] === 0x50 && bytes[1] === 0x4b;
const isNpy = (bytes) => bytes[0] === 0x93 && bytes[1] === 0x4e;

function readNpy(bytes) {
  inCore('load', bytes, (address, nBytes) => check(core._tt_wasm_npy_read(address, nBytes), { op: 'load' }));
  checkViews();
  return adopt(resultAt(0));
}

/** A tensor of a .npy file, or an object of those in a .npz file, whose other members are bytes. */
export async function loadNumpy(source, options) {
  const { max_bytes: maxBytes = MAX_NPZ_BYTES } = checkOptions('load', options, ['max_bytes']);
  const bytes = await bytesOf('load', source);
  if (!isZip(bytes)) return readNpy(bytes);
  const found = Object.create(null);
  const { unzip } = await archives();
  for (const [name, data] of await unzip(bytes, maxBytes)) {
    const key = name.endsWith('.npy') ? name.slice(0, -4) : name;
    if (key in found) throw bad('load', `.npz: there are two members '${key}'`);
    found[key] = isNpy(data) ? readNpy(data) : data.slice();
  }
  return found;
}

async function npyBytes(tensor) {
  const elements = await tensor.elements();
  return withElements(elements, (handle) => {
    check(core._tt_wasm_npy_write(handle), { op: 'save' });
    return takeWritten();
  });
}

async function deliver(where, path, bytes) {
  if (path === undefined) return bytes;
  await writeFile(where, path, bytes);
  return undefined;
}

/** The bytes of a .npy file of a tensor wherever it is; with a path, in Node, the file. */
export async function saveNumpy(path, tensor) {
  return deliver('save', path, await npyBytes(tensor));
}

/** The same of a .npz file of named tensors. */
export async function saveNpz(where, path, tensors, deflate) {
  const members = [];
  for (const [name, tensor] of Object.entries(tensors)) members.push([`${name}.npy`, await npyBytes(tensor)]);
  const { zip } = await archives();
  return deliver(where, path, await zip(members, { deflate }));
}

// ---- .safetensors ----

/** { tensors, metadata } of a .safetensors file: tensors by name, and the texts that were saved with them. */
export async function loadSafetensors(source) {
  const bytes = await bytesOf('loadSafetensors', source);
  try {
    inCore('loadSafetensors', bytes, (address, nBytes) =>
      check(core._tt_wasm_safetensors_read(address, nBytes), { op: 'loadSafetensors' }),
    );
    const { tensors: listed, metadata } = JSON.parse(readText());
    const tensors = {};
    listed.forEach(({ name }, i) => {
      check(core._tt_wasm_safetensors_tensor(i), { op: 'loadSafetensors' });
      checkViews();
      Object.defineProperty(tensors, name, { value: adopt(resultAt(0)), enumerable: true, writable: true, configurable: true });
    });
    return { tensors, metadata };
  } finally {
    core._tt_wasm_file_end();
  }
}

function checkText(where, text, what) {
  if (typeof text !== 'string') throw bad(where, `${what} is a string, not ${describe(text)}`);
  if (text.includes('\0')) throw bad(where, `${what} has the character U+0000 in it`);
}

/** The bytes of a .safetensors file of named tensors, wherever they are, and of texts that are kept with them. */
export async function saveSafetensors(tensors, options) {
  const where = 'saveSafetensors';
  const { metadata = {} } = checkOptions(where, options, ['metadata']);
  if (!isPlain(tensors) || !isPlain(metadata)) throw bad(where, 'tensors and metadata are objects, such as { weight: tensor }');
  const all = [];
  for (const [name, tensor] of Object.entries(tensors)) {
    checkText(where, name, 'the name of a tensor');
    if (!isTensor(tensor)) throw bad(where, `'${name}' is ${describe(tensor)}, no tensor`);
    all.push([name, await tensor.elements()]);
  }
  for (const [name, text] of Object.entries(metadata)) {
    checkText(where, name, 'a name in the metadata');
    checkText(where, text, `the metadata '${name}'`);
  }
  // From here on nothing waits: the core has one file open.
  core._tt_wasm_file_end();
  try {
    for (const [name, elements] of all)
      withElements(elements, (handle) => {
        writeInput(name);
        check(core._tt_wasm_safetensors_add(handle), { op: where });
      });
    for (const [name, text] of Object.entries(metadata)) {
      const [, offset] = writeInput(name, text);
      check(core._tt_wasm_safetensors_add_metadata(offset), { op: where });
    }
    check(core._tt_wasm_safetensors_write(), { op: where });
    return takeWritten();
  } finally {
    core._tt_wasm_file_end();
  }
}
