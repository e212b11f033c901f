import { openTabs } from '../tabs.js';

export const title = 'round trip of a small get, two tabs through the relay';

const N = 300;

export async function run(bench) {
  const tabs = await openTabs(bench, ['alice', 'bob']);
  await tabs.bob.worker('open', { id: 'bob', url: tabs.url });
  await tabs.bob.worker('echo', { to: 'bare-alice-worker' });
  await tabs.alice.worker('open', { id: 'alice-worker', url: tabs.url });
  await tabs.alice.page('open', { id: 'alice-page', url: tabs.url });
  for (const from of ['worker', 'page']) {
    const ask = tabs.alice[from];
    await ask('meet', { ids: ['bob'] });
    // The bytes that go over the wire between the tabs are the same from both.
    const { out, back } = await tabs.alice.worker('gets', { to: 'bob', n: N });
    const contestants = [
      {
        name: 'tabtensor',
        prepare: () => ask('gets', { to: 'bob', n: N }),
        async sample(n) {
          return { ms: n * (await ask('gets', { to: 'bob', n })).median };
        },
      },
      {
        name: 'echo',
        prepare: () => tabs.alice.worker('bareTrips', { to: 'bare-bob', n: N, out, back }),
        async sample(n) {
          return { ms: n * (await tabs.alice.worker('bareTrips', { to: 'bare-bob', n, out, back })) };
        },
      },
    ];
    const isWorker = from === 'worker';
    const row = isWorker ? `from a Worker (${out} bytes out, ${back} back; median of ${N})` : 'from the page (the echo from a Worker)';
    await bench.compare({ row, contestants, target: isWorker ? { atMostTimes: 1.4 } : undefined, n: N, tolerance: null });
  }
}
