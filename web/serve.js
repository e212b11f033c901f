/**
 * The thread's side of a page's worker: makes the worker and does what the page asks. page.js describes the messages.
 */
import { openPort } from './core.js';
import { TensorError } from './errors.js';
import { set_num_threads } from './threads.js';
import { BaseWorker, VirtualWorker, WebSocketWorker } from './workers.js';

const FORWARDED = ['connected', 'disconnected', 'joined', 'left', 'failure', 'error', 'refused', 'skipped', 'warning'];
/** A socket's last bytes leave before its thread ends. */
const LINGER_MS = 1000;

/** Serves the page at the other end of `channel` (a DedicatedWorkerGlobalScope). */
export function serve(channel) {
  let worker;
  let host;
  let port;
  let page;
  let events = [];
  const calls = new Map();

  function forward({ type, detail }) {
    // The page is no worker that it should hear of.
    if (detail.worker === page || (detail.peer === page && (type === 'connected' || type === 'disconnected'))) return;
    if (events.length === 0) {
      queueMicrotask(() => {
        channel.postMessage({ events });
        events = [];
      });
    }
    events.push({ type, detail: detail.error instanceof TensorError ? { ...detail, error: detail.error.toWire() } : detail });
  }

  /** What a tensor of another worker is to the page: an entry of this store, so that the page can name it. */
  async function entryFor(tensor, id) {
    const here = await host.setObj(tensor, { id });
    const { idAtLocation, dtype, shape, tags, description } = tensor;
    tensor.dispose();
    return { here, id: idAtLocation, dtype, shape, tags, description };
  }

  /** The tensor of that id in this store, for as long as `use` takes. */
  async function withTensor(id, use) {
    const tensor = await host.getObj(id);
    try {
      return await use(tensor);
    } finally {
      tensor.dispose();
    }
  }

  const methods = {
    thread: {
      async start(_, { id, url, pageId, limits }) {
        page = pageId;
        worker = new WebSocketWorker({ id, url, ...limits });
        host = BaseWorker.hostOf(worker);
        for (const type of FORWARDED) worker.addEventListener(type, forward);
        port = openPort(host.handle, {
          post: (frame) => channel.postMessage(frame, [frame]),
          controller: true,
          expected: pageId,
        });
        await worker.ready;
      },
      async setNumThreads(_, n) {
        set_num_threads(n);
      },
      async listen(_, type) {
        worker.addEventListener(type, forward);
      },
      async attach(_, { id, url }) {
        await worker.addWorker(new WebSocketWorker({ id, url, isPointer: true })).ready;
      },
      async virtual(_, { id, limits }) {
        worker.addWorker(new VirtualWorker({ id, isLocal: true, ...limits }));
      },
      async disconnect(_, id) {
        await worker.getWorker(id).close();
      },
      async close() {
        await worker.close();
        setTimeout(() => channel.close(), LINGER_MS);
      },
    },
    worker: {
      whoami: () => host.whoami(),
      counters: () => host.counters(),
      list: (_, terms) => host.list(terms),
      setObj: (_, id, options) => withTensor(id, (tensor) => host.setObj(tensor, options)),
      rmObj: (_, id) => host.rmObj(id),
      seed: async (_, value) => host.seed(value),
    },
    peer: {
      whoami: (options, peer) => worker.getWorker(peer).whoami(options),
      list: (options, peer) => worker.getWorker(peer).list(options),
      search: async (options, peer, terms) => Promise.all((await host.peerSearch(peer, terms, options)).map((tensor) => entryFor(tensor))),
      getObj: async (options, peer, id) => entryFor(await host.peerGetObj(peer, id, options)),
      createPointer: (_, peer, object, here) => entryFor(host.createPointer(peer, object), here),
      rmObj: (options, peer, id) => worker.getWorker(peer).rmObj(id, options),
    },
  };

  async function run({ call, on, method, args }) {
    const giveUp = new AbortController();
    calls.set(call, giveUp);
    try {
      const value = await methods[on][method]({ signal: giveUp.signal }, ...args);
      const buffer = value?.data?.buffer;
      channel.postMessage({ answer: call, value }, buffer instanceof ArrayBuffer ? [buffer] : []);
    } catch (error) {
      const known = error instanceof TensorError ? error : new TensorError(String(error), { code: 'state' });
      channel.postMessage({ answer: call, error: known.toWire() });
    } finally {
      calls.delete(call);
    }
  }

  return (message) => {
    if (message instanceof ArrayBuffer) port.receive(message);
    else if (message.abort !== undefined) calls.get(message.abort)?.abort();
    else run(message);
  };
}
