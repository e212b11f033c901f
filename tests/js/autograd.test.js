// Gradients as users write them: of local tensors, and of tensors at another worker (parity S17).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GradFn, TorchHook, VirtualWorker, numTensors, tensor, tidy, torch } from 'tabtensor';
import { failure } from './failures.js';

const hook = new TorchHook();
const bob = new VirtualWorker({ id: 'bob', hook });
const leaf = (data) => tensor(data, { requires_grad: true });

test('S17 backward: the values of the original tutorial', async () => {
  const x = leaf([[1, 1], [1, 1]]);
  const x2 = leaf([[2, 2], [2, 2]]);
  assert.equal(x.grad, null);
  const y = x.mul(x2);
  assert.equal(y.requires_grad, true);
  assert.equal(y.is_leaf, false);
  assert.ok(y.grad_fn instanceof GradFn);
  assert.equal(y.grad_fn.name, 'MulBackward0');
  assert.equal(x.grad_fn, null);
  assert.equal(y.sum().backward(), undefined);
  assert.deepEqual(await x.grad.array(), [[2, 2], [2, 2]]);
  assert.deepEqual(await x2.grad.array(), [[1, 1], [1, 1]]);
  assert.equal(x.grad, x.grad);
});

test('text says what PyTorch says of gradients', () => {
  const x = leaf([1, 2]);
  assert.equal(String(x), 'tensor([1., 2.], requires_grad=True)');
  assert.equal(String(x.mul(2)), 'tensor([2., 4.], grad_fn=<MulBackward0>)');
  assert.equal(String(x.detach()), 'tensor([1., 2.])');
  assert.equal(String(torch.zeros(2, { dtype: 'float64', requires_grad: true })), 'tensor([0., 0.], dtype=torch.float64, requires_grad=True)');
  assert.equal(x.chainPrint(), 'FloatTensor > Variable > _LocalTensor');
});

test('a training step by hand goes down', async () => {
  const w = leaf([0.5]);
  const held = numTensors();
  const losses = [];
  for (let i = 0; i < 5; i++) {
    losses.push(
      await tidy(async () => {
        const loss = w.mul(3).sub(6).square().sum();
        loss.backward();
        torch.no_grad(() => w.sub_(w.grad.mul(0.01)));
        w.grad = null;
        return loss.item();
      }),
    );
  }
  assert.ok(losses.every((loss, i) => i === 0 || loss < losses[i - 1]), String(losses));
  assert.equal(w.is_leaf, true);
  assert.equal(w.grad, null);
  assert.equal(numTensors(), held);
});

test('no_grad, enable_grad and set_grad_enabled', () => {
  const x = leaf([1]);
  torch.no_grad(() => {
    assert.equal(torch.is_grad_enabled(), false);
    assert.equal(x.mul(2).requires_grad, false);
    assert.equal(torch.enable_grad(() => x.mul(2).requires_grad), true);
  });
  assert.throws(() => torch.no_grad(() => { throw new RangeError('out'); }), RangeError);
  assert.equal(torch.is_grad_enabled(), true);
  assert.throws(() => torch.no_grad(async () => {}), failure('argument', /put the awaits around it/));
  torch.set_grad_enabled(false);
  assert.equal(x.mul(2).requires_grad, false);
  torch.set_grad_enabled(true);
  assert.equal(x.mul(2).requires_grad, true);
});

test('what PyTorch refuses is refused, in its words', () => {
  const x = leaf([1, 2]);
  assert.throws(() => x.add_(1), failure('state', /a leaf Variable that requires grad is being used in an in-place operation/));
  assert.throws(() => x.mul(2).backward(), failure('shape', /grad can be implicitly created only for scalar outputs/));
  assert.throws(() => tensor([1]).backward(), failure('state', /does not require grad and does not have a grad_fn/));
  assert.throws(() => tensor([1], { dtype: 'int64', requires_grad: true }), failure('dtype', /only Tensors of floating point dtype/));
  const y = x.mul(x).sum();
  y.backward();
  assert.throws(() => y.backward(), failure('state', /backward through the graph a second time/));
  assert.throws(() => y.backward({ keep: true }), failure('argument', /no option 'keep'/));
  assert.throws(() => x.register_hook(3), failure('argument', /a function/));
});

test('hooks on gradients: called, replacing, removed, failing', async () => {
  const x = leaf([1, 2, 3]);
  const y = x.mul(2);
  const seen = [];
  const first = x.register_hook((grad) => {
    seen.push(String(grad));
  });
  y.register_hook((grad) => grad.mul(10));
  y.sum().backward({ retain_graph: true });
  assert.deepEqual(seen, ['tensor([20., 20., 20.])']);
  first.remove();
  y.sum().backward({ retain_graph: true });
  assert.equal(seen.length, 1);
  assert.deepEqual(await x.grad.array(), [40, 40, 40]);
  y.register_hook(() => {
    throw new RangeError('not today');
  });
  assert.throws(() => y.sum().backward(), (error) => error.cause instanceof RangeError || error instanceof RangeError || /not today/.test(error.message));
  assert.deepEqual(await x.grad.array(), [40, 40, 40]);
});

test('retain_grad, gradient as an argument, autograd.grad with a graph', async () => {
  const x = leaf([1, 2, 3]);
  const y = x.mul(x);
  y.retain_grad();
  y.backward(tensor([1, 10, 100]));
  assert.deepEqual(await y.grad.array(), [1, 10, 100]);
  assert.deepEqual(await x.grad.array(), [2, 40, 600]);
  const z = leaf([2, 3]);
  const [first] = torch.autograd.grad(z.pow(3).sum(), z, { create_graph: true });
  assert.deepEqual(await first.array(), [12, 27]);
  const [second] = torch.autograd.grad(first.sum(), [z]);
  assert.deepEqual(await second.array(), [12, 18]);
  assert.equal(z.grad, null);
});

test('S17 backward runs where the data is, and gradients are pointers', async () => {
  const x = leaf([[1, 1], [1, 1]]).send(bob);
  const x2 = tensor([[2, 2], [2, 2]]).send(bob);
  x2.requires_grad = true;
  assert.equal(x2.requires_grad, true);
  assert.equal(x2.grad, null);
  const y = x.mul(x2);
  assert.equal(y.grad_fn.name, 'MulBackward0');
  y.sum().backward();
  assert.equal(x2.grad.isPointer, true);
  assert.equal(x2.grad.location, bob);
  assert.deepEqual(await x2.grad.array(), [[1, 1], [1, 1]]);
  torch.no_grad(() => x2.sub_(x2.grad));
  assert.deepEqual(await x2.array(), [[1, 1], [1, 1]]);
  x2.grad = null;
  assert.equal(x2.grad, null);
  assert.throws(() => x2.add_(1), failure('state', /a leaf Variable that requires grad/));
});

test('under no_grad commands are not recorded where the data is', async () => {
  const x = tensor([1, 2]).send(bob);
  x.requires_grad_();
  const y = torch.no_grad(() => x.mul(2));
  assert.equal(y.requires_grad, false);
  assert.equal(await y.text(), 'tensor([2., 4.])');
  assert.equal(await x.mul(2).text(), 'tensor([2., 4.], grad_fn=<MulBackward0>)');
});

test('a backward that fails elsewhere tells why', async () => {
  const x = tensor([1, 2]).send(bob);
  x.requires_grad_();
  const y = x.mul(x).sum();
  y.backward();
  y.backward();
  await assert.rejects(y.ready(), failure('state', /backward through the graph a second time/));
});

test('S17 send and get keep data, gradient and what it is together', async () => {
  const w = leaf([1, 2, 3]);
  w.mul(w).sum().backward();
  w.send(bob);
  assert.equal(w.requires_grad, true);
  assert.equal(w.is_leaf, true);
  assert.deepEqual(await w.grad.array(), [2, 4, 6]);
  w.sum().backward();
  await w.get();
  assert.equal(w.requires_grad, true);
  assert.equal(w.is_leaf, true);
  assert.equal(String(w), 'tensor([1., 2., 3.], requires_grad=True)');
  assert.deepEqual(await w.grad.array(), [3, 5, 7]);
  w.sum().backward();
  assert.deepEqual(await w.grad.array(), [4, 6, 8]);
});

test('S17 what was computed is got as plain data, and not sent without its history', async () => {
  const w = leaf([1, 2]);
  const y = w.mul(2);
  assert.throws(() => y.send(bob), failure('state', /the tensor was computed \(MulBackward0\), and its history would be lost; send what detach\(\) answers/));
  assert.equal(y.grad_fn.name, 'MulBackward0');
  const there = y.detach().send(bob);
  assert.equal(there.requires_grad, false);
  w.send(bob);
  const loss = w.mul(there).sum();
  loss.backward();
  await loss.get();
  assert.equal(loss.requires_grad, false);
  assert.equal(await loss.item(), 10);
  await w.get();
  assert.deepEqual(await w.grad.array(), [2, 4]);
});

test('S17 a leaf that moves on takes its gradient along, and so does a pointer to a pointer', async () => {
  const carol = new VirtualWorker({ id: 'carol', hook });
  const dan = new VirtualWorker({ id: 'dan', hook });
  const w = leaf([1, 2]).send(dan);
  tidy(() => w.mul(3).sum().backward());
  w.move(carol);
  assert.equal(w.location, carol);
  assert.equal(w.requires_grad, true);
  tidy(() => w.sum().backward());
  await tidy(async () => assert.deepEqual(await w.grad.array(), [4, 4]));
  w.send(dan);
  assert.equal(w.requires_grad, true);
  tidy(() => w.sum().backward());
  await w.get();
  assert.equal(w.location, carol);
  assert.equal(w.requires_grad, true);
  await w.get();
  assert.equal(String(w), 'tensor([1., 2.], requires_grad=True)');
  assert.deepEqual(await w.grad.array(), [5, 5]);
  assert.equal((await dan.whoami()).objects + (await carol.whoami()).objects, 0);
});
