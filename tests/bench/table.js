// The rows as text.
import { digits } from './stats.js';

const targetText = ({ times, atMostTimes, atMost, atLeast } = {}, unit) => {
  if (times !== undefined) return `>= ${times} x`;
  if (atMostTimes !== undefined) return `<= ${atMostTimes} of its time`;
  if (atMost !== undefined) return `<= ${digits(atMost)} ${unit}`;
  return atLeast === undefined ? '' : `>= ${digits(atLeast)} ${unit}`;
};

/** What the target is about: how many times as fast as the best peer, or the share of its time. */
function ratioText({ best, times, target }) {
  if (times?.[best] === undefined) return '';
  const ratio = times[best];
  return target?.atMostTimes === undefined ? `${digits(ratio)} x ${best}` : `${digits(1 / ratio)} of ${best}`;
}

const HEADS = ['case', 'row', 'unit', 'median (quartiles)', 'against the best', 'target', 'reached', 'remarks'];

function cells(row) {
  const values = Object.entries(row.contestants).map(([name, { median, q1, q3 }]) => `${name} ${digits(median)} (${digits(q1)}..${digits(q3)})`);
  const problems = Object.entries(row.problems).map(([name, problem]) => `${name}: ${problem}`);
  const reached = row.isReached === undefined ? '' : row.isReached ? 'yes' : 'NO';
  return [row.id, row.row, row.unit ?? '', values.join(', '), ratioText(row), targetText(row.target, row.unit), reached, [row.note, ...problems].filter(Boolean).join('; ')];
}

/** Columns as wide as their widest cell; the last two are left as they are. */
export function table(rows) {
  const lines = [HEADS, ...rows.map(cells)];
  const widths = HEADS.map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  return lines.map((line) => line.map((cell, i) => (i < HEADS.length - 1 ? cell.padEnd(widths[i]) : cell)).join('  ').trimEnd()).join('\n');
}

export const line = (row) => cells(row).filter(Boolean).join('  ');
