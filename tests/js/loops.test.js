// The vectorised loops of the core that pages run, at every length around a vector's width. The same natively: tests/c/test_loops.c.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tensor, tidy } from 'tabtensor';

const lengths = [...Array(36).keys()].map((n) => n + 1).concat(255, 256, 257, 1000);
const numbers = (n) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 1.7) * 9);
const isNear = (got, right, tolerance = 3e-7) =>
  Object.is(got, right) || Math.abs(got - right) <= tolerance * Math.abs(right) || assert.fail(`${got} is not ${right}`);

test('functions of one element', async () => {
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  for (const n of lengths) {
    await tidy(async () => {
      const x = numbers(n), a = tensor(x);
      for (const [name, right] of Object.entries({ exp: Math.exp, tanh: Math.tanh, sigmoid, log: Math.log, sqrt: Math.sqrt })) {
        (await a[name]().array()).forEach((y, i) => isNear(y, right(x[i]), name === 'sigmoid' ? 1e-6 : 3e-7));
      }
      (await a.gt(0.5).array()).forEach((y, i) => assert.equal(y, x[i] > 0.5));
    });
  }
});

test('softmax of a row', async () => {
  for (const n of lengths) {
    await tidy(async () => {
      const x = numbers(n), a = tensor(x), sum = x.reduce((so_far, v) => so_far + Math.exp(v), 0);
      (await a.softmax(0).array()).forEach((y, i) => isNear(y, Math.exp(x[i]) / sum, 2e-6));
      (await a.log_softmax(0).array()).forEach((y, i) => assert.ok(Math.abs(y - (x[i] - Math.log(sum))) < 2e-5));
    });
  }
});

test('copies of what is transposed', async () => {
  for (const rows of [1, 3, 4, 15, 16, 17, 64, 65]) {
    for (const columns of [1, 3, 4, 15, 16, 17, 64, 65]) {
      await tidy(async () => {
        const x = numbers(rows * columns);
        const turned = await tensor(x).view(rows, columns).t().contiguous().view(-1).array();
        turned.forEach((y, i) => assert.equal(y, x[(i % rows) * columns + Math.floor(i / rows)]));
        const bytes = await tensor(x).view(rows, columns).gt(0).t().contiguous().view(-1).array();
        bytes.forEach((y, i) => assert.equal(y, x[(i % rows) * columns + Math.floor(i / rows)] > 0));
      });
    }
  }
});
