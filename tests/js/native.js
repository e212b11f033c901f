/**
 * Starts the native programs for tests: finds the binary, waits for its ready line, ends it and insists that it ends well.
 *
 *     const relay = await startNative(['relay', '--port', '0'])
 *     relay.port, relay.url, relay.log ...
 *     await relay.stop()
 *
 * TT_NATIVE names the binary; without it build/release and build/debug are looked at.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** Every `tabtensor` that is built: [{ name, path }]. Never empty. */
export const nativeBinaries = () => {
  if (process.env.TT_NATIVE) return [{ name: 'TT_NATIVE', path: process.env.TT_NATIVE }];
  const found = ['release', 'debug'].map((name) => ({ name, path: join(root, 'build', name, 'tabtensor') })).filter(({ path }) => existsSync(path));
  assert.ok(found.length > 0, 'tabtensor is not built: run `cmake --preset release && cmake --build --preset release`');
  return found;
};

/** Runs it to its end: { code, stdout, stderr }. */
export const runNative = async (args, { binary = nativeBinaries()[0].path, cwd, stdin } = {}) => {
  const child = spawn(binary, args, { stdio: ['pipe', 'pipe', 'pipe'], cwd });
  child.stdin.on('error', () => {}).end(stdin);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
  const [code, signal] = await once(child, 'close');
  return { code: code ?? signal, ...output };
};

/** Keeps the lines of a stream; answers what waits for the nth one that fits. */
const linesOf = (stream, lines) => {
  const watchers = new Set();
  createInterface({ input: stream }).on('line', (line) => {
    lines.push(line);
    for (const watcher of watchers) watcher(line);
  });
  return (pattern, nth = 1) =>
    new Promise((resolve) => {
      let left = nth;
      const watcher = (line) => {
        if (!pattern.test(line) || --left !== 0) return;
        watchers.delete(watcher);
        resolve(line);
      };
      watchers.add(watcher);
      for (const line of lines) watcher(line);
    });
};

/** Starts a program that listens or attaches, and answers when it has said where: in the first line of stdout that `ready` fits. */
export const startNative = async (args, { binary = nativeBinaries()[0].path, ready = /\bready\b/, env = {} } = {}) => {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  const log = [];
  const output = [];
  const logged = linesOf(child.stderr, log);
  const said = linesOf(child.stdout, output);
  const readyLine = await Promise.race([
    said(ready),
    ended.then((code) => assert.fail(`${args.join(' ')} ended with ${code} before it was ready:\n${log.join('\n')}`)),
  ]);
  const url = readyLine.match(/(?:(?:http|ws|tcp|tls):\/\/|unix:)\S+/)?.[0];
  assert.ok(url, `no address in the ready line: ${readyLine}`);
  let stopped;
  return {
    pid: child.pid,
    port: Number(new URL(url).port), // 0 at a path
    url,
    readyLine,
    log,
    output,
    ended,
    kill: (signal) => child.kill(signal),
    /** A number of bytes from /proc/PID/status: VmRSS, VmHWM. */
    memory: (field) => Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(new RegExp(`${field}:\\s+(\\d+) kB`))[1]) * 1024,
    /** Resolve with the first line of its log, or of its output, that fits (or the nth), past ones included. */
    logged,
    said,
    /** Ends it as a service manager would. It must exit with 0, and sanitizers must have found nothing, leaks included. */
    stop: () => {
      stopped ??= (async () => {
        child.kill('SIGTERM');
        assert.equal(await ended, 0, `${args.join(' ')} did not end well:\n${log.join('\n')}`);
        assert.doesNotMatch(log.join('\n'), /Sanitizer|runtime error/);
      })();
      return stopped;
    },
  };
};
