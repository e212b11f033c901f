// Gradients in real tabs (parity S17): of a page's own tensors, and of tensors in another tab.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openHouse } from './tabs.js';

describe('gradients between two tabs', { timeout: 120_000 }, () => {
  test('S17: backward runs in the tab that has the data; send and get keep data and gradient together', async (t) => {
    const house = await openHouse(t);
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    const me = await house.tab('worker.html?id=me');
    await me.connected();
    const seen = await me.page.evaluate(async () => {
      const { TorchHook, tensor, tidy, torch } = await import('./core/tabtensor.js');
      const hook = new TorchHook();
      const there = await hook.localWorker.waitFor('bob');
      const grads = [];
      // Here, at the page's own worker.
      const x = tensor([1, 2, 3], { requires_grad: true });
      const before = x.grad;
      tidy(() => x.mul(x).sum().backward());
      grads.push(await x.grad.array());
      const text = await x.text();
      // There; what is sent takes its gradient along.
      x.send(there);
      await x.ready();
      const isLeaf = [x.requires_grad, x.is_leaf, x.grad.isPointer];
      tidy(() => x.sum().backward());
      grads.push(await x.grad.array());
      torch.no_grad(() => tidy(() => x.sub_(x.grad)));
      await x.get();
      grads.push(await x.array(), await x.grad.array());
      // And here again.
      x.grad = null;
      tidy(() => x.mul(2).sum().backward());
      grads.push(await x.grad.array());
      let refused = '';
      try {
        x.add_(1);
      } catch (error) {
        refused = error.message;
      }
      const { objects } = await there.whoami();
      return { before, grads, text, isLeaf, refused, objects };
    });
    assert.equal(seen.before, null);
    assert.deepEqual(seen.grads, [[2, 4, 6], [3, 5, 7], [-2, -3, -4], [3, 5, 7], [2, 2, 2]]);
    assert.equal(seen.text, 'tensor([1., 2., 3.], requires_grad=True)');
    assert.deepEqual(seen.isLeaf, [true, true, true]);
    assert.match(seen.refused, /a leaf Variable that requires grad is being used in an in-place operation/);
  });
});
