/* Pictures: a line for each Droplet, a column for each check, key or port. */
import { droplets, KINDS } from './data.js';
import { $, bdi, button, h, table } from './elements.js';
import { rankOf, rateOf } from './rows.js';

const LETTERS = '700 11px system-ui, sans-serif';
const TEXT = '12px system-ui, -apple-system, "Segoe UI", sans-serif';
const LABELLED = 13; /* pixels from which a column has room for its name */
export const pictures = [];
const colour = (property) => getComputedStyle(document.documentElement).getPropertyValue(`--${property}`).trim();

/* Make a picture in a box. What is handed over:
   columns: (how many fit with their names) → [{label, group, title}];  lines: () → numbers of Droplets, top down;
   look: (droplet, column) → {kind, mark, faint} or null;  tell: (droplet, column) → texts;
   pick: (droplet or undefined, column or undefined), for a click and Enter;
   grid: () → a table, else one of these columns.
   Unless they are sorted, lines that look alike stand together, worst first. */
export const picture = (box, name, tones, { columns, lines, look, tell, pick, sorted, grid }) => {
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

  const isTall = () => tall !== false;
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

  const nameRoom = (width) => {
    pen.font = `600 ${TEXT}`;
    const longest = Math.max(...list.map((i) => pen.measureText(droplets[i].name).width));
    const spare = width - 24 * cols.length - 40;
    return Math.ceil(Math.min(longest + 14, 260, Math.max(width * 0.3, spare)));
  };
  const layout = (printing) => {
    const width = printing ? 1000 : view.clientWidth;
    const line = isTall() && !printing ? 20 : Math.max(1, Math.min(18, Math.floor(640 / list.length)));
    const left = line >= 11 ? nameRoom(width) : 0;
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
    /* Where the head of a group has no room above its columns, each of them is named with it. */
    pen.font = `600 ${TEXT}`;
    const labels = bands.flatMap((band) => {
      band.fits = pen.measureText(band.text).width <= x[band.to] + cell - x[band.from];
      return cols.slice(band.from, band.to + 1).map(({ label }) => {
        const head = band.text ? `${band.text}: ` : '';
        const name = label.startsWith(head) ? label.slice(head.length) : label;
        return band.fits ? name : head + name;
      });
    });
    const longest = Math.ceil(Math.max(...labels.map((label) => pen.measureText(label).width)));
    const names = cell < LABELLED ? 0 : Math.min(250, 10 + longest);
    const top = names + 24, full = top + list.length * line;
    const height = printing ? full : Math.min(full, Math.max(240, Math.min(innerHeight * 0.7, 704)));
    return { width, line, left, bands, labels, cell, x, names, top, full, height };
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
    const { width, line, left, bands, labels, cell, x, names, top, full, height } = place;
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
    for (const { text, from, to, fits } of bands) {
      const room = x[to] + cell - x[from];
      pen.fillRect(x[from], top - 5, room - 1, 2);
      if (fits) write(text, x[from], names + 8, room, true);
    }
    pen.fillStyle = ink;
    for (let c = 0; names && c < cols.length; c += 1) {
      pen.save();
      pen.translate(x[c] + cell / 2, names - 2);
      pen.rotate(-Math.PI / 2);
      write(labels[c], 0, 0, names - 4, cursor && cursor[1] === c);
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
  const aboutLine = (i) => [droplets[i].region, droplets[i].distribution, rateOf(droplets[i])];
  const texts = ([r, c]) => (r < 0 ? [cols[c].label, cols[c].title]
    : [droplets[list[r]].name, ...(c < 0 ? aboutLine(list[r]) : tell(list[r], c))]).filter(Boolean);
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
  let wide = 0;
  new ResizeObserver(() => {
    if (wide !== view.clientWidth) requestAnimationFrame(update);
    else soon();
  }).observe(view);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', soon);
  const legend = h('ul.legend', tones.map(([tone, mark, text]) =>
    h('li', h(`i.t-${tone}`, { 'aria-hidden': 'true' }, mark), text)));
  box.append(view, now, legend, hint, tools, sheet);
  const update = () => {
    list = lines();
    wide = view.clientWidth;
    cols = columns(Math.floor((wide - (list.length ? nameRoom(wide) : 0) - 80) / LABELLED));
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
  return { tools, update };
};
