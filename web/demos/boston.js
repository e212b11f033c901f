/**
 * A regression on rows that stay where they are: what boston.html and worker.html run, and the tests under Node with virtual workers.
 *
 * The workers that have data hold four tensors each, of policy `compute`, found by their tags: rows and targets, to fit and held out. `analyse` computes with
 * pointers to them, in two passes. What it gets are sums over all rows of a worker: it adds those of the workers up and goes on here.
 */
import { tensor, tidy, torch } from './module.js';

/** The data's columns; the last one is what is to be told from the others. */
export const COLUMNS = ['crim', 'zn', 'indus', 'chas', 'nox', 'rm', 'age', 'dis', 'rad', 'tax', 'ptratio', 'b', 'lstat', 'medv'];

/** Every fifth row of the whole data is held out: 404 rows to fit, 102 to judge the fit by. */
export const isHeldOut = (row) => row % 5 === 0;

// ---- at the workers that have the data ----

/** The data as .scripts/write_boston.js wrote it: {columns, rows}; the last column is the target. */
export async function loadTable(url = new URL('../core/boston.json', import.meta.url)) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`cannot read ${url}: ${response.status} ${response.statusText}; .scripts/build makes it`);
  return response.json();
}

/** One half of the rows as plain arrays: 'a' is the first, 'b' the second. The halves differ, as two owners' data do: the rows are sorted by town. */
export function halfOf(table, half) {
  const middle = table.rows.length / 2;
  const from = half === 'a' ? 0 : middle;
  const parts = { fit: { rows: [], targets: [] }, heldOut: { rows: [], targets: [] } };
  table.rows.slice(from, from + middle).forEach((row, i) => {
    const part = isHeldOut(from + i) ? parts.heldOut : parts.fit;
    part.rows.push(row.slice(0, -1));
    part.targets.push(row.slice(-1));
  });
  return parts;
}

/** Puts half of the data into the worker's own store. Others may compute with it, and not fetch it. */
export async function registerHalf(worker, table, half, dtype) {
  const parts = halfOf(table, half);
  const put = async (data, tags, description) => {
    const made = tensor(data, { dtype });
    await worker.setObj(made, { tags: ['#boston', ...tags], description, policy: 'compute' });
    made.dispose(); // the store keeps it
  };
  await Promise.all([
    put(parts.fit.rows, ['#data', '#fit'], `Boston housing, half ${half.toUpperCase()}: ${table.columns.slice(0, -1).join(', ')}`),
    put(parts.fit.targets, ['#target', '#fit'], `Boston housing, half ${half.toUpperCase()}: ${table.columns.at(-1)}`),
    put(parts.heldOut.rows, ['#data', '#held-out'], `Boston housing, half ${half.toUpperCase()}, held out`),
    put(parts.heldOut.targets, ['#target', '#held-out'], `Boston housing, half ${half.toUpperCase()}, held out: the target`),
  ]);
}

// ---- at the worker that has none ----

/** What there is at these workers, as a list of {worker, policy, fit: {data, target}, heldOut: {data, target}}: borrowed pointers. */
export async function findSources(workers) {
  const find = async (worker, ...tags) => (await worker.search(['#boston', ...tags])).at(0);
  const sources = await Promise.all(
    workers.map(async (worker) => {
      const [data, target, heldData, heldTarget] = await Promise.all([
        find(worker, '#data', '#fit'),
        find(worker, '#target', '#fit'),
        find(worker, '#data', '#held-out'),
        find(worker, '#target', '#held-out'),
      ]);
      if (!data || !target || !heldData || !heldTarget) return null;
      const { policy } = (await worker.list()).find(({ id }) => id === data.idAtLocation);
      return { worker, policy, fit: { data, target }, heldOut: { data: heldData, target: heldTarget } };
    }),
  );
  return sources.filter((source) => source !== null);
}

const getAll = (pointers) => Promise.all(pointers.map((pointer) => pointer.get()));
// Sums run over all rows, and in float64 whatever the rows are in: it costs nothing, and float32 would lose more in the sums than in the rows.
const sumOfRows = (rows) => rows.sum(0, { dtype: 'float64' });
const sumOfProducts = (rows) => sumOfRows(rows.unsqueeze(2).mul(rows.unsqueeze(1)));
const sumOf = (tensors) => tensors.reduce((sum, next) => sum.add(next));
const rowsOf = (pointer) => pointer.shape[0];

/**
 * Means, standard deviations (over N, as NumPy's), correlations and a least-squares fit of the last column on the others, over the rows of all sources
 * together; and the error of that fit on the rows held out. The workers compute in `dtype` and sum up in float64.
 * `onPass(text)` is told, and awaited, when a pass begins.
 */
export async function analyse(sources, { dtype = 'float64', onPass = () => {} } = {}) {
  if (sources.length === 0) throw new Error('there is no data: open a tab that holds some and search again');
  return tidy(async (scope) => {
    const nFit = sources.reduce((n, { fit }) => n + rowsOf(fit.data), 0);
    const nHeldOut = sources.reduce((n, { heldOut }) => n + rowsOf(heldOut.data), 0);
    const nFeatures = sources[0].fit.data.shape[1];
    // What is made from these belongs to the scope as well, and is freed with it: here and at the workers.
    const allColumns = ({ data, target }) => scope.track(torch.cat([data, target], 1)).to(dtype);
    const number = (values) => scope.track(tensor(values, { dtype: 'float64' }));
    const toAll = (values) => sources.map(({ worker }) => values.to(dtype).send(worker));
    const asSent = (values) => values.to(dtype).to('float64');

    await onPass('Pass 1: the pooled means');
    const fitted = sources.map(({ fit }) => allColumns(fit));
    const roughMean = sumOf(await getAll(fitted.map(sumOfRows))).div(nFit);

    await onPass('Pass 1: the pooled deviations around them');
    const means = toAll(roughMean);
    const centred = fitted.map((rows, i) => rows.sub(means[i]));
    const [offsets, squares] = await Promise.all([
      getAll(centred.map(sumOfRows)),
      getAll(centred.map((rows) => sumOfRows(rows.mul(rows)))),
    ]);
    // The mean went out rounded to dtype: what is left of the sums around it corrects both.
    const offset = sumOf(offsets).div(nFit);
    const mean = asSent(roughMean).add(offset);
    const deviation = sumOf(squares).div(nFit).sub(offset.mul(offset)).sqrt();

    await onPass('Pass 2: the products of the standardised columns');
    const deviations = toAll(deviation);
    const standardised = centred.map((rows, i) => rows.div(deviations[i]));
    const products = sumOf(await getAll(standardised.map(sumOfProducts)));
    const lengths = products.diagonal().sqrt();
    const correlation = products.div(lengths.unsqueeze(0)).div(lengths.unsqueeze(1));

    // The normal equations, of columns of mean 0 and deviation 1: they need no intercept, and float32 loses little in them.
    const byFeature = products.narrow(0, 0, nFeatures);
    const gram = byFeature.narrow(1, 0, nFeatures);
    const moments = byFeature.narrow(1, nFeatures, 1);
    const fit = moments.cholesky_solve(gram.cholesky());

    await onPass('The held-out rows: sums of squared errors');
    // Two columns: the error of the fit, and that of always saying the mean.
    const weights = toAll(torch.cat([torch.cat([fit, fit.mul(0)], 1), number([[-1, -1]])], 0));
    const errors = sources.map(({ heldOut }, i) => allColumns(heldOut).sub(means[i]).div(deviations[i]).matmul(weights[i]));
    const squaredErrors = sumOf(await getAll(errors.map((error) => sumOfRows(error.mul(error)))));

    // Back to the units of the columns.
    const featureMean = mean.narrow(0, 0, nFeatures);
    const targetMean = mean.narrow(0, nFeatures, 1);
    const unit = asSent(deviation).narrow(0, 0, nFeatures);
    const targetUnit = asSent(deviation).narrow(0, nFeatures, 1);
    const perUnit = fit.squeeze(1).mul(targetUnit).div(unit);
    const perDeviation = perUnit.mul(deviation.narrow(0, 0, nFeatures));
    const intercept = targetMean.sub(perUnit.dot(featureMean));
    const [mse, mseOfMean] = await squaredErrors.mul(targetUnit.mul(targetUnit)).div(nHeldOut).array();

    return {
      dtype,
      nFit,
      nHeldOut,
      mean: await mean.array(),
      deviation: await deviation.array(),
      correlation: await correlation.array(),
      coefficientsPerDeviation: await perDeviation.array(),
      coefficients: await perUnit.array(),
      intercept: await intercept.item(),
      heldOut: { mse, rmse: Math.sqrt(mse), mseOfMean, rmseOfMean: Math.sqrt(mseOfMean) },
    };
  });
}

/** Asks for the rows themselves, plainly and in disguise; answers what each attempt was told. */
export async function tryToGetRows(source) {
  const { data } = source.fit;
  const attempts = [
    ['the rows', () => data.data()],
    ['the rows, times one', () => data.mul(1).get()],
    ['one row', () => data.narrow(0, 0, 1).get()],
  ];
  const answers = [];
  for (const [what, attempt] of attempts) {
    answers.push(
      await tidy(attempt).then(
        () => ({ what, error: null }),
        (error) => ({ what, error }),
      ),
    );
  }
  return answers;
}

export const bytesPerNumber = (dtype) => (dtype === 'float64' ? 8 : 4);

/** How many numbers the sources hold. */
export function numbersHeld(sources) {
  return sources.reduce((n, { fit, heldOut }) => n + (rowsOf(fit.data) + rowsOf(heldOut.data)) * (fit.data.shape[1] + 1), 0);
}
