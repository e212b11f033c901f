import { openTabs } from '../tabs.js';

export const title = 'a chain of 1,000 dependent commands and one get, two tabs through the relay';

const N = 1000;
const OUT = 80;
const BACK = 136;

export async function run(bench) {
  const tabs = await openTabs(bench, ['alice', 'bob']);
  await tabs.bob.worker('open', { id: 'bob', url: tabs.url });
  await tabs.bob.worker('echo', { to: 'bare-alice' });
  await tabs.alice.worker('open', { id: 'alice', url: tabs.url });
  await tabs.alice.worker('meet', { ids: ['bob'] });
  const measure = async (verb) => {
    const alone = await tabs.alice.worker('bareTrips', { to: 'bare-bob', n: 1, out: OUT, back: BACK });
    const { ms } = await tabs.alice.worker(verb, { to: 'bob', n: N });
    const compute = await tabs.bob.worker('compute', { n: N });
    const trip = await tabs.alice.worker('bareTrips', { to: 'bare-bob', n: 20, out: OUT, back: BACK });
    return { trips: (ms - compute) / trip, ms, compute, trip, alone };
  };
  const all = { commands: [], plan: [] };
  const nWarm = 30;
  for (let round = -nWarm; round < 4 * bench.settings.rounds; round++) {
    for (const [verb, samples] of Object.entries(all)) {
      const sample = await measure(verb);
      if (round >= 0) samples.push(sample);
    }
  }
  for (const [verb, samples] of Object.entries(all)) {
    const medianOf = (name) => samples.map((sample) => sample[name]).sort((a, b) => a - b)[samples.length >> 1];
    bench.record({
      row: `beyond what the chain costs without a worker, ${verb === 'plan' ? 'as a plan that the worker has' : 'command by command'}`,
      unit: 'bare round trips',
      isRate: false,
      samples: { tabtensor: samples.map(({ trips }) => trips) },
      target: { atMost: 2 },
      note: () => `chain ${medianOf('ms').toFixed(2)} ms, without a worker ${medianOf('compute').toFixed(2)} ms, bare round trip ${medianOf('trip').toFixed(2)} ms, a lone one, which has to wake everybody as the chain does, ${medianOf('alone').toFixed(2)} ms`,
    });
  }
}
