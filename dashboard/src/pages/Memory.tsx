// Where memory goes: by worker, by operation, by object, and what would be free if a job went.

import type { JSX } from "preact";
import { get, type HeldObject, type JobsPage, jobPath, type Layer, type Layers } from "../lib/api";
import * as format from "../lib/format";
import { now, type WorkerRow, workerOf, workers } from "../lib/live";
import { usePoll } from "../lib/poll";
import { jobLink, route, taskLink, workerLink } from "../lib/route";
import { Answer, Empty, Name, Op, PageHead, Stat, Tabs } from "../parts/small";
import { type Column, Table } from "../parts/Table";
import { href } from "../lib/route";

interface Of {
  job: string;
  jobName: string;
}
type LayerOf = Layer & Of;
type ObjectOf = HeldObject & Of;

/** Jobs that are looked at: those that run, and the last that ended and may still hold results. */
const MAX_JOBS = 12;

async function held(abort: AbortSignal): Promise<{ layers: LayerOf[]; objects: ObjectOf[] }> {
  const page = await get<JobsPage>("jobs", { limit: MAX_JOBS }, abort);
  const answers = await Promise.all(
    page.jobs.map(async (job) => {
      const layers = await get<Layers>(`${jobPath(job.id)}/layers`, {}, abort).catch(() => undefined);
      return { of: { job: job.id, jobName: job.name }, layers };
    }),
  );
  return {
    layers: answers.flatMap(({ of, layers }) => (layers?.layers ?? []).map((layer) => ({ ...layer, ...of }))).filter((layer) => layer.held > 0),
    objects: answers.flatMap(({ of, layers }) => (layers?.largest ?? []).map((object) => ({ ...object, ...of }))),
  };
}

export function MemoryPage(): JSX.Element {
  const tab = route.value.query.get("by") ?? "worker";
  const { data, error } = usePoll(held, 3_000, []);
  const limit = now("memory_limit");
  const part = (bytes: number): string => (limit > 0 ? `${format.percent(bytes / limit)} of the limits` : "");
  const wanted = data?.layers.reduce((sum, layer) => sum + layer.wanted, 0) ?? 0;
  const passing = (data?.layers.reduce((sum, layer) => sum + layer.held, 0) ?? 0) - wanted;
  return (
    <>
      <PageHead title="Memory" note="Managed memory is what the store counts: outputs and fetched inputs. Unmanaged is the rest of the process." />
      <div class="stats">
        <Stat label="Managed" value={format.bytes(now("managed"))} note={part(now("managed"))} />
        <Stat label="Unmanaged" value={format.measured(now("unmanaged"), format.bytes)} note={now("unmanaged") > 0 ? part(now("unmanaged")) : "not measured"} />
        <Stat label="Spilled" value={format.bytes(now("spilled"))} note="on disk" />
        <Stat label="Freed by itself" value={data ? format.bytes(passing) : "–"} note="when its readers have run" />
        <Stat label="Kept as results" value={data ? format.bytes(wanted) : "–"} note="until jobs expire" />
      </div>
      <Tabs label="Memory by" at={tab} tabs={[["worker", "By worker"], ["operation", "By operation"], ["object", "Largest objects"]].map(([key = "", label = ""]) => ({ key, label, href: href(["memory"], { by: key }) }))} />
      {tab === "worker" ? <ByWorker /> : null}
      {tab === "operation" ? <Answer data={data} error={error}>{(told) => <Table name="memory-by-operation" columns={LAYER_COLUMNS} rows={told.layers} id={(layer) => `${layer.job} ${layer.layer} ${layer.op}`} sort={{ key: "held", down: true }} empty={<Empty title="No job holds anything">Outputs of running jobs and kept results are listed here by the operation that made them.</Empty>} />}</Answer> : null}
      {tab === "object" ? <Answer data={data} error={error}>{(told) => <Table name="largest-objects" columns={OBJECT_COLUMNS} rows={told.objects} id={(object) => `${object.job} ${object.task}`} sort={{ key: "bytes", down: true }} empty={<Empty title="No objects are held" />} />}</Answer> : null}
    </>
  );
}

const jobColumn = <Row extends Of>(): Column<Row> => ({ key: "job", label: "Job", width: "minmax(8rem, 1fr)", value: (row) => row.jobName || row.job, cell: (row) => <a class="row-link" href={jobLink(row.job)}><Name text={row.jobName || format.shortId(row.job)} most={40} /></a> });

const LAYER_COLUMNS: readonly Column<LayerOf>[] = [
  { key: "op", label: "Operation", width: "minmax(12rem, 2fr)", value: (layer) => layer.op, cell: (layer) => <Op op={layer.op} /> },
  jobColumn<LayerOf>(),
  { key: "objects", label: "Objects", width: "6rem", align: "end", value: (layer) => layer.tasks.stored, cell: (layer) => format.count(layer.tasks.stored) },
  { key: "held", label: "Held", fileUnit: "B", width: "8rem", align: "end", value: (layer) => layer.held, cell: (layer) => format.bytes(layer.held) },
  { key: "wanted", label: "As results", fileUnit: "B", width: "8rem", align: "end", value: (layer) => layer.wanted, cell: (layer) => format.bytes(layer.wanted) },
  { key: "free", label: "Freed when read", fileUnit: "B", width: "10rem", align: "end", value: (layer) => layer.held - layer.wanted, cell: (layer) => format.bytes(layer.held - layer.wanted) },
];

const OBJECT_COLUMNS: readonly Column<ObjectOf>[] = [
  { key: "key", label: "Object", width: "minmax(11rem, 2fr)", value: (object) => object.key, cell: (object) => <a class="row-link" href={taskLink(object.job, object.key)}><Name text={object.key} /></a> },
  { key: "op", label: "Made by", width: "minmax(9rem, 1.2fr)", value: (object) => object.op, cell: (object) => <Op op={object.op} /> },
  jobColumn<ObjectOf>(),
  { key: "bytes", label: "Size", fileUnit: "B", width: "7rem", align: "end", value: (object) => object.bytes, cell: (object) => format.bytes(object.bytes) },
  { key: "readers", label: "Readers left", width: "7rem", align: "end", value: (object) => object.readers, cell: (object) => format.count(object.readers) },
  { key: "kept", label: "Freed", width: "minmax(9rem, 1fr)", value: (object) => (object.is_wanted ? "with the job" : object.readers > 0 ? "after its readers" : "soon") },
  { key: "workers", label: "On", width: "minmax(7rem, 1fr)", value: (object) => names(object), cell: (object) => <Name text={names(object) || "–"} most={40} /> },
];

const names = (object: HeldObject): string => object.workers.map((id) => workerOf.value.get(id)?.name ?? format.shortId(id)).join(", ");

function ByWorker(): JSX.Element {
  return <Table name="memory-by-worker" columns={WORKER_COLUMNS} rows={workers.value} id={(worker) => worker.id} empty={<Empty title="No worker is connected" />} />;
}

const used = (worker: WorkerRow): number => worker.stored + worker.unmanaged;

function MemoryBar({ worker }: { worker: WorkerRow }): JSX.Element {
  const most = Math.max(worker.memory_limit, used(worker), 1);
  const words = `${format.bytes(worker.stored)} managed, ${format.measured(worker.unmanaged, format.bytes)} unmanaged, limit ${format.bytes(worker.memory_limit)}`;
  return (
    <div class="progress memory-bar" role="img" aria-label={words} title={words}>
      <span class="progress-part fill-memory-managed" style={{ width: `${(worker.stored / most) * 100}%` }} />
      <span class="progress-part fill-memory-unmanaged" style={{ width: `${(worker.unmanaged / most) * 100}%` }} />
    </div>
  );
}

const WORKER_COLUMNS: readonly Column<WorkerRow>[] = [
  { key: "name", label: "Worker", width: "minmax(8rem, 1fr)", value: (worker) => worker.name, cell: (worker) => <a class="row-link" href={workerLink(worker.id)}><Name text={worker.name} most={40} /></a> },
  { key: "bar", label: "Used of limit", width: "minmax(10rem, 2fr)", value: (worker) => (worker.memory_limit > 0 ? used(worker) / worker.memory_limit : 0), cell: (worker) => <MemoryBar worker={worker} /> },
  { key: "share", label: "Share", width: "4.5rem", align: "end", value: (worker) => (worker.memory_limit > 0 ? used(worker) / worker.memory_limit : 0), cell: (worker) => format.percent(worker.memory_limit > 0 ? used(worker) / worker.memory_limit : 0) },
  { key: "stored", label: "Managed", fileUnit: "B", width: "6rem", align: "end", value: (worker) => worker.stored, cell: (worker) => format.bytes(worker.stored) },
  { key: "unmanaged", label: "Unmanaged", fileUnit: "B", width: "6.5rem", align: "end", value: (worker) => worker.unmanaged, cell: (worker) => format.measured(worker.unmanaged, format.bytes) },
  { key: "limit", label: "Limit", fileUnit: "B", width: "5.5rem", align: "end", value: (worker) => worker.memory_limit, cell: (worker) => format.bytes(worker.memory_limit) },
  { key: "spilled", label: "Spilled", fileUnit: "B", width: "5.5rem", align: "end", value: (worker) => worker.spilled, cell: (worker) => format.bytes(worker.spilled) },
  { key: "objects", label: "Objects", width: "5rem", align: "end", value: (worker) => worker.objects, cell: (worker) => format.count(worker.objects) },
];
