// All jobs, newest first, with how far they are.

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { get, type Job, type JobsPage as Page, jobPath, send } from "../lib/api";
import * as format from "../lib/format";
import { liveJobs } from "../lib/live";
import { usePoll } from "../lib/poll";
import { jobLink, route, setQuery } from "../lib/route";
import { ask } from "../parts/confirm";
import { Answer, Empty, Name, PageHead, Progress, StateBadge, StateLegend } from "../parts/small";
import { type Column, Table } from "../parts/Table";

const STATES = ["running", "succeeded", "failed", "cancelled"] as const;

/** A job with the counts of the last second, where they are newer than its record. Its end is told ahead of its last counts, so it is over when its record says so. */
export function withLive(job: Job): Job {
  const live = liveJobs.value[job.id];
  if (!live || isOver(job.state)) return job;
  return { ...job, state: isOver(live.state) ? job.state : live.state, tasks: live.tasks.total > 0 ? live.tasks : job.tasks };
}

export const isOver = (state: Job["state"]): boolean => state === "succeeded" || state === "failed" || state === "cancelled";

export const ranFor = (job: Job): number | undefined =>
  job.accepted_ms === undefined ? undefined : (job.ended_ms ?? Date.now()) - job.accepted_ms;

export function cancelJob(job: Job, then: () => void): void {
  ask({
    title: `Cancel ${format.short(job.name || "this job", 60)}?`,
    text: "Its running tasks are stopped, and what they have made is let go.",
    action: "Cancel the job",
    run: async () => {
      await send("DELETE", jobPath(job.id));
      then();
      return "The job is being cancelled.";
    },
  });
}

const COLUMNS: readonly Column<Job>[] = [
  { key: "name", label: "Job", width: "minmax(11rem, 2fr)", value: (job) => job.name, cell: (job) => <a class="row-link" href={jobLink(job.id)}><Name text={job.name || format.shortId(job.id)} most={70} /></a> },
  { key: "state", label: "State", width: "6.5rem", value: (job) => job.state, cell: (job) => <StateBadge state={job.state} /> },
  { key: "progress", label: "Progress", width: "minmax(8rem, 1.4fr)", value: (job) => (job.tasks.stored + job.tasks.released) / Math.max(1, job.tasks.total), cell: (job) => <Progress counts={job.tasks} label={`Progress of ${format.short(job.name, 60)}`} /> },
  { key: "done", label: "Done", width: "6.5rem", align: "end", value: (job) => job.tasks.stored + job.tasks.released, cell: (job) => `${format.count(job.tasks.stored + job.tasks.released)} / ${format.count(job.tasks.total)}` },
  { key: "failed", label: "Failed", width: "4rem", align: "end", value: (job) => job.tasks.failed, cell: (job) => (job.tasks.failed > 0 ? <b class="bad">{format.count(job.tasks.failed)}</b> : <span class="muted">0</span>) },
  { key: "ran", label: "Time", fileUnit: "ms", width: "5.5rem", align: "end", value: (job) => ranFor(job), cell: (job) => { const ran = ranFor(job); return ran === undefined ? "–" : format.milliseconds(ran); } },
  { key: "accepted", label: "Accepted", width: "7rem", align: "end", value: (job) => job.accepted_ms, cell: (job) => (job.accepted_ms ? format.moment(job.accepted_ms) : "–") },
  { key: "id", label: "Id", width: "4.5rem", value: (job) => job.id, cell: (job) => <code class="muted" title={job.id}>{format.shortId(job.id)}</code> },
];

export function JobList(props: { jobs: readonly Job[]; name: string; height?: number }): JSX.Element {
  return (
    <Table
      name={props.name}
      columns={COLUMNS}
      rows={props.jobs}
      id={(job) => job.id}
      {...(props.height ? { height: props.height } : {})}
      empty={<Empty title="No jobs yet">Submit one with <code>millstream sql</code>, <code>millstream submit</code>, the Python client, or a POST to <code>/v1/jobs</code>.</Empty>}
    />
  );
}

export function JobsPage(): JSX.Element {
  const [limit, setLimit] = useState(200);
  const { data, error } = usePoll((abort) => get<Page>("jobs", { limit }, abort), 2_500, [limit]);
  const query = route.value.query;
  const [text, state] = [query.get("q") ?? "", query.get("state") ?? ""];
  const jobs = useMemo(() => (data?.jobs ?? []).map(withLive), [data, liveJobs.value]);
  const needle = text.toLowerCase();
  const shown = jobs.filter((job) => (state === "" || job.state === state) && `${job.name} ${job.id} ${Object.entries(job.labels ?? {}).flat().join(" ")}`.toLowerCase().includes(needle));
  return (
    <>
      <PageHead title="Jobs" note="Newest first. The bar shows each job's tasks by state.">
        <input type="search" data-search placeholder="Name, id or label" aria-label="Search jobs" value={text} onInput={(event) => setQuery({ q: event.currentTarget.value })} />
        <select aria-label="State" value={state} onChange={(event) => setQuery({ state: event.currentTarget.value })}>
          <option value="">All states</option>
          {STATES.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </PageHead>
      <Answer data={data} error={error}>
        {(page) => (
          <>
            {shown.length > 0 ? <StateLegend /> : null}
            {shown.length === 0 && jobs.length > 0 ? <Empty title="No job fits">Change the search or the state.</Empty> : <JobList jobs={shown} name="jobs" height={20} />}
            {page.next ? (
              <button type="button" class="quiet more" onClick={() => setLimit(Math.min(1_000, limit * 2))} disabled={limit >= 1_000}>
                Show older jobs
              </button>
            ) : null}
          </>
        )}
      </Answer>
    </>
  );
}
