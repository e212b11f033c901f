/**
 * PyTorch's own training of what the tutorials train: the other side of their tests. It reads the same table and does all else by itself, split and scaling included.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { python } from './python.js';
import { tableFile } from './boston_numpy.js';

export const bostonTable = () => JSON.parse(readFileSync(tableFile, 'utf8'));

const BOSTON = `
import json, sys
import numpy as np, torch
torch.set_num_threads(1)
options = json.load(sys.stdin)
rows = np.array(options["rows"])
order, state = list(range(len(rows))), 7
for i in range(len(rows) - 1, 0, -1):
    state = (state * 1664525 + 1013904223) % 2 ** 32
    k = state * (i + 1) // 2 ** 32
    order[i], order[k] = order[k], order[i]
rows = rows[order]
x, y = rows[:, :-1], rows[:, -1:]
scaled = np.arange(13) != 3
mean, deviation = np.where(scaled, x[:404].mean(0), 0), np.where(scaled, x[:404].std(0), 1)
x = torch.tensor((x - mean) / deviation, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
torch.manual_seed(20181110)
model = torch.nn.Sequential(torch.nn.Linear(13, 32), torch.nn.ReLU(), torch.nn.Linear(32, 24), torch.nn.ReLU(), torch.nn.Linear(24, 1))
initial = {name: value.tolist() for name, value in model.state_dict().items()}
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
losses = []
for _ in range(options["epochs"]):
    for begin in range(0, 404, 8):
        end = min(begin + 8, 404)
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x[begin:end]), y[begin:end])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
with torch.no_grad():
    test = torch.nn.functional.mse_loss(model(x[404:]), y[404:]).item()
print(json.dumps({"initial": initial, "losses": losses, "testMse": test}))
`;

/** { initial, losses, testMse }: initial weights by name, the loss of each batch. */
export const trainBoston = (nEpochs = 10) => python(BOSTON, JSON.stringify({ rows: bostonTable().rows, epochs: nEpochs }));

const TOY = `
import copy, json, sys
import torch
options = json.load(sys.stdin)
model = torch.nn.Linear(2, 1)
with torch.no_grad():
    model.weight.copy_(torch.tensor(options["initial"][0]))
    model.bias.copy_(torch.tensor(options["initial"][1]))
batches = [(torch.tensor([[0., 0], [0, 1]]), torch.zeros(2, 1)), (torch.tensor([[1., 0], [1, 1]]), torch.ones(2, 1))]
def error(of, batch):
    return (of(batch[0]) - batch[1]).pow(2).sum()
def step(of, batch):
    loss = error(of, batch)
    of.zero_grad()
    loss.backward()
    torch.optim.SGD(of.parameters(), lr=0.1).step()
    return loss.item()
losses = []
for _ in range(10):
    if options["averaged"]:
        copies = [copy.deepcopy(model) for _ in batches]
        for of, batch in zip(copies, batches):
            for _ in range(5):
                step(of, batch)
        with torch.no_grad():
            for mean, a, b in zip(model.parameters(), *(of.parameters() for of in copies)):
                mean.copy_((a + b) / 2)
        losses.append(sum(error(model, batch).item() for batch in batches))
    else:
        losses.append(sum(step(model, batch) for batch in batches))
print(json.dumps({"losses": losses, "weights": [p.tolist() for p in model.parameters()]}))
`;

/** { losses, weights } of the four rows: steps on one batch after the other, or (averaged) rounds of five steps on copies of the model, which are then averaged. */
export const trainToy = (initial, { averaged = false } = {}) => python(TOY, JSON.stringify({ initial, averaged }));

/** Insists that every number is within a relative (and, around zero, an absolute) distance of what is expected. */
export function assertClose(actual, expected, relative, absolute = 0) {
  const [left, right] = [actual.flat(Infinity), expected.flat(Infinity)];
  assert.equal(left.length, right.length);
  right.forEach((value, i) => {
    const distance = Math.abs(left[i] - value);
    assert.ok(distance <= relative * Math.abs(value) + absolute, `number ${i} is ${left[i]}, and ${value} in PyTorch`);
  });
}
