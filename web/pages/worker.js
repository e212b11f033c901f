/** A worker's page: its store, what others have it do, who is here. All of it follows the worker's own events, so it is current in a hidden tab too. */
import { byId, clearProblems, element, formatBytes, formatShape, fullId, join, onPress, ownId, randomName, run, shortId, showPeers, showProblem, who } from './common.js';

const MAX_LOG = 200;
const MAX_LISTED = 200;
const MAX_TOGETHER = 6;

run(async () => {
  const id = ownId();
  const { me } = await join(id, 'worker');
  const another = byId('another');
  const renew = () => (another.href = `worker.html?id=${randomName()}`);
  another.addEventListener('click', () => queueMicrotask(renew));
  renew();
  showPeers(me);
  const store = watchStore(me);
  watchActivity(me, store.refresh);
  offerData(me);
  await store.refresh();
});

// ---- the store ----

function watchStore(me) {
  const table = byId('store');
  const rows = new Map();
  let isDirty = false;
  let running = null;

  // Listings are asked for one at a time, however fast objects come and go.
  const refresh = () => {
    isDirty = true;
    running ??= (async () => {
      try {
        while (isDirty) {
          isDirty = false;
          const [objects, counters] = await Promise.all([me.list(), me.counters()]);
          show(objects);
          showTraffic(counters);
        }
      } catch (error) {
        showProblem('The store could not be listed', error);
      } finally {
        running = null;
      }
    })();
    return running;
  };

  function show(objects) {
    const listed = objects.slice(0, MAX_LISTED);
    const seen = new Set(listed.map((object) => object.id));
    for (const [id, row] of rows) {
      if (!seen.has(id)) {
        row.remove();
        rows.delete(id);
      }
    }
    const body = table.tBodies[0];
    for (const object of listed) {
      if (rows.has(object.id)) continue;
      const row = element('tr', { className: 'new', 'data-id': object.id }, ...cellsOf(me, object));
      rows.set(object.id, row);
      body.append(row);
    }
    table.hidden = objects.length === 0;
    byId('store-empty').hidden = objects.length > 0;
    const more = objects.length > listed.length ? `, ${listed.length} shown` : '';
    byId('store-note').textContent = objects.length === 0 ? '' : `${objects.length} ${objects.length === 1 ? 'object' : 'objects'}${more}`;
  }

  return { refresh };
}

function cellsOf(me, { id, shape, dtype, owner, policy, tags = [], location, location_id: locationId }) {
  const what = location === undefined ? formatShape(shape) : element('span', {}, `${formatShape(shape)} at ${location} ${shortId(locationId)}`);
  return [
    element('td', {}, fullId(id)),
    element('td', { className: 'mono' }, what),
    element('td', { className: 'mono' }, dtype),
    element('td', {}, owner === me.id ? 'itself' : who(owner)),
    element('td', {}, policy),
    element('td', {}, element('span', { className: 'tags' }, ...tags.map((tag) => element('span', { className: 'tag' }, tag)))),
  ];
}

function showTraffic({ framesIn, framesOut, bytesIn, bytesOut, commandsIn, commandsOut }) {
  const count = (n, what) => `${n} ${what}${n === 1 ? '' : 's'}`;
  const fact = (name, bytes, frames, commands) => [element('dt', {}, name), element('dd', {}, `${formatBytes(bytes)} in ${count(frames, 'frame')}, ${count(commands, 'command')}`)];
  byId('traffic').replaceChildren(...fact('in', bytesIn, framesIn, commandsIn), ...fact('out', bytesOut, framesOut, commandsOut));
}

// ---- what happens here ----

function watchActivity(me, refresh) {
  const counts = { arrived: 0, made: 0, commands: 0, removed: 0, failed: 0 };
  const lately = new Map(); // id -> its entry in the log, until it is known whether a command made it
  // What this page made itself -> its entry in the log. It makes objects only to register them, and frees what it made: that is no news.
  const own = new Map();
  const log = byId('log');

  const count = (name, n = 1) => {
    counts[name] += n;
    byId(`n-${name}`).textContent = String(counts[name]);
  };
  const add = (className, kind, what, peer) => {
    const item = element('li', { className }, element('span', { className: 'kind' }, kind), element('span', { className: 'what' }, what));
    if (peer && peer !== me.id) item.append(who(peer));
    log.prepend(item);
    while (log.children.length > MAX_LOG) log.lastChild.remove();
    while (lately.size > MAX_LOG) lately.delete(lately.keys().next().value);
    byId('log-empty').hidden = true;
    const note = byId('log-note');
    const total = Object.values(counts).reduce((sum, n) => sum + n);
    note.hidden = total <= MAX_LOG;
    note.textContent = `The latest ${MAX_LOG} of ${total}.`;
    return item;
  };

  // Objects often leave by the dozen: those that leave together share an entry.
  const leave = (shortened, reason, peer) => {
    const last = log.firstChild;
    const key = `${reason} ${peer}`;
    if (last?.dataset.left !== key) {
      Object.assign(add('removed', 'left', `${shortened} ${reason}`, peer).dataset, { left: key, ids: shortened, n: '1' });
      return;
    }
    const n = Number(last.dataset.n) + 1;
    if (n <= MAX_TOGETHER) last.dataset.ids += `, ${shortened}`;
    last.dataset.n = String(n);
    last.querySelector('.what').textContent = `${last.dataset.ids}${n > MAX_TOGETHER ? ` and ${n - MAX_TOGETHER} more` : ''} ${reason}`;
  };

  me.addEventListener('command', ({ detail }) => {
    count('commands');
    const results = detail.results.map(shortId).join(', ');
    for (const id of detail.results) {
      const item = lately.get(id);
      if (item === undefined) continue;
      lately.delete(id);
      item.className = 'made';
      item.querySelector('.kind').textContent = 'made';
      count('arrived', -1);
      count('made');
    }
    add('ran', 'ran', `${detail.op}(${detail.operands.map(shortId).join(', ')})${results === '' ? '' : ` → ${results}`}`, detail.peer);
  });
  me.addEventListener('object', ({ detail }) => {
    const { action, id, peer, dtype, shape, reason } = detail;
    if (action === 'removed' && reason === 'freed' && own.has(id)) {
      own.get(id).remove();
      own.delete(id);
      count('arrived', -1);
      refresh();
      return;
    }
    count(action === 'added' ? 'arrived' : 'removed');
    if (action === 'removed') {
      own.delete(id);
      leave(`${shortId(id)}`, reason, peer);
    } else if (peer === me.id || peer === '') own.set(id, add('arrived', 'own', `${shortId(id)} ${dtype} ${formatShape(shape)}`, peer));
    else lately.set(id, add('arrived', 'arrived', `${shortId(id)} ${dtype} ${formatShape(shape)}`, peer));
    refresh();
  });
  me.addEventListener('failure', ({ detail, error }) => {
    count('failed');
    add('failed', 'failed', error.message, detail.peer);
    showProblem(`A command of ${detail.peer} failed here`, error);
  });
  me.addEventListener('skipped', ({ detail }) => {
    count('commands', detail.counts.COMMAND ?? 0);
    count('arrived', detail.counts.OBJECT_ADDED ?? 0);
    count('removed', detail.counts.OBJECT_REMOVED ?? 0);
    refresh();
  });
}

// ---- data of its own ----

async function offerData(me) {
  const load = async (half) => {
    const { loadTable, registerHalf } = await import('../demos/boston.js');
    await registerHalf(me, await loadTable(), half, byId('dtype').value);
  };
  const loadTutorials = async () => {
    const { registerOwnRows } = await import('../demos/trusted_aggregator.js');
    await registerOwnRows(me);
  };
  for (const button of document.querySelectorAll('[data-load]')) {
    onPress(button, 'The data could not be loaded', () => load(button.dataset.load));
  }
  onPress(byId('load-tutorials'), 'The data could not be loaded', loadTutorials);
  onPress(byId('free'), 'Not everything could be freed', async () => {
    clearProblems();
    for (const { id } of await me.list()) await me.rmObj(id);
  });
  const parameters = new URL(location.href).searchParams;
  if (parameters.get('dtype') === 'float32') byId('dtype').value = 'float32';
  const wanted = parameters.get('load');
  if (['a', 'b', 'tutorials'].includes(wanted)) {
    try {
      await (wanted === 'tutorials' ? loadTutorials() : load(wanted));
    } catch (error) {
      showProblem('The data could not be loaded', error);
    }
  }
}
