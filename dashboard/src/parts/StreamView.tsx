// The task stream: a row for each slot of each worker, time to the right. Drawn on a canvas; the gateway sends no more
// blocks than the screen has columns, so that a million tasks cost what a thousand do.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, jobPath, type SpanWindow, type TasksPage } from "../lib/api";
import { opColor, opName } from "../lib/color";
import * as format from "../lib/format";
import { workers } from "../lib/live";
import { go, route, setQuery } from "../lib/route";
import { isDark } from "../lib/theme";
import { Empty, ErrorNote, Op } from "./small";
import { usePoll } from "../lib/poll";
import { draw, hitTest, type Lane, type Layout, layoutOf } from "./streamCanvas";

interface Props {
  job?: string;
  /** A window that does not move, in unix milliseconds. */
  from?: number;
  to?: number;
}

/** What workers tell arrives about this much later. */
const LAG_MS = 2_500;
const SPANS_S = { "10 s": 10, "30 s": 30, "1 min": 60, "5 min": 300, "15 min": 900, "1 h": 3_600 };

interface View {
  /** Its end, in unix milliseconds, where it does not follow the clock. */
  to: number;
  length: number;
  follows: boolean;
}

/** The view that the address names, else all of a job that is over, else the last minute. */
function viewOf({ from, to }: Props): View {
  const { query } = route.value;
  const [end, length] = [Number(query.get("to")), Number(query.get("ms"))];
  if (end > 0 && length > 0) return { to: end, length, follows: false };
  if (from === undefined || to === undefined || length > 0) return { to: Date.now() - LAG_MS, length: length || 60_000, follows: true };
  const margin = Math.max(100, (to - from) * 0.05);
  return { to: to + margin, length: to - from + 2 * margin, follows: false };
}

/** Keeps the view in the address, once it rests: browsers bound how often it may change. */
function useShared(view: View): void {
  const first = useRef(view);
  useEffect(() => {
    if (view === first.current) return undefined;
    const timer = window.setTimeout(() => setQuery({ to: view.follows ? undefined : String(Math.round(view.to)), ms: String(Math.round(view.length)) }), 250);
    return () => window.clearTimeout(timer);
  }, [view]);
}

export function StreamView(props: Props): JSX.Element {
  const [view, setView] = useState(() => viewOf(props));
  useShared(view);
  const [first, setFirst] = useState(0);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [hover, setHover] = useState<{ at: number; x: number; y: number }>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(1_000);

  const lanes = useMemo<Lane[]>(() => workers.value.map((worker) => ({ id: worker.id, name: worker.name, slots: Math.max(1, worker.slots) })), [workers.value.map((worker) => worker.id).join()]);
  const layout = useMemo<Layout>(() => layoutOf(lanes.slice(first)), [lanes, first]);
  const ids = layout.lanes.map((lane) => lane.id).join();
  const question = { job: props.job, workers: ids, width: Math.round(width) };
  const follow = view.follows;
  const { data, error } = usePoll(
    (abort) => {
      const to = follow ? Date.now() : view.to;
      return get<SpanWindow>("live/spans", { ...question, from_ms: Math.floor(to - view.length - 1_000), to_ms: Math.ceil(to) }, abort);
    },
    follow ? 1_000 : 0,
    [question, view.length, follow, follow ? 0 : view.to],
  );
  const colors = useMemo(() => {
    const names = new Map<number, { op: string; color: string }>();
    for (const op of data?.ops ?? []) {
      const name = `${op.kind} ${op.name}`;
      names.set(op.op, { op: name, color: opColor(name, isDark.value) });
    }
    return names;
  }, [data, isDark.value]);

  // While it follows, the picture moves with the clock, not only when blocks arrive.
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    let frame = 0;
    let last = 0;
    const paint = (time: number): void => {
      const isDue = time - last >= 30;
      if (isDue || !follow) {
        last = time;
        const to = follow ? Date.now() - LAG_MS : view.to;
        draw(element, { layout, window: data, colors, hidden, from: to - view.length, to, hover: hover?.at, dark: isDark.value });
      }
      if (follow) frame = requestAnimationFrame(paint);
    };
    frame = requestAnimationFrame(paint);
    return () => cancelAnimationFrame(frame);
  }, [layout, data, colors, hidden, view, hover?.at, width, isDark.value]);

  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setWidth(element.clientWidth));
    watch.observe(element);
    return () => watch.disconnect();
  }, [lanes.length === 0]);

  const end = (): number => (view.follows ? Date.now() - LAG_MS : view.to);
  const zoom = (factor: number, anchor = 1): void => {
    const length = Math.min(3_600_000, Math.max(5, view.length * factor));
    const pinned = end() - view.length * (1 - anchor);
    setView({ length, to: pinned + length * (1 - anchor), follows: view.follows && anchor === 1 });
  };
  const move = (share: number): void => {
    const to = Math.min(Date.now() - LAG_MS, end() + view.length * share);
    setView({ ...view, to, follows: false });
  };
  const at = (event: { offsetX: number; offsetY: number }): number | undefined => (data ? hitTest(layout, data, hidden, end() - view.length, view.length, width, event.offsetX, event.offsetY) : undefined);

  const open = async (index: number): Promise<void> => {
    const job = data?.blocks.job[index];
    const task = data?.blocks.task[index];
    if (job === undefined || task === undefined) return;
    const page = await get<TasksPage>(`${jobPath(job)}/tasks`, { from: task, limit: 1 });
    const key = page.tasks[0]?.key;
    if (key !== undefined) go(["task", job, key]);
  };
  const onWheel = (event: WheelEvent): void => {
    if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    const across = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.25 : 0.8, Math.max(0, (event.offsetX - layout.gutter) / (width - layout.gutter)));
    else move(across / width);
  };
  const onKey = (event: KeyboardEvent): void => {
    const keys: Record<string, () => void> = {
      "+": () => zoom(0.7),
      "=": () => zoom(0.7),
      "-": () => zoom(1.4),
      ArrowLeft: () => move(-0.2),
      ArrowRight: () => move(0.2),
      ArrowDown: () => setFirst(Math.min(Math.max(0, lanes.length - 1), first + 1)),
      ArrowUp: () => setFirst(Math.max(0, first - 1)),
      End: () => setView({ ...view, follows: true }),
    };
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  };
  const drag = useRef<{ x: number; to: number; moved: boolean } | undefined>(undefined);

  if (lanes.length === 0) return <Empty title="No worker is connected">Start one with <code>millstream worker</code>.</Empty>;
  const shown = data?.blocks.count.reduce((sum, spans) => sum + spans, 0) ?? 0;
  return (
    <section class="stream" aria-label="Task stream">
      <div class="stream-tools">
        <button type="button" aria-pressed={view.follows} onClick={() => setView({ ...view, to: end(), follows: !view.follows })}>
          {view.follows ? "Following" : "Follow"}
        </button>
        <div class="segments" role="group" aria-label="Time shown">
          {Object.entries(SPANS_S).map(([label, seconds]) => (
            <button key={label} type="button" aria-pressed={Math.round(view.length / 1_000) === seconds} onClick={() => setView({ ...view, to: end(), length: seconds * 1_000 })}>
              {label}
            </button>
          ))}
        </div>
        <button type="button" aria-label="Zoom in" onClick={() => zoom(0.7, view.follows ? 1 : 0.5)}>+</button>
        <button type="button" aria-label="Zoom out" onClick={() => zoom(1.4, view.follows ? 1 : 0.5)}>−</button>
        <button type="button" aria-label="Earlier" onClick={() => move(-0.5)}>←</button>
        <button type="button" aria-label="Later" onClick={() => move(0.5)}>→</button>
        {lanes.length > layout.lanes.length || first > 0 ? (
          <label class="field-inline">
            <span>First worker</span>
            <input type="range" min={0} max={Math.max(0, lanes.length - 1)} value={first} onInput={(event) => setFirst(Number(event.currentTarget.value))} />
            <span class="muted">{format.exact(first + 1)} – {format.exact(first + layout.lanes.length)} of {format.exact(lanes.length)}</span>
          </label>
        ) : null}
        <span class="muted grow-end">
          {format.exact(shown)} spans in sight{data && data.skipped > 0 ? `, ${format.count(data.skipped)} left out by workers` : ""}
        </span>
      </div>
      {error ? <ErrorNote error={error} /> : null}
      <div class="stream-canvas">
        <canvas
          ref={canvas}
          role="application"
          aria-label={`Task stream of ${layout.lanes.length} workers over ${format.milliseconds(view.length)}. Plus and minus zoom, arrows move.`}
          tabIndex={0}
          style={{ height: `${layout.height}px` }}
          onWheel={onWheel}
          onKeyDown={onKey}
          onPointerDown={(event) => {
            drag.current = { x: event.offsetX, to: end(), moved: false };
            event.currentTarget.setPointerCapture(event.pointerId);
          }}
          onPointerUp={(event) => {
            const index = drag.current?.moved ? undefined : at(event);
            drag.current = undefined;
            if (index !== undefined) void open(index);
          }}
          onPointerMove={(event) => {
            const held = drag.current;
            if (held && Math.abs(event.offsetX - held.x) > 3) {
              held.moved = true;
              const to = held.to - ((event.offsetX - held.x) / (width - layout.gutter)) * view.length;
              setView({ ...view, to: Math.min(Date.now() - LAG_MS, to), follows: false });
              setHover(undefined);
              return;
            }
            const index = at(event);
            setHover(index === undefined ? undefined : { at: index, x: event.offsetX, y: event.offsetY });
          }}
          onPointerLeave={() => setHover(undefined)}
        />
        {hover && data ? <Tip window={data} at={hover.at} x={hover.x} y={hover.y} width={width} height={layout.height} /> : null}
        {data && data.blocks.worker.length === 0 ? (
          <div class="stream-empty">
            <Empty title="No run ended in this time">{follow ? "A block appears a second or two after its run has ended." : "Move to another time, or follow."}</Empty>
          </div>
        ) : null}
      </div>
      <Legend colors={colors} hidden={hidden} onChange={setHidden} />
    </section>
  );
}

const KINDS = ["ran", "failed", "fetched inputs", "spilled", "read back from disk"];

function Tip(props: { window: SpanWindow; at: number; x: number; y: number; width: number; height: number }): JSX.Element {
  const { blocks } = props.window;
  const op = props.window.ops.find((one) => one.op === blocks.op[props.at]);
  const count = blocks.count[props.at] ?? 1;
  const start = (props.window.from_us + (blocks.start_us[props.at] ?? 0)) / 1_000;
  const name = op ? `${op.kind} ${op.name}` : "";
  // Above the pointer in the lower half: the box that it is in cuts it off at its edges.
  const across = props.y > props.height / 2 ? { bottom: `${props.height - props.y + 14}px` } : { top: `${props.y + 14}px` };
  return (
    <div class="tip" style={{ left: `${Math.min(props.x + 14, props.width - 280)}px`, ...across }}>
      <Op op={name} most={40} />
      <dl>
        <dt>{count > 1 ? `${format.exact(count)} spans in` : (KINDS[blocks.kind[props.at] ?? 0] ?? "ran")}</dt>
        <dd>{format.duration(blocks.duration_us[props.at] ?? 0)}</dd>
        <dt>from</dt>
        <dd>{format.clockMillis(start)}</dd>
        <dt>{count > 1 ? "longest: task" : "task"}</dt>
        <dd>{blocks.task[props.at]}</dd>
        <dt>bytes</dt>
        <dd>{format.bytes(blocks.bytes[props.at] ?? 0)}</dd>
      </dl>
    </div>
  );
}

function Legend(props: { colors: ReadonlyMap<number, { op: string; color: string }>; hidden: ReadonlySet<string>; onChange: (hidden: ReadonlySet<string>) => void }): JSX.Element {
  const toggle = (op: string): void => {
    const next = new Set(props.hidden);
    if (!next.delete(op)) next.add(op);
    props.onChange(next);
  };
  const ops = [...new Set([...props.colors.values()].map((one) => one.op))].sort((a, b) => opName(a).localeCompare(opName(b)));
  return (
    <div class="stream-legend" role="group" aria-label="Operations shown">
      {ops.slice(0, 40).map((op) => (
        <button key={op} type="button" class="quiet" aria-pressed={!props.hidden.has(op)} onClick={() => toggle(op)}>
          <Op op={op} most={36} />
        </button>
      ))}
      <span class="mark mark-failed">failed</span>
      <span class="mark mark-fetch">transfer</span>
      <span class="mark mark-spill">spill</span>
      <span class="mark mark-python">python</span>
    </div>
  );
}
