/**
 * What a case measures with: browsers and contestants, which it opens, and rows, which it fills.
 *
 * A contestant is anything with a name and two functions:
 *
 *     prepare(task)   makes ready what the task says, in whatever way it is done best there
 *     sample(n)       does it n times: { ms, result }, the time of all n and the last result's fingerprint (page/data.js)
 *
 * Samples are taken in turn, one of each contestant in a round, so that whatever else the machine does meets all of them alike.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchChromium } from '../browser/browser.js';
import { root } from '../js/native.js';
import { difference } from './page/data.js';
import { serveFolder } from './server.js';
import { median, summary } from './stats.js';

export { root };
export const PEERS = '/tests/bench/node_modules';
const OURS = 'tabtensor';

export const versionOf = (name) => JSON.parse(readFileSync(join(root, PEERS, name, 'package.json'), 'utf8')).version;

/** The contestants that run in a Worker, and the npm package that each is. */
const PACKAGES = { tfjs: '@tensorflow/tfjs', onnxruntime: 'onnxruntime-web', jax: '@jax-js/jax' };

/** A contestant whose samples take longer than this sits out after a few rounds. */
const SLOW_MS = 1000;
const SLOW_ROUNDS = 5;

const SECONDS = { ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1 };

export class Bench {
  rows = [];
  versions = {};
  #settings;
  #onRow;
  #browser;
  #server;
  #case;
  #toClose = [];

  /** `settings`: rounds, and the milliseconds that a sample should take. `onRow` is told of each row. */
  constructor(settings, onRow) {
    this.#settings = settings;
    this.#onRow = onRow;
  }

  get settings() {
    return this.#settings;
  }

  /** Runs a case; what it opened is closed behind it, and what it throws becomes a row that failed. */
  async runCase({ id, title, run }) {
    this.#case = { id, title };
    try {
      await run(this);
    } catch (error) {
      this.#record({ row: title, samples: {}, problems: { [OURS]: firstLine(error) } });
    }
    // What is gone already needs no closing.
    for (const close of this.#toClose.splice(0).reverse()) await Promise.resolve(close()).catch(() => {});
  }

  async close() {
    await (await this.#browser)?.close();
    await (await this.#server)?.close();
  }

  /** Has something closed when the case ends. */
  atEnd(close) {
    this.#toClose.push(close);
  }

  browser() {
    this.#browser ??= launchChromium();
    return this.#browser;
  }

  /** The origin that serves this repository. */
  async origin() {
    this.#server ??= serveFolder(root);
    return (await this.#server).origin;
  }

  /** A page of an empty profile. */
  async page(path) {
    const context = await (await this.browser()).newContext();
    this.atEnd(() => context.close());
    const page = await context.newPage();
    page.on('crash', () => console.error('bench: a page crashed'));
    page.on('pageerror', (error) => console.error(`bench: a page threw: ${error.message}`));
    await page.goto(new URL(path, await this.origin()).href);
    return page;
  }

  /**
   * Contestants that run in Workers of one page, each in its own: names of page/contestants/, which may have a suffix behind a dash ("jax-eager"). `given` are options by name. One that does not open takes no part, and its rows say why.
   */
  async workers(names, given = {}) {
    const page = await this.page('/tests/bench/page/index.html');
    await page.waitForFunction('window.isReady');
    const open = async (name) => {
      const [module] = name.split('-');
      const npm = PACKAGES[module];
      const options = { root: PEERS, version: npm && versionOf(npm), ...given[name] };
      const ask = (question) => page.evaluate(([to, asked]) => window.askContestant(to, asked), [name, question]);
      const contestant = { name, prepare: (task) => ask({ verb: 'prepare', task }), sample: (n) => ask({ verb: 'sample', n }) };
      try {
        const { version } = await page.evaluate(([to, asked]) => window.openContestant(to, asked), [name, { module: `./contestants/${module}.js`, options }]);
        this.versions[name] = version;
        return contestant;
      } catch (error) {
        return { name, prepare: () => Promise.reject(error) };
      }
    };
    const opened = [];
    for (const name of names) opened.push(await open(name));
    return opened;
  }

  /**
   * Measures one row: prepares every contestant, finds how often each does the task in a sample, takes the samples in turn, compares the results.
   *
   *   row          what is measured, for the table
   *   contestants  ours first
   *   task         what prepare gets
   *   target       { times: 1.3 } as fast as the best of the others at least; { atMostTimes: 1.4 } their time; { atMost: 1 }, { atLeast: 3e5 } in the row's unit.
   *                `against` names the one that counts in place of the best
   *   unit         ns, us, ms or s for the time of one; anything else is a rate, of `per` in one
   *   n            how often in a sample, when that is not to be found out
   *   tolerance    how far results may be apart, relative to 1 + their size; null when there is nothing to compare
   *   bound        one more contestant: it takes part, but nobody has to be faster than it, and its result is another
   *   note         (median of ours, and as a share of the bound's) => what else the table says
   */
  async compare({ row, contestants, task, target, unit = 'us', per = 1, n, tolerance = 1e-4, bound, note }) {
    const { rounds, sampleMs } = this.#settings;
    const problems = {};
    const samples = {};
    const counts = {};
    let active = [];
    for (const contestant of bound === undefined ? contestants : [...contestants, bound]) {
      try {
        await contestant.prepare(task);
        counts[contestant.name] = n ?? (await countFor(contestant, sampleMs));
        samples[contestant.name] = [];
        active.push(contestant);
      } catch (error) {
        problems[contestant.name] = firstLine(error);
      }
    }
    const isTime = unit in SECONDS;
    const valueOf = (ms, count) => (isTime ? ms / 1e3 / count / SECONDS[unit] : (per * count * 1e3) / ms);
    const reference = {};
    for (let round = 0; round < rounds; round++) {
      // Another one begins each round, so that nobody always follows the same one.
      const order = active.map((_, i) => active[(i + round) % active.length]);
      for (const contestant of order) {
        const { name } = contestant;
        try {
          const { ms, result } = await contestant.sample(counts[name]);
          samples[name].push(valueOf(ms, counts[name]));
          if (ms > SLOW_MS && samples[name].length >= SLOW_ROUNDS) active = active.filter((each) => each !== contestant);
          if (tolerance === null || contestant === bound) continue;
          reference.name ??= name;
          reference.result ??= result;
          const different = difference(result, reference.result, tolerance);
          if (different !== undefined) throw new Error(`not ${reference.name}'s result: ${different}`);
        } catch (error) {
          problems[name] = firstLine(error);
          delete samples[name];
          active = active.filter((each) => each !== contestant);
        }
      }
    }
    this.#record({ row, unit, isRate: !isTime, samples, problems, target, bound: bound?.name, note });
  }

  /** Records a row whose samples were taken otherwise: { name: [values in the unit] }, one of each a round, ours first. */
  record({ row, unit, isRate = !(unit in SECONDS), samples, problems = {}, target, note }) {
    this.#record({ row, unit, isRate, samples, problems, target, note });
  }

  #record({ row, unit, isRate, samples, problems, target, bound, note }) {
    const { id } = this.#case;
    const contestants = Object.fromEntries(Object.entries(samples).map(([name, values]) => [name, { ...summary(values), samples: values }]));
    const ours = Object.keys(samples).find((name) => name.startsWith(OURS));
    const result = { id, row, unit, contestants, problems, target };
    if (ours === undefined) {
      result.isReached = false;
    } else {
      const peers = Object.keys(samples).filter((name) => name !== ours);
      // Who sits out does so from some round on.
      const nRounds = (peer) => Math.min(samples[peer].length, samples[ours].length);
      const timesOf = (peer) => median(samples[peer].slice(0, nRounds(peer)).map((value, i) => (isRate ? samples[ours][i] / value : value / samples[ours][i])));
      result.times = Object.fromEntries(peers.map((peer) => [peer, timesOf(peer)]));
      const shareOfBound = result.times[bound];
      const best = peers.filter((peer) => peer !== bound).reduce((found, peer) => (found === undefined || result.times[peer] < result.times[found] ? peer : found), undefined);
      result.best = target?.against ?? best;
      result.isReached = isReached(target, result, contestants[ours].median);
      result.note = note?.(contestants[ours].median, shareOfBound);
    }
    this.rows.push(result);
    this.#onRow(result);
  }
}

const firstLine = (error) => error.message.replace(/^page\.evaluate: (Error: )?/, '').split('\n')[0];

/** How often a contestant does its task in a sample that takes long enough; it warms up on the way. */
async function countFor(contestant, sampleMs) {
  let n = 1;
  for (;;) {
    const { ms } = await contestant.sample(n);
    if (ms >= sampleMs / 2) return Math.max(1, Math.round((n * sampleMs) / ms));
    n = Math.ceil(n * Math.min(10, Math.max(2, sampleMs / Math.max(ms, 0.01))));
  }
}

/** Undefined where there is nothing to reach: no target, or nobody to compare with. */
function isReached(target, { best, times }, ours) {
  if (target === undefined) return undefined;
  if (target.atMost !== undefined) return ours <= target.atMost;
  if (target.atLeast !== undefined) return ours >= target.atLeast;
  if (times[best] === undefined) return undefined;
  return target.times === undefined ? 1 / times[best] <= target.atMostTimes : times[best] >= target.times;
}
