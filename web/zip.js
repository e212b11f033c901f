/**
 * zip: the archives that .npz files are. Stored and deflated members, read and written; 64-bit sizes are read as far as memory goes. Names are
 * looked up in the directory at the end, as every reader does; what it announces is held against the bytes that are there and against a ceiling,
 * before anything is inflated.
 */
import { TensorError } from './errors.js';

const LOCAL = 0x04034b50;
const DIRECTORY = 0x02014b50;
const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const STORED = 0;
const DEFLATED = 8;
const MAX_32 = 0xffffffff;
const MAX_MEMBERS = 65535;

const bad = (message, code = 'argument') => new TensorError(`.npz: ${message}`, { code, op: 'load' });

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

export function crc32(bytes) {
  let crc = MAX_32;
  for (let i = 0; i < bytes.length; i++) crc = crcTable[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return (crc ^ MAX_32) >>> 0;
}

const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function number64(view, at) {
  const value = Number(view.getBigUint64(at, true));
  if (!Number.isSafeInteger(value)) throw bad('it announces a size beyond 2^53');
  return value;
}

async function through(stream, bytes, maxBytes) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts = [];
  let nBytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    nBytes += value.length;
    if (nBytes > maxBytes) {
      await reader.cancel();
      throw bad(`a member inflates to more than the ${maxBytes} bytes that it announces`);
    }
    parts.push(value);
  }
  const whole = new Uint8Array(nBytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Where the directory is and how many members it has. */
function findDirectory(bytes, view) {
  const last = bytes.length - 22;
  let at = last;
  while (at >= 0 && at > last - 65536 && view.getUint32(at, true) !== END) at--;
  if (at < 0 || view.getUint32(at, true) !== END) throw bad('it has no directory at its end: it is no .npz file, or is cut short');
  let count = view.getUint16(at + 10, true);
  let begins = view.getUint32(at + 16, true);
  if (view.getUint16(at + 4, true) !== 0) throw bad('it is one of several volumes, which are not read');
  if ((count === 0xffff || begins === MAX_32) && at >= 20 && view.getUint32(at - 20, true) === LOCATOR64) {
    const end64 = number64(view, at - 12);
    if (end64 + 56 > bytes.length || view.getUint32(end64, true) !== END64) throw bad('its 64-bit directory is not where it says');
    count = number64(view, end64 + 32);
    begins = number64(view, end64 + 48);
  }
  if (count > MAX_MEMBERS) throw bad(`it has ${count} members; at most ${MAX_MEMBERS} are read`);
  return { count, begins };
}

/** Sizes and offset that the fixed fields have no room for. */
function widen(member, view, at, nBytes) {
  for (let end = at + nBytes; at + 4 <= end; ) {
    const id = view.getUint16(at, true);
    const length = view.getUint16(at + 2, true);
    at += 4;
    if (id !== 1) {
      at += length;
      continue;
    }
    const fieldsEnd = Math.min(at + length, end);
    for (const field of ['size', 'packed', 'begins']) {
      if (member[field] !== MAX_32) continue;
      if (at + 8 > fieldsEnd) throw bad(`the 64-bit sizes of '${member.name}' are missing`);
      member[field] = number64(view, at);
      at += 8;
    }
    return;
  }
}

function readDirectory(bytes, view) {
  const { count, begins } = findDirectory(bytes, view);
  const members = [];
  let at = begins;
  for (let i = 0; i < count; i++) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== DIRECTORY) throw bad('its directory is cut short or damaged');
    const nName = view.getUint16(at + 28, true);
    const nExtra = view.getUint16(at + 30, true);
    const nComment = view.getUint16(at + 32, true);
    if (at + 46 + nName + nExtra + nComment > bytes.length) throw bad('its directory is cut short or damaged');
    const member = {
      name: new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nName)),
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      begins: view.getUint32(at + 42, true),
    };
    widen(member, view, at + 46 + nName, nExtra);
    members.push(member);
    at += 46 + nName + nExtra + nComment;
  }
  return members;
}

async function readMember(bytes, view, member) {
  const { name, begins, packed, size, method } = member;
  if (member.flags & 1) throw bad(`'${name}' is encrypted`);
  if (method !== STORED && method !== DEFLATED) throw bad(`'${name}' is packed by method ${method}; stored and deflated are read`);
  if (begins + 30 > bytes.length || view.getUint32(begins, true) !== LOCAL) throw bad(`'${name}' is not where the directory says`);
  const from = begins + 30 + view.getUint16(begins + 26, true) + view.getUint16(begins + 28, true);
  if (from + packed > bytes.length) throw bad(`'${name}' is cut short`);
  const inside = bytes.subarray(from, from + packed);
  if (method === STORED && packed !== size) throw bad(`'${name}' is stored, but its two sizes differ`);
  let data = inside;
  if (method === DEFLATED) {
    try {
      data = await through(new DecompressionStream('deflate-raw'), inside, size);
    } catch (error) {
      throw error instanceof TensorError ? error : bad(`'${name}' does not inflate: ${error.message}`);
    }
  }
  if (data.length !== size) throw bad(`'${name}' has ${data.length} bytes, not the ${size} that it announces`);
  if (crc32(data) !== member.crc) throw bad(`the checksum of '${name}' is wrong: the file is damaged`);
  return data;
}

/** The members of an archive, [name, bytes], of which all together take at most maxBytes. */
export async function unzip(bytes, maxBytes) {
  const view = viewOf(bytes);
  if (bytes.length < 22) throw bad('it is cut short');
  const members = readDirectory(bytes, view);
  const total = members.reduce((sum, { size }) => sum + size, 0);
  if (total > maxBytes) throw bad(`its members take ${total} bytes; at most ${maxBytes} are read (the option max_bytes)`, 'full');
  const found = [];
  for (const member of members) found.push([member.name, await readMember(bytes, view, member)]);
  return found;
}

/** An archive of [name, bytes]. */
export async function zip(members, { deflate = false } = {}) {
  const parts = [];
  const directory = [];
  let at = 0;
  const put = (list, nBytes, fill, ...tails) => {
    const head = new Uint8Array(nBytes);
    fill(viewOf(head));
    list.push(head, ...tails);
    return tails.reduce((sum, { length }) => sum + length, nBytes);
  };
  let directoryBytes = 0;
  for (const [name, data] of members) {
    const text = new TextEncoder().encode(name);
    const packed = deflate ? await through(new CompressionStream('deflate-raw'), data, Infinity) : data;
    const begins = at;
    const fields = (view, from) => {
      view.setUint16(from, 20, true); // what is needed to extract: version 2.0
      view.setUint16(from + 2, 0x0800, true); // names are UTF-8
      view.setUint16(from + 4, deflate ? DEFLATED : STORED, true);
      view.setUint16(from + 8, 0x21, true); // 1980-01-01: archives of the same arrays are the same bytes
      view.setUint32(from + 10, crc32(data), true);
      view.setUint32(from + 14, packed.length, true);
      view.setUint32(from + 18, data.length, true);
      view.setUint16(from + 22, text.length, true);
    };
    at += put(parts, 30, (view) => (view.setUint32(0, LOCAL, true), fields(view, 4)), text, packed);
    if (at > MAX_32 || text.length > 0xffff) throw bad('an archive of more than 4 GiB is not written; save its arrays one by one', 'full');
    directoryBytes += put(
      directory,
      46,
      (view) => {
        view.setUint32(0, DIRECTORY, true);
        view.setUint16(4, 20, true);
        fields(view, 6);
        view.setUint32(42, begins, true);
      },
      text,
    );
  }
  put(directory, 22, (view) => {
    view.setUint32(0, END, true);
    view.setUint16(8, members.length, true);
    view.setUint16(10, members.length, true);
    view.setUint32(12, directoryBytes, true);
    view.setUint32(16, at, true);
  });
  return new Uint8Array(await new Blob([...parts, ...directory]).arrayBuffer());
}
