// One job: how far it is, what went wrong first, what it consists of.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, type Job, jobPath, type Layer, type Layers, send, type Task, type TasksPage } from "../lib/api";
import * as format from "../lib/format";
import { liveJobs } from "../lib/live";
import { usePoll } from "../lib/poll";
import { go, href, jobLink, route, setQuery, taskLink } from "../lib/route";
import { attempt } from "../parts/confirm";
import { GraphView } from "../parts/GraphView";
import { Answer, Empty, Name, Op, PageHead, Progress, Stat, StateBadge, StateLegend, Tabs } from "../parts/small";
import { StreamView } from "../parts/StreamView";
import { type Column, Table } from "../parts/Table";
import { cancelJob, isOver, ranFor, withLive } from "./Jobs";

const TABS = [
  ["progress", "Progress"],
  ["tasks", "Tasks"],
  ["stream", "Task stream"],
  ["graph", "Graph"],
  ["events", "Events"],
] as const;

export function JobPage(): JSX.Element {
  const id = route.value.path[1] ?? "";
  const tab = route.value.query.get("tab") ?? "progress";
  const [ended, setEnded] = useState(false);
  const { data, error, again } = usePoll((abort) => get<Job>(jobPath(id), {}, abort), ended ? 0 : 2_000, [id]);
  useEffect(() => {
    if (data && isOver(data.state)) setEnded(true);
  }, [data?.state]);
  return (
    <Answer data={data} error={error} title="Job">
      {(told) => {
        const job = withLive(told);
        return (
          <>
            <Head job={job} again={again} />
            {job.error ? <Failure job={job} /> : null}
            <Tabs label="Parts of the job" at={tab} tabs={TABS.map(([key, label]) => ({ key, label, href: jobLink(id, key === "progress" ? undefined : key) }))} />
            {tab === "progress" ? <ProgressTab job={job} /> : null}
            {tab === "tasks" ? <TasksTab job={job} /> : null}
            {tab === "stream" ? <StreamView job={id} {...(isOver(job.state) && job.ended_ms && job.accepted_ms ? { from: job.accepted_ms, to: job.ended_ms } : {})} /> : null}
            {tab === "graph" ? <GraphView job={id} live={!isOver(job.state)} /> : null}
            {tab === "events" ? <EventsTab id={id} /> : null}
          </>
        );
      }}
    </Answer>
  );
}

function Head({ job, again }: { job: Job; again: () => void }): JSX.Element {
  const ran = ranFor(job);
  const labels = Object.entries(job.labels ?? {}).slice(0, 8);
  const over = isOver(job.state);
  return (
    <>
      <PageHead
        title={
          <span class="title-line">
            <Name text={job.name || "Job"} most={90} /> <StateBadge state={job.state} />
          </span>
        }
        note={
          <>
            <code>{job.id}</code>
            {job.accepted_ms ? ` · accepted ${format.moment(job.accepted_ms)}` : ""}
            {labels.map(([key, value]) => (
              <span key={key} class="label">
                <bdi>{format.short(`${key}: ${value}`, 50)}</bdi>
              </span>
            ))}
          </>
        }
      >
        {over ? (
          <button
            type="button"
            onClick={() =>
              void attempt(async () => {
                const again = await send<Job>("POST", `${jobPath(job.id)}/retry`);
                go(["jobs", again.id]);
                return "Submitted again as a new job.";
              })
            }
          >
            Run again
          </button>
        ) : (
          <button type="button" class="danger" onClick={() => cancelJob(job, again)} disabled={job.state === "cancelling"}>
            Cancel
          </button>
        )}
      </PageHead>
      <div class="stats">
        <Stat label="Tasks done" value={`${format.exact(job.tasks.stored + job.tasks.released)}`} note={`of ${format.exact(job.tasks.total)}`} />
        <Stat label="With workers" value={format.exact(job.tasks.assigned)} note={`${format.exact(job.tasks.ready)} ready`} />
        <Stat label="Waiting" value={format.exact(job.tasks.waiting)} note="for inputs" />
        <Stat label="Failed" value={format.exact(job.tasks.failed)} tone={job.tasks.failed > 0 ? "error" : undefined} note="for good" />
        <Stat label={over ? "Took" : "Running for"} value={ran === undefined ? "–" : format.milliseconds(ran)} note={remaining(job, ran)} />
      </div>
      <Progress counts={job.tasks} label="Progress of the job" />
      <StateLegend />
    </>
  );
}

function remaining(job: Job, ran: number | undefined): string {
  const done = job.tasks.stored + job.tasks.released;
  if (isOver(job.state) || ran === undefined) return "";
  if (done === 0 || done >= job.tasks.total) return "";
  return `about ${format.milliseconds((ran / done) * (job.tasks.total - done))} left`;
}

function Failure({ job }: { job: Job }): JSX.Element {
  const error = job.error;
  return (
    <section class="note note-error" aria-label="Why it failed">
      <p>
        <strong>{error?.kind.replaceAll("_", " ")}</strong>
        {job.failed_task ? (
          <>
            {" in task "}
            <a href={taskLink(job.id, job.failed_task)}>
              <Name text={job.failed_task} most={60} />
            </a>
          </>
        ) : null}
      </p>
      <pre class="message">{format.short(error?.message ?? "", 4_000)}</pre>
      {error?.traceback ? <pre class="message">{format.short(error.traceback, 8_000)}</pre> : null}
    </section>
  );
}

const LAYER_COLUMNS: readonly Column<Layer>[] = [
  { key: "op", label: "Operation", width: "minmax(12rem, 2fr)", value: (layer) => layer.op, cell: (layer) => <Op op={layer.op} /> },
  { key: "layer", label: "Layer", width: "4.5rem", align: "end", value: (layer) => layer.layer },
  { key: "progress", label: "Progress", width: "minmax(9rem, 1.5fr)", value: (layer) => (layer.tasks.stored + layer.tasks.released) / Math.max(1, layer.tasks.total), cell: (layer) => <Progress counts={layer.tasks} label={`Progress of ${format.short(layer.op, 60)}`} /> },
  { key: "done", label: "Done", width: "8rem", align: "end", value: (layer) => layer.tasks.stored + layer.tasks.released, cell: (layer) => `${format.count(layer.tasks.stored + layer.tasks.released)} / ${format.count(layer.tasks.total)}` },
  { key: "failed", label: "Failed", width: "5rem", align: "end", value: (layer) => layer.tasks.failed, cell: (layer) => (layer.tasks.failed > 0 ? <b class="bad">{format.count(layer.tasks.failed)}</b> : <span class="muted">0</span>) },
  { key: "cost", label: "Per task", fileUnit: "µs", width: "7rem", align: "end", value: (layer) => layer.cost_us, cell: (layer) => (layer.cost_us === undefined ? "–" : format.duration(layer.cost_us)) },
  { key: "held", label: "Held", fileUnit: "B", width: "7rem", align: "end", value: (layer) => layer.held, cell: (layer) => format.bytes(layer.held) },
];

function ProgressTab({ job }: { job: Job }): JSX.Element {
  const { data, error } = usePoll((abort) => get<Layers>(`${jobPath(job.id)}/layers`, {}, abort), isOver(job.state) ? 0 : 2_000, [job.id, isOver(job.state)]);
  return (
    <>
      <FailedTasks job={job} />
      <h2>By operation</h2>
      <Answer data={data} error={error}>
        {(layers) => (
          <>
            {layers.exact ? null : <p class="note">No scheduler knows this job any more: counts are those of its record, and sizes are not known.</p>}
            <Table name={`layers-${job.id}`} columns={LAYER_COLUMNS} rows={layers.layers} id={(layer) => `${layer.layer} ${layer.op}`} empty={<Empty title="No tasks" />} />
          </>
        )}
      </Answer>
    </>
  );
}

function FailedTasks({ job }: { job: Job }): JSX.Element | null {
  const hasFailed = job.tasks.failed > 0;
  const { data } = usePoll((abort) => (hasFailed ? get<TasksPage>(`${jobPath(job.id)}/tasks`, { state: "failed", limit: 20 }, abort) : Promise.resolve({ tasks: [] })), 0, [job.id, job.tasks.failed]);
  if (!data || data.tasks.length === 0) return null;
  return (
    <section>
      <h2>Errors first</h2>
      <ul class="failed-tasks">
        {data.tasks.map((task) => (
          <li key={task.task}>
            <a href={taskLink(job.id, task.key)}>
              <Name text={task.key} />
            </a>
            <span class="bad">
              <Name text={task.error?.message ?? "failed"} most={160} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function taskColumns(job: string): readonly Column<Task>[] {
  return [
    { key: "key", label: "Task", width: "minmax(12rem, 2fr)", value: (task) => task.key, cell: (task) => <a class="row-link" href={taskLink(job, task.key)}><Name text={task.key} /></a> },
    { key: "op", label: "Operation", width: "minmax(9rem, 1fr)", value: (task) => task.op, cell: (task) => <Op op={task.op} /> },
    { key: "state", label: "State", width: "7rem", value: (task) => task.state, cell: (task) => <StateBadge state={task.state} /> },
    { key: "attempts", label: "Runs", width: "5rem", align: "end", value: (task) => task.attempts },
    { key: "failures", label: "Failures", width: "6rem", align: "end", value: (task) => task.failures },
    { key: "bytes", label: "Output", fileUnit: "B", width: "7rem", align: "end", value: (task) => task.bytes, cell: (task) => (task.bytes === undefined ? "–" : format.bytes(task.bytes)) },
  ];
}

const TASK_STATES = ["running", "assigned", "ready", "waiting", "stored", "released", "failed", "cancelled"];

function TasksTab({ job }: { job: Job }): JSX.Element {
  const query = route.value.query;
  const state = query.get("state") ?? "";
  const from = Number(query.get("from") ?? 0) || 0;
  const [key, setKey] = useState("");
  const { data, error } = usePoll((abort) => get<TasksPage>(`${jobPath(job.id)}/tasks`, { state, from, limit: 1_000 }, abort), isOver(job.state) ? 0 : 3_000, [job.id, state, from, isOver(job.state)]);
  const tools = (
    <>
      <select aria-label="State of the task" value={state} onChange={(event) => setQuery({ state: event.currentTarget.value, from: undefined })}>
        <option value="">All states</option>
        {TASK_STATES.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <form
        class="inline"
        onSubmit={(event) => {
          event.preventDefault();
          if (key) go(["task", job.id, key]);
        }}
      >
        <input data-search placeholder="Open a task by its key" aria-label="Key of a task" value={key} onInput={(event) => setKey(event.currentTarget.value)} />
      </form>
    </>
  );
  return (
    <Answer data={data} error={error}>
      {(page) => (
        <>
          <Table name={`tasks-${job.id}`} columns={taskColumns(job.id)} rows={page.tasks} id={(task) => String(task.task)} tools={tools} empty={<Empty title={state ? `No task is ${state}` : "No tasks"} />} />
          <p class="pager">
            {from > 0 ? <a href={href(["jobs", job.id], { tab: "tasks", state })}>First tasks</a> : null}
            {page.next !== undefined ? <a href={href(["jobs", job.id], { tab: "tasks", state, from: String(page.next) })}>Next {format.exact(1_000)} tasks</a> : null}
          </p>
        </>
      )}
    </Answer>
  );
}

interface JobEvent {
  at_ms: number;
  event: string;
  [field: string]: unknown;
}

const EVENT_NAMES = ["accepted", "extended", "retried", "task_failed", "worker_lost", "recovered", "state", "event"];
const MAX_EVENTS = 2_000;

function EventsTab({ id }: { id: string }): JSX.Element {
  const [events, setEvents] = useState<readonly JobEvent[]>([]);
  useEffect(() => {
    const stream = new EventSource(`v1/${jobPath(id)}/events`);
    const take = (event: Event): void => {
      const told = JSON.parse((event as MessageEvent<string>).data) as JobEvent;
      setEvents((before) => [...before, told].slice(-MAX_EVENTS));
    };
    for (const name of EVENT_NAMES) stream.addEventListener(name, take);
    stream.addEventListener("end", () => stream.close());
    return () => stream.close();
  }, [id, liveJobs.value[id] === undefined]);
  if (events.length === 0) return <Empty title="Nothing has happened yet" />;
  return (
    <ol class="story events">
      {events.map((event, at) => (
        <li key={at} class={event.event === "task_failed" ? "bad" : ""}>
          <time>{format.clockMillis(event.at_ms)}</time>
          <span class="kind">{event.event.replaceAll("_", " ")}</span>
          <span class="wrap">
            <bdi>{format.short(describe(event), 600)}</bdi>
          </span>
        </li>
      ))}
    </ol>
  );
}

function describe(event: JobEvent): string {
  const error = event["error"] as { message?: string } | undefined;
  const rest = Object.entries(event)
    .filter(([name]) => name !== "at_ms" && name !== "event" && name !== "error")
    .map(([name, value]) => (name === "state" ? String(value) : `${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`));
  return [...rest, ...(error?.message ? [error.message] : [])].join(" · ");
}
