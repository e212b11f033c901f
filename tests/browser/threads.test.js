// Threads in real tabs: a Worker of one's own, and a page's worker; with shared memory and without.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openHouse } from './tabs.js';

const ISOLATION = { 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Resource-Policy': 'same-origin' };

/** What a Worker of a user's own does, as one file: it answers with what `run` does (a function without surroundings). */
async function inWorker(house, query, run) {
  const tab = await house.tab('index.html');
  await tab.page.route('**/own_worker.js*', (route) =>
    route.fulfill({
      contentType: 'text/javascript',
      headers: ISOLATION,
      body: `import * as all from './core/tabtensor.js'; (${run})(all).then((value) => postMessage({ value }), (error) => postMessage({ error: error.message }));`,
    }),
  );
  const answer = await tab.page.evaluate(
    (address) =>
      new Promise((resolve, reject) => {
        const worker = new Worker(address, { type: 'module' });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => reject(new Error(event.message));
      }),
    `own_worker.js${query}`,
  );
  if (answer.error !== undefined) throw new Error(answer.error);
  return answer.value;
}

/** Products and their like by several numbers of threads; true where the bits are those of one. */
const compare = async ({ tensor, tidy, torch, numThreadHelpers }) => {
  const sizes = [[300, 300, 300], [512, 130, 70]];
  const [a, b] = [0, 1].map((seed) => tidy(() => torch.randn([512 * 512], { seed })));
  const products = async () => {
    const found = [];
    for (const [m, k, n] of sizes) {
      const c = tidy(() => a.narrow(0, 0, m * k).view([m, k]).matmul(b.narrow(0, 0, k * n).view([k, n])));
      found.push(await c.data());
      c.dispose();
    }
    return found;
  };
  const atFirst = torch.get_num_threads();
  torch.set_num_threads(1);
  const one = await products();
  const isSame = {};
  for (const n of [2, 3, 5]) {
    torch.set_num_threads(n);
    isSame[n] = true;
    for (let i = 0; i < 1000 && (i < 3 || numThreadHelpers() < n - 1); i++) {
      const more = await products();
      isSame[n] &&= more.every((values, which) => values.every((value, place) => value === one[which][place]));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  // Memory grows beyond what it began with, and what was read before stays right.
  const large = tidy(() => torch.ones([20_000_000]));
  const sum = await large.sum().item();
  return { atFirst, isSame, nHelpers: numThreadHelpers(), sum, first: (await tensor([1, 2]).data())[1] };
};

describe('threads', { timeout: 120_000 }, () => {
  test('a Worker that asks for them has them, and the bits are those of one thread', async (t) => {
    const house = await openHouse(t);
    const seen = await inWorker(house, '?threads=2', compare);
    assert.deepEqual(seen, { atFirst: 2, isSame: { 2: true, 3: true, 5: true }, nHelpers: 4, sum: 20_000_000, first: 2 });
  });

  test('a Worker that does not ask has one, and says how to get more', async (t) => {
    const house = await openHouse(t);
    const run = async ({ torch }) => {
      try {
        torch.set_num_threads(2);
        return 'nothing was thrown';
      } catch (error) {
        return `${torch.get_num_threads()}, ${error.code}: ${error.message}`;
      }
    };
    assert.match(await inWorker(house, '', run), /^1, state: 2 threads: there is one here.*Cross-Origin-Opener-Policy/);
  });

  test("a page's worker has as many as the page says", async (t) => {
    const house = await openHouse(t);
    const loaded = [];
    house.context.on('request', (request) => loaded.push(new URL(request.url()).pathname));
    const tab = await house.tab('index.html');
    const seen = await tab.page.evaluate(async () => {
      const { torch, TorchHook, WebSocketWorker } = await import('./core/tabtensor.js');
      torch.set_num_threads(2);
      const worker = new WebSocketWorker({ id: 'strong' });
      new TorchHook({ localWorker: worker });
      await worker.ready;
      const a = torch.ones([400, 400]);
      const sum = await a.matmul(a).sum().item();
      torch.set_num_threads(1);
      const again = await a.matmul(a).sum().item();
      let refused;
      try {
        torch.set_num_threads(65);
      } catch (error) {
        refused = error.message;
      }
      const n = torch.get_num_threads();
      await worker.close();
      return { sum, again, refused, n };
    });
    assert.deepEqual(seen, { sum: 400 ** 3, again: 400 ** 3, refused: '65 threads: there can be 1 to 64', n: 1 });
    for (const core of ['tabtensor_core', 'tabtensor_threads']) assert.ok(loaded.some((path) => path.startsWith(`/core/${core}`) && path.endsWith('.wasm')), `${core} of ${loaded}`);
  });
});
