// Two cores differ in their float32 tiles alone (wasm-build/recipe.cmake): each gives products around the edges of its tiles, convolutions and softmax, beside
// the same in float64. Node 20 has relaxed SIMD behind a flag; later ones always.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const FLAG = '--experimental-wasm-relaxed-simd';
const run = promisify(execFile);

const code = `
  const { promises } = require('node:fs');
  const { readFile } = promises;
  const loaded = [];
  promises.readFile = (path, ...rest) => (loaded.push(String(path).split('/').at(-1)), readFile(path, ...rest));
  require('node:module').syncBuiltinESMExports();
  (async () => {
    const { torch, nn, tensor } = await import('../../web/tabtensor.js');
    torch.manual_seed(7);
    const differences = [];
    const compare = async (what, single, double, n) => {
      const largest = await single.double().sub(double).abs().max().item();
      if (!(largest <= 1e-6 * n)) differences.push(what + ': ' + largest);
    };
    const sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 61, 64, 66, 67];
    for (const m of sizes) for (const n of [1, 3, 4, 5, 8, 9, 17]) for (const k of [1, 3, 4, 5, 31, 257]) {
      const a = torch.randn(m, k), b = torch.randn(k, n), right = a.double().matmul(b.double());
      await compare([m, k, n].join('x'), a.matmul(b), right, k);
      await compare([m, k, n].join('x') + ' transposed', a.t().contiguous().t().matmul(b.t().contiguous().t()), right, k);
    }
    for (const [channels, filters, size, padding, stride] of [[1, 6, 9, 0, 1], [3, 16, 8, 1, 1], [5, 7, 11, 2, 2], [16, 32, 6, 1, 1]]) {
      const x = torch.randn(2, channels, size, size), w = torch.randn(filters, channels, 3, 3), bias = torch.randn(filters);
      const both = [x, w, bias].map((t) => [t.detach().requires_grad_(), t.double().requires_grad_()]);
      const out = [0, 1].map((i) => nn.functional.conv2d(both[0][i], both[1][i], both[2][i], [stride, stride], [padding, padding]));
      for (const y of out) y.mul(y).sum().backward();
      await compare('conv2d ' + channels, out[0], out[1], 9 * channels);
      for (const [single, double] of both) await compare('conv2d ' + channels + ' gradient', single.grad, double.grad, 2000 * channels);
    }
    for (const n of [1, 5, 16, 23, 1000]) {
      const x = torch.randn(4, n), row = x.narrow(0, 1, 1);
      row.sub_(200);
      await compare('softmax ' + n, x.softmax(1), x.double().softmax(1), 1);
    }
    console.log(JSON.stringify({ loaded: loaded.filter((name) => name.endsWith('.wasm')), differences }));
  })();`;

const hasFlag = spawnSync(process.execPath, [FLAG, '-e', '']).status === 0;
for (const [core, flags] of [
  ['tabtensor_core.wasm', hasFlag ? [] : null],
  ['tabtensor_core_relaxed.wasm', hasFlag ? [FLAG] : []],
]) {
  test(`${core} multiplies`, { skip: flags === null && 'this Node always has relaxed SIMD' }, async () => {
    const { stdout } = await run(process.execPath, [...flags, '-e', code], { cwd: new URL('.', import.meta.url) });
    assert.deepEqual(JSON.parse(stdout), { loaded: [core], differences: [] });
  });
}
