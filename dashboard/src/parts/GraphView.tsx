// A job's graph: layers first, each an operation with how far it is; a layer opens into its tasks. Laid out by dagre,
// drawn as SVG.

import * as dagre from "@dagrejs/dagre";
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { get, type GraphPage, jobPath, type Layer, type Layers, type TasksPage } from "../lib/api";
import { opColor, opKind, opName } from "../lib/color";
import { criticalPath } from "../lib/critical";
import * as format from "../lib/format";
import { usePoll } from "../lib/poll";
import { href, route, setQuery, taskLink } from "../lib/route";
import { isDark } from "../lib/theme";
import { Answer, Empty } from "./small";

interface Box {
  id: string;
  width: number;
  height: number;
}

interface Placed {
  x: number;
  y: number;
}

interface Plan {
  width: number;
  height: number;
  at: Map<string, Placed>;
  lines: { from: string; to: string; points: Placed[] }[];
}

/** Places boxes from left to right in the direction of the data. */
export function place(boxes: readonly Box[], edges: readonly { from: string; to: string }[], apart = 56): Plan {
  const graph = new dagre.graphlib.Graph({ multigraph: false });
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: apart, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const box of boxes) graph.setNode(box.id, { width: box.width, height: box.height });
  const known = new Set(boxes.map((box) => box.id));
  for (const edge of edges) if (edge.from !== edge.to && known.has(edge.from) && known.has(edge.to)) graph.setEdge(edge.from, edge.to);
  dagre.layout(graph);
  const at = new Map(boxes.map((box) => {
    const node = graph.node(box.id) as Placed;
    return [box.id, { x: node.x - box.width / 2, y: node.y - box.height / 2 }] as const;
  }));
  const lines = graph.edges().map((edge) => ({ from: edge.v, to: edge.w, points: (graph.edge(edge) as { points: Placed[] }).points }));
  const label = graph.graph() as { width?: number; height?: number };
  return { width: label.width ?? 0, height: label.height ?? 0, at, lines };
}

/** A smooth line through the points of an edge. */
export function curve(points: readonly Placed[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  let path = `M${first.x},${first.y}`;
  let before = first;
  for (const point of rest) {
    const middle = (before.x + point.x) / 2;
    path += ` C${middle},${before.y} ${middle},${point.y} ${point.x},${point.y}`;
    before = point;
  }
  return path;
}

const MAX_LAYERS = 300;

export function GraphView(props: { job: string; live: boolean }): JSX.Element {
  const open = route.value.query.get("layer");
  const { data, error } = usePoll((abort) => get<Layers>(`${jobPath(props.job)}/layers`, {}, abort), props.live ? 2_000 : 0, [props.job, props.live]);
  return (
    <Answer data={data} error={error}>
      {(layers) => {
        const layer = open === null ? undefined : layers.layers[Number(open)];
        return layer ? <TaskGraph job={props.job} layer={layer} live={props.live} /> : <LayerGraph layers={layers} />;
      }}
    </Answer>
  );
}

const BOX = { width: 210, height: 78 };

function LayerGraph({ layers }: { layers: Layers }): JSX.Element {
  const [showsPath, setShowsPath] = useState(true);
  const shown = layers.layers.slice(0, MAX_LAYERS);
  const shape = JSON.stringify([shown.map((layer) => [layer.layer, layer.op]), layers.edges]);
  const plan = useMemo(() => place(shown.map((_, at) => ({ id: String(at), ...BOX })), layers.edges.map((edge) => ({ from: String(edge.from), to: String(edge.to) })), 34), [shape]);
  const path = useMemo(() => criticalPath(layers.layers, layers.edges), [layers]);
  if (shown.length === 0) return <Empty title="The job has no tasks" />;
  const onPath = new Set(path.layers.map(String));
  return (
    <section class="graph" aria-label="Graph of the job's layers">
      <div class="graph-tools">
        <label class="check">
          <input type="checkbox" checked={showsPath} onChange={(event) => setShowsPath(event.currentTarget.checked)} /> Critical path
        </label>
        <span class="muted">
          {path.us > 0 ? `${path.layers.length} ${path.layers.length === 1 ? "layer" : "layers"} deep, at least ${format.duration(path.us)} however many workers there are` : "known once tasks have run"}
        </span>
        {layers.layers.length > shown.length ? <span class="muted">The first {format.exact(MAX_LAYERS)} of {format.exact(layers.layers.length)} are drawn.</span> : null}
      </div>
      <div class="graph-box" tabIndex={0} role="group" aria-label="Layers, scrollable">
        <svg width={plan.width} height={plan.height} role="list" aria-label="Layers">
          {plan.lines.map((line) => (
            <path key={`${line.from} ${line.to}`} d={curve(line.points)} class={`edge${showsPath && onPath.has(line.from) && onPath.has(line.to) ? " edge-critical" : ""}`} />
          ))}
          {shown.map((layer, at) => {
            const spot = plan.at.get(String(at));
            return spot ? <LayerBox key={at} layer={layer} index={at} spot={spot} critical={showsPath && onPath.has(String(at))} /> : null;
          })}
        </svg>
      </div>
    </section>
  );
}

const BAR_STATES = ["stored", "released", "assigned", "ready", "failed", "cancelled"] as const;

function LayerBox(props: { layer: Layer; index: number; spot: Placed; critical: boolean }): JSX.Element {
  const { layer, spot } = props;
  const total = Math.max(1, layer.tasks.total);
  const done = layer.tasks.stored + layer.tasks.released;
  const wide = BOX.width - 24;
  let left = 12;
  return (
    <g role="listitem" transform={`translate(${spot.x},${spot.y})`}>
      <a href={href(route.value.path, { tab: "graph", layer: String(props.index), job: route.value.query.get("job") ?? undefined })}>
        <rect class={`node${props.critical ? " node-critical" : ""}`} width={BOX.width} height={BOX.height} rx="8" />
        <rect x="0" y="10" width="4" height={BOX.height - 20} rx="2" fill={opColor(layer.op, isDark.value)} />
        <text x="14" y="20" class="node-name">{format.short(opName(layer.op), 26)}</text>
        <text x="14" y="37" class="node-note">
          {`${format.count(done)} / ${format.count(layer.tasks.total)} tasks · ${opKind(layer.op)}`}
        </text>
        <text x="14" y="53" class="node-note">
          {[...(layer.cost_us ? [`${format.duration(layer.cost_us)} each`] : []), ...(layer.held > 0 ? [`${format.bytes(layer.held)} held`] : [])].join(" · ")}
        </text>
        <rect class="fill-waiting" x="12" y="62" width={wide} height="6" rx="3" />
        {BAR_STATES.map((state) => {
          const part = (layer.tasks[state] / total) * wide;
          const x = left;
          left += part;
          return part > 0 ? <rect key={state} class={`fill-${state}`} x={x} y="62" width={part} height="6" rx={part > 6 ? 3 : 0} /> : null;
        })}
      </a>
    </g>
  );
}

const TASK_PAGE = 150;
const TASK_BOX = { width: 150, height: 26 };

function TaskGraph(props: { job: string; layer: Layer; live: boolean }): JSX.Element {
  const { job, layer } = props;
  const [from, setFrom] = useState(layer.first);
  const graph = usePoll((abort) => get<GraphPage>(`${jobPath(job)}/graph`, { from, limit: TASK_PAGE }, abort), 0, [job, from]);
  const states = usePoll((abort) => get<TasksPage>(`${jobPath(job)}/tasks`, { from, limit: TASK_PAGE }, abort), props.live ? 2_000 : 0, [job, from, props.live]);
  const stateOf = new Map(states.data?.tasks.map((task) => [task.task, task.state]));
  return (
    <section class="graph" aria-label={`Tasks of ${format.short(layer.op, 60)}`}>
      <div class="graph-tools">
        <button type="button" onClick={() => setQuery({ layer: undefined })}>← Layers</button>
        <button type="button" onClick={() => setFrom(Math.max(0, from - TASK_PAGE))} disabled={from === 0}>Tasks before</button>
        <button type="button" onClick={() => setFrom(graph.data?.next ?? from)} disabled={graph.data?.next === undefined}>Tasks after</button>
        <span class="muted">
          Tasks {format.exact(from)} to {format.exact(from + TASK_PAGE - 1)}, beginning with {format.short(opName(layer.op), 40)}. Inputs outside are drawn small.
        </span>
      </div>
      <Answer data={graph.data} error={graph.error}>
        {(page) => <TaskBoxes job={job} page={page} stateOf={stateOf} />}
      </Answer>
    </section>
  );
}

function TaskBoxes(props: { job: string; page: GraphPage; stateOf: ReadonlyMap<number, string> }): JSX.Element {
  const { page } = props;
  const plan = useMemo(() => {
    const own = new Set(page.tasks.map((task) => task.task));
    const outside = [...new Set(page.tasks.flatMap((task) => task.deps).filter((dep) => !own.has(dep)))].slice(0, TASK_PAGE);
    const boxes = [...page.tasks.map((task) => ({ id: String(task.task), ...TASK_BOX })), ...outside.map((task) => ({ id: String(task), width: 44, height: 16 }))];
    const edges = page.tasks.flatMap((task) => task.deps.map((dep) => ({ from: String(dep), to: String(task.task) }))).slice(0, 4_000);
    return { ...place(boxes, edges, 40), outside };
  }, [page]);
  return (
    <div class="graph-box" tabIndex={0} role="group" aria-label="Tasks, scrollable">
      <svg width={plan.width} height={plan.height} role="list" aria-label="Tasks">
        {plan.lines.map((line) => (
          <path key={`${line.from} ${line.to}`} d={curve(line.points)} class="edge" />
        ))}
        {plan.outside.map((task) => {
          const spot = plan.at.get(String(task));
          return spot ? (
            <g key={task} role="listitem" transform={`translate(${spot.x},${spot.y})`}>
              <rect class="node node-outside" width="44" height="16" rx="4" />
              <text x="22" y="12" class="node-note" text-anchor="middle">{task}</text>
            </g>
          ) : null;
        })}
        {page.tasks.map((task) => {
          const spot = plan.at.get(String(task.task));
          const state = props.stateOf.get(task.task) ?? "waiting";
          return spot ? (
            <g key={task.task} role="listitem" transform={`translate(${spot.x},${spot.y})`}>
              <a href={taskLink(props.job, task.key)}>
                <title>{`${format.short(task.key, 200)}: ${state}`}</title>
                <rect class={`node task-node stroke-${state}`} width={TASK_BOX.width} height={TASK_BOX.height} rx="6" />
                <circle class={`fill-${state}`} cx="12" cy="13" r="4" />
                <text x="22" y="17" class="node-note">{format.short(task.key, 20)}</text>
              </a>
            </g>
          ) : null;
        })}
      </svg>
    </div>
  );
}
