/**
 * SocketWorker: workers over byte streams: TCP, TLS and Unix sockets. Node only; pages never load this (see node.js).
 *
 * A socket carries the frames of PROTOCOL.md one after the other. Here they are cut out of the stream and handed to the core
 * whole, through a message port (core.js, openPort); the core does the rest, as over any other transport.
 */
import { Buffer } from 'node:buffer';
import { connect as connectPlain, createServer as createPlainServer } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { TensorError } from './errors.js';
import { ThreadHost } from './host.js';
import { checkOptions, describe } from './options.js';
import { BaseWorker, CONNECT, INTERNAL, checkHook } from './workers.js';

// PROTOCOL.md: the prelude.
const MAGIC = 0x5454;
const VERSION = 1;
const PEEK_BYTES = 12;
const LEAST_FRAME_BYTES = 40;
const MOST_FRAME_BYTES = 262144;

const KEEP_ALIVE_MS = 25_000;
const HELLO_MS = 10_000;
const MOST_QUEUED_BYTES = 16 << 20;
const MOST_CONNECTIONS = 1000;

/** Cuts a byte stream into frames. */
class FrameReader {
  #pieces = [];
  #nBytes = 0;
  #wanted = PEEK_BYTES;
  #isMeasured = false;
  /** Where frames begin is not known any more: what came has been handed on as it was, for the core to answer. */
  isLost = false;

  /** Hands each frame that `chunk` completes to `take`. */
  read(chunk, take) {
    this.#pieces.push(chunk);
    this.#nBytes += chunk.length;
    while (!this.isLost && this.#nBytes >= this.#wanted) {
      const bytes = this.#pieces.length === 1 ? this.#pieces[0] : Buffer.concat(this.#pieces, this.#nBytes);
      this.#pieces = [bytes];
      if (!this.#isMeasured) {
        this.#wanted = bytes.readUInt32LE(8);
        this.#isMeasured = true;
        const isSound =
          bytes.readUInt16LE(0) === MAGIC && bytes[2] === VERSION && this.#wanted >= LEAST_FRAME_BYTES && this.#wanted <= MOST_FRAME_BYTES;
        if (!isSound) {
          this.isLost = true;
          take(bytes);
        }
        continue;
      }
      const rest = bytes.subarray(this.#wanted);
      const frame = bytes.subarray(0, this.#wanted);
      this.#pieces = rest.length === 0 ? [] : [rest];
      this.#nBytes = rest.length;
      this.#wanted = PEEK_BYTES;
      this.#isMeasured = false;
      take(frame);
    }
  }

  get isBetweenFrames() {
    return this.#nBytes === 0;
  }
}

/** Puts a socket at a host's disposal; answers what settles when the other end has said HELLO. */
function attachSocket(host, socket, { url, isConnecting, expected, standsFor }) {
  const reader = new FrameReader();
  let reason;
  let hello;
  const end = (why) => {
    reason ??= why;
    port.lost(reason);
    socket.destroy();
  };
  const port = host.attach({
    url,
    expected,
    standsFor,
    initiates: isConnecting,
    post(frame) {
      if (socket.destroyed || socket.writableEnded) return;
      if (socket.writableLength > MOST_QUEUED_BYTES) {
        reason ??= 'too much waits for it: it does not read what it is sent';
        socket.destroy();
      } else {
        socket.write(new Uint8Array(frame));
      }
    },
    closed: () => socket.end(),
    end,
  });
  port.opened.catch(() => {}); // who asked is told; of one that somebody else opened the host tells
  if (!isConnecting) {
    hello = setTimeout(() => end('it has not said HELLO'), HELLO_MS);
    hello.unref();
  }
  socket.setNoDelay?.(true);
  socket.setKeepAlive?.(true, KEEP_ALIVE_MS);
  socket.on('data', (chunk) => {
    reader.read(chunk, (frame) => {
      clearTimeout(hello);
      port.receive(frame);
    });
    if (reader.isLost) socket.end();
  });
  socket.on('error', (error) => (reason ??= whyOf(error, url)));
  socket.on('close', () => {
    clearTimeout(hello);
    port.lost(reason ?? (reader.isBetweenFrames ? 'the connection was closed' : 'the other end hung up in the middle of a frame'));
  });
  return port.opened;
}

/** What Node says of a socket, as a sentence. */
function whyOf(error, url) {
  if (error.code === 'ECONNREFUSED') return `cannot connect to ${url}: nobody listens there`;
  if (/certificate required/i.test(error.message))
    return `${url}: who connects there has to show a certificate: give tls: { cert, key }`;
  if (error.code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `the server's certificate is made out to another name: ${error.reason}`;
  const isTrust = /CERT|SELF_SIGNED|UNABLE_TO/.test(error.code ?? '') && !error.code.startsWith('ERR_SSL');
  return isTrust ? `the server's certificate is not trusted: ${error.message}` : `${url}: ${error.message.trim()}`;
}

const fail = (message) => {
  throw new TensorError(`SocketWorker: ${message}`, { code: 'argument' });
};

/** { host, port } or { path }, and the options of TLS or undefined; undefined when there is no address. */
function addressOf({ url, host, port, path, tls }) {
  if (url !== undefined) {
    if (host !== undefined || port !== undefined || path !== undefined) fail('give either url, or host and port, or path');
    const [, scheme, rest] = /^(tcp|tls|unix):(.+)$/.exec(String(url)) ?? fail(`'${url}' is no address: write tcp://host:port, tls://host:port or unix:/path`);
    if (scheme === 'unix') return addressOf({ path: rest.replace(/^\/\//, '') });
    const [, named, number] = /^\/\/(\[[^\]]+\]|[^:/]+):(\d+)\/?$/.exec(rest) ?? fail(`'${url}' is no address: write ${scheme}://host:port`);
    if (scheme === 'tcp' && tls) fail('tcp:// has no TLS; write tls://');
    return addressOf({ host: named.replace(/^\[|\]$/g, ''), port: Number(number), tls: scheme === 'tls' ? (tls ?? true) : undefined });
  }
  if (tls !== undefined && typeof tls !== 'boolean' && (typeof tls !== 'object' || tls === null)) fail(`tls is true or an object { ca, cert, key, servername }, not ${describe(tls)}`);
  if (path !== undefined) {
    if (typeof path !== 'string' || path === '') fail(`path is the path of a socket, not ${describe(path)}`);
    if (port !== undefined || tls) fail('a path has neither port nor tls');
    return { at: { path }, url: `unix:${path}` };
  }
  if (port === undefined) {
    if (host !== undefined || tls !== undefined) fail('an address needs a port, or a path');
    return undefined;
  }
  if (!Number.isInteger(port) || port < 0 || port > 65535) fail(`port is a whole number up to 65535, not ${describe(port)}`);
  const at = { host: host ?? '127.0.0.1', port };
  const isEncrypted = tls !== undefined && tls !== false;
  const urlOf = (number, name = at.host) => `${isEncrypted ? 'tls' : 'tcp'}://${name.includes(':') ? `[${name}]` : name}:${number}`;
  return { at, urlOf, url: urlOf(port), tls: isEncrypted ? { minVersion: 'TLSv1.2', ...(tls === true ? {} : tls) } : undefined };
}

/**
 * A worker that is reached over TCP, TLS or a Unix socket.
 *
 * Without `isPointer` it is a local one: with a port or a path it listens there (port 0: any free one; `ready` tells when, and
 * `url` where), else it is attached to nobody yet. With `isPointer` it stands for a worker that listens at that address; with
 * `hook` it is attached at once, else by addWorker.
 *
 *     const server = new SocketWorker({ id: 2, port: 8181 });
 *     const remote = new SocketWorker({ hook, id: 2, port: 8181, isPointer: true });
 *     const far = new SocketWorker({ hook, id: 'far', host: 'lab.example', port: 7443, tls: { ca }, isPointer: true });
 */
export class SocketWorker extends BaseWorker {
  url;
  #address;
  #server;
  #sockets = new Set();

  constructor(options) {
    const names = ['id', 'url', 'host', 'port', 'path', 'tls', 'isPointer', 'listen', 'hook', 'maxStoreBytes', 'maxObjects'];
    checkOptions('SocketWorker', options, names);
    const { id, isPointer = false, hook, listen, maxStoreBytes, maxObjects, [INTERNAL]: knownBy } = options ?? {};
    checkHook('SocketWorker', hook);
    super(id);
    if (knownBy !== undefined) {
      this[INTERNAL]({ knownBy });
      return;
    }
    this.#address = addressOf(options);
    this.url = this.#address?.url;
    if (isPointer) {
      if (listen) fail('a pointer stands for a worker that listens elsewhere: give isPointer or listen');
      if (this.#address === undefined) fail(`a pointer to ${this.id} needs its address: { port: 8181 } or { path: '/run/x.sock' }`);
      if (this.#address.at.port === 0) fail('port 0 is for listening');
      hook?.localWorker.addWorker(this);
      return;
    }
    if (listen && this.#address === undefined) fail('to listen it needs a port (0: any free one) or a path');
    if (listen === false && this.#address !== undefined) fail('an address that is not listened at is what isPointer is for');
    const makeKnown = (other) => new SocketWorker({ id: other, [INTERNAL]: BaseWorker.hostOf(this) });
    const host = new ThreadHost(this, { id: this.id, kind: 'node', makeKnown, limits: { maxStoreBytes, maxObjects } });
    this[INTERNAL]({ host });
    if (this.#address === undefined) return;
    try {
      this.ready = this.#listen(host);
    } catch (error) {
      host.close();
      throw error;
    }
    this.ready.catch(() => {});
  }

  [CONNECT](host) {
    const { at, url, tls } = this.#address;
    let socket;
    try {
      socket = tls === undefined ? connectPlain(at) : connectTls({ ...at, ...tls });
    } catch (error) {
      fail(error.message); // what Node says of certificates and keys
    }
    return attachSocket(host, socket, { url, isConnecting: true, expected: this.id, standsFor: this });
  }

  #listen(host) {
    const { at, urlOf, tls } = this.#address;
    const accept = (socket) => {
      attachSocket(host, socket, { url: this.url, isConnecting: false });
    };
    try {
      this.#server = tls === undefined ? createPlainServer(accept) : createTlsServer({ handshakeTimeout: HELLO_MS, ...tls }, accept);
    } catch (error) {
      fail(error.message);
    }
    this.#server.maxConnections = MOST_CONNECTIONS;
    // Those in TLS's handshake among them.
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('tlsClientError', (_, socket) => socket.destroy());
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(new TensorError(`${this.id} cannot listen at ${this.url}: ${error.message}`, { code: 'system', worker: this.id })),
      );
      this.#server.listen(at, () => {
        const { port, address } = this.#server.address();
        if (urlOf !== undefined) this.url = urlOf(port, address);
        this.#server.on('error', (error) => this.tell('warning', { message: error.message }));
        resolve();
      });
    });
  }

  /** The port that it really listens at; undefined for other workers. */
  get port() {
    return this.#server?.address()?.port;
  }

  /** Says goodbye to all, and listens no more. For a pointer: ends the connection. */
  async close() {
    const server = this.#server;
    this.#server = undefined;
    const ended = server?.listening ? new Promise((resolve) => server.close(resolve)) : undefined;
    await super.close();
    const late = setTimeout(() => this.#sockets.forEach((socket) => socket.destroy()), 5000); // who does not hang up
    await ended;
    clearTimeout(late);
  }
}
