import { fingerprint } from '../page/data.js';
import { openTabs } from '../tabs.js';

export const title = 'commands per second, pipelined, tab to tab through the relay';

export async function run(bench) {
  const tabs = await openTabs(bench, ['alice', 'bob']);
  await tabs.bob.worker('open', { id: 'bob', url: tabs.url });
  for (const from of ['worker', 'page']) {
    const id = `alice-${from}`;
    const ask = tabs.alice[from];
    await ask('open', { id, url: tabs.url });
    await ask('meet', { ids: ['bob'] });
    const contestant = {
      name: 'tabtensor',
      async prepare() {
        await ask('commands', { to: 'bob', n: 20_000 });
      },
      async sample(n) {
        const { ms, result } = await ask('commands', { to: 'bob', n });
        return { ms, result: fingerprint(result) };
      },
    };
    const row = `add of 10 elements, each of the last one's result, from ${from === 'page' ? 'the page' : 'a Worker'}`;
    await bench.compare({ row, contestants: [contestant], target: { atLeast: 3e5 }, unit: '/s', n: 100_000 });
  }
}
