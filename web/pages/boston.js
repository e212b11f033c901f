/** The regression on other tabs' rows: finds the data, computes, and shows what came out and what it took. */
import { byId, clearProblems, element, formatBytes, join, NOT_CONNECTED, number, onPress, ownId, run, showPeers, who } from './common.js';

let columns = [];

run(async () => {
  const { me, connection } = await join(ownId('carol'), 'Boston housing');
  const boston = await import('../demos/boston.js');
  columns = boston.COLUMNS;
  let sources = [];

  showPeers(me, (ids) => {
    const gone = sources.filter(({ worker }) => !ids.includes(worker.id));
    if (gone.length === 0) return;
    sources = sources.filter((source) => !gone.includes(source));
    showSources(sources, `${gone.map(({ worker }) => worker.id).join(' and ')} left, with the data`);
    offer();
  });

  const isLost = () => ['disconnected', 'refused'].includes(connection.state);
  // What the buttons need. Who was here has left by the time that the connection is lost.
  const offer = () => {
    byId('find').disabled = connection.state === 'refused';
    byId('run').disabled = byId('try-rows').disabled = sources.length === 0;
    byId('run-hint').hidden = sources.length > 0;
  };
  connection.changed = offer;
  offer();

  const find = async () => {
    clearProblems();
    if (isLost()) {
      byId('found-note').textContent = `${NOT_CONNECTED}.`;
      return;
    }
    byId('found-note').textContent = 'asking';
    const others = [...me.knownWorkers.values()].filter((worker) => worker.id !== me.id);
    sources = await boston.findSources(others);
    showSources(sources, sources.length > 0 ? '' : others.length === 0 ? 'Nobody else is here: open the two tabs first.' : 'Nobody here has any.');
    offer();
  };

  const compute = async () => {
    clearProblems();
    byId('results').hidden = true;
    byId('refusals').replaceChildren();
    const dtype = byId('dtype').value;
    const progress = followProgress(me);
    const before = await me.counters();
    const result = await boston.analyse(sources, { dtype, onPass: progress.pass });
    const after = await me.counters();
    await progress.end();
    const nBytes = boston.bytesPerNumber(dtype);
    showResults(result, {
      bytesIn: after.bytesIn - before.bytesIn,
      bytesOut: after.bytesOut - before.bytesOut,
      numbersGot: (after.tensorBytesIn - before.tensorBytesIn) / boston.bytesPerNumber('float64'),
      numbersHeld: boston.numbersHeld(sources),
      nBytes,
    });
  };

  onPress(byId('find'), 'The search failed', find, offer);
  onPress(byId('run'), 'The computation failed', compute, offer);
  const tryRows = async () => byId('refusals').replaceChildren(...(await boston.tryToGetRows(sources[0])).map(describeAttempt));
  onPress(byId('try-rows'), 'The attempt failed', tryRows, offer);
});

function showSources(sources, note) {
  byId('found').hidden = sources.length === 0;
  byId('found').tBodies[0].replaceChildren(
    ...sources.map(({ worker, policy, fit, heldOut }) =>
      element(
        'tr',
        { 'data-id': worker.id },
        element('td', {}, who(worker.id)),
        ...[fit.data.shape[0], heldOut.data.shape[0], `${fit.data.shape[1]} and the target`, fit.data.dtype, policy].map((text) => element('td', {}, String(text))),
      ),
    ),
  );
  byId('found-note').textContent = note;
}

function followProgress(me) {
  const list = byId('progress');
  list.replaceChildren();
  let item = null;
  let began;
  let bytes;
  const now = async () => {
    const { bytesIn, bytesOut } = await me.counters();
    return bytesIn + bytesOut;
  };
  const end = async () => {
    if (item === null) return;
    const took = performance.now() - began;
    item.className = '';
    item.append(element('small', {}, `${formatBytes((await now()) - bytes)}, ${took.toFixed(0)} ms`));
  };
  return {
    async pass(text) {
      await end();
      item = element('li', { className: 'running' }, text);
      list.append(item);
      bytes = await now();
      began = performance.now();
    },
    end,
  };
}

function describeAttempt({ what, error }) {
  if (error === null) return element('p', { className: 'refusal' }, `${what}: they came. That is not as it should be.`);
  return element('p', { className: 'refusal', 'data-code': error.code ?? '' }, element('b', {}, `${what}: `), error.message);
}

// ---- results ----

function showResults(result, { bytesIn, bytesOut, numbersGot, numbersHeld, nBytes }) {
  const { heldOut } = result;
  const [moved, held] = [bytesIn + bytesOut, numbersHeld * nBytes];
  byId('figures').replaceChildren(
    figure('Held-out error (RMSE)', number(heldOut.rmse, 3), `${heldOut.rmseOfMean.toFixed(2)} if one always said the mean`, 'rmse'),
    figure('Held-out MSE', number(heldOut.mse, 3), `${result.nHeldOut} rows nobody fitted to`, 'mse'),
    figure('Intercept', number(result.intercept, 3), `fitted to ${result.nFit} rows`, 'intercept'),
    figure('Numbers that came here', number(numbersGot, 0), `sums, of the ${numbersHeld.toLocaleString('en')} in the tabs`, 'got'),
  );
  const largest = Math.max(moved, held);
  byId('bytes').replaceChildren(
    measure('Bytes that moved', moved, largest, `${bytesOut} out, ${bytesIn} in, all told`, 'moved'),
    measure('Bytes of the data', held, largest, `${numbersHeld} numbers in ${result.dtype}`, 'data'),
  );
  const { mean, deviation, coefficients, coefficientsPerDeviation, correlation } = result;
  byId('fit').tBodies[0].replaceChildren(
    ...columns.map((column, i) =>
      element(
        'tr',
        { 'data-column': column },
        element('th', { scope: 'row' }, column),
        ...[mean, deviation, coefficientsPerDeviation, coefficients].map((list) => element('td', {}, i < list.length ? number(list[i]) : '')),
      ),
    ),
  );
  showHeat(correlation);
  byId('results').hidden = false;
}

function figure(name, value, note, key) {
  return element('div', { 'data-figure': key }, element('dt', {}, name), element('dd', {}, value, element('small', {}, note)));
}

function measure(name, bytes, largest, note, key) {
  const bar = element('i');
  bar.style.setProperty('--part', String(bytes / largest));
  return element(
    'div',
    { 'data-measure': key, title: note },
    element('span', {}, name),
    element('span', { className: key === 'moved' ? 'rail' : 'rail dim' }, bar),
    element('data', { className: 'much', value: String(bytes) }, formatBytes(bytes)),
  );
}

function showHeat(correlation) {
  const table = byId('correlation');
  const heading = (text, scope) => element('th', { scope }, text);
  table.tHead.replaceChildren(element('tr', {}, element('td'), ...columns.map((column) => heading(column, 'col'))));
  table.tBodies[0].replaceChildren(
    ...correlation.map((row, i) =>
      element(
        'tr',
        {},
        heading(columns[i], 'row'),
        ...row.map((value) => {
          const cell = element('td', { 'data-sign': value < 0 ? '-' : '+' }, number(value, 2));
          cell.style.setProperty('--size', String(Math.abs(value)));
          return cell;
        }),
      ),
    ),
  );
}
