// The peer of our relay: one of the same shape on npm's `ws`. It registers who says HELLO and hands every other frame to the worker that its prelude names.
// It prints the line that ours prints when it is ready.
import { WebSocketServer } from 'ws';

const [TYPE, SOURCE_BYTES, DESTINATION_BYTES, IDS] = [3, 6, 7, 40]; // where they stand: src/wire/PROTOCOL.md, "The prelude"
const [HELLO, WELCOME] = [1, 2];

const welcome = Buffer.alloc(IDS);
welcome.set([0x54, 0x54, 1, WELCOME]);
welcome.writeUInt32LE(IDS, 8);

const workers = new Map();
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false, maxPayload: 262_144 });

server.on('connection', (socket) => {
  let id;
  socket.on('message', (frame) => {
    const destination = IDS + frame[SOURCE_BYTES];
    if (id !== undefined) {
      workers.get(frame.latin1Slice(destination, destination + frame[DESTINATION_BYTES]))?.send(frame);
    } else if (frame[TYPE] === HELLO) {
      id = frame.latin1Slice(IDS, destination);
      workers.set(id, socket);
      socket.send(welcome);
    }
  });
  socket.on('close', () => workers.delete(id));
});
server.on('listening', () => console.log(`ws relay ready at http://localhost:${server.address().port}/`));
