// The longest chain of layers by expected run time: what no number of workers makes faster.

interface Node {
  cost_us?: number;
  tasks: { total: number };
}

interface Link {
  from: number;
  to: number;
  inputs: number;
}

/** Levels of a layer that reads itself, such as a tree that sums up: at least as many runs follow each other. */
function depthOf(node: Node, own: Link | undefined): number {
  if (!own) return 1;
  return Math.max(1, Math.ceil(Math.log2(Math.max(2, node.tasks.total))));
}

export function criticalPath(nodes: readonly Node[], links: readonly Link[]): { layers: number[]; us: number } {
  const own = new Map(links.filter((link) => link.from === link.to).map((link) => [link.from, link]));
  const into = new Map<number, number[]>();
  for (const link of links) if (link.from < link.to) into.set(link.to, [...(into.get(link.to) ?? []), link.from]);
  const best: number[] = [];
  const before: (number | undefined)[] = [];
  nodes.forEach((node, at) => {
    let longest: number | undefined;
    for (const from of into.get(at) ?? []) if (longest === undefined || (best[from] ?? 0) > (best[longest] ?? 0)) longest = from;
    before[at] = longest;
    best[at] = (longest === undefined ? 0 : (best[longest] ?? 0)) + (node.cost_us ?? 0) * depthOf(node, own.get(at));
  });
  let at: number | undefined = best.length > 0 ? best.indexOf(Math.max(...best)) : undefined;
  const us = at === undefined ? 0 : (best[at] ?? 0);
  const layers: number[] = [];
  while (at !== undefined) {
    layers.unshift(at);
    at = before[at];
  }
  return { layers, us };
}
