/* The picture of the fleet: a line for each Droplet, a column for each check. */
import { checks, data, KINDS, droplets, VERDICTS } from './data.js';
import { $, bdi, button, capital, h, table } from './elements.js';
import { DEFAULTS, hrefOf, scope, setState, shown, state, toHash } from './filters.js';
import { picture } from './picture.js';
import {
  at, checkOrder, dropletOrder, families, headOf, inWords, keyOf, kindOf, messageOf, rows, weight, worse,
} from './rows.js';

const COMMON = 0.5; /* the share of lines to which a check applies that has a column of its own */

const nameOf = ({ id, family, title }) => (id.startsWith(`${family}.`) ? id.slice(family.length + 1) : title);
const alone = (i) => ({ checks: [i], label: nameOf(checks[i]), group: checks[i].family, title: checks[i].title });
const together = (numbers, all, group) => ({
  checks: numbers,
  group,
  label: `${checks[numbers[0]].family}: ${numbers.length} ${all ? '' : 'other '}checks`,
  title: numbers.map((i) => nameOf(checks[i])).join(', '),
});
/* A column for each check; the checks of a family that apply to few of the lines share one, and
   each family has just one where there is no room for names. */
const columnsFor = (numbers, list, fits) => {
  const common = (i) => list.filter((droplet) => {
    const row = at(droplet, i);
    return row !== undefined && kindOf(row) !== 'notapplicable';
  }).length >= COMMON * list.length;
  const byFamily = families.map((family) => numbers.filter((i) => checks[i].family === family))
    .filter((of) => of.length);
  const columns = byFamily.flatMap((of) => {
    const rare = of.filter((i) => !common(i));
    if (rare.length < 2) return of.map(alone);
    const rest = of.filter((i) => !rare.includes(i));
    return [...rest.map(alone), together(rare, !rest.length, checks[of[0]].family)];
  });
  if (columns.length <= fits) return columns;
  return byFamily.map((of) => (of.length > 1 ? together(of, true, '') : { ...alone(of[0]), group: '' }));
};

export const buildFleet = () => {
  const box = $('fleet-box');
  let cols = [], list = [], numbers = [], plain = true, every = false;
  const rowOf = (i, c) => cols[c].checks.map((check) => at(i, check)).filter((row) => row !== undefined)
    .sort((a, b) => Boolean(shown[b]) - Boolean(shown[a]) || worse(a, b))[0];
  const made = picture(box, 'Picture of the fleet: a line for each Droplet, a column for each check', [
    ...Object.entries(KINDS).map(([kind, [mark, word]]) => [kind, mark, word])], {
    lines: () => {
      const seen = new Set(rows.filter((row) => scope[row]).map((row) => data.droplet[row]));
      return (list = dropletOrder.filter((i) => seen.has(i)));
    },
    columns: (fits) => {
      const seen = new Set(rows.filter((row) => scope[row]).map((row) => data.check[row]));
      plain = !toHash({ ...DEFAULTS, severity: state.severity, verdict: state.verdict, change: state.change,
        check: state.check, droplet: state.droplet });
      numbers = checkOrder.filter((i) => seen.has(i)).slice(0, 400);
      cols = every ? numbers.map(alone) : columnsFor(numbers, list, fits);
      unfold.hidden = !every && cols.length === numbers.length;
      unfold.textContent = every ? 'Fold checks that rarely apply'
        : `A column for each of the ${numbers.length} checks`;
      return cols;
    },
    sorted: true,
    look: (i, c) => {
      const row = rowOf(i, c);
      if (row === undefined) return null;
      const kind = kindOf(row);
      return { kind, mark: KINDS[kind][0], faint: !plain && !shown[row] };
    },
    tell: (i, c) => {
      const row = rowOf(i, c);
      if (row === undefined) return [cols[c].title, 'not judged'];
      const verdict = capital(VERDICTS[data.verdict[row]].replace('notapplicable', 'not applicable'));
      const others = cols[c].checks.length - 1;
      return [headOf(row), weight(row) ? `${verdict}, ${kindOf(row)}` : verdict, messageOf(row).slice(0, 240),
        others && `the worst of ${others + 1} checks`].filter(Boolean);
    },
    pick: (i, c) => {
      const row = i === undefined || c === undefined ? undefined : rowOf(i, c);
      const verdict = row === undefined || state.verdict.includes(data.verdict[row]) ? '' : data.verdict[row];
      const one = c !== undefined && cols[c].checks.length === 1;
      setState({
        droplet: i === undefined ? '' : keyOf(droplets[i]),
        check: one ? checks[cols[c].checks[0]].id : '',
        family: c === undefined || one ? state.family : checks[cols[c].checks[0]].family,
        severity: '',
        change: '',
        verdict: state.verdict + verdict,
        view: c === undefined ? 'droplet' : state.view,
      }, 'findings');
    },
    grid: () => {
      const groups = families.filter((family) => numbers.some((i) => checks[i].family === family));
      return table('Verdicts by Droplet and family', ['Droplet', 'Rate', ...groups], list, (i) => [
        h('a', hrefOf({ droplet: keyOf(droplets[i]), view: 'droplet' }), bdi(droplets[i].name)),
        droplets[i].rate === undefined ? '–' : `${droplets[i].rate} %`,
        ...groups.map((family) => inWords(numbers.filter((c) => checks[c].family === family)
          .map((c) => at(i, c)).filter((row) => row !== undefined)) || '–')], 100);
    },
  });
  const unfold = button('', () => { every = !every; made.update(); });
  made.tools.append(unfold);
};
