// All workers, with the last minute of each.

import type { JSX } from "preact";
import { get, send } from "../lib/api";
import * as format from "../lib/format";
import { linesSeq, sparks, type WorkerRow, workerOf, workers } from "../lib/live";
import { usePoll } from "../lib/poll";
import { href, route, setQuery, workerLink } from "../lib/route";
import { ask } from "../parts/confirm";
import { LineList, type LinesPage } from "../parts/LineList";
import { Empty, Name, PageHead, Spark, Stat, StateBadge } from "../parts/small";
import { type Column, Table } from "../parts/Table";

function share(worker: WorkerRow): number {
  return worker.memory_limit > 0 ? used(worker) / worker.memory_limit : 0;
}

const cpu = (worker: WorkerRow): number => worker.cpu_milli / 1_000;
const used = (worker: WorkerRow): number => worker.stored + worker.unmanaged;

function CpuCell({ worker }: { worker: WorkerRow }): JSX.Element {
  const values = sparks.get(worker.id)?.cpu ?? [];
  if (!values.some((cores) => cores > 0)) return <>–</>;
  return (
    <>
      <Spark values={values} most={worker.slots} color="series-2" label={`CPU of the last minute, at most ${worker.slots} cores`} />
      {cpu(worker).toFixed(1)}
    </>
  );
}

function MemoryCell({ worker }: { worker: WorkerRow }): JSX.Element {
  return (
    <>
      <Spark values={sparks.get(worker.id)?.memory ?? []} most={worker.memory_limit} color="memory-managed" label={`Memory of the last minute, at most ${format.bytes(worker.memory_limit)}`} />
      <span class={share(worker) > 0.9 ? "bad" : ""} title={`${format.percent(share(worker))} of ${format.bytes(worker.memory_limit)}`}>
        {format.bytes(used(worker))}
      </span>
    </>
  );
}

const COLUMNS: readonly Column<WorkerRow>[] = [
  { key: "name", label: "Worker", width: "minmax(6.5rem, 1.5fr)", value: (worker) => worker.name, cell: (worker) => <a class="row-link" href={workerLink(worker.id)}><Name text={worker.name} most={40} /></a> },
  { key: "state", label: "State", width: "5rem", value: (worker) => worker.state, cell: (worker) => <StateBadge state={worker.state || "active"} /> },
  { key: "host", label: "Host", width: "minmax(4rem, 1fr)", value: (worker) => worker.host, cell: (worker) => <Name text={worker.host || "–"} most={30} /> },
  { key: "cpu", label: "CPU", unit: "cores", width: "5.6rem", align: "end", value: cpu, cell: (worker) => <CpuCell worker={worker} /> },
  { key: "memory", label: "Memory", fileUnit: "B", width: "7.8rem", align: "end", value: used, cell: (worker) => <MemoryCell worker={worker} /> },
  { key: "spilled", label: "Spilled", fileUnit: "B", width: "4rem", align: "end", value: (worker) => worker.spilled, cell: (worker) => format.bytes(worker.spilled) },
  { key: "executing", label: "Running", width: "4rem", align: "end", value: (worker) => worker.executing, cell: (worker) => `${worker.executing} / ${worker.slots}` },
  { key: "queued", label: "Queued", width: "3.6rem", align: "end", value: (worker) => worker.queued, cell: (worker) => format.count(worker.queued) },
  { key: "rate", label: "Tasks", unit: "/s", width: "3.6rem", align: "end", value: (worker) => worker.tasks_per_s, cell: (worker) => format.count(worker.tasks_per_s) },
  { key: "fetched", label: "In", fileUnit: "B/s", width: "5rem", align: "end", value: (worker) => worker.fetched_per_s, cell: (worker) => format.bytesPerSecond(worker.fetched_per_s) },
  { key: "served", label: "Out", fileUnit: "B/s", width: "5rem", align: "end", value: (worker) => worker.served_per_s, cell: (worker) => format.bytesPerSecond(worker.served_per_s) },
];

export function WorkersPage(): JSX.Element {
  const query = route.value.query;
  const text = (query.get("q") ?? "").toLowerCase();
  const chosen = workerOf.value.get(query.get("worker") ?? "");
  const shown = workers.value.filter((worker) => `${worker.name} ${worker.host} ${worker.id} ${worker.state}`.toLowerCase().includes(text));
  return (
    <>
      <PageHead title="Workers" note="The lines beside numbers are the last minute, up to the worker's limit.">
        <input type="search" data-search placeholder="Name, host or state" aria-label="Search workers" value={query.get("q") ?? ""} onInput={(event) => setQuery({ q: event.currentTarget.value })} />
      </PageHead>
      {chosen ? <OneWorker worker={chosen} /> : null}
      <Table name="workers" columns={COLUMNS} rows={shown} id={(worker) => worker.id} height={chosen ? 12 : 19} selected={chosen?.id} empty={<Empty title={workers.value.length > 0 ? "No worker fits" : "No worker is connected"}>{workers.value.length > 0 ? "Change the search." : <>Start one with <code>millstream worker</code>.</>}</Empty>} />
    </>
  );
}

function OneWorker({ worker }: { worker: WorkerRow }): JSX.Element {
  const { data } = usePoll((abort) => get<LinesPage>("live/lines", { worker: worker.name, limit: 10 }, abort), 0, [worker.id, linesSeq.value]);
  const drain = (): void =>
    ask({
      title: `Drain ${format.short(worker.name, 40)}?`,
      text: "It finishes what it runs, hands over what it holds, and leaves.",
      action: "Drain the worker",
      run: async () => {
        await send("POST", `workers/${worker.id}/drain`);
        return "The worker is draining.";
      },
    });
  return (
    <section class="card" aria-label={`Worker ${format.short(worker.name, 60)}`}>
      <div class="section-head">
        <h2>
          <Name text={worker.name} /> <StateBadge state={worker.state || "active"} />
        </h2>
        <div class="page-tools">
          <a class="button" href={href(["logs"], { worker: worker.name })}>Logs</a>
          <button type="button" class="danger" onClick={drain} disabled={worker.state === "draining"}>Drain</button>
          <button type="button" class="quiet" onClick={() => setQuery({ worker: undefined })}>Close</button>
        </div>
      </div>
      <div class="stats">
        <Stat label="Running" value={`${worker.executing} / ${worker.slots}`} note={`${format.exact(worker.queued)} queued`} />
        <Stat label="Managed" value={format.bytes(worker.stored)} note={`${format.exact(worker.objects)} objects`} />
        <Stat label="Unmanaged" value={format.measured(worker.unmanaged, format.bytes)} note={worker.unmanaged > 0 ? "of the process" : "not measured"} />
        <Stat label="Limit" value={format.bytes(worker.memory_limit)} note={`${format.percent(share(worker))} used`} />
        <Stat label="Spilled" value={format.bytes(worker.spilled)} note="on disk" />
        <Stat label="In and out" value={format.bytesPerSecond(worker.fetched_per_s)} note={`${format.bytesPerSecond(worker.served_per_s)} out`} />
      </div>
      <p class="muted small">
        <code>{worker.id}</code> on <Name text={worker.host || "an unnamed host"} />
      </p>
      <h3>Latest lines</h3>
      <div class="lines-box lines-few">
        <LineList lines={data?.lines ?? []} empty={<p class="muted none">Nothing was told of this worker lately.</p>} />
      </div>
    </section>
  );
}
