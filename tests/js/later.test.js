// The parts of the core that are loaded when a function of them is first called: in this thread, in a page and in its thread.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a module of its own process prints; it is told how often the last part is read, and how often the one before it. */
async function printed(code) {
  const watched = `
    const fs = require('node:fs');
    const { readFileSync } = fs;
    let n = 0;
    let nMore = 0;
    let isThere = true;
    fs.readFileSync = (path, ...rest) => {
      if (String(path).endsWith('_more.wasm')) nMore++;
      if (!String(path).endsWith('_later.wasm')) return readFileSync(path, ...rest);
      if (!isThere) throw new Error('it is not there');
      n++;
      return readFileSync(path, ...rest);
    };
    require('node:module').syncBuiltinESMExports();
    (async () => {${code}})();`;
  const { stdout } = await run('node', ['-e', watched], { cwd: new URL('.', import.meta.url) });
  return stdout.trim();
}

for (const module of ['../../web/tabtensor.js', '../../web/core/tabtensor.js']) {
  test(`${module} loads the rest of the core once, and only when it is needed`, async () => {
    const code = `const { tensor, torch, np } = await import('${module}');
      const out = [String(tensor([1, 2]).add(1)), n];
      out.push(String(tensor([[2, 0], [0, 4]]).inverse()), n, String(np.fliplr(np.array([[1, 2]]))), String(torch.det(tensor([[2, 0], [0, 4]]))), n);
      console.log(out.join(' '));`;
    assert.equal(await printed(code), 'tensor([2., 3.]) 0 tensor([[0.5000, 0.0000],\n        [0.0000, 0.2500]]) 1 [[2. 1.]] tensor(8.) 1');
  });
}

test('what every page does needs one part, and training another', async () => {
  const code = `const { nn, optim, tensor, torch } = await import('../../web/tabtensor.js');
    const x = tensor([[1, 2], [3, 4]]);
    const out = [String(x.add(x).mul(2).sum()), String(torch.zeros([1])), nMore, n];
    const model = new nn.Linear(2, 1);
    const sgd = new optim.SGD(model.parameters(), { lr: 0.1 });
    model.call(x.matmul(x)).relu().sum().backward();
    sgd.step();
    console.log([...out, nMore, n].join(' '));`;
  assert.equal(await printed(code), 'tensor(40.) tensor([0.]) 0 0 1 0');
});

test('a page and its thread each load it for themselves', async () => {
  const code = `const { becomePage, threads } = await import('./page_in_node.js');
    becomePage('http://localhost');
    const { TorchHook, WebSocketWorker, np, tensor } = await import('../../web/tabtensor.js');
    const me = new WebSocketWorker({ id: 'me', url: null });
    for (const thread of threads) thread.hold();
    new TorchHook({ localWorker: me });
    console.log(n, await np.fliplr(np.array([[1, 2]])).tolist(), n, await tensor([[2, 0], [0, 4]]).inverse().array());
    process.exit();`;
  assert.equal(await printed(code), '0 [ [ 2, 1 ] ] 1 [ [ 0.5, 0 ], [ 0, 0.25 ] ]');
});

test('a part that cannot be loaded is an error, and is asked for again', async () => {
  const code = `const { tensor } = await import('../../web/tabtensor.js');
    const x = tensor([[2, 0], [0, 4]]);
    isThere = false;
    try { x.inverse(); } catch (error) { console.log(error.name, error.code, error.message); }
    console.log(String(x.add(1).sum()));
    isThere = true;
    console.log(String(x.inverse().sum()));`;
  assert.match(await printed(code), /^TensorError connection .*it is not there\ntensor\(10\.\)\ntensor\(0\.7500\)$/);
});

test('calls that end because a part cannot be loaded leave the stack as it was, however many', async () => {
  const code = `const { tensor } = await import('../../web/tabtensor.js');
    const x = tensor([[2, 0], [0, 4]]);
    let nFailed = 0;
    const said = new Set();
    isThere = false;
    for (let i = 0; i < 300; i++) {
      try { x.inverse(); } catch { nFailed++; }
      said.add(String(x.add(1).sum()));
    }
    isThere = true;
    console.log(nFailed, [...said].join(), String(x.inverse().sum()));`;
  assert.equal(await printed(code), '300 tensor(10.) tensor(0.7500)');
});
