// The live feed: one stream for all pages of this tab. The browser connects again by itself and names the last second it
// saw; the gateway then sends the points that were missed.

import { computed, signal } from "@preact/signals";
import { get, type JobCounts, type JobState, signedIn } from "./api";

export const FIELDS = [
  "tasks_per_s", "failures_per_s", "cpu_cores", "slots", "managed", "unmanaged", "spilled", "memory_limit",
  "moved_per_s", "queued", "executing", "ready", "waiting", "workers", "jobs",
] as const;
export type Field = (typeof FIELDS)[number];

export interface Point {
  seq: number;
  at_ms: number;
  values: number[];
}

export interface History {
  step_ms: number;
  fields: string[];
  points: Point[];
}

export interface Alert {
  severity: "error" | "warn";
  code: string;
  text: string;
  page: string;
}

export interface WorkerRow {
  id: string;
  name: string;
  host: string;
  slots: number;
  memory_limit: number;
  state: string;
  cpu_milli: number;
  stored: number;
  unmanaged: number;
  spilled: number;
  executing: number;
  queued: number;
  objects: number;
  tasks_per_s: number;
  fetched_per_s: number;
  served_per_s: number;
}

interface WorkerName {
  id: string;
  name: string;
  host: string;
  slots: number;
  memory_limit: number;
}

type NumberColumn = Exclude<keyof WorkerRow, keyof WorkerName | "state">;
export type WorkerNumbers = { version: number; state: string[] } & Record<NumberColumn, number[]>;

/** Seconds kept here for charts and sparklines. */
const KEPT = 3_600;
const SPARKS = 60;

export const points = signal<Point[]>([]);
export const alerts = signal<Alert[]>([]);
export const linesSeq = signal(0);
export const liveJobs = signal<Record<string, { state: JobState; tasks: JobCounts }>>({});
export const workers = signal<WorkerRow[]>([]);
export const link = signal<"connecting" | "live" | "lost">("connecting");
export const workerOf = computed(() => new Map(workers.value.map((worker) => [worker.id, worker])));

/** The last seconds of each worker's cpu and memory, for sparklines. */
export const sparks = new Map<string, { cpu: number[]; memory: number[] }>();

export const latest = computed(() => points.value.at(-1));

export function now(field: Field): number {
  return latest.value?.values[FIELDS.indexOf(field)] ?? 0;
}

/** A column of the last `seconds` points. */
export function column(from: readonly Point[], field: Field): number[] {
  const at = FIELDS.indexOf(field);
  return from.map((point) => point.values[at] ?? 0);
}

let table: { version: number; workers: WorkerName[] } = { version: -1, workers: [] };
let stream: EventSource | undefined;

export function addPoints(added: readonly Point[]): void {
  const last = points.value.at(-1)?.seq ?? 0;
  // A gateway that began again counts from one.
  const isNew = added.length > 0 && (added.at(-1)?.seq ?? 0) < last;
  const kept = isNew ? [] : points.value;
  const fresh = isNew ? added : added.filter((point) => point.seq > last);
  if (fresh.length > 0) points.value = [...kept, ...fresh].slice(-KEPT);
}

export function joinWorkers(names: readonly WorkerName[], numbers: WorkerNumbers): WorkerRow[] {
  return names.map((name, at) => ({
    ...name,
    state: numbers.state[at] ?? "",
    cpu_milli: numbers.cpu_milli[at] ?? 0,
    stored: numbers.stored[at] ?? 0,
    unmanaged: numbers.unmanaged[at] ?? 0,
    spilled: numbers.spilled[at] ?? 0,
    executing: numbers.executing[at] ?? 0,
    queued: numbers.queued[at] ?? 0,
    objects: numbers.objects[at] ?? 0,
    tasks_per_s: numbers.tasks_per_s[at] ?? 0,
    fetched_per_s: numbers.fetched_per_s[at] ?? 0,
    served_per_s: numbers.served_per_s[at] ?? 0,
  }));
}

function remember(rows: readonly WorkerRow[]): void {
  for (const row of rows) {
    const spark = sparks.get(row.id) ?? { cpu: [], memory: [] };
    spark.cpu.push(row.cpu_milli / 1_000);
    spark.memory.push(row.stored + row.unmanaged);
    if (spark.cpu.length > SPARKS) {
      spark.cpu.shift();
      spark.memory.shift();
    }
    sparks.set(row.id, spark);
  }
  if (sparks.size > rows.length * 2 + 16) {
    const present = new Set(rows.map((row) => row.id));
    for (const id of sparks.keys()) if (!present.has(id)) sparks.delete(id);
  }
}

function connectIfSignedIn(): void {
  if (signedIn.value) connect();
}

export function connect(): void {
  if (stream) return;
  stream = new EventSource("v1/live?topics=cluster,jobs,workers");
  const on = <T>(name: string, take: (data: T) => void): void => {
    stream?.addEventListener(name, (event) => take(JSON.parse((event as MessageEvent<string>).data) as T));
  };
  stream.addEventListener("open", () => {
    link.value = "live";
  });
  stream.addEventListener("error", () => {
    link.value = "lost";
    if (stream?.readyState === EventSource.CLOSED) {
      stream = undefined;
      // Refused: the answer to another question says whether the sign-in has ended.
      window.setTimeout(() => void get("system").then(connect, connectIfSignedIn), 2_000);
    }
  });
  on<History>("history", (history) => addPoints(history.points));
  on<{ point: Point; alerts: Alert[]; lines_seq: number }>("cluster", (data) => {
    addPoints([data.point]);
    alerts.value = data.alerts;
    linesSeq.value = data.lines_seq;
  });
  on<typeof liveJobs.value>("jobs", (jobs) => {
    liveJobs.value = jobs;
  });
  on<typeof table>("table", (told) => {
    table = told;
  });
  on<WorkerNumbers>("workers", (numbers) => {
    if (numbers.version !== table.version) return;
    const rows = joinWorkers(table.workers, numbers);
    remember(rows);
    workers.value = rows;
  });
}

export function disconnect(): void {
  stream?.close();
  stream = undefined;
  link.value = "connecting";
}
