#!/usr/bin/env node
/**
 * Runs the tutorials in Node:
 *
 *     node web/demos/run.js                     lists them
 *     node web/demos/run.js boston              with virtual workers, in this process
 *     node web/demos/run.js boston --native     with native workers, which it starts: build/release/tabtensor worker, over TCP
 *     node web/demos/run.js boston --relay http://localhost:8080    with tabs that are open there as bob, alice and james
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SocketWorker, TorchHook, VirtualWorker, WebSocketWorker } from '../node.js';
import { TUTORIALS, findTutorial, runTutorial } from './tutorials.js';

const NATIVE = fileURLToPath(new URL('../../build/release/tabtensor', import.meta.url));
const TABLE = new URL('../core/boston.json', import.meta.url);
const ownId = `node-${process.pid}`;

/** Workers in this process. */
async function beVirtual({ workers, prepare }) {
  const hook = new TorchHook({ localWorker: new VirtualWorker({ id: ownId, isLocal: true }) });
  const made = Object.fromEntries(workers.map((id) => [id, new VirtualWorker({ hook, id })]));
  if (prepare) for (const worker of Object.values(made)) await prepare(worker);
  const end = async () => {
    for (const worker of Object.values(made)) await worker.close();
  };
  return { hook, workers: made, end };
}

/** A native process for each worker; each knows those before it, so that they can give to one another. */
async function startNative({ name, workers, prepare }) {
  if (prepare) throw new Error(`${name}: the workers have data of their own, which native ones are not given here; try it with virtual ones, or in tabs`);
  const hook = new TorchHook({ localWorker: new SocketWorker({ id: ownId }) });
  const made = {};
  const addresses = [];
  const children = [];
  const end = async () => {
    for (const child of children.toReversed()) {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
    }
  };
  try {
    for (const id of workers) {
      const child = spawn(NATIVE, ['worker', '--id', id, '--listen', 'tcp://127.0.0.1:0', '--quiet', ...addresses.flatMap((address) => ['--connect', address])], { stdio: ['ignore', 'pipe', 'inherit'] });
      children.push(child);
      const failed = once(child, 'close').then(([code]) => Promise.reject(new Error(`${NATIVE} ended with ${code}; .scripts/build makes it`)));
      failed.catch(() => {});
      const ready = new Promise((resolve) => createInterface({ input: child.stdout }).on('line', (line) => /ready at (\S+)/.test(line) && resolve(line.match(/tcp:\S+/)[0])));
      const url = await Promise.race([ready, failed, once(child, 'error').then(([error]) => Promise.reject(error))]);
      addresses.push(url);
      made[id] = new SocketWorker({ hook, id, url, isPointer: true });
      await made[id].ready;
    }
  } catch (error) {
    await hook.localWorker.close();
    await end();
    throw error;
  }
  return { hook, workers: made, end };
}

/** Tabs at a relay. */
async function findTabs({ workers }, relay) {
  const url = relay.replace(/^http/, 'ws');
  const hook = new TorchHook({ localWorker: new WebSocketWorker({ id: ownId, url }) });
  const me = hook.localWorker;
  await me.ready;
  const missing = workers.filter((id) => !me.knownWorkers.has(id));
  if (missing.length > 0) {
    await me.close();
    throw new Error(missing.map((id) => `${id} is not there: open ${relay.replace(/^ws/, 'http').replace(/\/?$/, '/')}worker.html?id=${id}&load=tutorials`).join('\n'));
  }
  return { hook, workers: Object.fromEntries(workers.map((id) => [id, me.getWorker(id)])) };
}

async function main() {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { native: { type: 'boolean' }, relay: { type: 'string' } } });
  if (positionals.length === 0) {
    console.log('npm run example -- NAME [--native | --relay URL]\n');
    for (const { name, title, about } of TUTORIALS) console.log(`${name.padEnd(12)}${title}: ${about}`);
    return;
  }
  const tutorial = findTutorial(positionals[0]);
  const { hook, workers, end } = values.native ? await startNative(tutorial) : values.relay ? await findTabs(tutorial, values.relay) : await beVirtual(tutorial);
  try {
    await runTutorial(tutorial, { hook, workers, print: console.log, table: JSON.parse(readFileSync(TABLE, 'utf8')) });
  } finally {
    await hook.localWorker.close();
    await end?.();
  }
}

main().catch((error) => {
  console.error(`example: ${error.message}`);
  process.exitCode = 1;
});
