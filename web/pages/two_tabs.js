/** The seed's example, run line by line, by one of three ways to another worker. */
import { byId, clearProblems, element, formatShape, fullId, join, NOT_CONNECTED, ownId, run, showPeers, showProblem, who } from './common.js';

run(async () => {
  const { hook, me, connection } = await join(ownId('me'), 'two tabs');
  const { runLine, steps } = await import('../demos/seed_example.js');
  let lines = [];
  let scope = null;
  let next = 0;
  let isRunning = false;

  const isLost = () => ['disconnected', 'refused'].includes(connection.state);
  const updatePeers = showPeers(me, (ids) => {
    const isHere = ids.includes('bob');
    byId('bob-state').textContent = isHere ? 'bob is here' : isLost() ? 'not connected' : 'bob is not here yet';
    byId('bob-state').dataset.here = String(isHere);
  });

  const way = () => document.querySelector('input[name="way"]:checked').value;
  const settings = () => ({ id: byId('native-id').value.trim(), url: byId('native-url').value.trim() });

  function startOver() {
    for (const name of ['x', 'x2', 'y']) scope?.[name]?.dispose();
    scope = { hook };
    next = 0;
    lines = steps(way(), settings());
    byId('code').replaceChildren(...lines.map(({ code }) => element('li', {}, element('code', {}, code), element('samp', {}))));
    for (const name of ['relay', 'native']) byId(`${name}-fields`).hidden = way() !== name;
    byId('native-command').textContent = `build/release/tabtensor worker --id ${settings().id} --port ${portOf(settings().url)} --allow-origin ${location.origin}`;
    showPointer(null);
    showResult(null);
    offer();
  }

  function offer() {
    const isRefused = connection.state === 'refused';
    byId('run').disabled = isRunning || isRefused;
    byId('step').disabled = isRunning || isRefused || next === lines.length;
    byId('again').disabled = isRunning || next === 0;
    byId('way').disabled = byId('native-fields').disabled = isRunning;
    byId('run').textContent = next > 0 && next < lines.length ? 'Run the rest' : 'Run';
  }

  /** Runs the next line. False when it failed. */
  async function step() {
    const item = byId('code').children[next];
    const printed = item.querySelector('samp');
    item.className = 'running';
    printed.textContent = '';
    try {
      const text = await runLine(lines[next], scope);
      if (text !== undefined) printed.textContent = text;
      item.className = 'done';
      next++;
      if (next === lines.length) showResult(text);
      if (scope.y && next < lines.length) showPointer(scope.y);
      return true;
    } catch (error) {
      item.className = 'failed';
      printed.textContent = error.message;
      showProblem(`Line ${next + 1}`, error);
      updatePeers(); // a worker that could not be reached was known while it was tried
      return false;
    }
  }

  async function go(nSteps) {
    if (isRunning) return;
    clearProblems();
    if (way() === 'relay' && isLost()) {
      showProblem('Nothing was run', NOT_CONNECTED);
      return;
    }
    if (next === lines.length) startOver();
    isRunning = true;
    offer();
    for (let i = 0; i < nSteps && next < lines.length; i++) if (!(await step())) break;
    isRunning = false;
    offer();
  }

  byId('run').addEventListener('click', () => go(Infinity));
  byId('step').addEventListener('click', () => go(1));
  byId('again').addEventListener('click', () => {
    clearProblems();
    startOver();
  });
  for (const input of document.querySelectorAll('input[name="way"], #native-url, #native-id')) input.addEventListener('input', startOver);
  startOver();
  connection.changed = () => {
    updatePeers();
    offer();
  };
  connection.changed();
});

function portOf(url) {
  try {
    return new URL(url).port || '8181';
  } catch {
    return '8181';
  }
}

function showPointer(y) {
  byId('pointer').hidden = y === null;
  byId('no-pointer').hidden = y !== null;
  if (y === null) return;
  byId('pointer-location').replaceChildren(who(y.location.id));
  byId('pointer-id').replaceChildren(fullId(y.idAtLocation));
  byId('pointer-shape').textContent = formatShape(y.shape);
  byId('pointer-dtype').textContent = y.dtype;
}

function showResult(text) {
  byId('result').hidden = text === null;
  byId('no-result').hidden = text !== null;
  byId('result').textContent = text ?? '';
}
