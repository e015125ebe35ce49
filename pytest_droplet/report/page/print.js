/* Print: what is shown, opened, up to a bound. */
import { $, h, number } from './elements.js';
import { pictures } from './picture.js';

const PRINTED = 1000;
export const printWell = (apply) => {
  addEventListener('beforeprint', () => {
    document.documentElement.dataset.print = '';
    let left = PRINTED;
    document.querySelectorAll('#first details:not([open])').forEach((details) => {
      details.open = true;
      details.dataset.printed = '';
    });
    const open = (details) => { details.fill(); details.open = true; };
    document.querySelectorAll('#list .group').forEach((details) => left > 0 && open(details));
    for (const details of document.querySelectorAll('#list .find')) {
      left -= 1;
      if (left < 0) details.parentElement.remove();
      else open(details);
    }
    if (left < 0) $('list').append(h('p.note',
      `The first ${number(PRINTED)} findings; filter before printing to choose.`));
    pictures.forEach((one) => one.draw(true));
  });
  addEventListener('afterprint', () => {
    delete document.documentElement.dataset.print;
    document.querySelectorAll('[data-printed]').forEach((details) => {
      details.open = false;
      delete details.dataset.printed;
    });
    apply();
  });
};
