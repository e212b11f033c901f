// A worker in a process of its own, for tests: attaches to the relay at URL as ID, registers some data, and tells what happens
// to it.
//     node node_worker.js ID URL
import { WebSocketWorker, tensor } from '../../web/tabtensor.js';

const [id, url] = process.argv.slice(2);
const worker = new WebSocketWorker({ id, url });
for (const type of ['object', 'command', 'failure', 'joined', 'left', 'disconnected']) {
  worker.addEventListener(type, ({ detail, error }) => process.send({ type, detail: { ...detail, error: error?.toWire() } }));
}
await worker.ready;
await worker.setObj(
  tensor([
    [1, 2],
    [3, 4],
  ]),
  { id: 100, tags: ['#open'], policy: 'open' },
);
await worker.setObj(
  tensor([
    [1, 2],
    [3, 4],
  ]),
  { id: 200, tags: ['#compute'], policy: 'compute' },
);
await worker.setObj(
  tensor([
    [1, 2],
    [3, 4],
  ]),
  { id: 300, tags: ['#closed'], policy: 'closed' },
);
process.on('message', async ({ ask }) => {
  if (ask === 'list') process.send({ type: 'listed', detail: await worker.list() });
  if (ask === 'stop') {
    await worker.close();
    process.disconnect();
  }
});
process.send({ type: 'ready' });
