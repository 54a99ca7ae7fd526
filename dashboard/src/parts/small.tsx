// Small parts that many pages use.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { ApiError, JobCounts } from "../lib/api";
import { opColor, opKind, opName, STATE_WORDS, STATES } from "../lib/color";
import { exact, short } from "../lib/format";
import { cssColor, isDark } from "../lib/theme";

export function PageHead(props: { title: ComponentChildren; note?: ComponentChildren; children?: ComponentChildren }): JSX.Element {
  return (
    <header class="page-head">
      <div>
        <h1>{props.title}</h1>
        {props.note ? <p class="muted">{props.note}</p> : null}
      </div>
      <div class="page-tools">{props.children}</div>
    </header>
  );
}

export function Empty(props: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{props.title}</p>
      {props.children ? <p>{props.children}</p> : null}
    </div>
  );
}

export function ErrorNote(props: { error: ApiError }): JSX.Element {
  return (
    <div class="note note-error" role="alert">
      <strong>{props.error.message}</strong>
      {props.error.hint ? <span> {props.error.hint}</span> : null}
    </div>
  );
}

/** An answer that may not be there yet, or may never be. */
export function Answer<T>(props: { data: T | undefined; error: ApiError | undefined; /** Of a page that has no other heading. */ title?: string; children: (data: T) => ComponentChildren }): JSX.Element {
  if (props.data !== undefined) {
    return (
      <>
        {props.error ? <ErrorNote error={props.error} /> : null}
        {props.children(props.data)}
      </>
    );
  }
  return (
    <>
      {props.title ? <PageHead title={props.title} /> : null}
      {props.error ? <ErrorNote error={props.error} /> : <p class="muted loading">Loading…</p>}
    </>
  );
}

export function StateBadge(props: { state: string }): JSX.Element {
  return <span class={`badge state-${props.state}`}>{props.state}</span>;
}

/** An operation: its colour, its name, and its kind where that says something. */
export function Op(props: { op: string; most?: number }): JSX.Element {
  const kind = opKind(props.op);
  const name = opName(props.op);
  return (
    <span class="op" title={short(props.op, 300)}>
      <Swatch op={props.op} />
      <bdi class="ellipsis">{short(name, props.most ?? 60)}</bdi>
      {kind !== name ? <span class="kind">{kind}</span> : null}
    </span>
  );
}

export function Swatch(props: { op: string }): JSX.Element {
  return <span class="swatch" aria-hidden="true" style={{ backgroundColor: opColor(props.op, isDark.value) }} />;
}

/** A text that a stranger made: never wider than its place, never in charge of the direction of what is around it. */
export function Name(props: { text: string; most?: number }): JSX.Element {
  return (
    <bdi class="ellipsis" title={short(props.text, 500)}>
      {short(props.text, props.most ?? 80)}
    </bdi>
  );
}

/** How far a set of tasks is, by state. */
export function Progress(props: { counts: JobCounts; label: string }): JSX.Element {
  const { counts } = props;
  const parts = STATES.filter((state): state is Exclude<(typeof STATES)[number], "running"> => state !== "running")
    .map((state) => ({ state, tasks: counts[state] }))
    .filter((part) => part.tasks > 0);
  const done = counts.stored + counts.released;
  const total = Math.max(1, counts.total);
  const words = parts.map((part) => `${exact(part.tasks)} ${STATE_WORDS[part.state]}`).join(", ");
  return (
    <div class="progress" role="progressbar" aria-label={props.label} aria-valuemin={0} aria-valuemax={counts.total} aria-valuenow={done} aria-valuetext={words || "no tasks"} title={words}>
      {parts.map((part) => (
        <span key={part.state} class={`progress-part fill-${part.state}`} style={{ width: `${(part.tasks / total) * 100}%` }} />
      ))}
    </div>
  );
}

/** What the colours of `Progress` mean. */
export function StateLegend(): JSX.Element {
  return (
    <p class="legend state-legend" aria-hidden="true">
      {(["stored", "released", "assigned", "ready", "waiting", "failed"] as const).map((state) => (
        <span key={state} class={`legend-item swatch-state-${state}`}>
          {state}
        </span>
      ))}
    </p>
  );
}

/** The last minute of a number, without axes. */
export function Spark(props: { values: readonly number[]; most: number; color: string; label: string }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    const pen = element?.getContext("2d");
    if (!element || !pen) return;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [56, 20];
    element.width = width * scale;
    element.height = height * scale;
    pen.scale(scale, scale);
    const most = Math.max(props.most, 1e-9);
    const step = width / 59;
    const from = 60 - props.values.length;
    pen.beginPath();
    pen.moveTo(from * step, height);
    props.values.forEach((value, at) => pen.lineTo((from + at) * step, height - 1 - Math.min(1, value / most) * (height - 3)));
    pen.strokeStyle = cssColor(props.color);
    pen.lineWidth = 1.25;
    pen.stroke();
    pen.lineTo(width, height);
    pen.closePath();
    pen.globalAlpha = 0.15;
    pen.fillStyle = cssColor(props.color);
    pen.fill();
  });
  return <canvas class="spark" ref={canvas} role="img" aria-label={props.label} />;
}

export function Stat(props: { label: string; value: ComponentChildren; note?: ComponentChildren; tone?: "warn" | "error" | undefined }): JSX.Element {
  return (
    <div class={`stat${props.tone ? ` stat-${props.tone}` : ""}`}>
      <div class="stat-label">{props.label}</div>
      <div class="stat-value">{props.value}</div>
      {props.note ? <div class="stat-note">{props.note}</div> : null}
    </div>
  );
}

export function Tabs(props: { label: string; tabs: readonly { key: string; label: string; href: string }[]; at: string }): JSX.Element {
  return (
    <nav class="tabs" aria-label={props.label}>
      {props.tabs.map((tab) => (
        <a key={tab.key} href={tab.href} aria-current={tab.key === props.at ? "page" : undefined}>
          {tab.label}
        </a>
      ))}
    </nav>
  );
}

export function Field(props: { label: string; children: ComponentChildren }): JSX.Element {
  return (
    <label class="field">
      <span>{props.label}</span>
      {props.children}
    </label>
  );
}
