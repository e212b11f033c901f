// Modules and optimisers in a page: parameters are made at the page's own worker, state follows its parameter to another one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startNative } from './native.js';
import { becomePage, threads } from './page_in_node.js';

const relay = await startNative(['relay', '--port', '0']);
becomePage(relay.url);
const { TorchHook, WebSocketWorker, func2plan, nn, numTensors, optim, tensor, tidy, torch } = await import('../../web/tabtensor.js');

const me = new WebSocketWorker({ id: 'me' });
for (const thread of threads) thread.hold();
const hook = new TorchHook({ localWorker: me });
const other = new WebSocketWorker({ id: 'bob' });
let bob;

before(async () => {
  await Promise.all([me.ready, other.ready]);
  bob = await me.waitFor('bob');
});
after(async () => {
  await me.close();
  await other.close();
  await relay.stop();
});

/** Twelve steps; at bob, where `isThere(step)` says so. Answers the losses and the weights. */
async function train(isThere, isPlan = false) {
  const model = new nn.Sequential(new nn.Linear(2, 3), new nn.Tanh(), new nn.Linear(3, 1));
  for (const [i, parameter] of model.parameters().entries()) nn.init.constant_(parameter, 0.1 * (i + 1));
  const adam = new optim.Adam(model.parameters(), { lr: 0.05 });
  const data = [[[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [0], [1], [1]]];
  const here = data.map((rows) => tensor(rows));
  const there = data.map((rows) => tensor(rows).send(bob));
  const held = numTensors();
  const losses = [];
  const body = (x, y) => {
    adam.zero_grad();
    const loss = model.call(x).sub(y).pow(2).mean();
    loss.backward();
    adam.step();
    return loss;
  };
  const step = isPlan ? func2plan(body, { state: [model, adam] }) : body;
  for (let i = 0; i < 12; i++) {
    if (isThere(i) && model.location === null) model.send(bob);
    if (!isThere(i) && model.location !== null) await model.get();
    await adam.ready();
    const [x, y] = isThere(i) ? there : here;
    losses.push(await tidy(() => step(x, y).item()));
  }
  step.dispose?.();
  assert.equal(numTensors(), held);
  if (model.location !== null) await model.get();
  const weights = await Promise.all(model.parameters().map((parameter) => parameter.array()));
  model.dispose();
  adam.dispose();
  for (const made of [...here, ...there]) made.dispose();
  return { losses, weights };
}

test('a model of a page is at its own worker, and is shown as here', async () => {
  const layer = new nn.Linear(2, 3);
  assert.equal(layer.location, null);
  assert.equal(layer.weight.chainPrint(), 'FloatTensor > _LocalTensor');
  assert.deepEqual(layer.weight.shape, [3, 2]);
  assert.equal(layer.weight.requires_grad, true);
  assert.equal((await layer.call(torch.ones(4, 2)).array()).length, 4);
  assert.equal(layer.double().weight.dtype, 'float64');
  layer.dispose();
});

test('training in a page is bit for bit the same at its own worker, at another, and on the way between', async () => {
  const own = await train(() => false);
  assert.ok(own.losses.at(-1) < own.losses[0], String(own.losses));
  assert.deepEqual(await train(() => true), own);
  assert.deepEqual(await train((i) => i % 4 === 1 || i % 4 === 2), own);
  assert.equal(hook.localWorker, me);
});

test('as a plan: at the own worker, and through it at another, the same bits', async () => {
  const commands = await train(() => false);
  for (const isThere of [() => false, () => true, (i) => i > 3 && i < 9]) assert.deepEqual(await train(isThere, true), commands);
});
