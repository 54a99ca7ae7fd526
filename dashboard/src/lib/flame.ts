// Times by path, as bars over each other.

export interface Sample {
  path: readonly string[];
  us: number;
  /** The operation, at the end of the path. */
  op: string;
}

interface Node {
  id: string;
  name: string;
  us: number;
  op?: string;
  children: Map<string, Node>;
}

export interface Flame {
  id: string;
  name: string;
  us: number;
  /** Only where the bar is one operation. */
  op?: string;
  depth: number;
  /** From 0 to 1. */
  x: number;
  share: number;
}

export function flameOf(samples: readonly Sample[]): Node {
  const root: Node = { id: "", name: "all", us: 0, children: new Map() };
  for (const sample of samples) {
    root.us += sample.us;
    let at = root;
    sample.path.forEach((name, depth) => {
      const child = at.children.get(name) ?? { id: at.id ? `${at.id}/${name}` : name, name, us: 0, children: new Map<string, Node>() };
      child.us += sample.us;
      if (depth === sample.path.length - 1) child.op = sample.op;
      at.children.set(name, child);
      at = child;
    });
  }
  return root;
}

function find(node: Node, id: string): Node | undefined {
  if (node.id === id) return node;
  for (const child of node.children.values()) {
    const found = id.startsWith(child.id) ? find(child, id) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** Bars from the one named `id` down, widest first; those too thin to see are left out. */
export function flatten(root: Node, id: string): Flame[] {
  const top = find(root, id) ?? root;
  const bars: Flame[] = [];
  if (top !== root) bars.push({ id: "", name: "all", us: root.us, depth: 0, x: 0, share: 1 });
  const add = (node: Node, depth: number, x: number): void => {
    const share = node.us / Math.max(1, top.us);
    if (share < 0.001) return;
    bars.push({ id: node.id, name: node.name, us: node.us, depth, x, share, ...(node.op === undefined ? {} : { op: node.op }) });
    let left = x;
    for (const child of [...node.children.values()].sort((a, b) => b.us - a.us)) {
      add(child, depth + 1, left);
      left += child.us / Math.max(1, top.us);
    }
  };
  add(top, bars.length, 0);
  return bars;
}
