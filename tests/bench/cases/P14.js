import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNative } from '../../js/native.js';
import { root, versionOf } from '../bench.js';

export const title = 'relay, A to B, the server on one core and the load on another';

const LOAD = join(root, 'build/release/relay_load');
const SETTLE_MS = 8000; // until what is not needed any more has been given back

/** Ours, and one of the same shape on ws, with the native module that ws recommends and without. */
const RELAYS = {
  tabtensor: { command: [join(root, 'build/release/tabtensor'), 'relay', '--port', '0', '--quiet'] },
  ws: { command: [process.execPath, join(root, 'tests/bench/ws_relay.js')] },
  'ws-plain': { command: [process.execPath, join(root, 'tests/bench/ws_relay.js')], env: { WS_NO_BUFFER_UTIL: '1' } },
};

const onCore = (core, command) => (cpus().length > 1 ? ['taskset', '-c', String(core), ...command] : command);

async function startRelay(bench, name) {
  const { command, env } = RELAYS[name];
  const [binary, ...args] = onCore(0, command);
  const relay = await startNative(args, { binary, env });
  bench.atEnd(() => relay.kill('SIGTERM'));
  return relay;
}

/** Puts a load on a relay: `ready` when all are registered, `result` what it has counted, which fails when a frame is missing, out of order or changed. */
function startLoad(bench, relay, options) {
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const [binary, ...rest] = onCore(1, [LOAD, String(relay.port), ...args]);
  const child = spawn(binary, rest, { stdio: ['pipe', 'pipe', 'pipe'] });
  bench.atEnd(() => child.kill());
  const lines = [];
  const complaints = [];
  createInterface({ input: child.stderr }).on('line', (line) => complaints.push(line));
  const ended = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new Error(complaints[0] ?? `the load ended with ${code}`);
  });
  const ready = new Promise((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(JSON.parse(line));
      resolve();
    });
  });
  return {
    ready: Promise.race([ready, ended]),
    result: ended.then(() => lines.at(-1)),
    end: () => (child.stdin.end(), ended),
  };
}

async function throughput(bench, relays, { row, unit, target, load, value }) {
  const samples = Object.fromEntries(Object.keys(relays).map((name) => [name, []]));
  const problems = {};
  const nRounds = bench.settings.isQuick ? 3 : 9;
  for (let round = 0; round < nRounds; round++) {
    const names = Object.keys(samples);
    for (const name of names.map((_, i) => names[(i + round) % names.length])) {
      try {
        samples[name].push(value(await startLoad(bench, relays[name], { ...load, seconds: bench.settings.isQuick ? 0.3 : 0.6 }).result));
      } catch (error) {
        problems[name] = error.message;
        delete samples[name];
      }
    }
  }
  bench.record({ row, unit, samples, problems, target });
}

/** Bytes of memory, in kB a connection, that a relay has more than without any. */
async function memoryOf(bench, name, nConnections, load, afterMs) {
  const relay = await startRelay(bench, name);
  const before = relay.memory('VmRSS');
  const running = startLoad(bench, relay, load);
  await running.ready;
  await sleep(afterMs);
  const grown = relay.memory('VmRSS') - before;
  await running.end();
  relay.kill('SIGTERM');
  await relay.ended;
  return grown / 1000 / nConnections;
}

async function memory(bench, { row, target, nConnections, load, afterMs }) {
  const samples = {};
  const problems = {};
  for (const name of ['tabtensor', 'ws']) {
    try {
      samples[name] = [await memoryOf(bench, name, nConnections, load, afterMs)];
    } catch (error) {
      problems[name] = error.message;
    }
  }
  bench.record({ row, unit: 'kB', isRate: false, samples, problems, target });
}

export async function run(bench) {
  bench.versions.ws = `${versionOf('ws')}, bufferutil ${versionOf('bufferutil')}`;
  const relays = {};
  for (const name of Object.keys(RELAYS)) relays[name] = await startRelay(bench, name);
  const gigabytes = ({ bytes, seconds }) => bytes / seconds / 1e9;
  const pairs = 8;
  await throughput(bench, relays, {
    row: '128 bytes, 8 pairs, 64 in flight each', unit: 'frames/s', target: { times: 10 }, load: { pairs, bytes: 128, 'in-flight': 64 }, value: ({ frames, seconds }) => frames / seconds,
  });
  for (const inFlight of [2, 16])
    await throughput(bench, relays, {
      row: `256 KiB, 8 pairs, ${inFlight} in flight each`, unit: 'GB/s', target: { times: 1.2 }, load: { pairs, bytes: 262_144, 'in-flight': inFlight }, value: gigabytes,
    });
  const nIdle = bench.settings.isQuick ? 2000 : 10_000;
  await memory(bench, { row: `a connection, ${nIdle.toLocaleString('en-US')} idle`, target: { atMost: 8 }, nConnections: nIdle, load: { idle: nIdle }, afterMs: SETTLE_MS });
  await memory(bench, {
    row: 'a connection, 1,000 active', nConnections: 1000, load: { pairs: 500, bytes: 128, 'in-flight': 4, seconds: 3 }, afterMs: 2000,
  });
}
