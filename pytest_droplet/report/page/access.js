/* Who can enter where: a line for each Droplet, a column for each key. */
import { droplets, keys } from './data.js';
import { badge, bdi, code, facts, fold, h, listing, number, plural, section, soft, table } from './elements.js';
import { inFleet, toDroplet } from './filters.js';
import { picture } from './picture.js';
import { dropletNumber } from './rows.js';

const keyName = (key) => (key.account_key && key.account_key.name)
  || (key.where.find((place) => place.comment) || {}).comment || key.fingerprint;
const keyState = (key) => (key.known ? 'known' : key.known === false ? 'not known' : 'not told');
export const buildAccess = () => {
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
