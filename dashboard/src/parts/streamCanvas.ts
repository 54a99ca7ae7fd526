// Draws the task stream, and finds what is under the pointer.

import type { SpanWindow } from "../lib/api";
import { opInk } from "../lib/color";
import { clock, clockMillis, short } from "../lib/format";
import { cssColor } from "../lib/theme";

export interface Lane {
  id: string;
  name: string;
  slots: number;
}

export interface Layout {
  lanes: readonly Lane[];
  /** Where each lane begins. */
  tops: readonly number[];
  row: number;
  height: number;
  gutter: number;
}

const HEAD = 22;
const GAP = 5;
const MOST = 620;
const GUTTER = 112;

const RUN = 0;
const FAILED = 1;
const FETCH = 2;
const SPILL = 3;
const UNSPILL = 4;

/** As many lanes as fit, with rows as high as they may be. */
export function layoutOf(lanes: readonly Lane[]): Layout {
  const slots = lanes.reduce((sum, lane) => sum + lane.slots, 0);
  const row = Math.max(5, Math.min(22, Math.floor((MOST - HEAD - lanes.length * GAP) / Math.max(1, slots))));
  const tops: number[] = [];
  const shown: Lane[] = [];
  let top = HEAD;
  for (const lane of lanes) {
    if (top + lane.slots * row > MOST && shown.length > 0) break;
    tops.push(top);
    shown.push(lane);
    top += lane.slots * row + GAP;
  }
  return { lanes: shown, tops, row, height: Math.max(140, top + 2), gutter: GUTTER };
}

export interface Picture {
  layout: Layout;
  window: SpanWindow | undefined;
  colors: ReadonlyMap<number, { op: string; color: string }>;
  hidden: ReadonlySet<string>;
  /** Unix milliseconds. */
  from: number;
  to: number;
  hover: number | undefined;
  dark: boolean;
}

export function draw(canvas: HTMLCanvasElement, picture: Picture): void {
  const pen = canvas.getContext("2d", { alpha: false });
  if (!pen) return;
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.fillStyle = cssColor("surface");
  pen.fillRect(0, 0, width, height);
  drawLanes(pen, picture, width);
  drawAxis(pen, picture, width, height);
  pen.save();
  pen.beginPath();
  pen.rect(picture.layout.gutter, HEAD, width - picture.layout.gutter, height);
  pen.clip();
  drawBlocks(pen, picture, width);
  pen.restore();
}

function drawLanes(pen: CanvasRenderingContext2D, { layout }: Picture, width: number): void {
  pen.font = "11px Inter, system-ui, sans-serif";
  pen.textBaseline = "middle";
  layout.lanes.forEach((lane, at) => {
    const top = layout.tops[at] ?? 0;
    const high = lane.slots * layout.row;
    pen.fillStyle = cssColor("lane");
    pen.fillRect(layout.gutter, top, width - layout.gutter, high);
    if (high < 10 && at % 2 === 1) return;
    pen.fillStyle = cssColor("muted");
    pen.fillText(short(lane.name, 16), 4, top + high / 2, layout.gutter - 10);
  });
}

const STEPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000];

function drawAxis(pen: CanvasRenderingContext2D, { layout, from, to }: Picture, width: number, height: number): void {
  const perMs = (width - layout.gutter) / (to - from);
  const step = STEPS_MS.find((ms) => ms * perMs >= 96) ?? 1_800_000;
  pen.fillStyle = cssColor("muted");
  pen.strokeStyle = cssColor("grid");
  pen.beginPath();
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const x = Math.round(layout.gutter + (at - from) * perMs) + 0.5;
    pen.moveTo(x, HEAD - 4);
    pen.lineTo(x, height);
    const label = step < 1_000 ? clockMillis(at) : clock(at);
    if (x + 4 + pen.measureText(label).width < width) pen.fillText(label, x + 4, 9);
  }
  pen.stroke();
}

function drawBlocks(pen: CanvasRenderingContext2D, picture: Picture, width: number): void {
  const { layout, window: told, colors, hidden, from, to } = picture;
  if (!told) return;
  const { blocks } = told;
  const laneOf = told.workers.map((id) => layout.lanes.findIndex((lane) => lane.id === id));
  const perUs = (width - layout.gutter) / ((to - from) * 1_000);
  const shift = told.from_us - from * 1_000;
  const gap = layout.row >= 10 ? 2 : layout.row >= 7 ? 1 : 0;
  const [failed, fetch, spill, ink] = [cssColor("state-failed"), cssColor("fetch"), cssColor("spill"), cssColor("text")];
  for (let at = 0; at < blocks.worker.length; at += 1) {
    const lane = laneOf[blocks.worker[at] ?? -1] ?? -1;
    const look = colors.get(blocks.op[at] ?? -1);
    if (lane < 0 || (look && hidden.has(look.op))) continue;
    const slot = Math.min(blocks.slot[at] ?? 0, (layout.lanes[lane]?.slots ?? 1) - 1);
    const x = layout.gutter + ((blocks.start_us[at] ?? 0) + shift) * perUs;
    const wide = Math.max(0.75, (blocks.duration_us[at] ?? 0) * perUs);
    if (x + wide < layout.gutter || x > width) continue;
    const y = (layout.tops[lane] ?? 0) + slot * layout.row + gap / 2;
    const high = layout.row - gap;
    const kind = blocks.kind[at] ?? RUN;
    pen.fillStyle = kind === FAILED ? failed : kind === FETCH ? fetch : kind === SPILL || kind === UNSPILL ? spill : (look?.color ?? ink);
    if (kind === FETCH || kind === SPILL || kind === UNSPILL) {
      // Lower than what runs, so that moving and computing are told apart at a glance.
      pen.fillRect(x, y + high * 0.55, wide, high * 0.45);
    } else {
      pen.fillRect(x, y, wide > 3 ? wide - 0.5 : wide, high);
      if (look?.op.startsWith("python ") && wide > 2) {
        pen.fillStyle = picture.dark ? "rgb(255 255 255 / 0.5)" : "rgb(0 0 0 / 0.35)";
        pen.fillRect(x, y, wide - 0.5, Math.max(1, high * 0.14));
      }
    }
    if (picture.hover === at) {
      pen.strokeStyle = ink;
      pen.strokeRect(x - 0.5, y - 0.5, wide + 1, high + 1);
    } else if (wide > 60 && high >= 14 && look && kind === RUN) {
      pen.fillStyle = opInk(look.op, picture.dark);
      const left = Math.max(x, layout.gutter);
      pen.fillText(labelFor(look.op, wide - (left - x)), left + 5, y + high / 2 + 1, Math.max(1, wide - (left - x) - 8));
    }
  }
}

function labelFor(op: string, wide: number): string {
  const name = op.slice(op.indexOf(" ") + 1) || op;
  return short(name, Math.max(2, Math.floor(wide / 7)));
}

/** The block under a point of the canvas. */
export function hitTest(layout: Layout, told: SpanWindow, hidden: ReadonlySet<string>, from: number, length: number, width: number, x: number, y: number): number | undefined {
  if (x < layout.gutter) return undefined;
  const lane = layout.tops.findLastIndex((top) => y >= top);
  const name = layout.lanes[lane];
  if (!name) return undefined;
  const slot = Math.floor((y - (layout.tops[lane] ?? 0)) / layout.row);
  const worker = told.workers.indexOf(name.id);
  const perUs = (width - layout.gutter) / (length * 1_000);
  const us = (x - layout.gutter) / perUs + from * 1_000 - told.from_us;
  const slack = 2 / perUs;
  const names = new Map(told.ops.map((op) => [op.op, `${op.kind} ${op.name}`]));
  let found: number | undefined;
  for (let at = 0; at < told.blocks.worker.length; at += 1) {
    if (told.blocks.worker[at] !== worker || Math.min(told.blocks.slot[at] ?? 0, name.slots - 1) !== slot) continue;
    if (hidden.has(names.get(told.blocks.op[at] ?? -1) ?? "")) continue;
    const start = told.blocks.start_us[at] ?? 0;
    if (us >= start - slack && us <= start + (told.blocks.duration_us[at] ?? 0) + slack) found = at;
  }
  return found;
}
