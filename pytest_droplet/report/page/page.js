/* Draws the report from the data block. Every text becomes a text node, none becomes markup. */
(() => {
'use strict';
const $ = (id) => document.getElementById(id);
const data = JSON.parse($('data').textContent);
const { checks, droplets, keys, strings, more } = data;
const total = data.verdict.length;

const VERDICTS = Object.fromEntries(data.verdicts.map(([name, letter]) => [letter, name]));
const SEVERITIES = { c: 'critical', h: 'high', m: 'medium', l: 'low' };
const WEIGHTS = { c: 8, h: 4, m: 2, l: 1 };
/* What a row is shown as, worst first: its mark, and its words for one and for several. */
const KINDS = {
  critical: ['C', 'critical', 'fails on'], high: ['H', 'high', 'fails on'],
  medium: ['M', 'medium', 'fails on'], low: ['L', 'low', 'fails on'],
};
for (const [name, letter, ...look] of data.verdicts) if (letter !== 'f') KINDS[name] = look;
const OPEN = data.verdicts.filter((kind) => kind[5]).map((kind) => kind[1]).join('');
const ALL = Object.keys(VERDICTS).join('');

/* ---- elements ---- */

const h = (spec, ...parts) => {
  const [tag, ...classes] = spec.split('.');
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(' ');
  for (const part of parts.flat(Infinity)) {
    if (part === null || part === undefined || part === false || part === '') continue;
    if (part.constructor !== Object) element.append(part);
    else {
      for (const [key, value] of Object.entries(part)) {
        if (typeof value === 'function') element.addEventListener(key, value);
        else if (value !== null && value !== false) element.setAttribute(key, value === true ? '' : value);
      }
    }
  }
  return element;
};
const number = (n) => n.toLocaleString('en');
const plural = (n, noun) => `${number(n)} ${noun}${n === 1 ? '' : 's'}`;
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const badge = (tone, text = KINDS[tone][1]) => h(`span.badge.t-${tone}`, capital(text));
const bdi = (text) => h('bdi', text);
const code = (text) => text && h('code', text);
const soft = (text) => text && h('code.soft', text);
const button = (text, click, attributes) => h('button', { type: 'button', click, ...attributes }, text);
const link = (text) => (/^https?:\/\//i.test(text || '')
  ? h('a', { href: text, rel: 'noreferrer noopener' }, text) : bdi(text || ''));
const time = (text) => {
  const when = new Date(text || NaN);
  return Number.isNaN(+when) ? String(text || '')
    : `${when.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
};
const inline = (text) => text.split(/``(.+?)``/s).map((part, i) => (i % 2 ? code(part) : part));
const prose = (text) => (text || '').split(/\n\s*\n/).filter((p) => p.trim()).map((part) => (
  /^(\s{2,}|[-*] |\d+\. )/m.test(part) ? h('pre', part.replace(/``/g, ''))
    : h('p', inline(part.replace(/\s*\n\s*/g, ' ')))));
const facts = (pairs) => h('dl.facts', pairs.filter(([, value]) => value && value.length !== 0)
  .map(([term, value]) => [h('dt', term), h('dd', value)]));

/* Append items: the first ones now, the rest as they are asked for. */
const listing = (parent, items, make, step = 50) => {
  let from = 0;
  const next = button('', () => {
    rest.remove();
    const fresh = items.slice(from, from + step).map(make);
    parent.append(...fresh);
    if (from && fresh.length) (fresh[0].querySelector('summary, button') || next).focus();
    from += step;
    step *= 4;
    if (from >= items.length) return;
    next.textContent = `Show more (${number(items.length - from)} left)`;
    parent.append(rest);
  });
  const cell = { UL: 'li', TBODY: 'td' }[parent.tagName] || 'div';
  const rest = cell === 'td' ? h('tr.more', h('td', { colspan: 9 }, next)) : h(`${cell}.more`, next);
  next.click();
  return parent;
};
const titled = (title, ...content) => [h('h4', title), content];
const table = (label, head, items, make, step) => h('div.scroll',
  { tabindex: 0, role: 'group', 'aria-label': label },
  h('table', h('thead', h('tr', head.map((text) => h('th', { scope: 'col' }, text)))),
    listing(h('tbody'), items, (item) => h('tr', make(item).map((value) => (typeof value === 'number'
      ? h('td.num', number(value)) : h('td', value)))), step)));
/* A disclosure whose content is made when it is first opened. */
const fold = (spec, head, fill) => {
  const details = h(`details.${spec}`, h('summary', head));
  details.fill = () => {
    details.fill = () => {};
    details.append(h('div.body', fill()));
  };
  details.addEventListener('toggle', () => details.open && details.fill());
  return details;
};
const section = (id) => { $(id).hidden = false; return $(`${id}-box`); };

/* ---- the rows of the record ---- */

const kindOf = (row) => (data.verdict[row] === 'f' ? SEVERITIES[data.severity[row]] : VERDICTS[data.verdict[row]]);
const rankOf = Object.fromEntries(Object.keys(KINDS).map((kind, i) => [kind, i]));
const worse = (a, b) => rankOf[kindOf(a)] - rankOf[kindOf(b)] || a - b;
const weight = (row) => (data.verdict[row] === 'f' ? WEIGHTS[data.severity[row]] : 0);
const messageOf = (row) => strings[data.message[row]];
const dropletOf = (row) => droplets[data.droplet[row]];
const checkOf = (row) => checks[data.check[row]];
const keyOf = (droplet) => (droplet.id === null ? 'account' : String(droplet.id));
const checkNumber = new Map(checks.map((check, i) => [check.id, i]));
const dropletNumber = new Map(droplets.map((droplet, i) => [keyOf(droplet), i]));
const rows = Array.from({ length: total }, (_, row) => row);

const cellOf = new Map();
const badness = droplets.map(() => 0);
for (const row of rows) {
  const cell = data.droplet[row] * checks.length + data.check[row];
  const known = cellOf.get(cell);
  if (known === undefined || worse(row, known) < 0) cellOf.set(cell, row);
  badness[data.droplet[row]] += { f: 1000 * weight(row) ** 3, e: 500, u: 1 }[data.verdict[row]] || 0;
}
const at = (droplet, check) => cellOf.get(droplet * checks.length + check);
const causeOf = (row) => (more[row] && more[row].caused_by
  ? at(data.droplet[row], checkNumber.get(more[row].caused_by)) : undefined);
const lostOf = (row) => Boolean(more[row] && more[row].unreached && dropletOf(row).reason);
const families = [...new Set(checks.map((check) => check.family))];
const checkOrder = [...checks.keys()]
  .sort((a, b) => families.indexOf(checks[a].family) - families.indexOf(checks[b].family) || a - b);
const dropletOrder = [...droplets.keys()].sort((a, b) => badness[b] - badness[a] || a - b);
const inWords = (of) => Object.keys(KINDS).map((kind) => [of.filter((row) => kindOf(row) === kind).length, kind])
  .filter(([n]) => n).map(([n, kind]) => `${number(n)} ${KINDS[kind][1]}`).join(', ');
const grouped = (of, column) => {
  const groups = new Map();
  for (const row of of) {
    if (!groups.has(column[row])) groups.set(column[row], []);
    groups.get(column[row]).push(row);
  }
  return groups;
};

/* ---- filters: a state that lives in the URL ---- */

const DEFAULTS = { q: '', tag: '', region: '', family: '', change: '', check: '', droplet: '',
  severity: '', verdict: OPEN, view: 'check' };
const WORDS = { severity: SEVERITIES, verdict: VERDICTS };
let state = { ...DEFAULTS };
let scope = []; /* by row: whether tag, region, family and text let it through */
let shown = []; /* by row: whether every filter does */
let inFleet = []; /* by Droplet: whether tag and region let it through */

const toHash = (of) => {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(of)) {
    if (value === DEFAULTS[key]) continue;
    query.set(key, !WORDS[key] ? value : value.length === 6 ? 'all'
      : [...value].map((letter) => WORDS[key][letter]).join(','));
  }
  return query.toString().replace(/%(2C|3A|5B|5D|2F)/g, decodeURIComponent);
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
const setState = (change, reveal, how = 'pushState') => {
  state = { ...state, ...change };
  const hash = toHash(state);
  const url = hash ? `#${hash}` : location.pathname + location.search;
  if (hash !== location.hash.slice(1)) history[how](null, '', url);
  apply();
  if (reveal) show(reveal);
};
const show = (id) => { $(id).scrollIntoView(); $(id).focus({ preventScroll: true }); };
const hrefOf = (change) => ({ href: `#${toHash({ ...DEFAULTS, ...change })}` });
const toDroplet = (i) => setState({ droplet: keyOf(droplets[i]), check: '', view: 'droplet' }, 'findings');

const lower = (...parts) => parts.flat(2).filter(Boolean).join('\n').toLowerCase();
const dropletText = droplets.map((d) => lower(d.name, keyOf(d), d.urn, d.region, d.image, d.distribution,
  d.tags, (d.addresses || []).map((address) => address.ip)));
const checkText = checks.map((check) => lower(check.id, check.title));
let stringText = null;
const select = () => {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length) stringText = stringText || strings.map((text) => text.toLowerCase());
  const terms = words.map((word) => [dropletText, checkText, stringText]
    .map((texts) => texts.map((text) => text.includes(word))));
  inFleet = droplets.map((d) => (!state.tag || (d.tags || []).includes(state.tag))
    && (!state.region || d.region === state.region));
  scope = rows.map((row) => inFleet[data.droplet[row]]
    && (!state.family || checkOf(row).family === state.family)
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
const buildFilters = () => {
  let timer = 0;
  controls.q = h('input', { type: 'search', placeholder: 'Name, address, check…', input: () => {
    clearTimeout(timer);
    timer = setTimeout(() => setState({ q: controls.q.value.trim() }, '', 'replaceState'), 180);
  } });
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
  const narrow = matchMedia('(max-width: 700px)');
  const folded = h('details', { open: !narrow.matches }, h('summary', 'Filters'), h('div.fields',
    h('label.pick.q', 'Search', controls.q), picker('tag', 'All tags', droplets.flatMap((d) => d.tags || [])),
    picker('region', 'All regions', droplets.map((d) => d.region)), picker('family', 'All families', families),
    chips('severity'), chips('verdict')));
  narrow.addEventListener('change', () => { folded.open = !narrow.matches; });
  $('filters').append(folded, h('div.state', count, chosen));
};
const drawFilters = () => {
  if (document.activeElement !== controls.q) controls.q.value = state.q;
  for (const key of ['tag', 'region', 'family']) controls[key].value = state[key];
  for (const key of ['severity', 'verdict']) {
    for (const box of controls[key]) box.checked = state[key].includes(box.value);
  }
  const hit = rows.filter((row) => shown[row]);
  const hosts = new Set(hit.map(dropletOf).filter((droplet) => droplet.id !== null));
  count.textContent = `${number(hit.length)} of ${plural(total, 'verdict')} shown, on ${plural(hosts.size, 'Droplet')}`;
  const drop = (key, text) => state[key] && button([text, ' ✕'], () => setState({ [key]: '' }),
    { 'aria-label': `Remove the filter ${text}` });
  const which = droplets[dropletNumber.get(state.droplet)];
  chosen.replaceChildren(h('span.chips', drop('check', `Check: ${state.check}`),
    drop('droplet', `Droplet: ${which ? which.name : state.droplet}`),
    drop('change', `Since the baseline: ${state.change.replace('_', ' ')}`),
    toHash({ ...state, view: 'check' }) && button('Reset all', () => setState({ ...DEFAULTS, view: state.view }))));
};

/* ---- pictures: a line for each Droplet, a column for each check, key or port ---- */

const LETTERS = '700 11px system-ui, sans-serif';
const TEXT = '12px system-ui, -apple-system, "Segoe UI", sans-serif';
const pictures = [];
const colour = (property) => getComputedStyle(document.documentElement).getPropertyValue(`--${property}`).trim();

/* Make a picture in a box. What is handed over:
   columns: () → [{label, group, title}];  lines: () → numbers of Droplets, top down;
   look: (droplet, column) → {kind, mark, faint} or null;  tell: (droplet, column) → texts;
   pick: (droplet or undefined, column or undefined), for a click and Enter;
   grid: () → a table, else one of these columns.
   Unless they are sorted, lines that look alike stand together, worst first. */
const picture = (box, name, tones, { columns, lines, look, tell, pick, sorted, grid }) => {
  const canvas = h('canvas', { 'aria-hidden': 'true' });
  const pad = h('div');
  const hint = h('p.soft.small.hint', { id: `${box.id}-hint` },
    'Arrow keys move from cell to cell; Enter filters by the cell.');
  const view = h('div.mx', { tabindex: 0, role: 'application', 'aria-label': name, 'aria-describedby': hint.id },
    canvas, pad);
  const now = h('p.mx-now', { 'aria-live': 'polite' });
  const tools = h('div.tools');
  const pen = canvas.getContext('2d');
  let cols = [], list = [], cursor = null, tall = null, place = {}, frame = 0;

  const isTall = () => (tall === null ? list.length <= 40 : tall);
  const size = button('', () => { tall = !isTall(); view.scrollTop = 0; draw(); });
  const sheet = h('div', { id: box.id.replace('box', 'table') });
  let open = false;
  const toggle = button('Show as a table', () => {
    toggle.setAttribute('aria-expanded', (open = !open));
    fill();
  }, { 'aria-expanded': 'false', 'aria-controls': sheet.id });
  const cells = (i) => [bdi(droplets[i].name), ...cols.map((_, c) => tell(i, c).at(-1))];
  const fill = () => sheet.replaceChildren(...(open ? [grid ? grid()
    : table(name, ['Droplet', ...cols.map(({ label }) => label)], list, cells, 100)] : []));
  tools.append(size, toggle);

  const layout = (printing) => {
    const width = printing ? 1000 : view.clientWidth;
    const line = isTall() && !printing ? 20 : Math.max(1, Math.min(18, Math.floor(640 / list.length)));
    const left = line >= 11 ? Math.max(84, Math.min(190, width * 0.22)) : 0;
    const bands = [];
    cols.forEach((column, c) => {
      if (!c || cols[c - 1].group !== column.group) bands.push({ text: column.group, from: c });
      bands.at(-1).to = c;
    });
    const gap = width > 600 ? 6 : 3;
    const room = Math.min(cols.length > 16 ? 24 : 40, (width - left - gap * (bands.length - 1)) / cols.length);
    const cell = room > 4 ? Math.floor(room) : room;
    const x = bands.flatMap((band, b) => cols.slice(band.from, band.to + 1)
      .map((_, i) => left + b * gap + (band.from + i) * cell));
    pen.font = TEXT;
    const longest = Math.ceil(Math.max(...cols.map((column) => pen.measureText(column.label).width)));
    const names = cell < 13 ? 0 : Math.min(170, 10 + longest);
    const top = names + 24, full = top + list.length * line;
    const height = printing ? full : Math.min(full, Math.max(240, Math.min(innerHeight * 0.7, 704)));
    return { width, line, left, bands, cell, x, names, top, full, height };
  };
  const write = (text, x, y, room, bold) => {
    pen.font = bold ? `600 ${TEXT}` : TEXT;
    let cut = text;
    while (cut && pen.measureText(cut).width > room) cut = `${cut.slice(0, -2)}…`.replace(/^…$/, '');
    pen.fillText(cut, x, y);
  };
  const paint = ({ kind, mark }, x, y, w, tallness, inks) => {
    const wide = w - (w > 3 ? 1 : 0);
    pen.fillStyle = inks[kind];
    if (tallness >= 11 && w >= 11) {
      pen.beginPath();
      pen.roundRect(x + 1, y + 1, w - 2, tallness - 2, 3);
      pen.fill();
      pen.fillStyle = inks.over[kind] || inks.on;
      pen.fillText(mark, x + w / 2, y + tallness / 2 + 0.5);
    } else if (tallness < 4) pen.fillRect(x, y, wide, tallness);
    else if (kind === 'notapplicable') pen.fillRect(x + w / 4, y + tallness / 2, w / 2, 1);
    else if (kind === 'unknown') pen.fillRect(x, y + tallness / 2, wide, tallness / 2 - 1);
    else if (kind === 'waived') pen.fillRect(x + w / 3, y, w / 3, tallness - 1);
    else pen.fillRect(x, y, wide, tallness - 1);
  };
  const draw = (printing = false) => {
    view.hidden = !list.length || !cols.length;
    if (view.hidden) return;
    place = layout(printing);
    const { width, line, left, bands, cell, x, names, top, full, height } = place;
    const scale = printing ? 2 : Math.min(3, devicePixelRatio || 1);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
    pad.style.height = `${full - height}px`;
    size.hidden = list.length <= 32;
    size.textContent = isTall() ? 'Fit the whole fleet' : 'Show names';
    const inks = { on: colour('on'), over: { pass: colour('pass-ink'), notapplicable: colour('none-ink') } };
    for (const kind of Object.keys(KINDS)) inks[kind] = colour(kind === 'notapplicable' ? 'none' : kind);
    const ink = colour('text'), scroll = printing ? 0 : view.scrollTop;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.textBaseline = 'middle';
    const last = Math.min(list.length, Math.ceil((scroll + height - top) / line));
    for (let r = Math.floor(scroll / line); r < last; r += 1) {
      const y = top + r * line - scroll;
      if (left) {
        pen.textAlign = 'left';
        pen.fillStyle = ink;
        write(droplets[list[r]].name, 0, y + line / 2, left - 10, cursor && cursor[0] === r);
        pen.textAlign = 'center';
        pen.font = LETTERS;
      }
      for (let c = 0; c < cols.length; c += 1) {
        const cellLook = look(list[r], c);
        if (!cellLook) continue;
        pen.globalAlpha = cellLook.faint ? 0.25 : 1;
        paint(cellLook, x[c], y, cell, line, inks);
      }
      pen.globalAlpha = 1;
    }
    pen.textAlign = 'left';
    pen.clearRect(0, 0, width, top);
    pen.fillStyle = colour('soft');
    for (const { text, from, to } of bands) {
      const room = x[to] + cell - x[from];
      pen.fillRect(x[from], top - 5, room - 1, 2);
      if (room > 24) write(text, x[from], names + 8, room, true);
    }
    pen.fillStyle = ink;
    for (let c = 0; names && c < cols.length; c += 1) {
      pen.save();
      pen.translate(x[c] + cell / 2, names - 2);
      pen.rotate(-Math.PI / 2);
      write(cols[c].label, 0, 0, names - 4, cursor && cursor[1] === c);
      pen.restore();
    }
    if (!cursor || document.activeElement !== view) return;
    pen.strokeStyle = ink;
    pen.lineWidth = 2;
    pen.strokeRect(x[cursor[1]], top + cursor[0] * line - scroll, cell, Math.max(line, 3));
  };
  const soon = () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(() => draw()); };

  const locate = (event) => {
    const bounds = canvas.getBoundingClientRect();
    const px = event.clientX - bounds.left, py = event.clientY - bounds.top - place.top;
    const r = py < 0 ? -1 : Math.floor((py + view.scrollTop) / place.line);
    const c = place.x.findIndex((from) => px >= from && px < from + place.cell);
    return r >= list.length || (c < 0 && (r < 0 || px > place.left)) ? null : [r, c];
  };
  const texts = ([r, c]) => (r < 0 ? [cols[c].label, cols[c].title] : [droplets[list[r]].name,
    ...(c < 0 ? [droplets[list[r]].region, droplets[list[r]].distribution] : tell(list[r], c))]).filter(Boolean);
  const choose = ([r, c]) => pick(list[r], c < 0 ? undefined : c);
  const tip = $('tip');
  view.addEventListener('pointermove', (event) => {
    const where = locate(event);
    tip.hidden = !where;
    if (!where) return;
    const [first, ...others] = texts(where);
    tip.replaceChildren(h('b', first), ...others.map((text) => h('div', text)));
    const below = event.clientY + 18;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${below + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : below}px`;
  });
  view.addEventListener('pointerleave', () => { tip.hidden = true; });
  view.addEventListener('click', (event) => {
    const where = locate(event);
    tip.hidden = true;
    if (where) choose(where);
  });
  view.addEventListener('keydown', (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
      PageUp: [-10, 0], PageDown: [10, 0], Home: [0, -1e6], End: [0, 1e6] }[event.key];
    if (event.key === 'Enter' && cursor) choose(cursor);
    if (!step || !list.length) return;
    event.preventDefault();
    const clamp = (value, length) => Math.max(0, Math.min(length - 1, value));
    cursor = cursor ? [clamp(cursor[0] + step[0], list.length), clamp(cursor[1] + step[1], cols.length)] : [0, 0];
    const y = cursor[0] * place.line, room = place.height - place.top - place.line;
    view.scrollTop = Math.max(y - room, Math.min(y, view.scrollTop));
    now.textContent = texts(cursor).join(': ');
    soon();
  });
  view.addEventListener('scroll', soon, { passive: true });
  view.addEventListener('focus', soon);
  view.addEventListener('blur', () => { now.textContent = ''; soon(); });
  new ResizeObserver(soon).observe(view);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', soon);
  const legend = h('ul.legend', tones.map(([tone, mark, text]) =>
    h('li', h(`i.t-${tone}`, { 'aria-hidden': 'true' }, mark), text)));
  box.append(view, now, legend, hint, tools, sheet);
  const update = () => {
    cols = columns();
    list = lines();
    cursor = null;
    if (!sorted) {
      const rank = (i, c) => String.fromCharCode(97 + (rankOf[(look(i, c) || {}).kind] ?? 25));
      const alike = new Map(list.map((i) => [i, cols.map((_, c) => rank(i, c)).join('')]));
      list.sort((a, b) => alike.get(a).localeCompare(alike.get(b)) || a - b);
    }
    draw();
    fill();
  };
  pictures.push({ update, draw });
};

const buildFleet = () => {
  const box = $('fleet-box');
  let cols = [], list = [], plain = true;
  const short = ({ id, family, title }) => (id.startsWith(`${family}.`) ? id.slice(family.length + 1) : title);
  picture(box, 'Picture of the fleet: a line for each Droplet, a column for each check', [
    ...Object.entries(KINDS).map(([kind, [mark, word]]) => [kind, mark, word])], {
    columns: () => {
      const seen = new Set(rows.filter((row) => scope[row]).map((row) => data.check[row]));
      plain = !toHash({ ...DEFAULTS, severity: state.severity, verdict: state.verdict, change: state.change,
        check: state.check, droplet: state.droplet });
      cols = checkOrder.filter((i) => seen.has(i)).slice(0, 400);
      return cols.map((i) => ({ label: short(checks[i]), group: checks[i].family, title: checks[i].title }));
    },
    lines: () => {
      const seen = new Set(rows.filter((row) => scope[row]).map((row) => data.droplet[row]));
      return (list = dropletOrder.filter((i) => seen.has(i)));
    },
    sorted: true,
    look: (i, c) => {
      const row = at(i, cols[c]);
      if (row === undefined) return null;
      const kind = kindOf(row);
      return { kind, mark: KINDS[kind][0], faint: !plain && !shown[row] };
    },
    tell: (i, c) => {
      const row = at(i, cols[c]);
      if (row === undefined) return [checks[cols[c]].title, 'not judged'];
      const verdict = capital(VERDICTS[data.verdict[row]].replace('notapplicable', 'not applicable'));
      return [headOf(row), weight(row) ? `${verdict}, ${kindOf(row)}` : verdict, messageOf(row).slice(0, 240)];
    },
    pick: (i, c) => {
      const row = i === undefined || c === undefined ? undefined : at(i, cols[c]);
      const verdict = row === undefined || state.verdict.includes(data.verdict[row]) ? '' : data.verdict[row];
      setState({
        droplet: i === undefined ? '' : keyOf(droplets[i]),
        check: c === undefined ? '' : checks[cols[c]].id,
        severity: '',
        change: '',
        verdict: state.verdict + verdict,
        view: c === undefined ? 'droplet' : state.view,
      }, 'findings');
    },
    grid: () => {
      const groups = families.filter((family) => cols.some((i) => checks[i].family === family));
      return table('Verdicts by Droplet and family', ['Droplet', ...groups], list, (i) => [
        h('a', hrefOf({ droplet: keyOf(droplets[i]), view: 'droplet' }), bdi(droplets[i].name)),
        ...groups.map((family) => inWords(cols.filter((c) => checks[c].family === family)
          .map((c) => at(i, c)).filter((row) => row !== undefined)) || '–')], 100);
    },
  });
};

const keyName = (key) => (key.account_key && key.account_key.name)
  || (key.where.find((place) => place.comment) || {}).comment || key.fingerprint;
const keyState = (key) => (key.known ? 'known' : key.known === false ? 'not known' : 'not told');
const buildAccess = () => {
  if (!keys.length) return;
  const box = section('access');
  const sorted = [...keys].sort((a, b) => Boolean(a.known) - Boolean(b.known) || b.where.length - a.where.length);
  const users = new Map();
  sorted.forEach((key, c) => key.where.forEach(({ droplet_id: id, user }) => {
    const cell = `${id} ${c}`;
    users.set(cell, [...(users.get(cell) || []), user]);
  }));
  const strangers = keys.filter((key) => key.known === false).length;
  box.append(h('p', `${plural(keys.length, 'key')} may log in somewhere; `, strangers
    ? `${number(strangers)} of them neither on the account nor listed as known.` : 'none of them is a stranger.'));
  picture(box, 'Picture of who can enter where: a line for each Droplet, a column for each key', [
    ['critical', 'R', 'stranger, as root'], ['high', 'u', 'stranger, as another user'],
    ['low', 'R', 'known key, as root'], ['notapplicable', 'u', 'known key, as another user'],
    ['unknown', '?', 'not observed']], {
    columns: () => sorted.map((key) => ({ label: keyName(key), group: keyState(key), title: key.fingerprint })),
    lines: () => [...droplets.keys()].filter((i) => inFleet[i]
      && (droplets[i].keys_unread || sorted.some((_, c) => users.has(`${droplets[i].id} ${c}`)))),
    look: (i, c) => {
      const found = users.get(`${droplets[i].id} ${c}`);
      if (!found) return droplets[i].keys_unread ? { kind: 'unknown', mark: '?' } : null;
      const kinds = sorted[c].known === false ? ['critical', 'high'] : ['low', 'notapplicable'];
      return found.includes('root') ? { kind: kinds[0], mark: 'R' } : { kind: kinds[1], mark: 'u' };
    },
    tell: (i, c) => {
      const found = users.get(`${droplets[i].id} ${c}`);
      const missing = droplets[i].keys_unread ? 'not observed' : 'cannot enter';
      return [`${keyName(sorted[c])} (${keyState(sorted[c])})`,
        found ? `enters as ${[...new Set(found)].join(', ')}` : missing];
    },
    pick: (i) => i !== undefined && toDroplet(i),
  });
  const many = (places) => new Set(places.map((place) => place.droplet_id)).size;
  box.append(listing(h('div.keys'), sorted, (key) => {
    const rooted = many(key.where.filter((place) => place.user === 'root'));
    return fold('group', [badge(key.known === false ? 'critical' : 'notapplicable', keyState(key)),
      h('span', h('h3', bdi(keyName(key))), soft(`${key.key_type || ''} ${key.bits || ''}`)),
      h('span.side', plural(many(key.where), 'Droplet'), rooted > 0 && `, as root on ${number(rooted)}`)], () => [
      facts([['SHA256', code(key.fingerprint)], ['MD5', code(key.md5)],
        ['On the account', key.account_key ? bdi(String(key.account_key.name || key.account_key.id)) : 'no']]),
      table('Places of this key', ['Droplet', 'User', 'File and line', 'Comment', 'Options'], key.where, (place) => {
        const known = droplets[dropletNumber.get(String(place.droplet_id))];
        return [bdi(known ? known.name : String(place.droplet_id)), bdi(place.user || ''),
          code(`${place.file}:${place.line}`), bdi(place.comment || ''), code(place.options)];
      })]);
  }, 30));
};

const buildPorts = () => {
  if (!droplets.some((droplet) => droplet.ports)) return;
  const named = (port) => `${port.port}/${port.protocol || 'tcp'}`;
  const open = droplets.map((droplet) => new Map((droplet.ports || []).map((port) => [named(port), port])));
  const list = [...new Set(open.flatMap((of) => [...of.keys()]))].sort((a, b) => parseInt(a, 10) - parseInt(b, 10));
  const looks = {
    internet: ['high', 'I', 'reachable from the internet'],
    vpc: ['low', 'V', 'reachable from the VPC'],
    none: ['notapplicable', '–', 'listens, not reachable from outside'],
    '?': ['unknown', '?', 'not observed'],
  };
  const of = (i, c) => {
    const port = open[i].get(list[c]);
    return port ? looks[port.reachable] || looks['?'] : droplets[i].ports ? null : looks['?'];
  };
  const name = 'Picture of reachable ports: a line for each Droplet, a column for each port';
  picture(section('ports'), name, Object.values(looks), {
    columns: () => list.map((label) => ({ label, group: 'ports' })),
    lines: () => [...droplets.keys()].filter((i) => inFleet[i] && /reach/.test(droplets[i].coverage)),
    look: (i, c) => { const found = of(i, c); return found && { kind: found[0], mark: found[1] }; },
    tell: (i, c) => [`${list[c]} ${(open[i].get(list[c]) || {}).process || ''}`,
      (of(i, c) || [0, 0, 'nothing listens'])[2]],
    pick: (i) => i !== undefined && toDroplet(i),
  });
};

/* ---- findings ---- */

const opened = new Set();
const group = (key, kind, [title, id, side], open, fill) => {
  const head = [badge(kind), h('span', h('h3', bdi(title)), soft(id)), h('span.side', side)];
  const details = fold('group', head, fill);
  details.addEventListener('toggle', () => opened[details.open ? 'add' : 'delete'](key));
  details.open = open || opened.has(key);
  return details;
};
const attachment = ({ name, kind, content }) => titled(name, kind === 'image'
  ? h('img', { src: content, alt: name }) : kind === 'url' ? h('p', link(content)) : h('pre', content));
const aboutWaiver = ({ reason, owner, expires, expired, ticket }) => titled('Waiver', facts([
  ['Reason', bdi(reason || '')], ['Owner', owner], ['Ticket', link(ticket)],
  ['Expires', `${expires || ''}${expired ? ': expired, it fails again' : ''}`]]));

const headOf = (row) => (data.verdict[row] === 'f' && checkOf(row).finding) || checkOf(row).title;
const finding = (row, byDroplet, children) => {
  const check = checkOf(row), extra = more[row] || {}, because = children.get(row) || [];
  const letter = data.verdict[row], open = OPEN.includes(letter), droplet = keyOf(dropletOf(row));
  const evidence = data.facts[row].map((i) => data.evidence[i].map((s) => strings[s]));
  const tags = [{ new: 'new', newly_waived: 'newly waived' }[extra.change], extra.below && 'below the gate',
    extra.waiver && extra.waiver.expired && 'waiver expired', because.length && `causes ${number(because.length)} more`];
  const head = [
    badge(kindOf(row), letter === 'f' && !byDroplet ? 'fail' : undefined),
    h('b', bdi(byDroplet ? headOf(row) : dropletOf(row).name)),
    h('span.line', bdi(messageOf(row) || (evidence.length ? evidence[0][3] : ''))),
    h('span', tags.filter(Boolean).map((tag) => h('span.tag', tag))),
  ];
  return h('li', fold('find', head, () => [
    byDroplet && open && check.remediation && titled('What to do', prose(check.remediation)),
    evidence.length > 0 && titled('Evidence', h('ul.evidence', evidence.map(([fact, source, when, value]) => h('li',
      bdi(value), h('div.soft.small', code(fact.replace(/^droplet_/, '')), ' by ', code(source), `, ${time(when)}`))))),
    because.length > 0 && titled('Fails for the same reason', h('ul',
      because.map((other) => h('li', headOf(other), ' ', soft(checkOf(other).id))))),
    extra.caused_by && h('p', 'Caused by ', code(extra.caused_by)),
    extra.waiver && aboutWaiver(extra.waiver),
    extra.traceback && titled('Traceback', h('pre', extra.traceback)),
    (extra.extras || []).map(attachment),
    h('p.soft.small.ids',
      h('a', hrefOf({ check: check.id, droplet, verdict: open ? OPEN : OPEN + letter }), 'Link to this'), ' · ',
      h('a', hrefOf({ droplet, verdict: ALL, view: 'droplet' }), 'All of this Droplet'), ' · ',
      code(extra.nodeid || check.id))]));
};
const readAs = (login) => login && `${login.user}@${login.address}:${login.port}${login.root ? '' : ', without root'}`;
const aboutDroplet = (droplet) => facts([
  ['Addresses', (droplet.addresses || []).map((address) => [code(address.ip), ` ${address.kind || ''} `])],
  ['System', droplet.distribution], ['Image', droplet.image], ['Size', droplet.size], ['VPC', code(droplet.vpc)],
  ['Tags', (droplet.tags || []).map((tag) => h('span.tag', bdi(tag)))],
  ['Read as', readAs(droplet.connection)], ['Not read', droplet.coverage !== 'reached' && droplet.reason]]);
const aboutCheck = (check) => {
  const references = (check.references || '').split(';').filter((text) => text.trim());
  return [
    check.remediation && titled('What to do', prose(check.remediation)),
    (check.rationale || references.length > 0) && fold('why', 'Why it matters', () => [prose(check.rationale), facts([
      ['Guide', check.guide && `recommendation ${check.guide} of DigitalOcean's hardening guide`],
      ['References', references.map((text, i) => [i ? '; ' : '', link(text.trim())])],
      ['Profiles', (check.profiles || []).join(', ')]])])];
};
/* Fold what another shown finding causes into it, and what an unreachable Droplet leaves unknown. */
const sift = () => {
  const kept = [], lost = [], children = new Map();
  for (const row of rows) {
    if (!shown[row]) continue;
    let root = row;
    for (let hop = 0; hop < 9; hop += 1) {
      const cause = causeOf(root);
      if (cause === undefined || cause === row || !shown[cause] || data.verdict[cause] !== 'f') break;
      root = cause;
    }
    if (root !== row) children.set(root, [...(children.get(root) || []), row]);
    else if (!state.check && !state.droplet && lostOf(row)) lost.push(row);
    else kept.push(row);
  }
  return { kept, lost, children };
};
/* "fails on 3 Droplets, unknown on 1" */
const spread = (members) => {
  const places = members.every((row) => dropletOf(row).id === null) ? () => 'the account' : (n) => plural(n, 'Droplet');
  const counts = new Map();
  for (const row of members) counts.set(KINDS[kindOf(row)][2], (counts.get(KINDS[kindOf(row)][2]) || 0) + 1);
  return [...counts].map(([words, n], i) => `${words} ${i ? number(n) : places(n)}`).join(', ');
};
const byRank = (a, b) => rankOf[kindOf(a)] - rankOf[kindOf(b)];
const sum = (of, value) => of.reduce((all, row) => all + value(row), 0);
const listChecks = (list, { kept, lost, children }) => {
  const away = [...grouped(lost, data.droplet)];
  if (away.length) {
    const head = [`${plural(away.length, 'Droplet')} could not be reached`, '', `unknown: ${plural(lost.length, 'verdict')}`];
    list.append(group('lost', 'unknown', head, false, () => listing(h('ul'), away, ([i, of]) => h('li',
      h('b', bdi(droplets[i].name)), ' ', bdi(droplets[i].reason), ' ', h('span.soft', `(${plural(of.length, 'verdict')})`)))));
  }
  const groups = [...grouped(kept, data.check)];
  for (const [, members] of groups) {
    members.sort((a, b) => byRank(a, b) || badness[data.droplet[b]] - badness[data.droplet[a]] || a - b);
  }
  groups.sort(([a, one], [b, two]) => byRank(one[0], two[0]) || sum(two, weight) - sum(one, weight)
    || two.length - one.length || a - b);
  const open = groups.length <= 2 || Boolean(state.check || state.droplet);
  listing(list, groups, ([i, members]) => {
    const folded = sum(members, (row) => (children.get(row) || []).length);
    const side = [spread(members), folded > 0 && `, causes ${number(folded)} more`];
    return group(`c${i}`, kindOf(members[0]), [headOf(members[0]), checks[i].id, side], open, () => [aboutCheck(checks[i]),
      titled('Where', listing(h('ul.finds'), members, (row) => finding(row, false, children)))]);
  }, 100);
};
const listDroplets = (list, { kept, lost, children }) => {
  const groups = grouped(kept, data.droplet), away = grouped(lost, data.droplet);
  const hit = dropletOrder.filter((i) => groups.has(i) || away.has(i));
  listing(list, hit, (i) => {
    const droplet = droplets[i], members = (groups.get(i) || []).sort(worse), gone = away.get(i) || [];
    const all = [...members, ...gone, ...members.flatMap((row) => children.get(row) || [])].sort(worse);
    const head = [droplet.name, [droplet.id, droplet.region].filter(Boolean).join(' '), inWords(all)];
    return group(`d${i}`, kindOf(all[0]), head, hit.length <= 2, () => [aboutDroplet(droplet),
      listing(h('ul.finds'), members, (row) => finding(row, true, children)),
      gone.length > 0 && h('p', badge('unknown'), ` ${plural(gone.length, 'verdict')}: `, bdi(droplet.reason))]);
  }, 100);
};
const drawFindings = () => {
  const list = h('div', { id: 'list' }), found = sift();
  if (found.kept.length || found.lost.length) (state.view === 'droplet' ? listDroplets : listChecks)(list, found);
  else list.append(h('p', 'Nothing matches these filters. ', h('a', hrefOf({ verdict: ALL }), 'Show every verdict')));
  $('list').replaceWith(list);
};
const views = {};
const buildView = () => {
  const radio = (value, text) => h('label.chip', views[value] = h('input',
    { type: 'radio', name: 'view', value, change: () => setState({ view: value }) }), text);
  $('view').append(h('div.chips', { role: 'radiogroup', 'aria-label': 'Group findings' },
    radio('check', 'By check'), radio('droplet', 'By Droplet')));
};

const buildNav = () => {
  for (const one of document.querySelectorAll('main > section[id]:not([hidden])')) {
    one.tabIndex = -1;
    $('nav').append(h('a', { href: `#${one.id}` }, one.querySelector('h2').textContent));
  }
  $('nav').hidden = false;
  /* A link within the page must not replace the filters in the URL. */
  document.addEventListener('click', (event) => {
    const anchor = event.target.closest('a[href^="#"]');
    const target = anchor ? anchor.getAttribute('href').slice(1) : '';
    if (target.includes('=')) setTimeout(() => show('findings'));
    if (!$(target)) return;
    event.preventDefault();
    show(target);
  });
};

let drawn = null;
const apply = () => {
  drawn = location.hash;
  select();
  drawFilters();
  (views[state.view] || views.check).checked = true;
  pictures.forEach((one) => one.update());
  drawFindings();
};
const restore = () => {
  if (drawn === location.hash) return;
  state = fromHash(location.hash);
  apply();
};

/* ---- print: what is shown, opened, up to a bound ---- */

const PRINTED = 1000;
addEventListener('beforeprint', () => {
  document.documentElement.dataset.print = '';
  let left = PRINTED;
  const open = (details) => { details.fill(); details.open = true; };
  document.querySelectorAll('#list .group').forEach((details) => left > 0 && open(details));
  for (const details of document.querySelectorAll('#list .find')) {
    left -= 1;
    if (left < 0) details.parentElement.remove();
    else open(details);
  }
  if (left < 0) $('list').append(h('p.note', `The first ${number(PRINTED)} findings; filter before printing to choose.`));
  pictures.forEach((one) => one.draw(true));
});
addEventListener('afterprint', () => {
  delete document.documentElement.dataset.print;
  apply();
});

buildFilters();
buildView();
for (const id of ['filters', 'fleet', 'findings']) $(id).hidden = !total;
buildFleet();
buildAccess();
buildPorts();
buildNav();
restore();
addEventListener('popstate', restore);
addEventListener('hashchange', restore);
document.documentElement.dataset.ready = '';
})();
