// Lines of the log, newest at the end.

import type { ComponentChildren, JSX } from "preact";
import { get, jobPath, type Line, type TasksPage } from "../lib/api";
import * as format from "../lib/format";
import { go, jobLink, taskLink } from "../lib/route";

export interface LinesPage {
  seq: number;
  lines: Line[];
}

/** Opens a task of which only the number is known. */
async function openByNumber(job: string, index: number): Promise<void> {
  const page = await get<TasksPage>(`${jobPath(job)}/tasks`, { from: index, limit: 1 });
  const key = page.tasks[0]?.key;
  if (key !== undefined) go(["task", job, key]);
}

export function LineList(props: { lines: readonly Line[]; empty: ComponentChildren }): JSX.Element {
  if (props.lines.length === 0) return <>{props.empty}</>;
  return (
    <ol class="lines">
      {props.lines.map((line) => (
        <li key={line.seq} class={`line line-${line.level}`}>
          <time>{format.clockMillis(line.at_ms)}</time>
          <span class="level">{line.level}</span>
          <span class="where">
            {line.job ? <a href={jobLink(line.job)}>{format.shortId(line.job)}</a> : null}
            {line.job && line.task !== undefined ? <a href={taskLink(line.job, line.task)}><bdi>{format.short(line.task, 28)}</bdi></a> : null}
            <NumberLink line={line} />
            {line.worker ? <bdi class="muted">{format.short(line.worker, 24)}</bdi> : null}
          </span>
          <span class="wrap">
            <bdi>{line.text}</bdi>
          </span>
        </li>
      ))}
    </ol>
  );
}

function NumberLink({ line }: { line: Line }): JSX.Element | null {
  const { job, index } = line;
  if (job === undefined || index === undefined) return null;
  return (
    <button type="button" class="as-link" onClick={() => void openByNumber(job, index)}>
      task {index}
    </button>
  );
}
