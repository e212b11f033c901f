import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { openTabs } from '../tabs.js';

export const title = 'send and get of 256 MB, tab to tab through the relay';

const N_BYTES = 256 << 20;
const MB = 1 << 20;

const statusOf = (pid, field) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`${field}:\\s+(\\d+) kB`))?.[1] ?? 0) * 1024;

/** The processes of tabs below a browser. */
function renderersOf(browser) {
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      parents.set(Number(pid), Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const isBelow = (pid) => pid === browser || (parents.has(pid) && isBelow(parents.get(pid)));
  const isRenderer = (pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer');
  return [...parents.keys()].filter((pid) => isBelow(pid) && isRenderer(pid));
}

export async function run(bench) {
  const tabs = await openTabs(bench, ['alice', 'bob']);
  const { alice, bob } = { alice: tabs.alice.worker, bob: tabs.bob.worker };
  await bob('open', { id: 'bob', url: tabs.url });
  await alice('open', { id: 'alice', url: tabs.url });
  await alice('meet', { ids: ['bob'] });

  // A tensor goes and comes back; what each tab then needs at most, beyond what it had before, tells how often its bytes are there.
  const tensorBytes = 64 << 20;
  const pids = renderersOf(tabs.browserPid);
  await alice('transfer', { to: 'bob', nBytes: MB });
  const before = pids.map((pid) => {
    writeFileSync(`/proc/${pid}/clear_refs`, '5'); // the peak begins anew
    return statusOf(pid, 'VmRSS');
  });
  await alice('transfer', { to: 'bob', nBytes: tensorBytes });
  const grown = pids.map((pid, i) => statusOf(pid, 'VmHWM') - before[i]).sort((a, b) => b - a);
  const beyond = grown.slice(0, 2).map((bytes) => (bytes - tensorBytes) / MB);
  bench.record({
    row: 'memory of either tab at its peak, beyond a tensor of 64 MB',
    unit: 'MB',
    isRate: false,
    samples: { tabtensor: beyond },
    target: { atMost: 32 },
  });

  const bare = (from, to, back) => ({
    name: 'frames',
    async prepare() {
      await to('bareTake', { to: back.own });
      await from('bareSend', { to: back.other, nBytes: 16 * MB });
    },
    sample: async () => ({ ms: await from('bareSend', { to: back.other, nBytes: N_BYTES }) }),
  });
  const ours = (verb) => ({
    name: 'tabtensor',
    prepare: () => alice('transfer', { to: 'bob', nBytes: 16 * MB }),
    async sample() {
      const { last, ...ms } = await alice('transfer', { to: 'bob', nBytes: N_BYTES });
      if (Math.abs(last - (N_BYTES / 4 - 1)) > 4) throw new Error(`the last element is ${last}`);
      return { ms: ms[verb] };
    },
  });
  const rate = { unit: 'GB/s', per: N_BYTES / 1e9, n: 1, tolerance: null, target: { times: 0.7 } };
  await bench.compare({ row: 'send, beside bare frames of one chunk', contestants: [ours('send'), bare(alice, bob, { own: 'bare-alice', other: 'bare-bob' })], ...rate });
  await bench.compare({ row: 'get, beside bare frames of one chunk', contestants: [ours('get'), bare(bob, alice, { own: 'bare-bob', other: 'bare-alice' })], ...rate });
}
