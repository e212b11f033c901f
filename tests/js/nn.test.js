// Modules as users write them, on tensors here and at another worker. Numbers are PyTorch's in tests/oracle/compare_nn.py.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TorchHook, VirtualWorker, isTensor, nn, numTensors, optim, tensor, tidy, torch } from 'tabtensor';
import { failure } from './failures.js';

const hook = new TorchHook();
const bob = new VirtualWorker({ id: 'bob', hook });
const alice = new VirtualWorker({ id: 'alice', hook });
bob.addWorker?.(alice);
const shapes = (pairs) => pairs.map(([name, value]) => `${name} [${value.shape}]`);

class Net extends nn.Module {
  constructor() {
    super();
    this.fc1 = new nn.Linear(2, 4);
    this.act = new nn.Tanh();
    this.fc2 = new nn.Linear(4, 1, { bias: false });
    this.scale = new nn.Parameter(tensor([2]));
    this.register_buffer('seen', torch.zeros(1));
  }

  forward(x) {
    return this.fc2.call(this.act.call(this.fc1.call(x))).mul(this.scale);
  }
}

test('a layer has its parameters, by PyTorch’s names and sizes', async () => {
  const layer = new nn.Linear(3, 2);
  assert.deepEqual(shapes(layer.named_parameters()), ['weight [2,3]', 'bias [2]']);
  assert.ok(layer.weight instanceof nn.Parameter);
  assert.ok(isTensor(layer.weight));
  assert.equal(layer.weight.requires_grad, true);
  assert.equal(layer.weight.is_leaf, true);
  assert.equal(layer.in_features, 3);
  const bound = 1 / Math.sqrt(3);
  assert.ok((await layer.weight.data()).every((value) => Math.abs(value) <= bound));
  assert.equal(new nn.Linear(3, 2, false).bias, null);
  assert.equal(new nn.Linear(3, 2, { bias: false }).bias, null);
  assert.equal(String(layer), 'Linear(in_features=3, out_features=2, bias=True)');
});

test('a module of one’s own finds what is in it by its properties', () => {
  const net = new Net();
  assert.deepEqual(shapes(net.named_parameters()), ['scale [1]', 'fc1.weight [4,2]', 'fc1.bias [4]', 'fc2.weight [1,4]']);
  assert.deepEqual(Object.keys(net.state_dict()), ['scale', 'seen', 'fc1.weight', 'fc1.bias', 'fc2.weight']);
  assert.deepEqual(net.named_modules().map(([name]) => name), ['', 'fc1', 'act', 'fc2']);
  assert.deepEqual(net.named_buffers().map(([name]) => name), ['seen']);
  assert.equal(net.children().length, 3);
  const y = net.forward(torch.ones(5, 2));
  assert.deepEqual(y.shape, [5, 1]);
  assert.equal(y.requires_grad, true);
});

test('the same seed makes the same parameters', async () => {
  torch.manual_seed(7);
  const first = await new nn.Linear(4, 4).weight.array();
  torch.manual_seed(7);
  assert.deepEqual(await new nn.Linear(4, 4).weight.array(), first);
});

const data = [[0, 0], [0, 1], [1, 0], [1, 1]];
const target = [[0], [0], [1], [1]];

/** The losses and the weights after some steps of SGD, at a worker or here. */
async function train(worker, makeOptimizer = (params) => new optim.SGD(params, { lr: 0.1 })) {
  torch.manual_seed(1);
  const model = new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU(), new nn.Linear(3, 1));
  const optimizer = makeOptimizer(model.parameters());
  const x = tensor(data);
  const y = tensor(target);
  if (worker !== undefined) for (const item of [x, y, model]) item.send(worker);
  const held = numTensors();
  const losses = [];
  for (let i = 0; i < 20; i++) {
    losses.push(
      await tidy(async () => {
        optimizer.zero_grad();
        const loss = model.forward(x).sub(y).pow(2).sum();
        loss.backward();
        optimizer.step();
        return (worker === undefined ? loss : await loss.get()).item();
      }),
    );
  }
  assert.equal(numTensors(), held);
  if (worker !== undefined) await model.get();
  const weights = await Promise.all(model.parameters().map((p) => p.array()));
  model.dispose();
  optimizer.dispose();
  x.dispose();
  y.dispose();
  return { losses, weights };
}

test('training goes down, and is bit for bit the same here and at bob', async () => {
  const here = await train();
  assert.ok(here.losses.at(-1) < here.losses[0] / 2, String(here.losses));
  const there = await train(bob);
  assert.deepEqual(there, here);
});

test('a sequence of modules, by number, by name, and in a list', () => {
  const model = new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU());
  assert.equal(model.length, 2);
  assert.ok(model[1] instanceof nn.ReLU);
  assert.equal(model.at(-1), model[1]);
  model.append(new nn.Linear(3, 1));
  assert.deepEqual([...model].map((module) => module.constructor.name), ['Linear', 'ReLU', 'Linear']);
  assert.deepEqual(Object.keys(model.state_dict()), ['0.weight', '0.bias', '2.weight', '2.bias']);
  const named = new nn.Sequential({ first: new nn.Linear(2, 3), act: new nn.Tanh() });
  assert.deepEqual(Object.keys(named.state_dict()), ['first.weight', 'first.bias']);
  const list = new nn.ModuleList([new nn.Linear(2, 2)]).extend([new nn.Linear(2, 2)]);
  assert.equal(list.length, 2);
  assert.throws(() => list.forward(torch.ones(2)), failure('state', /no forward/));
  assert.equal(
    String(model),
    'Sequential(\n  (0): Linear(in_features=2, out_features=3, bias=True)\n  (1): ReLU()\n  (2): Linear(in_features=3, out_features=1, bias=True)\n)',
  );
});

test('a state is loaded wherever the model is, and what does not fit is said', async () => {
  const [from, to] = [new Net(), new Net().send(bob)];
  assert.deepEqual(to.load_state_dict(from.state_dict()), { missing_keys: [], unexpected_keys: [] });
  await to.get();
  for (const [name, value] of from.named_parameters()) assert.deepEqual(await to.state_dict()[name].array(), await value.array(), name);
  const partial = { 'fc1.bias': torch.ones(4), more: torch.ones(1) };
  assert.throws(() => to.load_state_dict(partial), failure('argument', /Unexpected key\(s\) in state_dict: more; Missing key\(s\) in state_dict: scale, seen, fc1\.weight, fc2\.weight/));
  assert.deepEqual(to.load_state_dict(partial, { strict: false }), {
    missing_keys: ['scale', 'seen', 'fc1.weight', 'fc2.weight'],
    unexpected_keys: ['more'],
  });
  assert.deepEqual(await to.fc1.bias.array(), [1, 1, 1, 1]);
  assert.throws(() => to.load_state_dict({ 'fc1.bias': torch.ones(3) }, { strict: false }), failure('argument', /size mismatch for fc1\.bias: the state has \[3\], this module \[4\]/));
});

test('a model goes to a worker, on to another and back, its parameters the same objects', async () => {
  const model = new Net();
  const [weight, before] = [model.fc1.weight, await model.fc1.weight.array()];
  assert.equal(model.location, null);
  model.send(bob);
  assert.equal(model.location, bob);
  assert.equal(model.fc1.weight, weight);
  assert.equal(weight.requires_grad, true);
  const x = torch.ones(3, 2).send(bob);
  model.forward(x).sum().backward();
  assert.equal(weight.grad.location, bob);
  model.move(alice);
  await model.ready();
  assert.equal(model.location, alice);
  await model.get();
  assert.equal(model.location, null);
  assert.equal(weight.requires_grad, true);
  assert.equal(weight.is_leaf, true);
  assert.deepEqual(await weight.array(), before);
  assert.ok((await weight.grad.array()).flat().some((value) => value !== 0));
});

test('a copy has tensors of its own, where the original is', async () => {
  const model = new Net().eval();
  const copy = model.copy();
  assert.ok(copy instanceof Net);
  assert.equal(copy.training, false);
  assert.deepEqual(Object.keys(copy.state_dict()), Object.keys(model.state_dict()));
  const x = torch.ones(1, 2);
  const before = await copy.forward(x).array();
  assert.deepEqual(before, await model.forward(x).array());
  torch.no_grad(() => model.fc1.weight.zero_());
  assert.deepEqual(await copy.forward(x).array(), before);
  copy.forward(x).sum().backward();
  assert.ok(copy.fc1.weight.grad !== null && model.fc1.weight.grad === null);
  const there = model.send(bob).copy();
  assert.equal(there.location, bob);
  await there.ready();
});

test('another dtype leaves the tensors the objects they are', async () => {
  const model = new nn.BatchNorm1d(2).double();
  assert.equal(model.weight.dtype, 'float64');
  assert.equal(model.running_var.dtype, 'float64');
  assert.equal(model.num_batches_tracked.dtype, 'int64');
  assert.equal(model.weight.requires_grad, true);
  assert.equal(model.forward(torch.ones(3, 2, { dtype: 'float64' })).dtype, 'float64');
  assert.equal(model.float().weight.dtype, 'float32');
  assert.throws(() => model.to('int64'), failure('dtype', /float32 or float64, not int64/));
});

test('train and eval reach every module; a dropout drops in train only', async () => {
  torch.manual_seed(3);
  const model = new nn.Sequential(new nn.Dropout(0.25), new nn.Identity());
  const x = torch.ones(10000);
  const values = await model.forward(x).data();
  const nDropped = values.filter((value) => value === 0).length;
  assert.ok(Math.abs(nDropped - 2500) < 250, String(nDropped));
  assert.ok(values.every((value) => value === 0 || Math.abs(value - 4 / 3) < 1e-6));
  model.eval();
  assert.equal(model[0].training, false);
  assert.ok((await model.forward(x).data()).every((value) => value === 1));
  assert.equal(model.train()[0].training, true);
});

test('a recurrent net answers as PyTorch’s, and at bob the same', async () => {
  torch.manual_seed(2);
  const lstm = new nn.LSTM(3, 4, { num_layers: 2, bidirectional: true });
  const x = torch.rand([5, 2, 3]);
  const [output, [h, c]] = lstm.call(x);
  assert.deepEqual([output.shape, h.shape, c.shape], [[5, 2, 8], [4, 2, 4], [4, 2, 4]]);
  const here = await output.array();
  const states = await lstm.call(x, [h, c])[0].array();
  lstm.send(bob);
  const [there] = lstm.call(x.clone().send(bob));
  assert.deepEqual(await (await there.get()).array(), here);
  const [again] = lstm.call(x.clone().send(bob), [h, c].map((state) => state.detach().send(bob)));
  assert.deepEqual(await (await again.get()).array(), states);
  await lstm.get();
});

test('a parameter may be exchanged for another', async () => {
  const layer = new nn.Linear(2, 1);
  layer.weight = new nn.Parameter(tensor([[1, 2]]));
  layer.bias = null;
  assert.deepEqual(await layer.forward(tensor([[3, 4]])).array(), [[11]]);
  assert.deepEqual(Object.keys(layer.state_dict()), ['weight']);
  assert.throws(() => (layer.weight = tensor([[1, 2]])), failure('argument', /new nn\.Parameter/));
  assert.throws(() => (layer.weight = 3), failure('argument', /a tensor or null, not the number 3/));
});

test('what is wrong is said', () => {
  assert.throws(() => new nn.Linear(2), failure('argument', /out_features/));
  assert.throws(() => new nn.Linear(2, 3, { bia: true }), failure('argument', /no argument bia/));
  assert.throws(() => new nn.Conv2d(3, 4, 3, { groups: 2 }), failure('argument', /divisible by groups/));
  assert.throws(() => new nn.Linear(2, 3).forward(torch.ones(4, 5)), failure('shape', /linear/));
  assert.throws(() => new nn.Parameter([1]), failure('argument', /an array/));
  assert.throws(() => new nn.Module().forward(), failure('state', /no forward/));
  const layer = new nn.Linear(2, 3);
  layer.dispose();
  layer.dispose();
  assert.throws(() => layer.forward(torch.ones(2)), failure('state', /disposed/));
});

test('what is no tensor, number or list is said, not stumbled over', async () => {
  const x = tensor([1]);
  for (const name of Object.keys(nn.init)) {
    if (name === 'calculate_gain') continue;
    for (const wrong of [null, undefined, 1]) assert.throws(() => nn.init[name](wrong, 1), failure('argument', /the tensor to fill, not/), name);
  }
  assert.throws(() => nn.init.calculate_gain(Symbol('relu')), failure('argument', /its name/));
  assert.throws(() => nn.utils.clip_grad_norm_(undefined, 1), failure('argument', /an array/));
  assert.throws(() => nn.utils.clip_grad_norm_([undefined], 1), failure('argument', /not undefined/));
  assert.throws(() => nn.utils.clip_grad_norm_([x], 'much'), failure('argument', /max_norm is a number/));
  assert.throws(() => nn.utils.clip_grad_value_([x]), failure('argument', /clip_value is a number, not undefined/));
  assert.throws(() => new nn.ModuleList(1), failure('argument', /an array of them/));
  assert.throws(() => torch.autograd.backward([undefined]), failure('argument', /not undefined/));
  x.dispose();
});

test('a module that is disposed of leaves nothing', () => {
  const held = numTensors();
  const model = new Net();
  assert.equal(numTensors(), held + 6); // and the tensor that the scale was made of
  model.dispose();
  assert.equal(numTensors(), held + 1);
  const kept = tidy(() => new nn.Linear(2, 2));
  assert.equal(kept.weight.isDisposed, false);
  kept.dispose();
});

test('init fills a tensor in place and answers it', async () => {
  const x = torch.zeros(3, 4);
  assert.equal(nn.init.constant_(x, 0.5), x);
  assert.ok((await x.data()).every((value) => value === 0.5));
  const layer = new nn.Linear(4, 4);
  nn.init.zeros_(layer.bias);
  assert.deepEqual(await layer.bias.array(), [0, 0, 0, 0]);
  assert.equal(layer.bias.requires_grad, true);
  assert.equal(nn.init.calculate_gain('leaky_relu', 0), Math.SQRT2);
  assert.throws(() => nn.init.calculate_gain('step'), failure('argument', /'step'/));
  assert.throws(() => nn.init.kaiming_uniform_(torch.zeros(3)), failure('shape', /2 dimensions or more/));
  const there = torch.zeros(2, 2).send(bob);
  nn.init.ones_(there);
  assert.deepEqual(await there.array(), [[1, 1], [1, 1]]);
});

test('gradients are bounded, here and elsewhere', async () => {
  for (const worker of [undefined, bob]) {
    const [x, y] = [tensor([3], { requires_grad: true }), tensor([4], { requires_grad: true })];
    if (worker !== undefined) for (const item of [x, y]) item.send(worker);
    x.mul(x).add(y.mul(y)).mul(0.5).sum().backward();
    const total = nn.utils.clip_grad_norm_([x, y], 1);
    if (worker !== undefined) await total.get();
    assert.equal(await total.item(), 5);
    assert.ok(Math.abs((await x.grad.item()) - 0.6) < 1e-6 && Math.abs((await y.grad.item()) - 0.8) < 1e-6);
    nn.utils.clip_grad_value_([x, y], 0.7);
    assert.ok(Math.abs((await y.grad.item()) - 0.7) < 1e-6);
  }
});

test('zero_grad lets go of all gradients, and of nothing else', async () => {
  for (const worker of [undefined, bob]) {
    const model = new nn.Linear(2, 1);
    const x = torch.ones(3, 2);
    if (worker !== undefined) for (const item of [model, x]) item.send(worker);
    const held = numTensors();
    tidy(() => void model.forward(x).sum().backward());
    model.zero_grad();
    assert.equal(numTensors(), held);
    assert.equal(model.weight.grad, null);
    await model.ready();
  }
});

test('in eval running statistics are read only, and gradients pass', async () => {
  for (const norm of [new nn.BatchNorm1d(2), new nn.InstanceNorm1d(2, { track_running_stats: true })]) {
    const x = tensor([[[1, 2, 4], [3, 5, 9]]], { requires_grad: true });
    norm.eval();
    const before = await norm.running_mean.array();
    norm.forward(x).sum().backward();
    assert.deepEqual(await norm.running_mean.array(), before);
    assert.ok((await x.grad.data()).every((value) => Math.abs(value - 1) < 1e-4));
    norm.train().forward(x);
    assert.notDeepEqual(await norm.running_mean.array(), before);
  }
});

test('torch has them by PyTorch’s names', async () => {
  assert.equal(torch.nn, nn);
  assert.equal(torch.optim, optim);
  assert.deepEqual(await nn.functional.relu(tensor([-1, 2])).array(), [0, 2]);
});

test('making and calling modules leaves recording as it is', () => {
  const x = tensor([1, 2], { requires_grad: true });
  for (let i = 0; i < 3; i++) {
    const layer = new nn.Linear(2, 2);
    assert.equal(x.mul(2).requires_grad, true);
    assert.equal(layer.forward(x).requires_grad, true);
    assert.equal(torch.no_grad(() => layer.forward(x)).requires_grad, false);
    layer.dispose();
  }
});
