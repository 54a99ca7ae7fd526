// Who fetched how much from whom: a matrix for few workers, the busiest pairs for any number.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, type Transfer } from "../lib/api";
import * as format from "../lib/format";
import { workerOf, workers } from "../lib/live";
import { usePoll } from "../lib/poll";
import { route, setQuery, workerLink } from "../lib/route";
import { cssColor, isDark } from "../lib/theme";
import { Answer, Empty, Name, PageHead } from "../parts/small";
import { type Column, Table } from "../parts/Table";

interface TransfersAnswer {
  since_ms: number;
  transfers: Transfer[];
}

const nameOf = (id: string): string => workerOf.value.get(id)?.name ?? format.shortId(id);

const COLUMNS: readonly Column<Transfer>[] = [
  { key: "from", label: "From", width: "minmax(8rem, 1fr)", value: (flow) => nameOf(flow.from), cell: (flow) => <a class="row-link" href={workerLink(flow.from)}><Name text={nameOf(flow.from)} /></a> },
  { key: "to", label: "To", width: "minmax(8rem, 1fr)", value: (flow) => nameOf(flow.to), cell: (flow) => <a class="row-link" href={workerLink(flow.to)}><Name text={nameOf(flow.to)} /></a> },
  { key: "bytes", label: "Moved", fileUnit: "B", width: "8rem", align: "end", value: (flow) => flow.bytes, cell: (flow) => format.bytes(flow.bytes) },
  { key: "rate", label: "Now", fileUnit: "B/s", width: "8rem", align: "end", value: (flow) => flow.bytes_per_s, cell: (flow) => format.bytesPerSecond(flow.bytes_per_s) },
  { key: "objects", label: "Objects", width: "7rem", align: "end", value: (flow) => flow.objects, cell: (flow) => format.count(flow.objects) },
  { key: "speed", label: "While moving", fileUnit: "B/s", width: "10rem", align: "end", value: (flow) => speed(flow), cell: (flow) => format.bytesPerSecond(speed(flow)) },
];

const speed = (flow: Transfer): number => (flow.busy_us > 0 ? flow.bytes / (flow.busy_us / 1e6) : 0);

export function TransfersPage(): JSX.Element {
  const { data, error } = usePoll((abort) => get<TransfersAnswer>("live/transfers", {}, abort), 2_000, []);
  const shows = route.value.query.get("show") === "total" ? "bytes" : "bytes_per_s";
  return (
    <>
      <PageHead title="Transfers" note="Objects that workers fetched from each other. Rows send, columns receive. A cell tells more under the pointer.">
        <div class="segments" role="group" aria-label="What is shown">
          <button type="button" aria-pressed={shows === "bytes_per_s"} onClick={() => setQuery({ show: undefined })}>Now, B/s</button>
          <button type="button" aria-pressed={shows === "bytes"} onClick={() => setQuery({ show: "total" })}>In all, B</button>
        </div>
      </PageHead>
      <Answer data={data} error={error}>
        {(told) =>
          told.transfers.length === 0 ? (
            <Empty title="Nothing was moved between workers">A task that reads what another worker made fetches it first; the pairs appear here.</Empty>
          ) : (
            <>
              <Matrix flows={told.transfers} field={shows} />
              <Table name="transfers" columns={COLUMNS} rows={told.transfers} id={(flow) => `${flow.from} ${flow.to}`} sort={{ key: "bytes", down: true }} height={10} empty={null} />
            </>
          )
        }
      </Answer>
    </>
  );
}

/** Room for names beside and above the cells, and the smallest cells that have names. */
const LABEL = 96;
const HEAD = 62;
const NAMED = 12;
/** Above so many workers only those that sent or received are shown. */
const ALL = 40;

/** Names of senders to the left, of receivers above, slanted. */
function drawNames(pen: CanvasRenderingContext2D, names: readonly string[], cell: number): void {
  pen.font = "11px Inter, system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.fillStyle = cssColor("muted");
  pen.textAlign = "end";
  names.forEach((name, at) => pen.fillText(format.short(name, 14), LABEL - 8, HEAD + at * cell + cell / 2, LABEL - 10));
  pen.textAlign = "start";
  names.forEach((name, at) => {
    pen.save();
    pen.translate(LABEL + at * cell + cell / 2, HEAD - 6);
    pen.rotate(-Math.PI / 4);
    pen.fillText(format.short(name, 12), 0, 0, HEAD + 10);
    pen.restore();
  });
}

function Matrix(props: { flows: readonly Transfer[]; field: "bytes" | "bytes_per_s" }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [hover, setHover] = useState<{ row: number; column: number; x: number; y: number }>();
  const moved = new Set(props.flows.flatMap((flow) => [flow.from, flow.to]));
  const ids = workers.value.map((worker) => worker.id).filter((id, _, all) => all.length <= ALL || moved.has(id));
  const place = useMemo(() => new Map(ids.map((id, at) => [id, at])), [ids.join()]);
  const cell = Math.max(1, Math.min(34, Math.floor(520 / Math.max(1, ids.length))));
  const size = cell * ids.length;
  // Slanted names lean out to the right.
  const head = cell >= NAMED ? HEAD : 0;
  const [wide, high] = [LABEL + size + head, head + size + 8];
  const most = Math.max(1, ...props.flows.map((flow) => flow[props.field]));
  const flowAt = useMemo(() => new Map(props.flows.map((flow) => [`${place.get(flow.from)} ${place.get(flow.to)}`, flow])), [props.flows, place]);
  useEffect(() => {
    const element = canvas.current;
    const pen = element?.getContext("2d");
    if (!element || !pen) return;
    const scale = window.devicePixelRatio || 1;
    element.width = wide * scale;
    element.height = high * scale;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, wide, high);
    pen.fillStyle = cssColor("lane");
    pen.fillRect(LABEL, head, size, size);
    if (cell >= NAMED) drawNames(pen, ids.map(nameOf), cell);
    const gap = cell >= 8 ? 1 : 0;
    for (const flow of props.flows) {
      const [row, at] = [place.get(flow.from), place.get(flow.to)];
      if (row === undefined || at === undefined || flow[props.field] <= 0) continue;
      const strength = Math.sqrt(flow[props.field] / most);
      pen.fillStyle = `color-mix(in oklch, ${cssColor("accent")} ${Math.round(12 + 88 * strength)}%, ${cssColor("lane")})`;
      pen.fillRect(LABEL + at * cell, head + row * cell, cell - gap, cell - gap);
    }
  }, [props.flows, props.field, place, cell, isDark.value]);
  const found = hover ? flowAt.get(`${hover.row} ${hover.column}`) : undefined;
  const busiest = props.flows[0];
  const words = busiest ? `Matrix of ${ids.length} workers. Most went from ${nameOf(busiest.from)} to ${nameOf(busiest.to)}: ${format.bytes(busiest.bytes)}.` : "";
  return (
    <section class="matrix">
      <canvas
        ref={canvas}
        role="img"
        aria-label={words}
        style={{ width: `${wide}px`, height: `${high}px` }}
        onPointerMove={(event) => setHover({ row: Math.floor((event.offsetY - head) / cell), column: Math.floor((event.offsetX - LABEL) / cell), x: event.offsetX, y: event.offsetY })}
        onPointerLeave={() => setHover(undefined)}
      />
      {hover && hover.column >= 0 && hover.row >= 0 && ids[hover.row] && ids[hover.column] ? (
        <div class="tip" style={{ left: `${hover.x + 14}px`, top: `${hover.y + 14}px` }}>
          <p>
            <Name text={nameOf(ids[hover.row] ?? "")} most={24} /> → <Name text={nameOf(ids[hover.column] ?? "")} most={24} />
          </p>
          <p class="muted">{found ? `${format.bytes(found.bytes)} in ${format.exact(found.objects)} objects, now ${format.bytesPerSecond(found.bytes_per_s)}` : "nothing"}</p>
        </div>
      ) : null}
      <div class="scale" aria-hidden="true">
        <span>0</span>
        <span class="scale-bar" />
        <span>{props.field === "bytes" ? format.bytes(most) : format.bytesPerSecond(most)}</span>
      </div>
    </section>
  );
}
