// A kind that a page registers (parity S2): the page's own core runs its methods over pointers to the page's worker and to another tab's.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openHouse } from './tabs.js';

describe('a kind of a page', { timeout: 120_000 }, () => {
  test('S2: overrides one op and inherits the rest, on tensors of the page and on pointers to another tab', async (t) => {
    const house = await openHouse(t);
    const bob = await house.tab('worker.html?id=bob');
    await bob.connected();
    const me = await house.tab('two_tabs.html?id=me');
    await me.text('#bob-state', 'bob is here');
    const seen = await me.page.evaluate(async () => {
      const { TensorError, TensorKind, TorchHook, numTensors, tensor, tidy } = await import('./core/tabtensor.js');
      class Doubling extends TensorKind {
        static name = '_DoublingTensor';
        static rank = 400;

        add(self, other, options) {
          return self.add(other, options).mul(2);
        }

        exp() {
          throw new RangeError('not offered');
        }
      }
      const hook = new TorchHook();
      hook.registerKind(Doubling);
      const before = numTensors();
      const found = await tidy(async (scope) => {
        const x = Doubling.wrap(tensor([1, 2, 3]));
        const there = tensor([1, 2, 3]).send('bob').wrap(Doubling);
        const [y, sum] = [there.add(1), x.add(x)];
        let failure;
        try {
          x.exp();
        } catch (error) {
          failure = `${error instanceof TensorError} ${error.message} ${error.cause?.name}`;
        }
        const answer = {
          here: [x.chainPrint(), await sum.array(), await x.mul(3).array(), await x.add_(1).array()],
          there: [y.chainPrint().replace(/\d+\)/, '17)'), y.isPointer, await y.array(), await y.sum().item()],
          failure,
        };
        // What is below the kinds of a page's tensor is at its worker, so they stay with the page wherever it goes.
        const sent = scope.track(Doubling.wrap(tensor([5])).send('bob'));
        await sent.ready();
        answer.sent = [sent.chainPrint().replace(/\d+\)/, '17)'), await sent.add(1).item()];
        await sent.get();
        answer.back = [sent.chainPrint(), await sent.add(1).item(), String(sent)];
        for (const made of [x, there, y, sum, sent]) made.dispose();
        return answer;
      });
      return { ...found, left: numTensors() - before };
    });
    assert.deepEqual(seen.here, ['FloatTensor > _DoublingTensor > _LocalTensor', [4, 8, 12], [3, 6, 9], [2, 3, 4]]);
    assert.deepEqual(seen.there, ['FloatTensor > _DoublingTensor > _PointerTensor(bob, 17)', true, [4, 6, 8], 18]);
    assert.deepEqual(seen.sent, ['FloatTensor > _DoublingTensor > _PointerTensor(bob, 17)', 12]);
    assert.deepEqual(seen.back, ['FloatTensor > _DoublingTensor > _LocalTensor', 12, 'tensor([5.])']);
    assert.equal(seen.failure, 'true _DoublingTensor: RangeError: not offered RangeError');
    assert.equal(seen.left, 0);
    // What bob was asked to do is what the kind makes of an add.
    await bob.find('#log > li', { hasText: 'add(' }).first().waitFor();
    await bob.find('#log > li', { hasText: 'mul(' }).first().waitFor();
  });
});
