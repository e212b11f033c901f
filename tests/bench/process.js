// A contestant that is a process: it is asked by lines on its stdin and answers each by a line on its stdout. native/training.c says what they are.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fingerprint } from './page/data.js';

/** The contestant, and `close`. What `prepare` is given is the rest of its line. */
export function openProcess(name, command, args, env = {}) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, 'close').catch((error) => [error.message]);
  child.stdin.on('error', () => {});
  async function ask(question) {
    child.stdin.write(`${question}\n`);
    const { value: answer, done } = await lines.next();
    if (done) throw new Error(`${command} has ended (${(await ended)[0]})`);
    if (answer.startsWith('error ')) throw new Error(answer.slice('error '.length));
    return answer;
  }
  return {
    name,
    prepare: (task) => ask(`prepare ${task}`),
    async sample(n) {
      const [ms, ...result] = (await ask(`sample ${n}`)).split(' ').map(Number);
      return { ms, result: fingerprint(result) };
    },
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}
