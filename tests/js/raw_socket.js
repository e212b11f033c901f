/**
 * A WebSocket client that does only what it is told: for tests that send what no library would. Frames are masked, as a client's must be.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';

export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** The bytes of one frame. `length` overrides what the header says. */
export const wsFrame = (opcode, payload = Buffer.alloc(0), { fin = true, masked = true, length = payload.length, rsv = 0 } = {}) => {
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const bit = masked ? 0x80 : 0;
  let header;
  if (length < 126) {
    header = Buffer.from([first, bit | length]);
  } else if (length < 65536) {
    header = Buffer.from([first, bit | 126, length >> 8, length & 255]);
  } else {
    header = Buffer.alloc(10);
    header[0] = first;
    header[1] = bit | 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  if (!masked) return Buffer.concat([header, payload]);
  const mask = randomBytes(4);
  return Buffer.concat([header, mask, Buffer.from(payload).map((byte, i) => byte ^ mask[i & 3])]);
};

export const closePayload = (code, reason = '') => Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);

/** Sends one request and answers { status, headers, body } when the other side closes or the announced body is there. */
export const rawRequest = async (port, text) => {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(text);
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk]);
    const answer = parseAnswer(bytes);
    if (answer?.complete) break;
  }
  socket.destroy();
  return parseAnswer(bytes);
};

const parseAnswer = (bytes) => {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [statusLine, ...lines] = bytes.subarray(0, end).toString().split('\r\n');
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  const body = bytes.subarray(end + 4);
  const complete = statusLine.includes(' 101 ') || body.length >= Number(headers['content-length'] ?? Infinity);
  return { status: Number(statusLine.split(' ')[1]), headers, body: body.toString(), rest: body, complete };
};

export const upgradeRequest = (port, { path = '/', headers = {} } = {}) => {
  const all = {
    Host: `localhost:${port}`, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'), ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}`);
  return `GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
};

/** Opens a WebSocket by hand; `after`: on a connection that has asked for a page before; `inBits`: the request does not come at once; `with`: what comes with it. */
export const openRaw = async (port, { after = false, inBits = false, with: behind = Buffer.alloc(0), ...options } = {}) => {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {}); // a reset is an end like any other
  if (after) {
    socket.write(`GET /no-such-page HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`);
    for (let page = Buffer.alloc(0); parseAnswer(page)?.complete !== true; ) page = Buffer.concat([page, (await once(socket, 'data'))[0]]);
  }
  const request = upgradeRequest(port, options);
  if (inBits) {
    socket.write(request.slice(0, 50));
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.write(request.slice(50));
  } else {
    socket.write(Buffer.concat([Buffer.from(request), behind]));
  }
  let bytes = Buffer.alloc(0);
  const frames = [];
  const waiting = [];
  let isOpen = false;
  const opened = {};
  opened.promise = new Promise((resolve, reject) => Object.assign(opened, { resolve, reject }));
  const ended = once(socket, 'close');
  ended.then(() => {
    opened.reject(new Error('the connection ended before the upgrade'));
    for (const { resolve } of waiting.splice(0)) resolve(undefined);
  });
  opened.promise.catch(() => {});
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (!isOpen) {
      const answer = parseAnswer(bytes);
      if (answer === undefined) return;
      const key = request.match(/Sec-WebSocket-Key: (.*)\r\n/)[1];
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      if (answer.status !== 101 || answer.headers['sec-websocket-accept'] !== accept) return opened.reject(new Error(`answered ${answer.status}`));
      isOpen = true;
      bytes = answer.rest;
      opened.resolve();
    }
    for (let frame = takeFrame(); frame !== undefined; frame = takeFrame()) {
      const next = waiting.shift();
      if (next !== undefined) next.resolve(frame);
      else frames.push(frame);
    }
  });
  const takeFrame = () => {
    if (bytes.length < 2) return undefined;
    let at = 2;
    let length = bytes[1] & 0x7f;
    if (length === 126) {
      if (bytes.length < 4) return undefined;
      length = bytes.readUInt16BE(2);
      at = 4;
    } else if (length === 127) {
      if (bytes.length < 10) return undefined;
      length = Number(bytes.readBigUInt64BE(2));
      at = 10;
    }
    if (bytes.length < at + length) return undefined;
    const frame = { opcode: bytes[0] & 15, fin: (bytes[0] & 0x80) !== 0, masked: (bytes[1] & 0x80) !== 0, payload: bytes.subarray(at, at + length) };
    if (frame.opcode === OPCODES.close && length >= 2) frame.code = frame.payload.readUInt16BE(0);
    bytes = bytes.subarray(at + length);
    return frame;
  };
  await opened.promise;
  return {
    socket,
    ended,
    send: (...buffers) => socket.write(Buffer.concat(buffers)),
    /** The next frame, or undefined when the connection has ended. */
    next: () => {
      if (frames.length > 0) return Promise.resolve(frames.shift());
      if (socket.destroyed) return Promise.resolve(undefined);
      return new Promise((resolve) => waiting.push({ resolve }));
    },
    destroy: () => socket.destroy(),
  };
};
