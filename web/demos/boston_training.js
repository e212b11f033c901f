/**
 * Boston housing: a network learns what houses cost from rows that are spread over two
 * workers.
 *
 * 506 towns with 13 numbers each and the median price of a house, in thousands of
 * dollars. 404 rows are for training, in 51 batches that lie at bob and alice in turn;
 * 102 judge the result. In every batch the parameters go to the worker that has it and
 * are changed there.
 */
import { func2plan, nn, optim, tensor, tidy, torch } from './module.js';
import { loadTable } from './boston.js';

export const N_TRAINING = 404;
export const BATCH_SIZE = 8;
const CHAS = 3; // whether the town is at the river: 0 or 1, and left as it is

/** The test error that the original's tutorial reached, on another split. */
export const ORIGINAL_TEST_MSE = 20.78;

/**
 * 0 to n - 1, shuffled: Fisher and Yates's, from the end, with the numbers s ->
 * (1664525 s + 1013904223) mod 2^32 (Knuth, Lewis); s / 2^32 of [0, i] picks what goes
 * to i.
 */
export function shuffledIndices(n, seed = 7) {
  const order = Array.from({ length: n }, (_, i) => i);
  let state = seed;
  for (let i = n - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const k = Math.floor((state / 2 ** 32) * (i + 1));
    [order[i], order[k]] = [order[k], order[i]];
  }
  return order;
}

/**
 * The shuffled rows in two parts; inputs have mean 0 and deviation 1 over the training
 * rows, but for the river.
 */
export function splitTable({ rows }) {
  const shuffled = shuffledIndices(rows.length).map((i) => rows[i]);
  const training = shuffled.slice(0, N_TRAINING);
  const scale = shuffled[0].slice(0, -1).map((_, column) => {
    if (column === CHAS) return { mean: 0, deviation: 1 };
    const mean = training.reduce((sum, row) => sum + row[column], 0) / training.length;
    const variance = training.reduce((sum, row) => sum + (row[column] - mean) ** 2, 0) / training.length;
    return { mean, deviation: Math.sqrt(variance) };
  });
  const partOf = (part) => ({
    inputs: part.map((row) => scale.map(({ mean, deviation }, i) => (row[i] - mean) / deviation)),
    prices: part.map((row) => [row.at(-1)]),
  });
  return { training: partOf(training), test: partOf(shuffled.slice(N_TRAINING)) };
}

export function makeModel() {
  return new nn.Sequential(
    new nn.Linear(13, 32),
    new nn.ReLU(),
    new nn.Linear(32, 24),
    new nn.ReLU(),
    new nn.Linear(24, 1),
  );
}

/**
 * Brings the model to a worker (null: here), from wherever it is. From worker to worker
 * it goes directly, and nobody has to wait: only on the way here there is a promise.
 */
function visit(model, worker) {
  const from = model.location;
  if (from === worker) return undefined;
  if (worker === null) return model.get();
  if (from === null) model.send(worker);
  else model.move(worker);
  return undefined;
}

/**
 * A step on one batch, where model and batch are; it answers the loss before it. The
 * workers get it as a plan, once: from then on a step is one small message.
 */
const makeStep = (model, optimizer) =>
  func2plan(
    (inputs, prices) => {
      const loss = torch.nn.functional.mse_loss(model.call(inputs), prices);
      loss.backward();
      optimizer.step();
      optimizer.zero_grad(); // here, so that no gradients travel
      return loss;
    },
    { state: [model, optimizer] },
  );

/**
 * `bob` and `alice` may be null: that part of the data, and its share of the training,
 * is here. `comesBack`: the parameters come back after each batch, as in the original;
 * else they go on to the next worker directly. `initial`: the weights to begin with, as
 * arrays by name.
 */
export async function bostonTraining({ bob, alice, print, keep, table, ...settings }) {
  const { nEpochs = 10, comesBack = false, initial = null, seed = 1 } = settings;
  const { training, test } = splitTable(table ?? (await loadTable()));
  torch.manual_seed(seed);
  const model = keep(makeModel());
  if (initial !== null) {
    const state = Object.entries(initial).map(([name, values]) => [name, keep(tensor(values))]);
    model.load_state_dict(Object.fromEntries(state));
  }
  const optimizer = keep(new optim.SGD(model.parameters(), { lr: 0.001 }));
  const step = keep(makeStep(model, optimizer));
  print(model);

  // Every other batch goes to bob, the others to alice.
  const batches = [];
  for (let from = 0; from < N_TRAINING; from += BATCH_SIZE) {
    const worker = (batches.length % 2 === 0 ? bob : alice) ?? null;
    const inputs = keep(tensor(training.inputs.slice(from, from + BATCH_SIZE)));
    const prices = keep(tensor(training.prices.slice(from, from + BATCH_SIZE)));
    if (worker !== null) for (const item of [inputs, prices]) item.send(worker);
    batches.push({ worker, inputs, prices });
  }
  const nameOf = (worker) => worker?.id ?? 'this worker';
  const half = Math.ceil(batches.length / 2);
  print(`${batches.length} batches: ${half} at ${nameOf(bob)}, ${batches.length - half} at ${nameOf(alice)}`);

  const losses = [];
  const began = performance.now();
  // Nobody has to wait for a loss before the next step.
  const train = ({ inputs, prices }) => tidy(() => step(inputs, prices).item());
  for (let epoch = 1; epoch <= nEpochs; epoch++) {
    const pending = [];
    for (const batch of batches) {
      const coming = visit(model, batch.worker);
      if (coming !== undefined) await coming;
      const loss = train(batch);
      loss.catch(() => {}); // told below; by what failed first, when a worker is lost before
      pending.push(loss);
      if (comesBack) await visit(model, null);
    }
    const ofEpoch = await Promise.all(pending);
    losses.push(...ofEpoch);
    const loss = ofEpoch.reduce((sum, item) => sum + item) / ofEpoch.length;
    print(`epoch ${String(epoch).padStart(2)}: mean loss ${loss.toFixed(4)}`);
  }
  await visit(model, null);
  const seconds = (performance.now() - began) / 1000;

  const testMse = await tidy(() => {
    const predicted = torch.no_grad(() => model.call(tensor(test.inputs)));
    return torch.nn.functional.mse_loss(predicted, tensor(test.prices)).item();
  });
  print(`test MSE ${testMse.toFixed(2)} on ${test.prices.length} rows; ${seconds.toFixed(2)} s`);
  print(`(the original reached ${ORIGINAL_TEST_MSE}, on another split)`);
  const weights = {};
  for (const [name, parameter] of model.named_parameters()) weights[name] = await parameter.array();
  return { losses, weights, testMse, seconds, nBatches: batches.length };
}
