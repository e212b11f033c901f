// Parity S1 and S2: kinds in the chain, the core's own and those written in JavaScript, and functions that the core calls from within ops.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { startNative } from './native.js';
import { openPort } from '../../web/core.js';
import { BaseWorker, LogTensor, PlusIsMinusTensor, TensorKind, TorchHook, VirtualWorker, WebSocketWorker, numTensors, tensor, tidy, torch } from '../../web/tabtensor.js';
import { failure } from './failures.js';

const hook = new TorchHook();

/** Ranks are taken once and for all: each test's kinds take the next. */
let rank = 400;
const nextRank = () => rank++;

class Doubling extends TensorKind {
  static name = '_DoublingTensor';
  static rank = 390;

  add(self, other, options) {
    return self.add(other, options).mul(2);
  }

  add_(self, other, options) {
    return self.add_(other, options).mul_(2);
  }

  cat(tensors, dim) {
    return torch.cat(
      tensors.map((item) => item.mul(2)),
      dim,
    );
  }

  max(self, dim, keepdim) {
    return self.mul(2).max(dim, keepdim);
  }

  split(self, size, dim) {
    return self.mul(2).split(size, dim);
  }
}
hook.registerKind(Doubling);

// ---- the core's own kinds ----

test('S2: on a _PlusIsMinusTensor add means subtract, and the rest is inherited', async () => {
  const x = PlusIsMinusTensor.wrap(tensor([1, 2, 3]));
  assert.equal(x.chainPrint(), 'FloatTensor > _PlusIsMinusTensor > _LocalTensor');
  assert.deepEqual(await x.add(x).array(), [0, 0, 0]);
  assert.deepEqual(await x.sub(1).array(), [2, 3, 4]);
  assert.deepEqual(await x.mul(x).array(), [1, 4, 9]);
  assert.deepEqual(await torch.add(tensor([1, 1, 1]), x).array(), [0, -1, -2]);
  assert.equal(x.add(1).chainPrint(), 'FloatTensor > _PlusIsMinusTensor > _LocalTensor');
});

test('S1: a _LogTensor records the commands that pass', () => {
  const x = LogTensor.wrap(tensor([1, 2]));
  x.add(1).mul_(x).sum(0, true);
  assert.deepEqual(LogTensor.commands(x), [
    'add(FloatTensor [2], 1, alpha=1)',
    'mul_(FloatTensor [2], FloatTensor [2])',
    'sum(FloatTensor [2], [0], True, dtype=None)',
  ]);
  assert.deepEqual(LogTensor.commands(LogTensor.wrap(tensor(1))), []);
  assert.throws(() => LogTensor.commands(tensor(1)), failure('state', /no _LogTensor/));
});

test('S1: wrap and unwrap change the chain of a tensor, and child shows it one level below', async () => {
  const x = tensor([1, 2]);
  assert.equal(x.child, null);
  assert.equal(x.wrap('_LogTensor'), x);
  x.wrap(PlusIsMinusTensor);
  assert.equal(x.chainPrint(), 'FloatTensor > _LogTensor(0 commands) > _PlusIsMinusTensor > _LocalTensor');
  assert.equal(x.child.chainPrint(), 'FloatTensor > _PlusIsMinusTensor > _LocalTensor');
  assert.deepEqual(await x.child.child.add(1).array(), [2, 3]);
  assert.throws(() => x.wrap(LogTensor), failure('duplicate'));
  assert.equal(PlusIsMinusTensor.unwrap(x), x);
  assert.equal(x.unwrap().chainPrint(), 'FloatTensor > _LocalTensor');
  assert.throws(() => x.unwrap(), failure('state', /no kind/));
  assert.throws(() => x.wrap('_NoTensor'), failure('argument', /known are _PlusIsMinusTensor, _LogTensor/));
  assert.throws(() => x.wrap(Array), failure('argument'));
  assert.throws(() => LogTensor.wrap([1]), failure('argument', /is a tensor/));
});

// ---- kinds of one's own ----

test('S2: a kind written in JavaScript overrides some ops and inherits the rest', async () => {
  const x = Doubling.wrap(tensor([1, 2, 3]));
  const y = x.add(1);
  assert.equal(y.chainPrint(), 'FloatTensor > _DoublingTensor > _LocalTensor');
  assert.deepEqual(await y.array(), [4, 6, 8]);
  assert.deepEqual(await x.mul(3).array(), [3, 6, 9]);
  assert.deepEqual(await x.add(x, { alpha: 2 }).array(), [6, 12, 18]);
});

test('functions, in-place ops, several results and lists go through a method', async () => {
  const x = Doubling.wrap(tensor([1, 2, 3]));
  assert.deepEqual(await torch.add(tensor([1, 1, 1]), x).array(), [4, 6, 8]);
  assert.equal(x.add_(1), x);
  assert.deepEqual(await x.array(), [4, 6, 8]);
  assert.equal(x.chainPrint(), 'FloatTensor > _DoublingTensor > _LocalTensor');
  assert.deepEqual(await torch.cat([x, tensor([1])]).array(), [8, 12, 16, 2]);
  const { values, indices } = x.max(0);
  assert.equal(await values.item(), 16);
  assert.equal(await indices.item(), 2);
  assert.equal(indices.chainPrint(), 'LongTensor > _DoublingTensor > _LocalTensor');
  assert.equal(await x.max().item(), 16);
  assert.deepEqual(await Promise.all(x.split(2).map((part) => part.array())), [[8, 12], [16]]);
  const plain = tensor([1, 1, 1]);
  plain.add_(x);
  assert.equal(plain.chainPrint(), 'FloatTensor > _DoublingTensor > _LocalTensor');
  assert.deepEqual(await plain.array(), [10, 14, 18]);
});

test('a view that is changed in place through a kind is changed in its base', async () => {
  const base = tensor([
    [1, 2],
    [3, 4],
  ]);
  const row = Doubling.wrap(base.select(0, 1));
  row.add_(1);
  assert.deepEqual(await base.array(), [
    [1, 2],
    [8, 10],
  ]);
});

test('a method gets every kind of argument as a caller writes it', () => {
  let seen;
  class Seeing extends TensorKind {
    static name = '_SeeingTensor';
    static rank = nextRank();

    handleCall(op, args) {
      seen = [op.name, ...args.map((arg) => (arg?.chainPrint === undefined ? arg : arg.chainPrint()))];
      return op(...args);
    }
  }
  hook.registerKind(Seeing);
  const x = Seeing.wrap(tensor([[1, 2.5], [3, 4]]));
  const check = (expected) => assert.deepEqual(seen, expected);
  x.add(0.5, { alpha: 2 });
  check(['add', 'FloatTensor > _LocalTensor', 0.5, { alpha: 2 }]);
  x.sum([0, -1], true, { dtype: 'float64' });
  check(['sum', 'FloatTensor > _LocalTensor', [0, -1], true, { dtype: 'float64' }]);
  x.sum();
  check(['sum', 'FloatTensor > _LocalTensor', null, false, { dtype: null }]);
  x.div(2, { rounding_mode: 'floor' });
  check(['div', 'FloatTensor > _LocalTensor', 2, { rounding_mode: 'floor' }]);
  x.mul(2n ** 62n);
  check(['mul', 'FloatTensor > _LocalTensor', 2n ** 62n]);
  x.mul(-3);
  check(['mul', 'FloatTensor > _LocalTensor', -3]);
  x.mul(true);
  check(['mul', 'FloatTensor > _LocalTensor', true]);
  x.view(4, 1);
  check(['view', 'FloatTensor > _LocalTensor', [4, 1]]);
  x.mul_(x);
  check(['mul_', 'FloatTensor > _LocalTensor', 'FloatTensor > _LocalTensor']);
});

test('errors in a method reach the caller, with their cause', () => {
  class Failing extends TensorKind {
    static name = '_FailingTensor';
    static rank = nextRank();

    add() {
      throw new RangeError('boom');
    }

    mul(self) {
      return self.add(tensor([1, 2, 3, 4]));
    }

    sub() {
      return 3;
    }

    div() {}

    neg(self) {
      return [self, self];
    }

    async exp(self) {
      return self;
    }

    abs(self) {
      return Doubling.wrap(self.clone()).wrap(Failing);
    }

    add_(self) {
      return self.add(1);
    }
  }
  hook.registerKind(Failing);
  const x = Failing.wrap(tensor([1, 2, 3]));
  const before = numTensors();
  assert.throws(
    () => x.add(1),
    (error) => failure('state', /^_FailingTensor: RangeError: boom$/)(error) && error.cause instanceof RangeError && error.op === 'add',
  );
  assert.throws(
    () => x.mul(1),
    (error) => failure('shape', /^_FailingTensor: add: /)(error) && error.cause.code === 'shape',
  );
  assert.throws(() => x.sub(1), failure('argument', /answers a tensor or an array of them, not the number 3/));
  assert.throws(() => x.div(1), failure('argument', /answered 0 tensors/));
  assert.throws(() => x.neg(), failure('argument', /answered 2 tensors/));
  assert.throws(() => x.exp(), failure('argument', /promise/));
  assert.throws(() => x.abs(), failure('state', /cannot stand below a _FailingTensor/));
  assert.throws(() => x.add_(1), failure('argument', /in place/));
  assert.throws(
    () => x.reshape(7),
    (error) => failure('shape')(error) && error.cause === undefined,
  );
  assert.equal(numTensors(), before);
});

test('kinds stand above one another', async () => {
  const x = tensor([1, 2, 3]).wrap(PlusIsMinusTensor).wrap(Doubling).wrap(LogTensor);
  assert.equal(x.chainPrint(), 'FloatTensor > _LogTensor(0 commands) > _DoublingTensor > _PlusIsMinusTensor > _LocalTensor');
  const y = x.add(tensor([1, 1, 1]));
  assert.deepEqual(await y.array(), [0, 2, 4]);
  assert.equal(y.chainPrint(), 'FloatTensor > _LogTensor(1 command) > _DoublingTensor > _PlusIsMinusTensor > _LocalTensor');
  assert.deepEqual(await Doubling.wrap(tensor([1])).add(PlusIsMinusTensor.wrap(tensor([5]))).array(), [-8]);
});

test('functions that the core calls nest three deep, and what each op has given stays what it was', async () => {
  const seen = [];
  const nestingKind = (name, below) =>
    class extends TensorKind {
      static name = name;
      static rank = nextRank();

      // What comes before and after uses the same lists of ints, tensors and text as the op that is running.
      _disturb(self) {
        torch.cat([self, self, self, self]).reshape(2, 2, -1).sum([0, 1], { dtype: 'float64' });
        self.div(3, { rounding_mode: 'trunc' });
      }

      reshape(self, shape) {
        this._disturb(self);
        const inner = below === undefined ? self : below.wrap(self.clone());
        const result = inner.reshape(shape);
        this._disturb(self);
        seen.push([name, shape]);
        return below === undefined ? result : result.unwrap(below);
      }

      cat(tensors, dim) {
        this._disturb(tensors[0]);
        const inner = below === undefined ? tensors : tensors.map((item) => below.wrap(item.clone()));
        const result = torch.cat(inner, dim);
        this._disturb(tensors[0]);
        seen.push([name, tensors.length, dim]);
        return below === undefined ? result : result.unwrap(below);
      }

      div(self, other, options) {
        this._disturb(self);
        const inner = below === undefined ? self : below.wrap(self.clone());
        const result = inner.div(other, options);
        seen.push([name, options.rounding_mode]);
        return below === undefined ? result : result.unwrap(below);
      }
    };
  const third = hook.registerKind(nestingKind('_ThirdTensor'));
  const second = hook.registerKind(nestingKind('_SecondTensor', third));
  const first = hook.registerKind(nestingKind('_FirstTensor', second));
  const x = first.wrap(tensor([1, 2, 3, 4, 5, 6]));
  const before = numTensors();
  const deep = tidy(() => {
    const y = x.reshape([3, 2]);
    return torch.cat([y, y, y], 1).div(2, { rounding_mode: 'floor' });
  });
  assert.deepEqual(await deep.array(), [
    [0, 1, 0, 1, 0, 1],
    [1, 2, 1, 2, 1, 2],
    [2, 3, 2, 3, 2, 3],
  ]);
  assert.equal(deep.chainPrint(), 'FloatTensor > _FirstTensor > _LocalTensor');
  const inOrder = (...rest) => ['_ThirdTensor', '_SecondTensor', '_FirstTensor'].map((name) => [name, ...rest]);
  // Each kind divides to disturb as well: those calls are on tensors without the kinds.
  assert.deepEqual(seen, [...inOrder([3, 2]), ...inOrder(3, 1), ...inOrder('floor')]);
  deep.dispose();
  assert.equal(numTensors(), before);
});

test('a method that calls itself ends with an error, not with the stack', () => {
  class Endless extends TensorKind {
    static name = '_EndlessTensor';
    static rank = nextRank();

    add(self) {
      return Endless.wrap(self).add(1);
    }
  }
  hook.registerKind(Endless);
  const x = Endless.wrap(tensor([1]));
  const before = numTensors();
  assert.throws(() => x.add(1), failure('state', /more than 32 deep/));
  assert.equal(numTensors(), before);
});

test('a method may let go of what is being changed', async () => {
  let victim;
  class Careless extends TensorKind {
    static name = '_CarelessTensor';
    static rank = nextRank();

    add(self, other) {
      victim.dispose();
      return self.add(other);
    }

    add_(self, other) {
      victim.unwrap().dispose();
      self.add_(other);
    }
  }
  hook.registerKind(Careless);
  victim = LogTensor.wrap(Careless.wrap(tensor([1, 2])));
  assert.deepEqual(await victim.add(1).array(), [2, 3]);
  assert.equal(victim.isDisposed, true);
  victim = Careless.wrap(tensor([1, 2]));
  victim.add_(1);
  assert.equal(victim.isDisposed, true);
});

test('in a method only ops may be called: workers are not to change while one is running', async () => {
  const bob = new VirtualWorker({ id: 'bob.guard', hook });
  const other = tensor([1]);
  let act;
  class Acting extends TensorKind {
    static name = '_ActingTensor';
    static rank = nextRank();

    neg(self) {
      act();
      return self.neg();
    }
  }
  hook.registerKind(Acting);
  const x = Acting.wrap(tensor([1]));
  const tries = (action) => {
    act = action;
    assert.throws(() => x.neg(), failure('state', /in there only ops may be called/));
  };
  tries(() => other.send(bob));
  assert.equal(other.isPointer, false);
  // Also what has been called before, outside.
  await tensor([1]).send(bob).ready();
  tries(() => other.send(bob));
  assert.equal(other.isPointer, false);
  let closing;
  act = () => {
    closing = bob.close();
  };
  x.neg();
  await assert.rejects(closing, failure('state', /only ops/));
  act = () => {};
  assert.deepEqual(await x.neg().array(), [-1]);
  await bob.close();
});

test('what a method makes is freed, what it keeps is not', async () => {
  class Counting extends TensorKind {
    static name = '_CountingTensor';
    static rank = nextRank();
    #sum = null;

    mul(self, other) {
      const sum = this.#sum === null ? self.sum() : this.#sum.add(self.sum());
      this.#sum?.dispose();
      this.#sum = this.keep(sum);
      return self.mul(other).add(this.#sum);
    }
  }
  hook.registerKind(Counting);
  const x = Counting.wrap(tensor([1, 2]));
  const before = numTensors();
  const y = x.mul(1);
  assert.equal(numTensors(), before + 2);
  assert.deepEqual(await y.array(), [4, 5]);
  const z = x.mul(1);
  assert.deepEqual(await z.array(), [7, 8]);
  assert.equal(numTensors(), before + 3);
  tidy(() => x.mul(2).mul(3));
  assert.equal(numTensors(), before + 4);
});

test('kinds may be derived from kinds', async () => {
  class More extends Doubling {
    static name = '_MoreTensor';
    static rank = nextRank();

    add(self, other, options) {
      return super.add(self, other, options).add(100);
    }
  }
  hook.registerKind(More);
  const x = More.wrap(tensor([1]));
  assert.deepEqual(await x.add(1).array(), [104]);
  assert.deepEqual(await torch.cat([x, x]).array(), [2, 2]);
});

test('a kind over a pointer changes what is commanded', async () => {
  const bob = new VirtualWorker({ id: 'bob', hook });
  const x = Doubling.wrap(tensor([1, 2]).send(bob));
  const y = x.add(1);
  assert.match(y.chainPrint(), /^FloatTensor > _DoublingTensor > _PointerTensor\(bob, \d+\)$/);
  assert.equal(y.isPointer, true);
  assert.deepEqual(await y.array(), [4, 6]);
  assert.deepEqual(await y.shape, [2]);
  await bob.close();
});

test('S16: a tensor is sent with its kinds, and comes back with them', async () => {
  const bob = new VirtualWorker({ id: 'bob.chain', hook });
  const x = tensor([1, 2]).wrap(Doubling).wrap(PlusIsMinusTensor).send(bob);
  assert.match(x.chainPrint(), /^FloatTensor > _PointerTensor/);
  const y = await x.add(1).get();
  assert.equal(y.chainPrint(), 'FloatTensor > _DoublingTensor > _PlusIsMinusTensor > _LocalTensor');
  assert.deepEqual(await y.array(), [0, 2]);
  const there = await bob.getObj(x.idAtLocation);
  assert.deepEqual(await x.array(), [1, 2]); // reading does not ask what the kinds are
  there.dispose();
  await x.get();
  assert.equal(x.chainPrint(), 'FloatTensor > _DoublingTensor > _PlusIsMinusTensor > _LocalTensor');
  await bob.close();
});

test('S16: whoever does not know a kind takes no tensor that has it, and nothing is lost', async (t) => {
  const native = await startNative(['worker', '--id', 'native', '--port', '0']);
  t.after(() => native.stop());
  const remote = new WebSocketWorker({ hook, id: 'native', port: native.port, isPointer: true });
  await remote.ready;
  const x = tensor([1, 2, 3]).wrap(PlusIsMinusTensor).wrap(LogTensor).send(remote);
  const y = await x.add(1).get();
  assert.equal(y.chainPrint(), 'FloatTensor > _LogTensor(0 commands) > _PlusIsMinusTensor > _LocalTensor');
  assert.deepEqual(await y.array(), [0, 1, 2]);
  const mine = Doubling.wrap(tensor([1, 2]));
  await assert.rejects(mine.send(remote).ready(), failure('argument', /there is no kind '_DoublingTensor' here; known are _PlusIsMinusTensor, _LogTensor/));
  assert.equal(mine.chainPrint(), 'FloatTensor > _DoublingTensor > _LocalTensor');
  assert.deepEqual(await mine.add(1).array(), [4, 6]);
  assert.equal((await remote.list()).length, 1);
  await remote.close();
});

test('a frame of commands stays what it was while a method runs', async (t) => {
  class Noisy extends TensorKind {
    static name = '_NoisyTensor';
    static rank = nextRank();

    mul(self, other) {
      // What is written to the input for this is longer than the commands that wait there.
      assert.throws(() => Noisy.wrap(self.clone()).neg(), /x{400}/);
      return self.mul(other);
    }

    neg() {
      throw new RangeError('x'.repeat(5000));
    }
  }
  hook.registerKind(Noisy);
  const [asker, keeper] = ['asker', 'keeper'].map((id) => new VirtualWorker({ id, isLocal: true }));
  t.after(() => Promise.all([asker.close(), keeper.close()]));
  const ports = [];
  const join = (worker, other, options) =>
    openPort(BaseWorker.hostOf(worker).handle, {
      ...options,
      post: (frame) => setImmediate(() => ports[other].receive(frame)),
    });
  ports[0] = join(keeper, 1, { expected: 'asker' });
  ports[1] = join(asker, 0, { expected: 'keeper', initiates: true });
  await once(asker, 'joined');
  await keeper.setObj(Noisy.wrap(tensor([1, 2, 3])), { tags: '#x' });
  const [x] = await asker.getWorker('keeper').search('#x');
  const failed = [];
  keeper.addEventListener('failure', ({ error }) => failed.push(error.message));
  const results = Array.from({ length: 20 }, (_, i) => x.mul(i).add(i, { alpha: 2 }));
  const { framesOut } = await asker.counters();
  assert.deepEqual(await results[0].array(), [0, 0, 0]);
  assert.deepEqual(await Promise.all(results.map((y) => y.array())), Array.from({ length: 20 }, (_, i) => [3 * i, 4 * i, 5 * i]));
  assert.ok((await asker.counters()).framesOut < framesOut + 20, 'the commands did not share frames');
  assert.deepEqual(failed, []);
});

test('gradients go through kinds: what a method called is what is differentiated', async () => {
  const x = Doubling.wrap(tensor([1, 2, 3], { requires_grad: true }));
  assert.equal(x.chainPrint(), 'FloatTensor > _DoublingTensor > Variable > _LocalTensor');
  assert.equal(x.requires_grad, true);
  // 2 (x + 1) x
  x.add(1).mul(x).sum().backward();
  assert.deepEqual(await x.grad.array(), [6, 10, 14]);
  const y = tensor([1, 2]);
  Doubling.wrap(y).requires_grad_();
  y.add(y).sum().backward();
  assert.deepEqual(await y.unwrap().grad.array(), [4, 4]);
  const minus = PlusIsMinusTensor.wrap(tensor([1, 2], { requires_grad: true }));
  tensor([5, 5]).add(minus).sum().backward();
  assert.deepEqual(await minus.grad.array(), [-1, -1]);
  assert.equal(minus.detach().chainPrint(), 'FloatTensor > _PlusIsMinusTensor > _LocalTensor');
});

test('a hook on a gradient may use kinds, and a kind may be under way in it', async () => {
  const x = tensor([1, 2], { requires_grad: true });
  x.register_hook((grad) => Doubling.wrap(grad.clone()).add(1).unwrap());
  x.sum().backward();
  assert.deepEqual(await x.grad.array(), [4, 4]);
});

// ---- the hook ----

test('S2: the hook knows the kinds, and refuses what is none', () => {
  assert.equal(hook.kinds.get('_DoublingTensor'), Doubling);
  assert.equal(hook.kinds.get('_PlusIsMinusTensor'), PlusIsMinusTensor);
  assert.equal(hook.registerKind(Doubling), Doubling);
  assert.equal(new TorchHook().kinds.get('_LogTensor'), LogTensor);
  const before = hook.kinds.size;
  const refused = (kind, code, words) => assert.throws(() => hook.registerKind(kind), failure(code, words));
  refused(class {}, 'argument', /extends TensorKind/);
  refused({}, 'argument', /extends TensorKind/);
  refused(class Unranked extends TensorKind {}, 'argument', /static rank = 400/);
  refused(
    class extends TensorKind {
      static name = '_DoublingTensor';
      static rank = nextRank();
    },
    'duplicate',
    /_DoublingTensor already/,
  );
  refused(
    class Second extends TensorKind {
      static rank = 390;
    },
    'duplicate',
    /390 is that of _DoublingTensor/,
  );
  refused(
    class High extends TensorKind {
      static rank = 1000;
    },
    'argument',
    /from 300 to 999/,
  );
  refused(
    class Misspelt extends TensorKind {
      static rank = 999;
      ad() {}
    },
    'argument',
    /there is no op ad; a method that is no op begins with _ or #/,
  );
  refused(
    class extends TensorKind {
      static name = 'x'.repeat(70);
      static rank = 999;
    },
    'argument',
    /63/,
  );
  assert.equal(hook.kinds.size, before);
  class Unknown extends TensorKind {
    static rank = 998;
  }
  assert.throws(() => Unknown.wrap(tensor([1])), failure('argument', /hook.registerKind/));
});
