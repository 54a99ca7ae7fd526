// What happened and what tasks wrote, searched and followed.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get, type Line } from "../lib/api";
import { download, toCsv } from "../lib/csv";
import * as format from "../lib/format";
import { linesSeq } from "../lib/live";
import { usePoll } from "../lib/poll";
import { route, setQuery } from "../lib/route";
import { LineList, type LinesPage } from "../parts/LineList";
import { Answer, Empty, Field, PageHead } from "../parts/small";

const MOST = 1_000;

function exportLines(lines: readonly Line[]): void {
  const columns = [
    { label: "time", value: (line: Line) => new Date(line.at_ms).toISOString() },
    { label: "level", value: (line: Line) => line.level },
    { label: "job", value: (line: Line) => line.job },
    { label: "task", value: (line: Line) => line.task ?? line.index },
    { label: "worker", value: (line: Line) => line.worker },
    { label: "text", value: (line: Line) => line.text },
  ];
  download("logs.csv", toCsv(columns, lines));
}

export function LogsPage(): JSX.Element {
  const query = route.value.query;
  const of = (name: string): string => query.get(name) ?? "";
  const [follows, setFollows] = useState(true);
  const asked = { q: of("q"), job: of("job"), task: of("task"), worker: of("worker"), level: of("level"), limit: MOST };
  const { data, error } = usePoll((abort) => get<LinesPage>("live/lines", asked, abort), 0, [asked, follows ? linesSeq.value : 0]);
  // The last answer stays while the next one is on its way.
  const last = useRef<LinesPage | undefined>(undefined);
  if (data) last.current = data;
  const shown = data ?? last.current;
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (follows) end.current?.scrollTo({ top: end.current.scrollHeight });
  }, [shown, follows]);
  const input = (name: string, label: string, placeholder: string): JSX.Element => (
    <Field label={label}>
      <input type="search" data-search={name === "q" ? "" : undefined} value={of(name)} placeholder={placeholder} onInput={(event) => setQuery({ [name]: event.currentTarget.value })} />
    </Field>
  );
  return (
    <>
      <PageHead title="Logs" note="What happened to jobs and the last lines that tasks wrote. A task's page has all of its output.">
        <button type="button" aria-pressed={follows} onClick={() => setFollows(!follows)}>
          {follows ? "Following" : "Follow"}
        </button>
        <button type="button" class="quiet" onClick={() => exportLines(shown?.lines ?? [])} disabled={!shown || shown.lines.length === 0}>
          Export CSV
        </button>
      </PageHead>
      <div class="filters">
        {input("q", "Text", "In any line")}
        {input("job", "Job", "Id")}
        {input("task", "Task", "Key")}
        {input("worker", "Worker", "Name")}
        <Field label="Level">
          <select value={of("level")} onChange={(event) => setQuery({ level: event.currentTarget.value })}>
            <option value="">All, with output</option>
            <option value="info">Events</option>
            <option value="warn">Warnings and errors</option>
            <option value="error">Errors</option>
          </select>
        </Field>
      </div>
      <Answer data={shown} error={error}>
        {(page) => (
          <>
            <p class="muted small">{page.lines.length >= MOST ? `The last ${format.exact(MOST)} lines that fit` : `${format.exact(page.lines.length)} lines`}</p>
            <div class="lines-box" ref={end} tabIndex={0} role="log" aria-label="Lines" aria-live={follows ? "polite" : "off"}>
              <LineList lines={page.lines} empty={<Empty title="No lines">{asked.q || asked.job || asked.task || asked.worker || asked.level ? "Nothing fits the search." : "Lines appear as jobs are accepted, fail, recover and end, and as tasks write."}</Empty>} />
            </div>
          </>
        )}
      </Answer>
    </>
  );
}
