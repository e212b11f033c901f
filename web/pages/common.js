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
  list.prepend(item);
  while (list.children.length > MAX_PROBLEMS) list.lastChild.remove();
  list.hidden = false;
}

export function clearProblems() {
  byId('problems').replaceChildren();
  byId('problems').hidden = true;
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

/** A button that cannot be pressed while what it does is going on. */
export function onPress(button, what, action) {
  button.addEventListener('click', async () => {
    if (button.disabled) return;
    button.disabled = true;
    try {
      await action();
    } catch (error) {
      showProblem(what, error);
    } finally {
      button.disabled = false;
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

/** This tab's id: from the address (?id=), else a friendly one, which goes into the address so that a reload keeps it. */
export function ownId() {
  const url = new URL(location.href);
  const given = url.searchParams.get('id');
  if (given) return given;
  const id = randomName();
  url.searchParams.set('id', id);
  history.replaceState(null, '', url);
  return id;
}

/**
 * Makes this tab the worker `id` and shows its state at the top right, in #self and in the title. Answers {hook, me} before the relay has answered; `me.ready` tells when it has.
 */
export async function join(id, title) {
  document.title = `${id} · ${title}`;
  byId('self')?.replaceChildren(who(id));
  showState('connecting', `${id}: connecting`);
  const { TorchHook, WebSocketWorker } = await import('../tabtensor.js');
  const me = new WebSocketWorker({ id });
  const hook = new TorchHook({ localWorker: me });
  let isGone = false; // a connection that could not be made is told twice: as an event, and by `ready`
  const gone = (error) => {
    if (isGone) return;
    isGone = true;
    const isRefused = error.code === 'duplicate' || error.code === 'version';
    showState(isRefused ? 'refused' : 'disconnected', `${id}: ${isRefused ? 'refused' : 'disconnected'}`);
    showProblem(isRefused ? 'The relay refused this tab' : 'This tab is not connected (a reload tries again)', error);
  };
  me.addEventListener('connected', ({ detail }) => {
    if (detail.peer !== '') return;
    isGone = false;
    showState('connected', `${id}: connected to ${location.host}`);
  });
  me.addEventListener('disconnected', ({ detail }) => detail.peer === '' && gone(detail.error));
  me.addEventListener('error', ({ error }) => showProblem('A command failed', error));
  me.addEventListener('refused', ({ detail, error }) => detail.peer !== '' && showProblem(`${detail.peer} was refused`, error));
  me.ready.catch(gone);
  addEventListener('pagehide', () => me.close());
  // Back from the browser's cache of pages: the worker that it had is closed.
  addEventListener('pageshow', ({ persisted }) => persisted && location.reload());
  return { hook, me };
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
