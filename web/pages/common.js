/** What all pages share: small pieces of DOM, the connection and its state, who is here, trouble. State is shown in the page, never in the console alone. */

export const byId = (id) => document.getElementById(id);

/** An element: `props` are properties or, with a dash in the name, attributes. */
export function element(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.includes('-')) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

// ---- how things are written ----

/** A worker's id with its colour. */
export function who(id) {
  const made = element('span', { className: 'who', title: id }, element('span', {}, id));
  let hash = 62596; // with which the names of the demos differ well
  for (const character of id) hash = Math.imul(hash ^ character.codePointAt(0), 16777619) >>> 0;
  made.style.setProperty('--hue', String((((hash ^ (hash >>> 15)) >>> 0) % 24) * 15));
  return made;
}

const TAIL = 5;
/** An object's id, whole, its last digits set off: they are what the short form shows. */
export const fullId = (id) => element('span', { className: 'ids' }, id.slice(0, -TAIL), element('b', {}, id.slice(-TAIL)));
export const shortId = (id) => `…${id.slice(-TAIL)}`;

export function formatShape(shape) {
  return shape === null || shape === undefined ? '?' : `[${shape.join(', ')}]`;
}

export function formatBytes(n) {
  if (n < 1000) return `${n} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = n / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit]}`;
}

/** A number as people read it, with the exact one beside it for programs (and on hover). */
export function number(value, digits = 4) {
  const text = digits > 2 && value !== 0 && Math.abs(value) < 10 ** -digits ? value.toExponential(2) : value.toFixed(digits);
  return element('data', { value: String(value), title: String(value) }, text.replace('-', '−'));
}

// ---- trouble ----

const MAX_PROBLEMS = 8;

/** What stays until it is over, whatever else is cleared: it is the first in the list. */
const lasting = () => document.querySelector('#problems > .lasting');

/** Shows an error at the top of the page: what failed, and why. The same one again only counts up. */
export function showProblem(what, error) {
  const list = byId('problems');
  const why = error instanceof Error || typeof error?.message === 'string' ? error.message : String(error);
  const key = `${what}: ${why}`;
  const known = [...list.children].find((item) => item.dataset.key === key);
  if (known) {
    const n = Number(known.dataset.n) + 1;
    known.dataset.n = String(n);
    known.querySelector('small').textContent = `${n} times, last at ${new Date().toLocaleTimeString()}`;
    return;
  }
  const item = element('li', {}, element('p', {}, element('b', {}, `${what}: `), why, element('small', {}, new Date().toLocaleTimeString())));
  Object.assign(item.dataset, { key, n: '1', code: error?.code ?? '' });
  const dismiss = element('button', { type: 'button', 'aria-label': 'Dismiss this error' }, 'Dismiss');
  dismiss.addEventListener('click', () => {
    item.remove();
    list.hidden = list.children.length === 0;
  });
  item.append(dismiss);
  if (lasting()) lasting().after(item);
  else list.prepend(item);
  while (list.children.length > MAX_PROBLEMS) list.lastChild.remove();
  list.hidden = false;
}

export function clearProblems() {
  const stays = lasting();
  byId('problems').replaceChildren(...(stays ? [stays] : []));
  byId('problems').hidden = !stays;
}

/** Shows what stays, with what may be done about it; null: it is over. */
function showLasting(what, why = '', ...actions) {
  lasting()?.remove();
  if (what !== null) {
    const text = element('p', {}, element('b', {}, `${what}: `), why, element('small', {}, new Date().toLocaleTimeString()));
    byId('problems').prepend(element('li', { className: 'lasting' }, text, ...actions));
  }
  byId('problems').hidden = byId('problems').children.length === 0;
}

/** Runs a page; whatever it does not catch is shown. */
export async function run(main) {
  addEventListener('error', (event) => showProblem('This page failed', event.error ?? event.message));
  addEventListener('unhandledrejection', (event) => showProblem('This page failed', event.reason));
  try {
    await main();
  } catch (error) {
    showProblem('This page could not start', error);
    if (byId('state').dataset.state !== 'connected') showState('disconnected', 'not started');
  }
}

/** A button that cannot be pressed while what it does is going on; `after` says whether it can be from then on. */
export function onPress(button, what, action, after = () => (button.disabled = false)) {
  button.addEventListener('click', async () => {
    if (button.disabled) return;
    button.disabled = true;
    try {
      await action();
    } catch (error) {
      showProblem(what, error);
    } finally {
      after();
    }
  });
}

// ---- the connection ----

export function showState(state, text) {
  const shown = byId('state');
  shown.dataset.state = state;
  shown.textContent = text;
}

const FIRST = ['calm', 'brisk', 'plain', 'bright', 'quiet', 'keen', 'mild', 'swift', 'warm', 'wry'];
const SECOND = ['alder', 'birch', 'cedar', 'heron', 'linden', 'marten', 'otter', 'plover', 'rowan', 'wren'];
const pick = (list) => list[crypto.getRandomValues(new Uint32Array(1))[0] % list.length];
export const randomName = () => `${pick(FIRST)}-${pick(SECOND)}-${crypto.getRandomValues(new Uint16Array(1))[0] % 900 + 100}`;

const givenId = () => new URL(location.href).searchParams.get('id');

/** The address of this page for a tab of that id. */
function addressFor(id) {
  const url = new URL(location.href);
  url.searchParams.set('id', id);
  return url.href;
}

/**
 * This tab's id: from the address (?id=), else `preferred`, which `join` gives up when it is taken, else a friendly one, which goes into the address so that a reload keeps it.
 */
export function ownId(preferred = null) {
  const known = givenId() || preferred;
  if (known) return known;
  const id = randomName();
  history.replaceState(null, '', addressFor(id));
  return id;
}

const reloadButton = (className = '') => {
  const made = element('button', { type: 'button', className }, 'Reload');
  made.addEventListener('click', () => location.reload());
  return made;
};

const POLL_MS = 3000;
/** Settles when this page's own origin, which is the relay's, answers; or, with false, when `isOver` says that nobody waits any more. */
async function relayAnswers(isOver) {
  while (!isOver()) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const isThere = await fetch('/', { method: 'HEAD', cache: 'no-store' }).then(({ ok }) => ok, () => false);
    if (isThere) return !isOver();
  }
  return false;
}

export const NOT_CONNECTED = 'not connected: reload the page once the relay is back';

/**
 * Makes this tab the worker `id` and shows its state at the top right, in #self and in the title. Answers {hook, me, connection} before the relay has answered; `me.ready` tells when it has.
 * `connection.state` is what #state shows: connecting, connected, disconnected or refused; `connection.changed` is called when that changes.
 */
export async function join(id, title) {
  document.title = `${id} · ${title}`;
  byId('self')?.replaceChildren(who(id));
  showState('connecting', `${id}: connecting`);
  const { TorchHook, WebSocketWorker } = await import('../core/tabtensor.js');
  const me = new WebSocketWorker({ id });
  const hook = new TorchHook({ localWorker: me });
  const connection = { state: 'connecting', changed: () => {} };
  const turn = (state, text) => {
    connection.state = state;
    showState(state, `${id}: ${text}`);
    connection.changed();
  };
  const isGone = () => connection.state === 'disconnected' || connection.state === 'refused';
  const gone = (error) => {
    if (isGone()) return; // a connection that could not be made is told twice: as an event, and by `ready`
    const isTaken = error.code === 'duplicate';
    if (isTaken && !givenId()) {
      location.replace(addressFor(randomName())); // nobody asked for this very id
      return;
    }
    if (isTaken || error.code === 'version') {
      const other = element('a', { className: 'button', href: addressFor(randomName()) }, 'Open under another name');
      showLasting('The relay refused this tab', error.message, isTaken ? other : reloadButton());
      turn('refused', 'refused');
      return;
    }
    showLasting('This tab is not connected', `${error.message}. Reload this page once the relay is back.`, reloadButton());
    turn('disconnected', 'disconnected');
    relayAnswers(() => connection.state !== 'disconnected').then(
      (isBack) => {
        if (!isBack) return;
        showLasting('The relay is back', 'reload this page to connect it again.', reloadButton('primary'));
        lasting().classList.add('good');
      },
    );
  };
  me.addEventListener('connected', ({ detail }) => {
    if (detail.peer !== '') return;
    showLasting(null);
    turn('connected', `connected to ${location.host}`);
  });
  me.addEventListener('disconnected', ({ detail }) => detail.peer === '' && gone(detail.error));
  me.addEventListener('error', ({ error }) => showProblem('A command failed', error));
  me.addEventListener('refused', ({ detail, error }) => detail.peer !== '' && showProblem(`${detail.peer} was refused`, error));
  me.ready.catch(gone);
  addEventListener('pagehide', () => me.close());
  // Back from the browser's cache of pages: the worker that it had is closed.
  addEventListener('pageshow', ({ persisted }) => persisted && location.reload());
  return { hook, me, connection };
}

/** Keeps #peers showing who else is here; `changed(ids)` is told each time. Answers what brings it up to date. */
export function showPeers(me, changed = () => {}) {
  const update = () => {
    const ids = [...me.knownWorkers.keys()].filter((id) => id !== me.id).sort();
    byId('peers').replaceChildren(...ids.map((id) => element('li', { 'data-id': id }, who(id))));
    byId('no-peers').hidden = ids.length > 0;
    changed(ids);
  };
  for (const type of ['joined', 'left', 'connected', 'disconnected']) me.addEventListener(type, update);
  update();
  return update;
}
