import type { JSX } from "preact";
import { GraphView } from "../parts/GraphView";
import { useJobChoice } from "../parts/JobChoice";
import { Empty, PageHead } from "../parts/small";
import { isOver } from "./Jobs";

export function GraphPage(): JSX.Element {
  const { job, select, known } = useJobChoice();
  return (
    <>
      <PageHead title="Graph" note="Each box is one operation of one layer. Click it to see its tasks.">
        {select}
      </PageHead>
      {job ? <GraphView key={job.id} job={job.id} live={!isOver(job.state)} /> : known ? <Empty title="No jobs yet">The graph of each job that is submitted can be looked at here.</Empty> : null}
    </>
  );
}
