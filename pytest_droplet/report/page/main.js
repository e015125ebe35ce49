/* Builds the sections, and draws them anew when the filters change. */
import { total } from './data.js';
import { $, h } from './elements.js';
import { buildAccess } from './access.js';
import { buildFilters, drawFilters, onChange, select, show, startFrom } from './filters.js';
import { buildView, drawFindings, drawView } from './findings.js';
import { buildFleet } from './fleet.js';
import { pictures } from './picture.js';
import { buildPorts } from './ports.js';
import { printWell } from './print.js';

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
  drawView();
  pictures.forEach((one) => one.update());
  drawFindings();
};
const restore = () => {
  if (drawn === location.hash) return;
  startFrom(location.hash);
  apply();
};

onChange.push(apply);
printWell(apply);
buildFilters();
buildView();
for (const id of ['filters', 'fleet', 'findings']) $(id).hidden = !total;
$('state').hidden = !total;
buildFleet();
buildAccess();
buildPorts();
buildNav();
restore();
addEventListener('popstate', restore);
addEventListener('hashchange', restore);
document.documentElement.dataset.ready = '';
