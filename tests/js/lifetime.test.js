// What is let go of, and when: dispose, using, tidy, and the backstop.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { TensorError, VirtualWorker, numTensors, tensor, tidy, torch } from '../../web/tabtensor.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/** Collects garbage until no more than n tensors are held. */
async function collectDownTo(n) {
  for (let turn = 0; turn < 1000 && numTensors() > n; turn++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return numTensors();
}
// What one test leaves to the garbage must not go while the next one counts.
beforeEach(() => collectDownTo(0));

const isDisposedError = (error) => error instanceof TensorError && error.code === 'state' && /disposed/.test(error.message);

test('dispose lets go, again is harmless, and use after it says so', async () => {
  const before = numTensors();
  const x = tensor([1, 2]);
  assert.equal(numTensors(), before + 1);
  x.dispose();
  x.dispose();
  assert.equal(numTensors(), before);
  assert.equal(x.isDisposed, true);
  assert.equal(String(x), '[disposed tensor]');
  assert.throws(() => x.shape, isDisposedError);
  assert.throws(() => x.add(1), isDisposedError);
  assert.throws(() => tensor([1]).add(x), isDisposedError);
  assert.throws(() => torch.cat([x]), isDisposedError);
  assert.throws(() => x.send('bob'), isDisposedError);
  await assert.rejects(x.data(), isDisposedError);
  await assert.rejects(x.get(), isDisposedError);
});

test('a tensor is what `using` takes', () => {
  const x = tensor([1]);
  x[Symbol.dispose]();
  assert.equal(x.isDisposed, true);
});

test('disposing of a tensor leaves its views', async () => {
  const x = tensor([
    [1, 2],
    [3, 4],
  ]);
  const row = x.select(0, 1);
  x.dispose();
  assert.deepEqual(await row.array(), [3, 4]);
});

test('what is dropped without a word goes in the end, however many that are', async () => {
  const x = tensor([1, 2]);
  const before = numTensors();
  (() => {
    for (let i = 0; i < 3000; i++) x.add(i);
  })();
  assert.equal(numTensors(), before + 3000, 'nothing goes within a turn');
  assert.equal(await collectDownTo(before), before);
  assert.deepEqual(await x.array(), [1, 2]);
  x.dispose();
});

test('a tidy that goes on frees what is left of it, and only that', async () => {
  const before = numTensors();
  const outer = tensor([1]);
  const kept = await tidy(async (scope) => {
    const x = scope.track(tensor([2]));
    for (let i = 0; i < 500; i++) {
      const sum = x.add(i);
      if (i % 5 !== 0) sum.dispose();
      if (i % 50 === 0) await null;
    }
    scope.track(outer);
    scope.track(outer);
    return [x.add(1), outer];
  });
  assert.equal(numTensors(), before + 2);
  assert.deepEqual(await kept[0].array(), [3]);
  assert.equal(outer.isDisposed, false);
  kept[0].dispose();
  outer.dispose();
});

test('tidy frees what is made and not returned', async () => {
  const before = numTensors();
  const x = tensor([1, 2, 3]);
  const kept = tidy(() => {
    const y = x.add(1);
    const z = y.mul(y);
    return { sums: [z.sum()], plain: 3, nested: new Map([['y', y]]) };
  });
  assert.equal(kept.plain, 3);
  assert.equal(await kept.sums[0].item(), 29);
  assert.deepEqual(await kept.nested.get('y').array(), [2, 3, 4]);
  assert.equal(numTensors(), before + 3);
  assert.equal(x.isDisposed, false);
  kept.sums[0].dispose();
  kept.nested.get('y').dispose();
  x.dispose();
});

test("tidy within tidy: what the inner one returns is the outer one's", () => {
  const before = numTensors();
  tidy(() => {
    const inner = tidy(() => tensor([1]).add(1));
    assert.equal(inner.isDisposed, false);
  });
  assert.equal(numTensors(), before);
});

test('tidy frees when its function throws', () => {
  const before = numTensors();
  assert.throws(() => {
    tidy(() => {
      tensor([1]).add(tensor([2]));
      throw new Error('mine');
    });
  }, /mine/);
  assert.equal(numTensors(), before);
});

test('an async tidy frees what derives from its tensors after an await too, and nothing of others', async () => {
  const before = numTensors();
  const others = [];
  const mine = tidy(async (scope) => {
    const x = tensor([1, 2]);
    const first = await x.sum().item();
    assert.equal(others[0].isDisposed, false);
    const y = x.add(first);
    const fresh = scope.track(tensor([1]));
    return y.add(fresh);
  });
  others.push(tensor([5]));
  const kept = await mine;
  assert.deepEqual(await kept.array(), [5, 6]);
  assert.equal(others[0].isDisposed, false);
  assert.equal(numTensors(), before + 2);
  kept.dispose();
  others[0].dispose();
  await assert.rejects(
    tidy(async () => {
      tensor([1]);
      await null;
      throw new Error('later');
    }),
    /later/,
  );
  assert.equal(numTensors(), before);
});

test('disposing of a pointer frees the object over there; what search found is only borrowed', async () => {
  const bob = new VirtualWorker({ id: 'lifetime-bob' });
  const x = tensor([1, 2]).send(bob, { tags: ['#x'], policy: 'open' });
  await x.ready();
  assert.equal((await bob.list()).length, 1);
  const y = x.add(1);
  await y.ready();
  assert.equal((await bob.list()).length, 2);
  y.dispose();
  assert.equal((await bob.list()).length, 1);
  const [found] = await bob.search('#x');
  found.dispose();
  assert.equal((await bob.list()).length, 1);
  x.dispose();
  assert.equal((await bob.list()).length, 0);
  await bob.close();
});

test('what was sent, made there and got leaves nothing behind, on either side', async () => {
  const bob = new VirtualWorker({ id: 'lifetime-carl' });
  const x = tensor([1, 2, 3]).send(bob);
  const y = x.add(1);
  await y.get();
  x.dispose();
  y.dispose();
  assert.deepEqual(await bob.list(), []);
  assert.equal(numTensors(), 0);
  await bob.close();
});

test('what nobody disposes of goes with the garbage', async () => {
  (() => {
    for (let i = 0; i < 100; i++) tensor([i]);
  })();
  assert.equal(numTensors(), 100);
  assert.equal(await collectDownTo(0), 0);
});
