// One task: where it stands and why, what it reads, what it wrote.

import type { JSX } from "preact";
import { get, type Task, taskPath } from "../lib/api";
import * as format from "../lib/format";
import { workerOf } from "../lib/live";
import { usePoll } from "../lib/poll";
import { href, jobLink, route, taskLink, workerLink } from "../lib/route";
import { Answer, Empty, Name, Op, PageHead, Stat, StateBadge } from "../parts/small";

const OVER = new Set(["stored", "released", "failed", "cancelled"]);

export function TaskPage(): JSX.Element {
  const [, job = "", key = ""] = route.value.path;
  const { data, error } = usePoll((abort) => get<Task>(taskPath(job, key), {}, abort), 2_000, [job, key]);
  return (
    <Answer data={data} error={error} title="Task">
      {(task) => (
        <>
          <PageHead title={<span class="title-line"><Name text={task.key} most={90} /> <StateBadge state={task.state} /></span>} note={<>Task {task.task} of job <a href={jobLink(job)}><code>{job}</code></a></>}>
            <a class="button" href={href(["logs"], { job, task: task.key })}>Logs</a>
          </PageHead>
          <div class="stats">
            <Stat label="Operation" value={<Op op={task.op} most={28} />} />
            <Stat label="Runs" value={format.exact(task.attempts)} note={`${format.exact(task.failures)} failed`} tone={task.failures > 0 ? "warn" : undefined} />
            <Stat label="Output" value={task.bytes === undefined ? "–" : format.bytes(task.bytes)} note={task.bytes === undefined ? "none held" : "held"} />
            <Stat label="On" value={<Workers ids={task.workers ?? []} />} />
          </div>
          {task.explain && task.explain.length > 0 ? <Explain task={task} /> : null}
          {task.error ? <TaskFailure task={task} /> : null}
          <div class="columns">
            <Story task={task} />
            <Inputs job={job} task={task} />
          </div>
          <Output task={task} />
        </>
      )}
    </Answer>
  );
}

function Workers({ ids }: { ids: readonly string[] }): JSX.Element {
  if (ids.length === 0) return <>–</>;
  return (
    <>
      {ids.slice(0, 3).map((id) => (
        <a key={id} href={workerLink(id)}>
          <Name text={workerOf.value.get(id)?.name ?? format.shortId(id)} most={20} />{" "}
        </a>
      ))}
      {ids.length > 3 ? `and ${ids.length - 3} more` : null}
    </>
  );
}

function Explain({ task }: { task: Task }): JSX.Element {
  return (
    <section class="card" aria-label="Why it is where it is">
      <h2>{OVER.has(task.state) ? "What became of it" : "Why it is not done"}</h2>
      <ul class="sentences">
        {task.explain?.map((sentence) => (
          <li key={sentence}>
            <bdi>{format.short(sentence, 1_000)}</bdi>
          </li>
        ))}
      </ul>
    </section>
  );
}

function TaskFailure({ task }: { task: Task }): JSX.Element {
  const error = task.error;
  return (
    <section class="note note-error" aria-label="The last failure">
      <p>
        <strong>{error?.kind.replaceAll("_", " ")}</strong>
        {error?.host ? <> on <Name text={error.host} most={40} /></> : null}
      </p>
      <pre class="message">{format.short(error?.message ?? "", 8_000)}</pre>
      {error?.traceback ? <pre class="message">{format.short(error.traceback, 16_000)}</pre> : null}
      {error?.log_tail ? <pre class="message">{error.log_tail.slice(-8_000)}</pre> : null}
    </section>
  );
}

function Story({ task }: { task: Task }): JSX.Element {
  const story = task.story ?? [];
  const first = story[0]?.at_us ?? 0;
  return (
    <section>
      <h2>Story</h2>
      {story.length === 0 ? (
        <Empty title="No scheduler remembers its story" />
      ) : (
        <ol class="story">
          {story.map((line, at) => (
            <li key={at}>
              <time>+{format.duration(line.at_us - first)}</time>
              <span class="wrap">
                <bdi>{format.short(line.text, 300)}</bdi>
              </span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function Inputs({ job, task }: { job: string; task: Task }): JSX.Element {
  const deps = task.deps ?? [];
  return (
    <section>
      <h2>Inputs</h2>
      {deps.length === 0 ? (
        <p class="muted">It reads no other task's output.</p>
      ) : (
        <ul class="inputs">
          {deps.map((dep) => (
            <li key={dep}>
              <a href={taskLink(job, dep)}>
                <Name text={dep} most={60} />
              </a>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Output({ task }: { task: Task }): JSX.Element {
  const logs = task.logs ?? [];
  return (
    <section>
      <h2>What it wrote</h2>
      {logs.length === 0 ? (
        <p class="muted">It wrote nothing that was kept.</p>
      ) : (
        [...logs].reverse().map((log) => (
          <details key={log.attempt} open={log === logs.at(-1)}>
            <summary>Run {log.attempt}</summary>
            <pre class="output" tabIndex={0}>
              {log.head}
              {log.omitted > 0 ? `\n… ${format.bytes(log.omitted)} left out …\n` : ""}
              {log.tail}
            </pre>
          </details>
        ))
      )}
    </section>
  );
}
