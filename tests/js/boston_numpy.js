/**
 * What NumPy makes of the pooled Boston housing data: the reference for the demo, whose rows never meet.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const tableFile = fileURLToPath(new URL('../../web/core/boston.json', import.meta.url));

const SCRIPT = `
import json, sys
import numpy as np
rows = np.array(json.load(open(sys.argv[1]))["rows"])
is_held_out = np.arange(len(rows)) % 5 == 0
fit, held_out = rows[~is_held_out], rows[is_held_out]
weights = np.linalg.lstsq(np.c_[fit[:, :-1], np.ones(len(fit))], fit[:, -1], rcond=None)[0]
error = np.c_[held_out[:, :-1], np.ones(len(held_out))] @ weights - held_out[:, -1]
print(json.dumps({
    "nFit": len(fit), "nHeldOut": len(held_out),
    "mean": fit.mean(0).tolist(), "deviation": fit.std(0).tolist(), "correlation": np.corrcoef(fit.T).tolist(),
    "coefficients": weights[:-1].tolist(), "coefficientsPerDeviation": (weights[:-1] * fit[:, :-1].std(0)).tolist(), "intercept": weights[-1],
    "mse": (error ** 2).mean(), "rmse": np.sqrt((error ** 2).mean()), "rmseOfMean": np.sqrt(((held_out[:, -1] - fit[:, -1].mean()) ** 2).mean()),
}))
`;

/** { nFit, nHeldOut, mean, deviation, correlation, coefficients, coefficientsPerDeviation, intercept, mse, rmse, rmseOfMean } */
export async function numpyReference() {
  const { stdout } = await promisify(execFile)('/usr/bin/python3', ['-c', SCRIPT, tableFile]);
  return JSON.parse(stdout);
}

/** How closely each result must agree, in the max norm. */
export const TOLERANCE = { float32: 1e-4, float64: 1e-9 };

export const maxDistance = (a, b) => {
  const [left, right] = [[a].flat(2), [b].flat(2)];
  if (left.length !== right.length || left.length === 0) return NaN;
  return Math.max(...left.map((value, i) => Math.abs(value - right[i])));
};
