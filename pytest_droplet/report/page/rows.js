/* The rows of the record: one for each verdict, and what is worked out from them. */
import {
  checks, data, droplets, KINDS, more, SEVERITIES, strings, total, VERDICTS, WEIGHTS,
} from './data.js';
import { number } from './elements.js';

export const kindOf = (row) => (data.verdict[row] === 'f'
  ? SEVERITIES[data.severity[row]]
  : VERDICTS[data.verdict[row]]);
export const rankOf = Object.fromEntries(Object.keys(KINDS).map((kind, i) => [kind, i]));
export const worse = (a, b) => rankOf[kindOf(a)] - rankOf[kindOf(b)] || a - b;
export const weight = (row) => (data.verdict[row] === 'f' ? WEIGHTS[data.severity[row]] : 0);
export const messageOf = (row) => strings[data.message[row]];
export const dropletOf = (row) => droplets[data.droplet[row]];
export const checkOf = (row) => checks[data.check[row]];
export const keyOf = (droplet) => (droplet.id === null ? 'account' : String(droplet.id));
export const checkNumber = new Map(checks.map((check, i) => [check.id, i]));
export const dropletNumber = new Map(droplets.map((droplet, i) => [keyOf(droplet), i]));
export const rows = Array.from({ length: total }, (_, row) => row);

const cellOf = new Map();
export const badness = droplets.map(() => 0);
for (const row of rows) {
  const cell = data.droplet[row] * checks.length + data.check[row];
  const known = cellOf.get(cell);
  if (known === undefined || worse(row, known) < 0) cellOf.set(cell, row);
  badness[data.droplet[row]] += { f: 1000 * weight(row) ** 3, e: 500, u: 1 }[data.verdict[row]] || 0;
}
export const at = (droplet, check) => cellOf.get(droplet * checks.length + check);
export const causeOf = (row) => (more[row] && more[row].caused_by
  ? at(data.droplet[row], checkNumber.get(more[row].caused_by)) : undefined);
export const lostOf = (row) => Boolean(more[row] && more[row].unreached && dropletOf(row).reason);
export const families = [...new Set(checks.map((check) => check.family))];
export const checkOrder = [...checks.keys()]
  .sort((a, b) => families.indexOf(checks[a].family) - families.indexOf(checks[b].family) || a - b);
export const dropletOrder = [...droplets.keys()].sort((a, b) => badness[b] - badness[a] || a - b);
export const inWords = (of) => Object.keys(KINDS).map((kind) => [of.filter((row) => kindOf(row) === kind).length, kind])
  .filter(([n]) => n).map(([n, kind]) => `${number(n)} ${KINDS[kind][1]}`).join(', ');
export const grouped = (of, column) => {
  const groups = new Map();
  for (const row of of) {
    if (!groups.has(column[row])) groups.set(column[row], []);
    groups.get(column[row]).push(row);
  }
  return groups;
};
/* What heads a row: what is wrong, else what the check wants. */
export const headOf = (row) => (data.verdict[row] === 'f' && checkOf(row).finding) || checkOf(row).title;
export const rateOf = (droplet) => (droplet.rate === undefined ? '' : `${droplet.rate} % pass`);
