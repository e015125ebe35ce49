/* What is reachable from the internet: a line for each Droplet, a column for each port. */
import { droplets } from './data.js';
import { section } from './elements.js';
import { inFleet, toDroplet } from './filters.js';
import { picture } from './picture.js';

export const buildPorts = () => {
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
