// Plans: what a function does command by command and as a plan is the same, bit for bit; what cannot be one says so, and loses nothing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TorchHook, VirtualWorker, func2plan, nn, numTensors, optim, tensor, tidy, torch } from '../../web/tabtensor.js';

const hook = new TorchHook({ localWorker: new VirtualWorker({ id: 'me', isLocal: true }) });
const me = hook.localWorker;
const workersOf = (...ids) => ids.map((id) => new VirtualWorker({ hook, id }));
const nObjects = async (worker) => (await worker.whoami()).objects;

/** What has been said to others by `run`: commands, frames. */
async function said(run) {
  const before = await me.counters();
  await run();
  const after = await me.counters();
  return { commands: after.commandsOut - before.commandsOut, frames: after.framesOut - before.framesOut };
}

test('a chain: one command, one frame, and nothing of it stays behind', async () => {
  const [bob] = workersOf('bob');
  let nCalls = 0;
  const chain = func2plan((x, y) => {
    nCalls++;
    let sum = x;
    for (let i = 0; i < 100; i++) sum = sum.add(y);
    return sum;
  });
  const [x, y] = [tensor([0, 0.5]).send(bob), tensor([1, 1]).send(bob)];
  const run = () => tidy(async () => (await chain(x, y).get()).array());
  for (let i = 0; i < 2; i++) assert.deepEqual(await run(), [100, 100.5]);
  assert.equal(nCalls, 2); // called, noted
  const { commands } = await said(async () => assert.deepEqual(await run(), [100, 100.5]));
  assert.equal(commands, 1);
  assert.equal(nCalls, 2);
  assert.equal(await nObjects(bob), 2);

  // With other tensors of the same shapes, and with others.
  const z = tensor([3, 4]).send(bob);
  assert.deepEqual(await tidy(async () => (await chain(z, y).get()).array()), [103, 104]);
  assert.deepEqual(await tidy(() => chain(x, x).array()), [0, 50.5]);
  assert.equal(nCalls, 2);
  const wide = tensor([[1, 2], [3, 4]]).send(bob);
  for (let i = 0; i < 3; i++) assert.deepEqual(await tidy(() => chain(wide, y).array()), [[101, 102], [103, 104]]);
  assert.equal(nCalls, 4);

  // Here it is the function itself.
  assert.deepEqual(await tidy(() => chain(tensor([1]), tensor([2])).array()), [201]);
  assert.equal(nCalls, 5);
  for (const each of [x, y, z, wide, chain]) each.dispose();
  await bob.close();
});

test('several answers, in an array, and none', async () => {
  const [bob] = workersOf('bob');
  const x = tensor([1, 2, 3]).send(bob);
  const both = func2plan((a) => [a.mul(2), a.sum()]);
  const grow = func2plan((a) => {
    a.add_(1);
  });
  for (let i = 0; i < 3; i++) {
    const [twice, sum] = both(x);
    assert.deepEqual([await twice.array(), await sum.item()], [[2 + 2 * i, 4 + 2 * i, 6 + 2 * i], 6 + 3 * i]);
    assert.equal(grow(x), undefined);
    for (const each of [twice, sum]) each.dispose();
  }
  assert.deepEqual(await x.array(), [4, 5, 6]);
  assert.equal(await nObjects(bob), 1);
  x.dispose();
  await bob.close();
});

describe('a step of a training', () => {
  const optimizers = {
    SGD: (parameters) => new optim.SGD(parameters, { lr: 0.05 }),
    'SGD with momentum': (parameters) => new optim.SGD(parameters, { lr: 0.05, momentum: 0.9 }),
    Adam: (parameters) => new optim.Adam(parameters, { lr: 0.05, betas: [0.8, 0.99] }),
  };

  /** Losses of 20 steps: the model moves to the next worker now and then, the rate changes, dropout goes. */
  async function train(make, isPlan) {
    const workers = workersOf('bob', 'alice');
    torch.manual_seed(1);
    const model = new nn.Sequential(new nn.Linear(3, 8), new nn.BatchNorm1d(8), new nn.ReLU(), new nn.Linear(8, 1));
    const optimizer = make(model.parameters());
    const batches = workers.map((worker) => ({ worker, inputs: torch.randn([16, 3]).send(worker), targets: torch.randn([16, 1]).send(worker) }));
    const body = (inputs, targets) => {
      optimizer.zero_grad();
      const loss = torch.nn.functional.mse_loss(model.call(inputs), targets);
      loss.backward();
      optimizer.step();
      return loss;
    };
    const step = isPlan ? func2plan(body, { state: [model, optimizer] }) : body;
    model.send(workers[0]);
    const losses = [];
    for (let i = 0; i < 20; i++) {
      const { worker, inputs, targets } = batches[Math.floor(i / 3) % 2];
      if (model.location !== worker) model.move(worker);
      if (i === 9) optimizer.param_groups[0].lr = 0.01;
      if (i === 14) model.eval();
      losses.push(await tidy(() => step(inputs, targets).item()));
    }
    await model.get();
    const weights = await Promise.all(model.parameters().map((parameter) => parameter.array()));
    step.dispose?.();
    optimizer.dispose();
    model.dispose();
    for (const { inputs, targets } of batches) for (const each of [inputs, targets]) each.dispose();
    assert.deepEqual(await Promise.all(workers.map(nObjects)), [0, 0]);
    for (const worker of workers) await worker.close();
    return { losses, weights };
  }

  for (const [name, make] of Object.entries(optimizers)) {
    test(`${name}: the same bits as command by command`, async () => {
      const before = numTensors();
      const [commands, plan] = [await train(make, false), await train(make, true)];
      assert.ok(commands.losses.at(-1) < commands.losses[0]);
      assert.deepEqual(plan, commands);
      assert.equal(numTensors(), before);
    });
  }
});

test('it fails as its commands do: the first cause, and what it answers is poisoned', async () => {
  const [bob] = workersOf('bob');
  const failures = [];
  me.addEventListener('error', ({ error }) => failures.push(error));
  const pick = func2plan((x, i) => x.index_select(0, i).mul(2));
  const x = tensor([1, 2, 3]).send(bob);
  const [good, bad] = [tensor([0, 2], { dtype: 'int64' }).send(bob), tensor([0, 7], { dtype: 'int64' }).send(bob)];
  for (let i = 0; i < 3; i++) assert.deepEqual(await tidy(() => pick(x, good).array()), [2, 6]);
  await assert.rejects(
    tidy(() => pick(x, bad).array()),
    (error) => error.code === 'index' && error.op === 'index_select' && error.worker === 'bob',
  );
  assert.deepEqual(await tidy(() => pick(x, good).array()), [2, 6]);
  assert.equal(await nObjects(bob), 3);
  for (const each of [x, good, bad]) each.dispose();
  await bob.close();
});

test('what is not yet there is waited for, over there', async () => {
  const [bob, alice] = workersOf('bob', 'alice');
  const twice = func2plan((x) => x.mul(2));
  const big = torch.ones(50_000);
  big.send(bob);
  for (let i = 0; i < 6; i++) {
    assert.equal(await tidy(() => twice(big).sum().item()), 100_000);
    big.move(i % 2 === 0 ? alice : bob); // on its way as the next one is performed
  }
  big.dispose();
  for (const worker of [bob, alice]) await worker.close();
});

test('what cannot be a plan says so; nothing is lost by it', async () => {
  const [bob, alice] = workersOf('bob', 'alice');
  const [x, y] = [tensor([1, 2]).send(bob), tensor([3, 4]).send(bob)];
  const before = [numTensors(), await nObjects(bob)];
  const refused = [
    [(a) => a, 'argument', /answers one of its inputs/],
    [(a) => a.add_(1), 'argument', /answers one of its inputs/],
    [(a) => [a.add(1), 3], 'argument', /an array of tensors or nothing, not the number 3/],
    [(a) => ((b) => [b, b])(a.add(1)), 'argument', /the same tensor twice/],
    [async (a) => a.add(1), 'argument', /must not await/],
    [(a) => a.add(y), 'location', /belongs into `state`/],
    [(a) => a.add(tensor([1, 1])), 'location', /must be on the same worker/], // a plain call says so already
  ];
  for (const [fn, code, message] of refused) {
    const plan = func2plan(fn);
    await tidy(async () => {
      try {
        await plan(x);
      } catch (error) {
        assert.equal(error.code, 'location'); // the plain call
      }
    });
    await assert.rejects(async () => tidy(() => plan(x)), (error) => error.code === code && message.test(error.message), String(fn));
    plan.dispose();
  }
  assert.throws(() => func2plan(3), { code: 'argument', message: /the first argument is a function/ });
  assert.throws(() => func2plan(() => {}, { state: [3] }), { code: 'argument', message: /modules, optimizers and tensors, not the number 3/ });
  assert.throws(() => func2plan((a) => a)(), { code: 'argument', message: /called with tensors, not with nothing/ });
  assert.throws(() => func2plan((a) => a)(x, 2), { code: 'argument', message: /called with tensors, not the number 2/ });

  const sum = func2plan((a, b) => a.add(b));
  for (let i = 0; i < 2; i++) sum(x, y).dispose();
  const there = tensor([5, 6]).send(alice);
  assert.throws(() => sum(x, there), { code: 'location', message: /input 0 is at bob and input 1 at alice/ });
  there.dispose();
  assert.deepEqual(await tidy(() => sum(x, y).array()), [5, 7]); // a.add_(1) was called once
  sum.dispose();
  assert.deepEqual(await tidy(() => sum(x, y).array()), [5, 7]); // begins anew
  assert.deepEqual([numTensors(), await nObjects(bob)], before);
  for (const each of [x, y, sum]) each.dispose();
  for (const worker of [bob, alice]) await worker.close();
});

test('a worker that comes back under its name has no plan, and gets it again', async () => {
  const [first] = workersOf('bob');
  const twice = func2plan((x) => x.mul(2));
  const on = async (worker) => {
    const x = tensor([1, 2]).send(worker);
    for (let i = 0; i < 3; i++) assert.deepEqual(await tidy(() => twice(x).array()), [2, 4]);
    x.dispose();
  };
  await on(first);
  await first.close();
  const [second] = workersOf('bob');
  await on(second);
  await second.close();
  twice.dispose();
});

describe('beside a plan', () => {
  const data = (bob) => [tensor([[1, 2]]).send(bob), tensor([[100]]).send(bob)];
  const layer = (bob) => {
    const made = new nn.Linear(2, 1);
    torch.no_grad(() => [made.weight.fill_(0.5), made.bias.fill_(0.1)]);
    return made.send(bob);
  };

  /** What `steps(isPlan)` answers is the same for plain functions and for plans. */
  async function same(steps) {
    const answers = [];
    for (const plan of [(fn) => fn, func2plan]) {
      const [bob] = workersOf('bob');
      answers.push(await steps(bob, plan));
      await bob.close();
    }
    assert.deepEqual(answers[1], answers[0]);
  }

  test('gradients that a plan leaves, and takes away', () =>
    same(async (bob, plan) => {
      const model = layer(bob);
      const sgd = new optim.SGD(model.parameters(), { lr: 0.1 });
      const [x, y] = data(bob);
      const backward = plan((a, b) => {
        const loss = torch.nn.functional.mse_loss(model.call(a), b);
        loss.backward();
        return loss;
      }, { state: model });
      const clear = plan((a) => {
        sgd.zero_grad();
        return a.mul(1);
      }, { state: [model, sgd] });
      const seen = [];
      for (let i = 0; i < 5; i++) {
        sgd.zero_grad();
        seen.push(await tidy(() => backward(x, y).item()), model.weight.grad === null);
        tidy(() => nn.utils.clip_grad_norm_(model.parameters(), 1));
        sgd.step();
        tidy(() => void clear(x));
        seen.push(model.weight.grad === null);
      }
      return seen;
    }));

  test('tensors that require grad in one call and not in another, in it and after it', () =>
    same(async (bob, plan) => {
      const square = plan((a) => a.mul(a).sum());
      const claim = plan((a) => void a.requires_grad_());
      const seen = [];
      for (const requiresGrad of [false, false, true, true, false, true]) {
        const x = tensor([3, 4]).send(bob);
        if (requiresGrad) x.requires_grad_();
        const sum = square(x);
        seen.push(sum.requires_grad);
        if (requiresGrad) sum.backward();
        seen.push(x.grad === null ? null : await x.grad.array());
        const z = tensor([3, 4]).send(bob);
        claim(z);
        seen.push(z.requires_grad);
        z.mul(z).sum().backward();
        seen.push(await z.grad.array());
      }
      return seen;
    }));

  test('a parameter or a layer in the place of another', () =>
    same(async (bob, plan) => {
      const model = new nn.Sequential(layer(bob));
      const [x] = data(bob);
      const call = plan((a) => model.call(a), { state: model });
      const seen = [];
      for (let i = 0; i < 9; i++) {
        if (i === 3) model[0].weight = new nn.Parameter(tensor([[10, 10]])).send(bob);
        if (i === 6) model.append(new nn.Tanh());
        seen.push(await tidy(() => call(x).item()));
      }
      return seen;
    }));

  test('plans in plans, names of results, several workers', () =>
    same(async (bob, plan) => {
      const twice = plan((a) => a.mul(2));
      const more = plan((a) => twice(a).add(twice(a)));
      const largest = plan((a) => a.max(1));
      const half = plan((a) => (a.shape[0] === 1 ? a.mul(1) : half(a.narrow(0, 0, 1)).add(half(a.narrow(0, 1, 1)))));
      const x = tensor([[1, 5], [7, 2]]).send(bob);
      const seen = [];
      for (let i = 0; i < 4; i++) {
        const { values, indices } = largest(x);
        for (const one of [more(x), values, indices, half(x)]) seen.push(await one.array());
      }
      return seen;
    }));

  test('what is refused is left as it was', async () => {
    const [bob] = workersOf('bob');
    const model = layer(bob);
    const [x, y] = data(bob);
    for (const [fn, state] of [
      [(a) => [model.call(a), model.weight], model],
      [() => y, []],
      [() => y.add_(1), y],
    ]) {
      const plan = func2plan(fn, { state });
      plan(x);
      assert.throws(() => plan(x), { code: 'argument', message: /answers/ });
      assert.equal(model.weight.isDisposed || x.isDisposed || y.isDisposed, false);
    }
    // An optimiser that has state of its own and is not named.
    const adam = new optim.Adam(model.parameters());
    const step = func2plan((a) => {
      model.call(a).sum().backward();
      adam.step();
    }, { state: model });
    step(x);
    assert.throws(() => step(x), { code: 'state', message: /an optimiser too, belongs into `state`/ });
    // Copies at several workers are no input of a plan, and the function's all the same.
    const [alice] = workersOf('alice');
    const copies = tensor([1, 2]).send(bob, alice);
    const twice = func2plan((a) => a.mul(2));
    for (let i = 0; i < 3; i++) assert.equal(twice(copies).isMultiPointer, true);
    for (const worker of [bob, alice]) await worker.close();
  });
});
