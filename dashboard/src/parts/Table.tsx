// A table of any length: only the rows in sight are in the page. Sorted by its head, read by screen readers as a table,
// exported whole.

import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { download, toCsv } from "../lib/csv";
import { exact } from "../lib/format";

export interface Column<Row> {
  key: string;
  label: string;
  /** The unit, shown beside the label and in the file. */
  unit?: string;
  /** The unit in the file only, where each cell says its own. */
  fileUnit?: string;
  value: (row: Row) => string | number | undefined;
  cell?: (row: Row) => ComponentChildren;
  /** A CSS grid width. */
  width?: string;
  align?: "end";
}

interface Props<Row> {
  name: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  id: (row: Row) => string;
  /** What is said when there are no rows. */
  empty: ComponentChildren;
  sort?: { key: string; down: boolean };
  /** Most rows in sight before the table scrolls by itself. */
  height?: number;
  selected?: string | undefined;
  tools?: ComponentChildren;
}

const ROW = 34;
const MARGIN = 8;

function compare(a: string | number | undefined, b: string | number | undefined): number {
  if (a === undefined || b === undefined) return (a === undefined ? 1 : 0) - (b === undefined ? 1 : 0);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

export function Table<Row>(props: Props<Row>): JSX.Element {
  const { columns, rows, name } = props;
  const [sort, setSort] = useState(props.sort);
  const [top, setTop] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState(20);

  const sorted = useMemo(() => {
    const by = columns.find((column) => column.key === sort?.key);
    if (!by || !sort) return rows;
    const sign = sort.down ? -1 : 1;
    return [...rows].sort((a, b) => sign * compare(by.value(a), by.value(b)));
  }, [rows, sort, columns]);

  useLayoutEffect(() => {
    setSeen(Math.ceil((box.current?.clientHeight ?? 600) / ROW));
  }, [rows.length]);

  const first = Math.max(0, Math.floor(top / ROW) - MARGIN);
  const last = Math.min(sorted.length, first + seen + 2 * MARGIN);
  const template = columns.map((column) => column.width ?? "minmax(5rem, 1fr)").join(" ");
  const most = props.height ?? 16;

  return (
    <section class="table-frame">
      <div class="table-tools">
        <span class="muted">{exact(rows.length)} {rows.length === 1 ? "row" : "rows"}</span>
        <span class="grow">{props.tools}</span>
        <button type="button" class="quiet" onClick={() => download(`${name}.csv`, toCsv(csvColumns(columns), sorted))} disabled={rows.length === 0}>
          Export CSV
        </button>
      </div>
      {rows.length === 0 ? (
        <div class="empty">{props.empty}</div>
      ) : (
        <div
          class="table"
          role="table"
          aria-label={name}
          aria-rowcount={sorted.length + 1}
          ref={box}
          // Scrolled by the keyboard too.
          tabIndex={0}
          style={{ maxHeight: `${(most + 1) * ROW}px` }}
          onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        >
          <div class="table-head" role="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
            {columns.map((column) => (
              <Head key={column.key} column={column} sort={sort} onSort={setSort} />
            ))}
          </div>
          <div role="rowgroup" class="table-body" style={{ height: `${sorted.length * ROW}px` }}>
            {sorted.slice(first, last).map((row, offset) => {
              const id = props.id(row);
              return (
                <div
                  key={id}
                  role="row"
                  aria-rowindex={first + offset + 2}
                  class={`table-row${props.selected === id ? " selected" : ""}`}
                  style={{ gridTemplateColumns: template, transform: `translateY(${(first + offset) * ROW}px)` }}
                >
                  {columns.map((column) => (
                    <div role="cell" key={column.key} class={column.align === "end" ? "number" : ""}>
                      {column.cell ? column.cell(row) : column.value(row)}
                    </div>
                  ))}
                </div>
              );
            })}
          </div>
        </div>
      )}
    </section>
  );
}

function csvColumns<Row>(columns: readonly Column<Row>[]): { label: string; value: Column<Row>["value"] }[] {
  return columns.map((column) => {
    const unit = column.unit ?? column.fileUnit;
    return { label: unit ? `${column.label} (${unit})` : column.label, value: column.value };
  });
}

interface HeadProps<Row> {
  column: Column<Row>;
  sort: { key: string; down: boolean } | undefined;
  onSort: (sort: { key: string; down: boolean }) => void;
}

function Head<Row>({ column, sort, onSort }: HeadProps<Row>): JSX.Element {
  const isSorted = sort?.key === column.key;
  const direction = isSorted ? (sort.down ? "descending" : "ascending") : "none";
  return (
    <div role="columnheader" aria-sort={direction} class={column.align === "end" ? "number" : ""}>
      <button type="button" class="head-button" onClick={() => onSort({ key: column.key, down: isSorted ? !sort.down : column.align === "end" })}>
        {column.label}
        {column.unit ? <span class="unit"> {column.unit}</span> : null}
        <span class="sort-mark" aria-hidden="true">
          {isSorted ? (sort.down ? "↓" : "↑") : ""}
        </span>
      </button>
    </div>
  );
}
