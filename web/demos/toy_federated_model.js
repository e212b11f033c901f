/**
 * A toy federated model: bob and alice have two rows each, and the model visits them in
 * turn.
 *
 * The rows never come back. The model does, after every batch, changed by what it saw;
 * trained on the same batches here it comes out the same, bit for bit.
 */
import { nn, optim, tensor, tidy, torch } from './module.js';

const BATCHES = [
  { rows: [[0, 0], [0, 1]], targets: [[0], [0]] },
  { rows: [[1, 0], [1, 1]], targets: [[1], [1]] },
];

/**
 * A step on a batch, where model and batch are. What is made on the way is freed; the
 * loss, a number, comes here.
 */
const train = (model, optimizer, { rows, targets }) =>
  tidy(() => {
    optimizer.zero_grad(); // 1. forget the gradients of the last step
    const loss = model.call(rows).sub(targets).pow(2).sum(); // 2. predict; how wrong is that?
    loss.backward(); // 3. which way is less wrong
    optimizer.step(); // 4. go there
    return loss.item();
  });

export async function toyFederatedModel({ bob, alice, print, keep, nSteps = 10, seed = 1 }) {
  torch.manual_seed(seed);
  const model = keep(new nn.Linear(2, 1));
  const optimizer = keep(new optim.SGD(model.parameters(), { lr: 0.1 }));
  const atHome = keep(model.copy());
  const optimizerAtHome = keep(new optim.SGD(atHome.parameters(), { lr: 0.1 }));
  const initial = await weightsOf(model);

  const tensorsOf = ({ rows, targets }) => ({
    rows: keep(tensor(rows)),
    targets: keep(tensor(targets)),
  });
  const here = BATCHES.map(tensorsOf);
  const there = BATCHES.map(tensorsOf);
  for (const item of Object.values(there[0])) item.send(bob);
  for (const item of Object.values(there[1])) item.send(alice);

  const losses = [];
  const lossesAtHome = [];
  for (let step = 1; step <= nSteps; step++) {
    let loss = 0;
    let lossAtHome = 0;
    for (let i = 0; i < BATCHES.length; i++) {
      model.send(there[i].rows.location); // the parameters go to the data,
      loss += await train(model, optimizer, there[i]); // are changed there,
      await model.get(); // and come back
      lossAtHome += await train(atHome, optimizerAtHome, here[i]);
    }
    losses.push(loss);
    lossesAtHome.push(lossAtHome);
    print(`step ${String(step).padStart(2)}: loss ${loss.toFixed(6)}`);
  }

  const weights = await weightsOf(model);
  const atHomeToo = [lossesAtHome, await weightsOf(atHome)];
  const isSame = JSON.stringify([losses, weights]) === JSON.stringify(atHomeToo);
  print(`weight [${weights[0]}], bias [${weights[1]}]`);
  print(`the same losses and weights as trained here, bit for bit: ${isSame ? 'yes' : 'no'}`);
  return { initial, losses, weights, isSame };
}

const weightsOf = async (model) => [await model.weight.array(), await model.bias.array()];
