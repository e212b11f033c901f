// Optimisers as users write them, on tensors here, at another worker, and on their way between workers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TorchHook, VirtualWorker, nn, numTensors, optim, tensor, tidy, torch } from 'tabtensor';
import { failure } from './failures.js';

const hook = new TorchHook();
const bob = new VirtualWorker({ id: 'bob', hook });
const alice = new VirtualWorker({ id: 'alice', hook });
const leaf = (data) => tensor(data, { requires_grad: true });
const backward = (x) => tidy(() => void x.mul(x).sum().backward());

test('a step by hand: SGD with momentum', async () => {
  const x = leaf([1, 2]);
  const sgd = new optim.SGD([x], { lr: 0.25, momentum: 0.5 });
  backward(x);
  sgd.step();
  assert.deepEqual(await x.array(), [0.5, 1]);
  sgd.zero_grad();
  assert.equal(x.grad, null);
  backward(x);
  sgd.step(); // buffer 0.5*2+1 = 2
  assert.deepEqual(await x.array(), [0, 0]);
  assert.deepEqual(await sgd.state.get(x).momentum_buffer.array(), [2, 4]);
});

test('groups are objects whose options count from the next step on', async () => {
  const [x, y] = [leaf([1]), leaf([1])];
  const sgd = new optim.SGD([{ params: [x] }, { params: [y], lr: 0.5 }], { lr: 0.25 });
  assert.deepEqual(sgd.param_groups.map(({ lr }) => lr), [0.25, 0.5]);
  backward(x);
  backward(y);
  sgd.step();
  assert.deepEqual([await x.item(), await y.item()], [0.5, 0]);
  sgd.param_groups[0].lr = 0;
  sgd.step();
  assert.equal(await x.item(), 0.5);
  assert.deepEqual(new optim.Adam([leaf([1])], { betas: [0.5, 0.9] }).param_groups[0].betas, [0.5, 0.9]);
});

test('a closure computes the loss anew', () => {
  const x = leaf([1, 2]);
  const sgd = new optim.SGD([x], { lr: 0.1 });
  const loss = sgd.step(() => {
    const made = x.mul(x).sum();
    made.backward();
    return made;
  });
  assert.equal(loss.requires_grad, true);
});

test('what is wrong is said', async () => {
  const x = leaf([1]);
  assert.throws(() => new optim.SGD([x]), failure('argument', /lr/));
  assert.throws(() => new optim.SGD([x], { lr: -1 }), failure('argument', /lr is 0 or more, not -1/));
  assert.throws(() => new optim.SGD([], { lr: 1 }), failure('argument', /empty/));
  assert.throws(() => new optim.SGD(x, { lr: 1 }), failure('argument', /an array/));
  assert.throws(() => new optim.SGD([x, x], { lr: 1 }), failure('argument', /there already/));
  assert.throws(() => new optim.SGD([x.mul(2)], { lr: 1 }), failure('argument', /leaf/));
  assert.throws(() => new optim.SGD([x], { lr: 1, momentun: 1 }), failure('argument', /no option 'momentun'/));
  assert.throws(() => new optim.Optimizer([x], { lr: 1 }), failure('argument', /new optim\.SGD/));
  assert.throws(() => new optim.SGD([x, undefined], { lr: 1 }), failure('argument', /parameters are tensors, not undefined/));
  const many = tidy(() => Array.from({ length: 5000 }, () => leaf([1])));
  assert.throws(() => new optim.SGD(many, { lr: 1 }), failure('argument', /5000 tensors are too many/));
  for (const each of many) each.dispose();
  const sgd = new optim.SGD([x], { lr: 1 });
  sgd.dispose();
  sgd.dispose();
  assert.throws(() => sgd.step(), failure('state', /disposed/));
});

const kinds = [
  ['SGD', { lr: 0.1, momentum: 0.9 }],
  ['Adam', { lr: 0.1, amsgrad: true }],
  ['AdamW', { lr: 0.1 }],
  ['RMSprop', { lr: 0.01, momentum: 0.9, centered: true }],
  ['Adagrad', { lr: 0.1 }],
];

/** Six steps; where the parameter is before each: null is here. */
async function walk(name, options, places) {
  const x = leaf([1, -2, 3]);
  const optimizer = new optim[name]([x], options);
  let at = null;
  for (const place of places) {
    if (place !== at) {
      if (place === null) await x.get();
      else if (at === null) x.send(place);
      else x.move(place);
      at = place;
      await optimizer.ready();
    }
    optimizer.zero_grad();
    backward(x);
    optimizer.step();
  }
  if (at !== null) await x.get();
  const result = await x.array();
  x.dispose();
  optimizer.dispose();
  return result;
}

test('stateful optimisers work elsewhere and across workers, bit for bit', async () => {
  for (const [name, options] of kinds) {
    const here = await walk(name, options, [null, null, null, null, null, null]);
    assert.deepEqual(await walk(name, options, [bob, bob, bob, bob, bob, bob]), here, name);
    assert.deepEqual(await walk(name, options, [null, bob, alice, alice, bob, null]), here, name);
  }
});

test('a state that would have to come back is asked for by name', async () => {
  const x = leaf([1, 2]);
  const adam = new optim.Adam([x], { lr: 0.1 });
  x.send(bob);
  backward(x);
  adam.step();
  await x.get();
  backward(x);
  assert.throws(() => adam.step(), failure('state', /is at bob and the parameter has come back: await optimizer\.ready\(\)/));
  await adam.ready();
  adam.step();
  assert.equal(await adam.state.get(x).step.item(), 2);
});

test('one command a parameter and step elsewhere', async () => {
  const model = new nn.Sequential(new nn.Linear(2, 3), new nn.Linear(3, 1)).send(bob);
  const adam = new optim.Adam(model.parameters());
  const x = torch.ones(4, 2).send(bob);
  const count = async () => (await hook.localWorker.counters()).commandsOut;
  const once = () => tidy(() => void model.forward(x).sum().backward());
  once();
  adam.step();
  const before = await count();
  adam.step();
  assert.equal((await count()) - before, 4);
  adam.zero_grad();
  assert.equal((await count()) - before, 8);
  await model.ready();
});

test('steps within tidy leak nothing', async () => {
  const model = new nn.Linear(2, 1);
  const adam = new optim.Adam(model.parameters());
  const x = torch.ones(4, 2);
  const held = numTensors();
  for (let i = 0; i < 3; i++) {
    tidy(() => {
      adam.zero_grad();
      model.forward(x).sum().backward();
      adam.step();
    });
    assert.equal(numTensors(), held);
  }
  model.dispose();
  adam.dispose();
  x.dispose();
  assert.equal(numTensors(), held - 3);
});

test('a state goes on where it was left', async () => {
  for (const [name, options] of kinds) {
    const x = leaf([1, -2, 3]);
    const whole = new optim[name]([x], options);
    const step = (optimizer, p) => {
      optimizer.zero_grad();
      backward(p);
      optimizer.step();
    };
    for (let i = 0; i < 3; i++) step(whole, x);
    const y = leaf(await x.array());
    const second = new optim[name]([y], { ...options, lr: 77 });
    second.load_state_dict(whole.state_dict());
    assert.equal(second.param_groups[0].lr, options.lr);
    step(whole, x);
    step(second, y);
    assert.deepEqual(await y.array(), await x.array(), name);
  }
  const adam = new optim.Adam([leaf([1])]);
  assert.throws(() => adam.load_state_dict({ state: {}, param_groups: [{ params: [0, 1] }] }), failure('argument', /groups of 2 parameters do not fit groups of 1/));
});

test('schedules change the rate', () => {
  const x = leaf([1]);
  const sgd = new optim.SGD([{ params: [x] }, { params: [leaf([1])], lr: 1 }], { lr: 0.5 });
  const half = new optim.lr_scheduler.LambdaLR(sgd, (n) => 0.5 ** n);
  assert.deepEqual(half.get_last_lr(), [0.5, 1]);
  half.step();
  assert.deepEqual(half.get_last_lr(), [0.25, 0.5]);
  const other = new optim.lr_scheduler.LambdaLR(sgd, [() => 1, () => 2]);
  assert.deepEqual(other.get_last_lr(), [0.5, 2]);
  other.load_state_dict(half.state_dict());
  assert.equal(other.last_epoch, 1);
  backward(x);
  sgd.step();
  assert.throws(() => new optim.lr_scheduler.LambdaLR(sgd, [() => 1]), failure('argument', /1 functions do not fit 2 groups/));
  assert.throws(() => new optim.lr_scheduler.StepLR(sgd, 0), failure('argument', /step_size is 1 or more, not 0/));
  assert.throws(() => new optim.lr_scheduler.StepLR([x], 1), failure('argument', /an optimizer, not an array/));
});
