/** 'tabtensor/node': all of 'tabtensor', and the workers that only Node can have. */
import { BaseWorker, Id, StoreLimits, TorchHook } from './index.js';

export * from './index.js';

/** What node:tls takes; PEM. A pointer checks the server's certificate and its name. */
export interface SocketTls {
  /** Whose signatures count; those that Node trusts when left out. */
  ca?: string | Uint8Array | (string | Uint8Array)[];
  cert?: string | Uint8Array;
  key?: string | Uint8Array;
  /** The name that must be in the server's certificate, when it is not the host. */
  servername?: string;
  /** Listening: who shows no certificate that `ca` has signed is turned away. */
  requestCert?: boolean;
}

/** A worker over TCP, TLS or a Unix socket: a local one (that listens, with a port or a path), or (isPointer) one elsewhere. */
export class SocketWorker extends BaseWorker {
  constructor(
    options: {
      id: Id;
      /** "tcp://host:port", "tls://host:port" or "unix:/path", in place of the next four. */
      url?: string;
      /** 127.0.0.1 when left out. */
      host?: string;
      /** Listening, 0 is any free one. */
      port?: number;
      path?: string;
      tls?: boolean | SocketTls;
      isPointer?: boolean;
      /** Without isPointer: true where there is a port or a path. */
      listen?: boolean;
      hook?: TorchHook;
    } & StoreLimits,
  );
  /** Where it is, or listens. */
  readonly url: string | undefined;
  /** The port that it listens at. */
  readonly port: number | undefined;
}
