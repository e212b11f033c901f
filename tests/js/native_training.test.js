// The tutorials with native workers over TCP (parity S6, S17): two processes train, from PyTorch's weights, as PyTorch does.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findTutorial, runTutorial } from '../../web/demos/tutorials.js';
import { SocketWorker, TorchHook, numTensors } from '../../web/node.js';
import { nativeBinaries, startNative } from './native.js';
import { assertClose, bostonTable, trainBoston } from './torch_training.js';

const hook = new TorchHook({ localWorker: new SocketWorker({ id: 'me' }) });
after(() => hook.localWorker.close());

for (const binary of nativeBinaries()) {
  describe(`two native workers (${binary.name})`, { timeout: 120_000 }, () => {
    test("S6, S17: Boston housing follows PyTorch's training at every batch, parameters going from worker to worker", async (t) => {
      const start = async (id, ...options) => {
        const process = await startNative(['worker', '--id', id, '--listen', 'tcp://127.0.0.1:0', ...options], { binary: binary.path });
        t.after(() => process.stop());
        return process;
      };
      const bobs = await start('bob');
      const alices = await start('alice', '--connect', bobs.url);
      const [bob, alice] = [['bob', bobs], ['alice', alices]].map(([id, { url }]) => new SocketWorker({ hook, id, url, isPointer: true }));
      await Promise.all([bob.ready, alice.ready]);
      const before = numTensors();
      const expected = trainBoston();
      const { losses, testMse } = await runTutorial(findTutorial('boston'), { hook, workers: { bob, alice }, print: () => {}, table: bostonTable(), initial: expected.initial });
      assert.equal(losses.length, 510);
      assertClose(losses, expected.losses, 1e-4);
      assertClose([testMse], [expected.testMse], 1e-4);
      assert.equal(numTensors(), before);
      for (const worker of [bob, alice]) {
        // Who gave a parameter away lets go of it when the receiver has said that it is there: that may be on its way still.
        while ((await worker.whoami()).objects > 0);
        await worker.close();
      }
    });
  });
}

test('npm run example -- NAME --native: starts the workers, runs, and ends them', async () => {
  const run = fileURLToPath(new URL('../../web/demos/run.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [run, 'advanced', '--native']);
  assert.match(stdout, /bob, alice and james hold 0, 0, 0: everything is back/);
});

