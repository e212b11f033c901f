/** The tutorials: each with its source, what it needs, a button that runs it, and what it printed. */
import { byId, clearProblems, element, join, NOT_CONNECTED, ownId, run, showPeers, showProblem } from './common.js';

const isThere = (me, id) => me.knownWorkers.has(id) && id !== me.id;
const andList = (words) => (words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`);

run(async () => {
  const { hook, me, connection } = await join(ownId('me'), 'tutorials');
  const { TUTORIALS, runTutorial } = await import('../demos/tutorials.js');
  const { VirtualWorker } = await import('../core/tabtensor.js');
  let running = null; // the section whose tutorial is running
  const trained = new Map(); // of Boston housing: where -> what came out

  const where = () => document.querySelector('input[name="where"]:checked').value;
  const isLost = () => ['disconnected', 'refused'].includes(connection.state);

  /** The workers that a tutorial names, by those names. */
  function gather({ workers }) {
    const find = (name) => (where() === 'tabs' ? me.getWorker(name) : (me.knownWorkers.get(`virtual-${name}`) ?? new VirtualWorker({ hook, id: `virtual-${name}` })));
    return Object.fromEntries(workers.map((name) => [name, find(name)]));
  }

  const sections = TUTORIALS.map((tutorial) => makeSection(tutorial, (settings, isHere) => start(tutorial, settings, isHere)));
  byId('tutorials').replaceChildren(...sections.map(({ root }) => root));

  /** `isHere`: no other worker takes part. */
  async function start(tutorial, settings, isHere) {
    const section = sections.find((one) => one.name === tutorial.name);
    if (running) return;
    clearProblems();
    if (!isHere && where() === 'tabs' && isLost()) {
      showProblem('Nothing was run', NOT_CONNECTED);
      return;
    }
    running = section;
    section.begin();
    offer();
    try {
      const workers = isHere ? Object.fromEntries(tutorial.workers.map((name) => [name, null])) : gather(tutorial);
      const result = await runTutorial(tutorial, { hook, workers, print: section.print, ...settings });
      if (tutorial.name === 'boston') compare(section, isHere ? 'here' : 'there', result, settings);
      section.end('done');
    } catch (error) {
      section.print(error.message, 'failed');
      section.end('stopped');
      showProblem(`“${tutorial.title}” stopped`, error);
    } finally {
      running = null;
      offer();
    }
  }

  /** Two trainings on the same batches end with the same weights, wherever they were. */
  function compare(section, place, result, { nEpochs }) {
    trained.set(place, { nEpochs, weights: JSON.stringify(result.weights) });
    const [here, there] = ['here', 'there'].map((one) => trained.get(one));
    if (!here || !there || here.nEpochs !== there.nEpochs) return;
    section.print(`trained by two workers and trained here, ${nEpochs} epochs: the weights are ${here.weights === there.weights ? 'the same, bit for bit' : 'not the same'}`, 'compared');
  }

  function offer() {
    byId('where').disabled = running !== null;
    byId('tabs-fields').hidden = where() !== 'tabs';
    for (const section of sections) {
      const missing = where() === 'tabs' ? section.workers.filter((id) => !isThere(me, id)) : [];
      section.offer({
        isRunning: running === section,
        isBlocked: running !== null || connection.state === 'refused',
        missing,
        isLost: where() === 'tabs' && isLost(),
        needsTabs: section.hasOwnData && where() === 'virtual',
      });
    }
  }

  showPeers(me, offer);
  for (const input of document.querySelectorAll('input[name="where"]')) input.addEventListener('input', offer);
  connection.changed = offer;
  offer();
});

/** A tutorial's part of the page. `start(settings, isHere)` runs it. */
function makeSection({ name, title, about, workers, file, prepare }, start) {
  const runButton = element('button', { type: 'button', className: 'primary', 'data-run': name, 'aria-label': `Run: ${title}` }, 'Run');
  const hint = element('span', { className: 'note', role: 'status', 'data-hint': name });
  const output = element('ol', { className: 'output', 'data-output': name, tabIndex: 0, 'aria-live': 'polite', 'aria-label': `What it prints: ${title}` });
  const empty = element('p', { className: 'empty' }, 'Nothing yet.');
  const source = element('pre', { className: 'source', tabIndex: 0, role: 'region', 'aria-label': `Source: demos/${file}` });
  const options = name === 'boston' ? makeBostonOptions(start) : null;
  runButton.addEventListener('click', () => start(options?.settings() ?? {}, false));
  const root = element(
    'section',
    { className: 'card', id: name, 'aria-labelledby': `${name}-title` },
    element('header', {}, element('h2', { id: `${name}-title` }, title), element('div', { className: 'actions' }, hint, runButton, ...(options?.buttons ?? []))),
    element('p', {}, about),
    ...(options ? [options.fields] : []),
    element('div', { className: 'beside' }, element('div', {}, element('h3', {}, 'Source ', element('a', { href: `demos/${file}` }, file)), source), element('div', {}, element('h3', {}, 'What it prints'), empty, output)),
  );
  showSource(source, `demos/${file}`);
  return {
    name,
    workers,
    hasOwnData: prepare !== undefined,
    root,
    begin() {
      output.replaceChildren();
      empty.hidden = true;
      output.setAttribute('aria-busy', 'true');
      root.dataset.state = 'running';
    },
    print(text, className = '') {
      output.append(element('li', { className }, text));
      output.scrollTop = output.scrollHeight;
    },
    end(state) {
      output.setAttribute('aria-busy', 'false');
      root.dataset.state = state;
    },
    offer({ isRunning, isBlocked, missing, isLost, needsTabs }) {
      runButton.disabled = isBlocked || needsTabs || (missing.length > 0 && !isLost);
      options?.offer(isBlocked);
      const text = missing.length === 1 ? 'is not here yet: open that tab first' : 'are not here yet: open their tabs first';
      if (isRunning) hint.textContent = 'running';
      else if (needsTabs) hint.textContent = 'in tabs only: its workers have data that this page must not get';
      else if (isLost) hint.textContent = 'not connected';
      else if (missing.length > 0) hint.textContent = `${andList(missing)} ${text}`;
      else hint.textContent = root.dataset.state ?? `with ${andList(workers)}`;
    },
  };
}

/** What can be chosen of the training, and a second button that trains in this tab alone. */
function makeBostonOptions(start) {
  const epochs = element('select', { id: 'epochs' }, ...[10, 5, 2].map((n) => element('option', { value: String(n) }, String(n))));
  const comesBack = element('input', { type: 'checkbox', id: 'comes-back' });
  const here = element('button', { type: 'button', 'data-run-here': '' }, 'Train in this tab');
  const settings = () => ({ nEpochs: Number(epochs.value), comesBack: comesBack.checked });
  here.addEventListener('click', () => start(settings(), true));
  return {
    settings,
    buttons: [here],
    fields: element('div', { className: 'fields' }, element('label', {}, 'epochs ', epochs), element('label', {}, comesBack, 'the parameters come back after each batch, as in the original (else they go on to the next worker)')),
    offer(isBlocked) {
      here.disabled = epochs.disabled = comesBack.disabled = isBlocked;
    },
  };
}

/** The module as it is, its comments set off. */
async function showSource(target, url) {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    const parts = (await response.text()).split(/(\/\*\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*)/m);
    target.replaceChildren(element('code', {}, ...parts.map((part, i) => (i % 2 === 1 ? element('span', { className: 'comment' }, part) : part))));
  } catch (error) {
    target.textContent = `The source could not be read: ${error.message}`;
  }
}
