/** A relay for the tour, as far as workers that agree with each other need one (src/wire/PROTOCOL.md): the real one is native, and may not be built here. */
import { once } from 'node:events';
import { WebSocketServer } from 'ws';
import { decodeFrame, encodeFrame, encodeWorkers, Writer } from '../../tests/js/wire.js';

const name = (id) => new Writer().name(id).done();

/** { url, stop } */
export async function startRelay() {
  const sockets = new Map();
  const server = new WebSocketServer({ port: 0, host: 'localhost', perMessageDeflate: false });
  const frame = (type, payload) => encodeFrame({ type }, payload);
  server.on('connection', (socket) => {
    let own;
    socket.on('message', (bytes) => {
      const { prelude } = decodeFrame(new Uint8Array(bytes));
      if (own === undefined) {
        own = prelude.source;
        socket.send(frame('WELCOME', encodeWorkers([...sockets.keys()])));
        for (const other of sockets.values()) other.send(frame('JOINED', name(own)));
        sockets.set(own, socket);
      } else {
        sockets.get(prelude.destination)?.send(bytes);
      }
    });
    socket.on('close', () => {
      sockets.delete(own);
      for (const other of sockets.values()) other.send(frame('LEFT', name(own)));
    });
  });
  await once(server, 'listening');
  return {
    url: `ws://localhost:${server.address().port}`,
    stop() {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}
