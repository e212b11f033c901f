/**
 * Federated learning with a trusted aggregator.
 *
 * bob and alice own two rows each. A copy of the model trains at each of them; both
 * copies move to james, who is trusted to keep them to himself; the mean of the two is
 * what comes back. Neither rows nor single models ever reach this program: the owners'
 * policy keeps the rows, james's seal the models, and who asks for them is refused.
 */
import { nn, optim, tensor, tidy, torch } from './module.js';

const ROWS = { bob: [[0, 0], [0, 1]], alice: [[1, 0], [1, 1]] };
const TARGETS = { bob: [[0], [0]], alice: [[1], [1]] };

/**
 * What the workers do on their own, before anybody else comes: the owners register
 * their rows, james a seal. `compute` means that others may compute with it and get
 * what aggregates it (sums, means, matrix products), and nothing that still holds it.
 */
export async function registerOwnRows(worker) {
  const put = async (values, ...tags) => {
    const made = tensor(values);
    await worker.setObj(made, { tags: ['#aggregator', ...tags], policy: 'compute' });
    made.dispose(); // the store keeps it
  };
  const found = await worker.search('#aggregator');
  for (const item of found) item.dispose(); // what search answers borrows: it stays there
  if (found.length > 0) return;
  if (worker.id in ROWS) {
    await put(ROWS[worker.id], '#rows');
    await put(TARGETS[worker.id], '#targets');
  } else {
    await put(0, '#seal');
  }
}

/** What a worker has under a tag, as a pointer that borrows. */
async function find(worker, tag) {
  const [found] = await worker.search(['#aggregator', tag]);
  if (found) return found;
  throw new Error(
    `${worker.id} has nothing under #aggregator and ${tag}: what it owns has to be registered there first`,
  );
}

/** A few steps at one owner. Nothing of it comes here. */
function train(model, optimizer, { rows, targets }, nSteps) {
  for (let step = 0; step < nSteps; step++) {
    tidy(() => {
      optimizer.zero_grad();
      model.call(rows).sub(targets).pow(2).sum().backward();
      optimizer.step();
    });
  }
}

export async function trustedAggregator({ me, bob, alice, james, print, keep, ...settings }) {
  const { nRounds = 10, nSteps = 5, seed = 1 } = settings;
  torch.manual_seed(seed);
  const model = keep(new nn.Linear(2, 1));
  const initial = await weightsOf(model);
  const owners = [];
  for (const worker of [bob, alice]) {
    const [rows, targets] = await Promise.all([find(worker, '#rows'), find(worker, '#targets')]);
    owners.push({ worker, rows: keep(rows), targets: keep(targets) });
  }
  const seal = keep(await find(james, '#seal'));
  const refusals = [];
  const tryToGet = async (what, pointer) => {
    const refusal = await pointer.get().then(
      () => ({ what, code: null, message: `${what} came, and should not have` }),
      ({ code, message }) => ({ what, code, message }),
    );
    refusals.push(refusal);
    print(`${what}: ${refusal.message}`);
  };
  await tryToGet("bob's rows", owners[0].rows);
  await tryToGet("bob's rows, times one", owners[0].rows.mul(1));

  const losses = [];
  const before = await me.counters();
  for (let round = 1; round <= nRounds; round++) {
    await tidy(async () => {
      // Each owner trains a copy of the model, both at the same time; then the copies
      // go to james, directly.
      const copies = owners.map(({ worker, ...batch }) => {
        const copy = model.copy().send(worker);
        const optimizer = new optim.SGD(copy.parameters(), { lr: 0.1 });
        train(copy, optimizer, batch, nSteps);
        optimizer.dispose();
        return copy.move(james);
      });
      try {
        const names = model.named_parameters().map(([name]) => name);
        const means = torch.no_grad(() => {
          // James's seal, which must not leave, is nothing but a zero. What it is added
          // to must not leave either from then on, and we are no exception.
          for (const parameter of copies.flatMap((copy) => copy.parameters())) parameter.add_(seal);
          // What aggregates them may: the mean over both.
          const states = copies.map((copy) => copy.state_dict());
          return names.map((name) => torch.stack(states.map((state) => state[name])).mean(0));
        });
        if (round === 1) {
          await tryToGet("bob's model, at james", copies[0].weight);
          await tryToGet("alice's model, at james", copies[1].weight);
        }
        await Promise.all(means.map((mean) => mean.get()));
        model.load_state_dict(Object.fromEntries(names.map((name, i) => [name, means[i]])));
      } finally {
        for (const copy of copies) copy.dispose();
      }
    });
    losses.push(await lossOf(model, owners));
    const loss = losses.at(-1).toFixed(6);
    print(`round ${String(round).padStart(2)}: loss ${loss} over both owners' rows`);
  }
  const { tensorBytesIn } = await me.counters();
  const weights = await weightsOf(model);
  print(`the mean: weight [${weights[0]}], bias [${weights[1]}]`);
  const bytesIn = tensorBytesIn - before.tensorBytesIn;
  print(`${bytesIn} bytes of tensors came here in ${nRounds} rounds: 3 means and 2 losses in each`);
  return { initial, weights, losses, refusals, bytesIn };
}

/** How wrong the model is on the rows of both: a sum at each, which may be got. */
function lossOf(model, owners) {
  return tidy(async () => {
    const sums = owners.map(({ worker, rows, targets }) => {
      const there = model.copy().send(worker);
      const sum = torch.no_grad(() => there.call(rows).sub(targets).pow(2).sum());
      there.dispose();
      return sum.item();
    });
    return (await Promise.all(sums)).reduce((total, sum) => total + sum);
  });
}

const weightsOf = async (model) => [await model.weight.array(), await model.bias.array()];
