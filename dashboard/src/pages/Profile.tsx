// Where run time went, by operation: a flame graph of kinds, modules and functions, and how run times spread.

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { get, type OperationRow } from "../lib/api";
import { opColor, opInk } from "../lib/color";
import { type Flame, flameOf, flatten } from "../lib/flame";
import * as format from "../lib/format";
import { usePoll } from "../lib/poll";
import { jobLink, route, setQuery } from "../lib/route";
import { isDark } from "../lib/theme";
import { useJobChoice } from "../parts/JobChoice";
import { Answer, Empty, Name, Op, PageHead } from "../parts/small";
import { type Column, Table } from "../parts/Table";
import { jobPath, type TasksPage } from "../lib/api";
import { go } from "../lib/route";

interface Operations {
  since_ms: number;
  operations: OperationRow[];
}

const runs = (row: OperationRow): number => row.finished + row.failed;
const mean = (row: OperationRow): number => row.busy_us / Math.max(1, runs(row));

/** The run time below which a share of the runs stayed, to the next power of two. */
export function quantile(spread: readonly number[], share: number): number {
  const all = spread.reduce((sum, bin) => sum + bin, 0);
  let seen = 0;
  for (let bin = 0; bin < spread.length; bin += 1) {
    seen += spread[bin] ?? 0;
    if (all > 0 && seen >= all * share) return 2 ** bin;
  }
  return 0;
}

async function openTask(job: string, task: number): Promise<void> {
  const page = await get<TasksPage>(`${jobPath(job)}/tasks`, { from: task, limit: 1 });
  const key = page.tasks[0]?.key;
  if (key !== undefined) go(["task", job, key]);
}

/** Of one job, or of all, where each row says whose it is. */
const columns = (jobs: ReadonlyMap<string, string> | undefined): readonly Column<OperationRow>[] => [
  { key: "op", label: "Operation", width: "minmax(12rem, 2fr)", value: (row) => `${row.kind} ${row.name}`, cell: (row) => <Op op={`${row.kind} ${row.name}`} /> },
  ...(jobs ? [{ key: "job", label: "Job", width: "minmax(7rem, 1.2fr)", value: (row: OperationRow) => jobs.get(row.job) || row.job, cell: (row: OperationRow) => <a class="row-link" href={jobLink(row.job)}><Name text={jobs.get(row.job) || format.shortId(row.job)} most={40} /></a> }] : []),
  { key: "busy", label: "Slot time", fileUnit: "µs", width: "5.3rem", align: "end", value: (row) => row.busy_us, cell: (row) => format.duration(row.busy_us) },
  { key: "runs", label: "Runs", width: "3.5rem", align: "end", value: runs, cell: (row) => format.count(runs(row)) },
  { key: "mean", label: "Mean", fileUnit: "µs", width: "4.8rem", align: "end", value: mean, cell: (row) => format.duration(mean(row)) },
  { key: "p95", label: "p95", fileUnit: "µs", width: "4.7rem", align: "end", value: (row) => quantile(row.spread, 0.95), cell: (row) => `≤ ${format.duration(quantile(row.spread, 0.95))}` },
  { key: "longest", label: "Longest", fileUnit: "µs", width: "4.8rem", align: "end", value: (row) => row.longest_us, cell: (row) => <button type="button" class="as-link" onClick={() => void openTask(row.job, row.longest_task)}>{format.duration(row.longest_us)}</button> },
  { key: "spread", label: "Spread", width: "4.7rem", value: (row) => row.longest_us / Math.max(1, mean(row)), cell: (row) => <Spread row={row} /> },
  { key: "failed", label: "Failed", width: "3rem", align: "end", value: (row) => row.failed, cell: (row) => (row.failed > 0 ? <b class="bad">{format.count(row.failed)}</b> : <span class="muted">0</span>) },
  { key: "bytes", label: "Made", fileUnit: "B", width: "4.6rem", align: "end", value: (row) => row.bytes, cell: (row) => format.bytes(row.bytes) },
];

/** Run times by power of two, from one microsecond to over half an hour. */
function Spread({ row }: { row: OperationRow }): JSX.Element {
  const most = Math.max(1, ...row.spread);
  const words = `Half of the runs took up to ${format.duration(quantile(row.spread, 0.5))}, the longest ${format.duration(row.longest_us)}`;
  return (
    <svg class="spread" viewBox="0 0 128 20" preserveAspectRatio="none" role="img" aria-label={words}>
      <title>{words}</title>
      {row.spread.map((bin, at) => (bin > 0 ? <rect key={at} x={at * 4} y={20 - Math.max(2, (bin / most) * 20)} width="3.2" height={Math.max(2, (bin / most) * 20)} fill={opColor(`${row.kind} ${row.name}`, isDark.value)} /> : null))}
    </svg>
  );
}

export function ProfilePage(): JSX.Element {
  const { job, jobs, select } = useJobChoice("All jobs since the gateway began");
  const names = useMemo(() => (job ? undefined : new Map(jobs.map((one) => [one.id, one.name]))), [job, jobs]);
  const { data, error } = usePoll((abort) => get<Operations>("live/operations", { job: job?.id }, abort), 2_000, [job?.id]);
  return (
    <>
      <PageHead title="Profile" note="Time that slots spent, by operation. A wide bar is where a faster function or fewer tasks help most.">
        {select}
      </PageHead>
      <Answer data={data} error={error}>
        {(told) =>
          told.operations.length === 0 ? (
            <Empty title="Nothing has been measured yet">Run times are counted from the gateway's start on, as workers tell them.</Empty>
          ) : (
            <>
              <FlameGraph rows={told.operations} />
              <Skew rows={told.operations} />
              <Table name="operations" columns={columns(names)} rows={told.operations} id={(row) => `${row.job} ${row.kind} ${row.name}`} sort={{ key: "busy", down: true }} height={12} empty={null} />
            </>
          )
        }
      </Answer>
    </>
  );
}

const HIGH = 30;
/** A share whose bar has no room for a name. */
const THIN = 0.03;

function FlameGraph({ rows }: { rows: readonly OperationRow[] }): JSX.Element {
  const zoom = route.value.query.get("at") ?? "";
  const root = useMemo(() => flameOf(rows.map((row) => ({ path: [row.kind, ...row.name.split(/[.:/]+/).filter(Boolean)], us: row.busy_us, op: `${row.kind} ${row.name}` }))), [rows]);
  const bars = useMemo(() => flatten(root, zoom), [root, zoom]);
  const deepest = Math.max(0, ...bars.map((bar) => bar.depth));
  return (
    <section class="flame" aria-label="Time by operation">
      <svg viewBox={`0 0 1000 ${(deepest + 1) * HIGH}`} preserveAspectRatio="none" style={{ height: `${(deepest + 1) * HIGH}px` }} aria-hidden="true">
        {bars.map((bar) => (
          <rect key={bar.id} x={bar.x * 1_000} y={bar.depth * HIGH} width={Math.max(0.5, bar.share * 1_000 - 1)} height={HIGH - 2} rx="3" fill={bar.op ? opColor(bar.op, isDark.value) : "var(--flame)"} />
        ))}
      </svg>
      <div class="flame-labels" style={{ height: `${(deepest + 1) * HIGH}px` }}>
        {bars.filter((bar) => bar.share > 0.004).map((bar) => (
          <FlameButton key={bar.id} bar={bar} total={root.us} />
        ))}
      </div>
    </section>
  );
}

function FlameButton({ bar, total }: { bar: Flame; total: number }): JSX.Element {
  return (
    <button
      type="button"
      class={`${bar.op ? "flame-leaf" : ""}${bar.share < THIN ? " flame-thin" : ""}`}
      aria-label={`${format.short(bar.name, 60)} ${format.percent(bar.us / Math.max(1, total))}`}
      title={`${format.short(bar.name, 200)}: ${format.duration(bar.us)}, ${format.percent(bar.us / Math.max(1, total))}`}
      onClick={() => setQuery({ at: bar.id })}
      style={{ left: `${bar.x * 100}%`, width: `${bar.share * 100}%`, top: `${bar.depth * HIGH}px`, height: `${HIGH - 2}px`, ...(bar.op ? { color: opInk(bar.op, isDark.value) } : {}) }}
    >
      {bar.share < THIN ? null : (
        <>
          <bdi>{format.short(bar.name, 60)}</bdi> <span>{format.percent(bar.us / Math.max(1, total))}</span>
        </>
      )}
    </button>
  );
}

/** Run times of one operation that differ much are what makes a job wait for its last task. */
function Skew({ rows }: { rows: readonly OperationRow[] }): JSX.Element | null {
  const skewed = rows
    .filter((row) => runs(row) >= 8 && row.longest_us > 100_000 && row.longest_us > mean(row) * 8)
    .sort((a, b) => b.longest_us - a.longest_us)
    .slice(0, 3);
  if (skewed.length === 0) return null;
  return (
    <ul class="alerts" aria-label="Skew">
      {skewed.map((row) => (
        <li key={`${row.job} ${row.name}`} class="note note-warn">
          <span>
            Runs of <Name text={row.name || row.kind} most={50} /> differ {format.exact(row.longest_us / mean(row))}×: the mean is {format.duration(mean(row))}, the longest {format.duration(row.longest_us)}.
          </span>{" "}
          <button type="button" class="as-link" onClick={() => void openTask(row.job, row.longest_task)}>Open the longest</button>
        </li>
      ))}
    </ul>
  );
}
