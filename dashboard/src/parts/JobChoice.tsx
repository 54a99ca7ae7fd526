// Which job a page shows: chosen in the address, else the newest that runs.

import type { JSX } from "preact";
import { get, type Job, type JobsPage } from "../lib/api";
import { short } from "../lib/format";
import { usePoll } from "../lib/poll";
import { route, setQuery } from "../lib/route";
import { isOver } from "../pages/Jobs";

export interface Choice {
  jobs: readonly Job[];
  job: Job | undefined;
  /** Nothing where there is nothing to choose. */
  select: JSX.Element | null;
  known: boolean;
}

/** With `all`, every job together can be chosen, and is at first. */
export function useJobChoice(all?: string): Choice {
  const { data } = usePoll((abort) => get<JobsPage>("jobs", { limit: 100 }, abort), 5_000, []);
  const jobs = data?.jobs ?? [];
  const asked = route.value.query.get("job") ?? "";
  const chosen = jobs.find((job) => job.id === asked);
  const job = chosen ?? (all !== undefined ? undefined : (jobs.find((one) => !isOver(one.state)) ?? jobs[0]));
  const select = jobs.length === 0 && all === undefined ? null : (
    <select aria-label="Job" value={job?.id ?? ""} onChange={(event) => setQuery({ job: event.currentTarget.value, layer: undefined })}>
      {all !== undefined ? <option value="">{all}</option> : null}
      {jobs.map((one) => (
        <option key={one.id} value={one.id}>
          {`${short(one.name || one.id, 48)} · ${one.state}`}
        </option>
      ))}
    </select>
  );
  return { jobs, job, select, known: data !== undefined };
}
