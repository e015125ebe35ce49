/* Makers of elements: short names for what the sections are built of. */
import { KINDS } from './data.js';

export const $ = (id) => document.getElementById(id);
export const h = (spec, ...parts) => {
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
export const number = (n) => n.toLocaleString('en');
export const plural = (n, noun) => `${number(n)} ${noun}${n === 1 ? '' : 's'}`;
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const badge = (tone, text = KINDS[tone][1]) => h(`span.badge.t-${tone}`, capital(text));
export const bdi = (text) => h('bdi', text);
export const code = (text) => text && h('code', text);
export const soft = (text) => text && h('code.soft', text);
export const button = (text, click, attributes) => h('button', { type: 'button', click, ...attributes }, text);
export const link = (text) => (/^https?:\/\//i.test(text || '')
  ? h('a', { href: text, rel: 'noreferrer noopener' }, text) : bdi(text || ''));
export const time = (text) => {
  const when = new Date(text || NaN);
  return Number.isNaN(+when) ? String(text || '')
    : `${when.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
};
const inline = (text) => text.split(/``(.+?)``/s).map((part, i) => (i % 2 ? code(part) : part));
export const prose = (text) => (text || '').split(/\n\s*\n/).filter((p) => p.trim()).map((part) => (
  /^(\s{2,}|[-*] |\d+\. )/m.test(part) ? h('pre', part.replace(/``/g, ''))
    : h('p', inline(part.replace(/\s*\n\s*/g, ' ')))));
export const facts = (pairs) => h('dl.facts', pairs.filter(([, value]) => value && value.length !== 0)
  .map(([term, value]) => [h('dt', term), h('dd', value)]));

/* Append items: the first ones now, the rest as they are asked for. */
export const listing = (parent, items, make, step = 50) => {
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
export const titled = (title, ...content) => [h('h4', title), content];
export const table = (label, head, items, make, step) => h('div.scroll',
  { tabindex: 0, role: 'group', 'aria-label': label },
  h('table', h('thead', h('tr', head.map((text) => h('th', { scope: 'col' }, text)))),
    listing(h('tbody'), items, (item) => h('tr', make(item).map((value) => (typeof value === 'number'
      ? h('td.num', number(value)) : h('td', value)))), step)));
/* A disclosure whose content is made when it is first opened. */
export const fold = (spec, head, fill) => {
  const details = h(`details.${spec}`, h('summary', head));
  details.fill = () => {
    details.fill = () => {};
    details.append(h('div.body', fill()));
  };
  details.addEventListener('toggle', () => details.open && details.fill());
  return details;
};
export const section = (id) => { $(id).hidden = false; return $(`${id}-box`); };
