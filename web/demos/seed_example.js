/**
 * PySyft's first example, line by line: what two_tabs.html shows and runs, and the tests under Node.
 *
 * A step has the line as it is shown (`code`) and what that line does (`run`, which keeps its names in `scope` and answers what is to be printed, if anything). The
 * test runs the shown lines as a program too, so that the two cannot differ.
 */
import { FloatTensor, VirtualWorker, WebSocketWorker, tidy } from './module.js';

export const EXPECTED = 'tensor([ 3.,  6.,  9., 12., 14.])';

/** The address of a native worker, as it is written; what is none is refused with a word on what one looks like. */
function checkAddress(url) {
  const { protocol, hostname } = URL.canParse(url) ? new URL(url) : {};
  if ((protocol === 'ws:' || protocol === 'wss:') && hostname) return;
  throw new Error(`'${url}' is not the address of a worker: one looks like ws://localhost:8181, with the port that the worker listens on`);
}

/** How the first line finds the other worker: over the relay, at a native process, or in this very program. */
export const WAYS = {
  relay: {
    code: () => "const bob = hook.localWorker.getWorker('bob');",
    run: ({ hook }) => hook.localWorker.getWorker('bob'),
  },
  native: {
    code: ({ id, url }) => `const bob = new WebSocketWorker({ hook, id: '${id}', isPointer: true,\n  url: '${url}' });\nawait bob.ready;`,
    run: async ({ hook, id, url }) => {
      checkAddress(url);
      const bob = known(hook, id, url) ?? new WebSocketWorker({ hook, id, url, isPointer: true });
      await bob.ready;
      return bob;
    },
  },
  virtual: {
    code: () => "const bob = new VirtualWorker({ hook, id: 'virtual-bob' });",
    run: ({ hook }) => known(hook, 'virtual-bob') ?? new VirtualWorker({ hook, id: 'virtual-bob' }),
  },
};

/** A worker that an earlier run has made known already: its id is taken, and a second line of that kind would be refused. */
function known(hook, id, url) {
  const worker = hook.localWorker.knownWorkers.get(id);
  return worker !== undefined && (url === undefined || worker.url === new URL(url).href) ? worker : undefined;
}

/** The lines, with the first one by that way. `settings`: id and url of a native worker. */
export function steps(way, settings = {}) {
  const first = WAYS[way];
  return [
    {
      code: first.code(settings),
      run: async (scope) => {
        scope.bob = await first.run({ ...settings, hook: scope.hook });
      },
    },
    {
      code: 'const x = new FloatTensor([1, 2, 3, 4, 5]).send(bob);',
      run: (scope) => {
        scope.x = new FloatTensor([1, 2, 3, 4, 5]).send(scope.bob);
      },
    },
    {
      code: 'const x2 = new FloatTensor([1, 2, 3, 4, 4]).send(bob);',
      run: (scope) => {
        scope.x2 = new FloatTensor([1, 2, 3, 4, 4]).send(scope.bob);
      },
    },
    {
      code: 'const y = x.add(x2).add(x);',
      run: (scope) => {
        scope.y = scope.x.add(scope.x2).add(scope.x);
      },
    },
    { code: 'print(y);', run: (scope) => String(scope.y) },
    { code: 'print(await y.get());', run: async (scope) => String(await scope.y.get()) },
  ];
}

/** Runs a line, and frees what it made and gave no name to: the sum in the middle of line 4. Answers what is to be printed. */
export function runLine(line, scope) {
  return tidy(() => ({ told: line.run(scope), named: { ...scope } })).told;
}
