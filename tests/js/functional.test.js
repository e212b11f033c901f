// torch.nn.functional and the steps of optimisers as users call them: here, and at another worker by the same words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TensorError, TorchHook, VirtualWorker, tensor, torch } from 'tabtensor';

const hook = new TorchHook();
const bob = new VirtualWorker({ id: 'bob', hook });
const F = torch.nn.functional;

test('functions stand under torch.nn.functional by their names', async () => {
  for (const name of ['conv2d', 'linear', 'relu', 'softmax', 'leaky_relu_', 'cross_entropy', 'batch_norm']) {
    assert.equal(typeof F[name], 'function', name);
    assert.equal(F[name].name, name);
  }
  assert.equal(F.conv2d_input, undefined);
  assert.deepEqual(await F.linear(tensor([[1, 2]]), tensor([[3, 4], [5, 6]]), tensor([10, 20])).array(), [[21, 37]]);
  assert.equal(await F.mse_loss(tensor([1, 2]), tensor([3, 5]), { reduction: 'sum' }).item(), 13);
  const x = tensor([-2, 3]);
  assert.equal(F.leaky_relu_(x, 0.5), x);
  assert.deepEqual(await x.array(), [-1, 3]);
  assert.throws(() => F.mse_loss(tensor([1]), tensor([1]), { reduction: 'most' }), (error) => error instanceof TensorError && /'most'/.test(error.message));
});

/** The losses of a few steps of a small network with everything in it, its state made by `place`. */
async function train(place) {
  const parameter = (...args) => place(torch.randn(...args).mul(0.3)).requires_grad_();
  const images = place(torch.randn([6, 2, 6, 6], { seed: 1 }));
  const classes = place(tensor([0, 1, 2, 0, 1, 2], { dtype: 'int64' }));
  const kernel = parameter([4, 2, 3, 3], { seed: 2 });
  const scale = place(torch.ones([4])).requires_grad_();
  const shift = place(torch.zeros([4])).requires_grad_();
  const weight = parameter([3, 36], { seed: 3 });
  const mean = place(torch.zeros([4]));
  const variance = place(torch.ones([4]));
  const parameters = [kernel, scale, shift, weight].map((p) => ({ p, first: place(torch.zeros(p.shape)), second: place(torch.zeros(p.shape)), step: place(tensor(0)) }));
  const losses = [];
  for (let i = 0; i < 4; i++) {
    const maps = F.batch_norm(F.conv2d(images, kernel, null, 1, 1), mean, variance, scale, shift, true);
    const pooled = F.max_pool2d(F.gelu(maps), 2).flatten(1);
    const loss = F.cross_entropy(F.linear(F.dropout(pooled, 0.25, true, { seed: i }), weight), classes);
    loss.backward();
    torch.no_grad(() => {
      for (const { p, first, second, step } of parameters) {
        p.adam_step_(first, second, null, step, { lr: 0.05 });
        p.grad.zero_();
      }
    });
    losses.push(loss);
  }
  const read = async (t) => (t.location ? await t.get() : t).item();
  const steps = await read(parameters[0].step);
  return { losses: await Promise.all(losses.map(read)), steps };
}

test('a network learns, and at another worker bit for bit the same', async () => {
  const here = await train((t) => t);
  assert.equal(here.steps, 4);
  assert.ok(here.losses[3] < here.losses[0], here.losses.join());
  assert.deepEqual(await train((t) => t.send(bob)), here);
});

test('the gradient of a gradient of a convolution agrees with differences', async () => {
  const option = { dtype: 'float64' };
  const x = torch.randn([1, 2, 5, 5], { seed: 5, ...option });
  const start = torch.randn([3, 2, 3, 3], { seed: 6, ...option });
  /** The sum of the squares of the input's gradient, of the kernel alone. */
  const penalty = (kernel) => {
    const input = x.clone().requires_grad_();
    const [grad] = torch.autograd.grad([F.conv2d(input, kernel, null, 2, 1).pow(2).sum()], [input], { create_graph: true });
    return grad.square().sum();
  };
  const kernel = start.clone().requires_grad_();
  penalty(kernel).backward();
  const found = (await kernel.grad.array()).flat(3);
  const values = (await start.array()).flat(3);
  for (const at of [0, 13, 31, 53]) {
    const moved = async (step) => {
      const changed = values.slice();
      changed[at] += step;
      return penalty(tensor(changed, option).reshape([3, 2, 3, 3]).requires_grad_()).item();
    };
    const expected = ((await moved(1e-5)) - (await moved(-1e-5))) / 2e-5;
    assert.ok(Math.abs(found[at] - expected) < 1e-5 * (1 + Math.abs(expected)), `${found[at]}, by differences ${expected}`);
  }
});
