/* The findings: by check, by Droplet, or by recommendation of the guide. */
import { ALL, checks, data, droplets, KINDS, more, OPEN, recommendations, strings } from './data.js';
import {
  $, badge, bdi, code, facts, fold, h, link, listing, number, plural, prose, soft, time, titled,
} from './elements.js';
import { hrefOf, scope, setState, shown, state } from './filters.js';
import {
  badness, causeOf, checkOf, dropletOf, dropletOrder, grouped, headOf, inWords, keyOf, kindOf, lostOf, messageOf,
  rankOf, rateOf, rows, weight, worse,
} from './rows.js';

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

/* One verdict; where it is headed by its check, its Droplet is named too if others may follow. */
const finding = (row, byDroplet, children, mixed = false) => {
  const check = checkOf(row), extra = more[row] || {}, because = children.get(row) || [];
  const letter = data.verdict[row], open = OPEN.includes(letter), droplet = keyOf(dropletOf(row));
  const evidence = data.facts[row].map((i) => data.evidence[i].map((s) => strings[s]));
  const tags = [{ new: 'new', newly_waived: 'newly waived' }[extra.change], extra.below && 'below the gate',
    extra.waiver && extra.waiver.expired && 'waiver expired',
    because.length && `causes ${number(because.length)} more`];
  const head = [
    badge(kindOf(row), letter === 'f' && !byDroplet ? 'fail' : undefined),
    h('b', bdi(byDroplet ? headOf(row) : dropletOf(row).name)),
    h('span.line', mixed && [h('b', bdi(dropletOf(row).name)), ': '],
      bdi(messageOf(row) || (evidence.length ? evidence[0][3] : ''))),
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
      ['Guide', check.guide && h('a', hrefOf({ guide: String(check.guide), view: 'guide' }),
        `recommendation ${check.guide} of DigitalOcean's hardening guide`)],
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
    const head = [`${plural(away.length, 'Droplet')} could not be reached`, '',
      `unknown: ${plural(lost.length, 'verdict')}`];
    list.append(group('lost', 'unknown', head, false, () => listing(h('ul'), away, ([i, of]) => h('li',
      h('b', bdi(droplets[i].name)), ' ', bdi(droplets[i].reason), ' ',
      h('span.soft', `(${plural(of.length, 'verdict')})`)))));
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
    const head = [headOf(members[0]), checks[i].id, side];
    return group(`c${i}`, kindOf(members[0]), head, open, () => [aboutCheck(checks[i]),
      titled('Where', listing(h('ul.finds'), members, (row) => finding(row, false, children)))]);
  }, 100);
};
const listDroplets = (list, { kept, lost, children }) => {
  const groups = grouped(kept, data.droplet), away = grouped(lost, data.droplet);
  const hit = dropletOrder.filter((i) => groups.has(i) || away.has(i));
  listing(list, hit, (i) => {
    const droplet = droplets[i], members = (groups.get(i) || []).sort(worse), gone = away.get(i) || [];
    const all = [...members, ...gone, ...members.flatMap((row) => children.get(row) || [])].sort(worse);
    const head = [droplet.name, [droplet.id, droplet.region].filter(Boolean).join(' '),
      [rateOf(droplet), inWords(all)].filter(Boolean).join('; ')];
    return group(`d${i}`, kindOf(all[0]), head, hit.length <= 2, () => [aboutDroplet(droplet),
      listing(h('ul.finds'), members, (row) => finding(row, true, children)),
      gone.length > 0 && h('p', badge('unknown'), ` ${plural(gone.length, 'verdict')}: `, bdi(droplet.reason))]);
  }, 100);
};
/* Each recommendation of the guide with what its checks say, and its open findings. */
const listGuide = (list, { kept, lost, children }) => {
  const guides = Object.keys(recommendations);
  if (checks.some((check) => !check.guide)) guides.push(null);
  listing(list, guides, (guide) => {
    const mine = (row) => (checkOf(row).guide ? String(checkOf(row).guide) : null) === guide;
    const judged = rows.filter((row) => scope[row] && mine(row) && kindOf(row) !== 'notapplicable').sort(worse);
    const members = kept.filter(mine).sort(worse), gone = lost.filter(mine);
    const title = guide ? recommendations[guide] : 'Beyond the guide';
    const head = [title, '', inWords(judged) || 'nothing here looks at it'];
    const all = guide && h('a', hrefOf({ guide, verdict: ALL, view: 'guide' }), 'Every verdict of its checks');
    const kind = judged.length ? kindOf(judged[0]) : 'notapplicable';
    return group(`g${guide}`, kind, head, guide === state.guide, () => [
      h('p', all || 'Checks that the guide does not ask for.'),
      members.length ? listing(h('ul.finds'), members, (row) => finding(row, true, children, true))
        : h('p', 'No verdict matches the filters.'),
      gone.length > 0 && h('p', badge('unknown'), ` ${plural(gone.length, 'verdict')}: the hosts were not reached`)]);
  });
};
const LISTS = { check: listChecks, droplet: listDroplets, guide: listGuide };
export const drawFindings = () => {
  const list = h('div', { id: 'list' }), found = sift();
  if (found.kept.length || found.lost.length || state.view === 'guide') (LISTS[state.view] || listChecks)(list, found);
  else list.append(h('p', 'Nothing matches these filters. ', h('a', hrefOf({ verdict: ALL }), 'Show every verdict')));
  $('list').replaceWith(list);
};
const views = {};
export const buildView = () => {
  const radio = (value, text) => h('label.chip', views[value] = h('input',
    { type: 'radio', name: 'view', value, change: () => setState({ view: value }) }), text);
  $('view').append(h('div.chips', { role: 'radiogroup', 'aria-label': 'Group findings' },
    radio('check', 'By check'), radio('droplet', 'By Droplet'), radio('guide', 'By recommendation')));
};
export const drawView = () => { (views[state.view] || views.check).checked = true; };
