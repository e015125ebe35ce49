/* The data block of the page: what every other module draws from. Every text of it becomes a
   text node, none becomes markup. */
export const data = JSON.parse(document.getElementById('data').textContent);
export const { checks, droplets, keys, strings, more, recommendations } = data;
export const total = data.verdict.length;

export const VERDICTS = Object.fromEntries(data.verdicts.map(([name, letter]) => [letter, name]));
export const SEVERITIES = { c: 'critical', h: 'high', m: 'medium', l: 'low' };
export const WEIGHTS = Object.fromEntries(Object.entries(SEVERITIES)
  .map(([letter, name]) => [letter, data.weights[name]]));
/* What a row is shown as, worst first: its mark, and its words for one and for several. */
export const KINDS = {
  critical: ['C', 'critical', 'fails on'], high: ['H', 'high', 'fails on'],
  medium: ['M', 'medium', 'fails on'], low: ['L', 'low', 'fails on'],
};
for (const [name, letter, ...look] of data.verdicts) if (letter !== 'f') KINDS[name] = look;
export const OPEN = data.verdicts.filter((kind) => kind[5]).map((kind) => kind[1]).join('');
export const ALL = Object.keys(VERDICTS).join('');
