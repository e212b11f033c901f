// NumPy's face and files in a page: arrays live at the page's worker, in a thread of its own.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { becomePage, threads } from './page_in_node.js';

becomePage('http://localhost:1');
const { TorchHook, WebSocketWorker, loadSafetensors, np, saveSafetensors, torch } = await import('../../web/tabtensor.js');

const me = new WebSocketWorker({ id: 'me', url: null });
for (const thread of threads) thread.hold();
new TorchHook({ localWorker: me });
after(() => me.close());
await me.ready;

test('S12: what np makes in a page is made at its worker', async () => {
  for (const a of [np.array([1, 2, 3]), np.arange(1, 4, { dtype: 'float64' }), np.linspace(1, 3, 3)]) {
    assert.ok(!a.isPointer);
    assert.match(String(a), /^\[numpy\.ndarray of shape \(3,\) at me: await text\(\) for its values\]$/);
    assert.equal(await a.text(), '[1. 2. 3.]');
    assert.deepEqual(await np.divide(1, a).tolist(), [1, 1 / 2, 1 / 3]);
    assert.equal(await a.sum().item(), 6);
  }
  assert.deepEqual((await np.random.rand(2, 2).elements()).shape, [2, 2]);
});

test('files of a page are bytes', async () => {
  const a = np.arange(4).reshape(2, 2);
  assert.deepEqual(await (await np.load(await np.save(a))).tolist(), [[0, 1], [2, 3]]);
  const { x } = await np.load(await np.savez_compressed({ x: a }));
  assert.deepEqual(await x.tolist(), [[0, 1], [2, 3]]);
  const { tensors } = await loadSafetensors(await saveSafetensors({ w: torch.ones(2) }));
  assert.deepEqual(await tensors.w.array(), [1, 1]);
});
