// The cluster at a glance: is it well, is it busy, what runs.

import type { JSX } from "preact";
import { get, type JobsPage } from "../lib/api";
import * as format from "../lib/format";
import { alerts, column, FIELDS, type History, latest, now, type Point, points, workers } from "../lib/live";
import { usePoll } from "../lib/poll";
import { href, route, setQuery } from "../lib/route";
import { Chart, type Series, stack } from "../parts/Chart";
import { Answer, Empty, PageHead, Stat } from "../parts/small";
import { JobList, withLive } from "./Jobs";

const SPANS = { "5m": 300, "15m": 900, "1h": 3_600, day: 0 } as const;
type SpanName = keyof typeof SPANS;

export function OverviewPage(): JSX.Element {
  const jobs = usePoll((abort) => get<JobsPage>("jobs", { limit: 20 }, abort), 3_000, []);
  const asked = route.value.query.get("span") ?? "";
  const span: SpanName = asked in SPANS ? (asked as SpanName) : "5m";
  const isDay = span === "day";
  const day = usePoll((abort) => get<History>("live/history", { span: isDay ? "day" : "hour" }, abort), isDay ? 60_000 : 0, [isDay]);
  const shown = isDay ? (day.data?.points ?? []) : recent(SPANS[span], day.data?.points ?? []);
  return (
    <>
      <PageHead title="Overview">
        <div class="segments" role="group" aria-label="Time shown">
          {(Object.keys(SPANS) as SpanName[]).map((name) => (
            <button key={name} type="button" aria-pressed={span === name} onClick={() => setQuery({ span: name === "5m" ? undefined : name })}>
              {name === "day" ? "1 day" : name.replace("m", " min").replace("h", " h")}
            </button>
          ))}
        </div>
      </PageHead>
      <Alerts />
      <Stats />
      <Charts points={shown} />
      <section aria-label="Latest jobs">
        <div class="section-head">
          <h2>Latest jobs</h2>
          <a href={href(["jobs"])}>All jobs</a>
        </div>
        <Answer data={jobs.data} error={jobs.error}>
          {(page) => <JobList jobs={page.jobs.slice(0, 8).map(withLive)} name="jobs" height={8} />}
        </Answer>
      </section>
    </>
  );
}

/** The last seconds: those of the stream, and before them what the gateway kept. */
function recent(seconds: number, kept: readonly Point[]): readonly Point[] {
  const first = points.value[0]?.seq ?? Number.MAX_SAFE_INTEGER;
  const since = (points.value.at(-1)?.at_ms ?? 0) - seconds * 1_000;
  return [...kept.filter((point) => point.seq < first), ...points.value].filter((point) => point.at_ms >= since);
}

function Alerts(): JSX.Element | null {
  if (alerts.value.length === 0) return null;
  return (
    <ul class="alerts" aria-label="Alerts">
      {alerts.value.slice(0, 8).map((alert) => (
        <li key={alert.code} class={`note note-${alert.severity}`}>
          <span class="first-up">{format.short(alert.text, 300)}</span> <a href={href([alert.page])}>Look</a>
        </li>
      ))}
    </ul>
  );
}

function Stats(): JSX.Element {
  const limit = now("memory_limit");
  const used = now("managed") + now("unmanaged");
  const share = limit > 0 ? used / limit : 0;
  const hasPoint = latest.value !== undefined;
  const value = (text: string): string => (hasPoint ? text : "–");
  const states = new Set(workers.value.map((worker) => worker.state).filter((state) => state !== "active" && state !== ""));
  return (
    <div class="stats">
      <Stat label="Workers" value={value(format.exact(now("workers")))} note={states.size > 0 ? `some ${[...states].join(", ")}` : `${format.exact(now("slots"))} slots`} />
      <Stat label="Tasks" value={value(format.perSecond(now("tasks_per_s")))} note="finished" />
      <Stat label="Queued" value={value(format.count(now("queued") + now("ready")))} note={`${format.count(now("waiting"))} waiting`} />
      <Stat label="Slots in use" value={value(format.exact(now("executing")))} note={now("cpu_cores") > 0 ? `of ${format.exact(now("slots"))}, ${format.cores(now("cpu_cores"))} busy` : `of ${format.exact(now("slots"))}`} />
      <Stat label="Memory" value={value(format.bytes(used))} note={limit > 0 ? `${format.percent(share)} of ${format.bytes(limit)}` : undefined} tone={share > 0.9 ? "error" : share > 0.75 ? "warn" : undefined} />
      <Stat label="Spilled" value={value(format.bytes(now("spilled")))} note="on disk" />
      <Stat label="Moved" value={value(format.bytesPerSecond(now("moved_per_s")))} note="between workers" />
      <Stat label="Failures" value={value(format.perSecond(now("failures_per_s")))} tone={now("failures_per_s") > 0 ? "error" : undefined} note="task runs" />
    </div>
  );
}

function Charts(props: { points: readonly Point[] }): JSX.Element {
  const shown = props.points;
  if (shown.length < 2) return <Empty title="Charts begin in a moment">The gateway keeps a point each second from its start on.</Empty>;
  const times = shown.map((point) => point.at_ms / 1_000);
  const of = (field: (typeof FIELDS)[number]): number[] => column(shown, field);
  // Only what is measured is drawn: not every worker can tell everything.
  const ifMeasured = (series: Series): Series[] => (series.values.some((value) => value > 0) ? [series] : []);
  const cores = ifMeasured({ label: "Cores", values: of("cpu_cores"), color: "series-4" });
  const memory = stack([
    ...ifMeasured({ label: "Unmanaged", values: of("unmanaged"), color: "memory-unmanaged", fill: true }),
    { label: "Managed", values: of("managed"), color: "memory-managed", fill: true },
    { label: "Spilled", values: of("spilled"), color: "memory-spilled", fill: true },
  ]).reverse();
  return (
    <div class="charts">
      <Chart title="Tasks finished" group="overview" times={times} format={format.perSecond} series={[{ label: "Finished", values: of("tasks_per_s"), color: "series-1", fill: true }, { label: "Failed", values: of("failures_per_s"), color: "state-failed" }]} />
      <Chart title={cores.length > 0 ? "Slots and CPU cores" : "Slots"} group="overview" times={times} format={format.count} series={[{ label: "Executing", values: of("executing"), color: "series-2", fill: true }, ...cores, { label: "Slots", values: of("slots"), color: "muted", dashed: true }]} />
      <Chart title="Memory" group="overview" times={times} binary format={format.bytes} series={memory} />
      <Chart title="Moved between workers" group="overview" times={times} binary format={format.bytesPerSecond} series={[{ label: "Fetched", values: of("moved_per_s"), color: "series-3", fill: true }]} />
      <Chart title="Tasks queued on workers" group="overview" times={times} format={format.count} series={[{ label: "Queued", values: of("queued"), color: "series-1", fill: true }]} />
      <Chart title="Tasks without a worker" group="overview" times={times} format={format.count} series={[{ label: "Ready", values: of("ready"), color: "series-4", fill: true }, { label: "Waiting", values: of("waiting"), color: "muted" }]} />
    </div>
  );
}
