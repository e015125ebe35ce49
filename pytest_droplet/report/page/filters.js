/* Filters: a state that lives in the URL, and the bar that shows and changes it. */
import { checks, data, droplets, KINDS, more, OPEN, SEVERITIES, strings, total, VERDICTS } from './data.js';
import { $, button, capital, h, number, plural } from './elements.js';
import { checkOf, dropletNumber, dropletOf, families, keyOf, rows } from './rows.js';

export const DEFAULTS = { q: '', tag: '', region: '', family: '', change: '', check: '', droplet: '',
  guide: '', control: '',
  severity: '', verdict: OPEN, view: 'check' };
const WORDS = { severity: SEVERITIES, verdict: VERDICTS };
export let state = { ...DEFAULTS };
export let scope = []; /* by row: whether tag, region, family and text let it through */
export let shown = []; /* by row: whether every filter does */
export let inFleet = []; /* by Droplet: whether tag and region let it through */
export const onChange = []; /* what draws anew when the state changes */
export const startFrom = (hash) => { state = fromHash(hash); };

export const toHash = (of) => {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(of)) {
    if (value === DEFAULTS[key]) continue;
    query.set(key, !WORDS[key] ? value : value.length === 6 ? 'all'
      : [...value].map((letter) => WORDS[key][letter]).join(','));
  }
  return query.toString().replace(/%(2C|3A|5B|5D|2F|28|29)/g, decodeURIComponent);
};
const fromHash = (hash) => {
  const read = { ...DEFAULTS };
  for (const [key, value] of new URLSearchParams(hash.includes('=') ? hash.slice(1) : '')) {
    if (WORDS[key]) {
      read[key] = Object.keys(WORDS[key])
        .filter((letter) => value === 'all' || value.split(',').includes(WORDS[key][letter])).join('');
    } else if (key in DEFAULTS) read[key] = value;
  }
  return read;
};
export const setState = (change, reveal, how = 'pushState') => {
  state = { ...state, ...change };
  const hash = toHash(state);
  const url = hash ? `#${hash}` : location.pathname + location.search;
  if (hash !== location.hash.slice(1)) history[how](null, '', url);
  onChange.forEach((draw) => draw());
  if (reveal) show(reveal);
};
export const show = (id) => { $(id).scrollIntoView(); $(id).focus({ preventScroll: true }); };
export const hrefOf = (change) => ({ href: `#${toHash({ ...DEFAULTS, ...change })}` });
export const toDroplet = (i) => setState({ droplet: keyOf(droplets[i]), check: '', view: 'droplet' }, 'findings');

const lower = (...parts) => parts.flat(2).filter(Boolean).join('\n').toLowerCase();
const dropletText = droplets.map((d) => lower(d.name, keyOf(d), d.urn, d.region, d.image, d.distribution,
  d.tags, (d.addresses || []).map((address) => address.ip)));
const checkText = checks.map((check) => lower(check.id, check.title));
let stringText = null;
/* Whether a requirement, as "framework:id", asks for a check. */
const asks = (check, control) => {
  const [, framework, id] = /^(.*?):(.*)$/.exec(control) || [];
  return ((check.controls || {})[framework] || []).includes(id);
};
export const select = () => {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length) stringText = stringText || strings.map((text) => text.toLowerCase());
  const terms = words.map((word) => [dropletText, checkText, stringText]
    .map((texts) => texts.map((text) => text.includes(word))));
  inFleet = droplets.map((d) => (!state.tag || (d.tags || []).includes(state.tag))
    && (!state.region || d.region === state.region));
  const asked = checks.map((check) => (!state.family || check.family === state.family)
    && (!state.guide || String(check.guide) === state.guide)
    && (!state.control || asks(check, state.control)));
  scope = rows.map((row) => inFleet[data.droplet[row]] && asked[data.check[row]]
    && terms.every(([byDroplet, byCheck, byMessage]) => byDroplet[data.droplet[row]] || byCheck[data.check[row]]
      || byMessage[data.message[row]]));
  shown = rows.map((row) => scope[row] && state.verdict.includes(data.verdict[row])
    && (!state.severity || state.severity.includes(data.severity[row]))
    && (!state.droplet || keyOf(dropletOf(row)) === state.droplet)
    && (!state.check || checkOf(row).id === state.check)
    && (!state.change || (more[row] || {}).change === state.change));
};

const controls = {};
const count = h('output', { 'aria-live': 'polite' });
const chosen = h('span.chips');
const picker = (key, all, values) => {
  const options = [...new Set(values)].filter(Boolean).sort();
  controls[key] = h('select', { change: (event) => setState({ [key]: event.target.value }) },
    h('option', { value: '' }, all), options.map((value) => h('option', { value }, value)));
  return h('label.pick', capital(key), controls[key]);
};
const chips = (key) => {
  const change = () => setState({
    [key]: controls[key].filter((box) => box.checked).map((box) => box.value).join(''),
  });
  controls[key] = Object.keys(WORDS[key]).map((value) => h('input', { type: 'checkbox', value, change }));
  return h('fieldset', h('legend', capital(key)), h('div.chips', controls[key].map((box) => {
    const word = WORDS[key][box.value];
    return h(`label.chip.t-${word}`, box, capital((KINDS[word] || [0, word])[1]));
  })));
};
const search = () => {
  let timer = 0;
  controls.q = h('input', { type: 'search', placeholder: 'Name, address, check…', input: () => {
    clearTimeout(timer);
    timer = setTimeout(() => setState({ q: controls.q.value.trim() }, '', 'replaceState'), 180);
  } });
  return h('label.pick.q', 'Search', controls.q);
};
export const buildFilters = () => {
  const narrow = matchMedia('(max-width: 700px)');
  const folded = h('details', { open: !narrow.matches }, h('summary', 'Filters'), h('div.fields',
    search(), picker('tag', 'All tags', droplets.flatMap((d) => d.tags || [])),
    picker('region', 'All regions', droplets.map((d) => d.region)), picker('family', 'All families', families),
    chips('severity'), chips('verdict')));
  narrow.addEventListener('change', () => { folded.open = !narrow.matches; });
  $('filters').append(folded);
  $('filters').after(h('div.state', { id: 'state' }, count, chosen));
};
const drop = (key, text) => state[key] && button([text, ' ✕'], () => setState({ [key]: '' }),
  { 'aria-label': `Remove the filter ${text}` });
export const drawFilters = () => {
  if (document.activeElement !== controls.q) controls.q.value = state.q;
  for (const key of ['tag', 'region', 'family']) controls[key].value = state[key];
  for (const key of ['severity', 'verdict']) {
    for (const box of controls[key]) box.checked = state[key].includes(box.value);
  }
  const hit = rows.filter((row) => shown[row]);
  const hosts = new Set(hit.map(dropletOf).filter((droplet) => droplet.id !== null));
  count.textContent = `${number(hit.length)} of ${plural(total, 'verdict')} shown, on ${plural(hosts.size, 'Droplet')}`;
  const which = droplets[dropletNumber.get(state.droplet)];
  const filtered = toHash({ ...state, view: 'check' });
  chosen.replaceChildren(h('span.chips', drop('check', `Check: ${state.check}`),
    drop('droplet', `Droplet: ${which ? which.name : state.droplet}`),
    drop('guide', `Recommendation: ${state.guide}`), drop('control', `Requirement: ${state.control}`),
    drop('tag', `Tag: ${state.tag}`), drop('region', `Region: ${state.region}`),
    drop('family', `Family: ${state.family}`), drop('q', `Search: ${state.q}`),
    drop('change', `Since the baseline: ${state.change.replace('_', ' ')}`),
    filtered && button('Reset all', () => setState({ ...DEFAULTS, view: state.view }))));
  document.documentElement.classList.toggle('filtered', Boolean(filtered));
};
