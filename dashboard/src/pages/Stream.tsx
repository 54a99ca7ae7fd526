import type { JSX } from "preact";
import { PageHead } from "../parts/small";
import { StreamView } from "../parts/StreamView";

export function StreamPage(): JSX.Element {
  return (
    <>
      <PageHead title="Task stream" note="A row for each slot of each worker. Drag to move, Ctrl and the wheel to zoom, click a block to open its task." />
      <StreamView />
    </>
  );
}
