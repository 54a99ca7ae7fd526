// The services behind the cluster, and whether they are well.

import type { ComponentChildren, JSX } from "preact";
import { get, type System } from "../lib/api";
import * as format from "../lib/format";
import { usePoll } from "../lib/poll";
import { Answer, PageHead } from "../parts/small";

const SLOW_US = 50_000;

export function SystemPage(): JSX.Element {
  const { data, error } = usePoll((abort) => get<System>("system", {}, abort), 2_000, []);
  return (
    <>
      <PageHead title="System" note="As this gateway sees it. Other gateways of the cluster show the same jobs and workers." />
      <Answer data={data} error={error}>
        {(system) => <Services system={system} />}
      </Answer>
      <section class="card">
        <h2>For programs</h2>
        <p>
          <a href="openapi.json">openapi.json</a> describes every route, <a href="metrics">metrics</a> is for Prometheus, <code>v1/live</code> streams what this page shows.
        </p>
      </section>
    </>
  );
}

function Service(props: { name: string; state: "good" | "warn" | "bad"; word: string; children: ComponentChildren }): JSX.Element {
  return (
    <section class="card service">
      <h2>
        {props.name} <span class={`badge service-${props.state}`}>{props.word}</span>
      </h2>
      <dl class="facts">{props.children}</dl>
    </section>
  );
}

function Fact(props: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

function Services({ system }: { system: System }): JSX.Element {
  const slow = (system.state_us ?? 0) > SLOW_US;
  const leads = system.term !== null;
  const agrees = !system.lease || system.lease.leader === system.leader;
  return (
    <div class="services">
      <Service name="Scheduler" state={leads ? (agrees ? "good" : "warn") : "bad"} word={leads ? "leads" : "none leads"}>
        <Fact name="Leader"><code>{system.leader ?? "–"}</code></Fact>
        <Fact name="Term">{system.term ?? "–"}</Fact>
        <Fact name="Lease">{system.lease ? (agrees ? "held by the same" : <>term {system.lease.term}, <code>{system.lease.leader}</code></>) : "not held"}</Fact>
      </Service>
      <Service name="Message broker" state={system.broker ? "good" : "bad"} word={system.broker ? "connected" : "not connected"}>
        <Fact name="Link">{system.broker ? "up" : "down; the gateway connects again by itself"}</Fact>
        <Fact name="Unreadable messages">{format.exact(system.live.dropped)}</Fact>
      </Service>
      <Service name="State store" state={system.state_error ? "bad" : slow ? "warn" : "good"} word={system.state_error ? "fails" : slow ? "slow" : "answers"}>
        <Fact name="Answers within">{system.state_us === null ? "–" : format.duration(system.state_us)}</Fact>
        {system.state_error ? <Fact name="Error">{format.short(system.state_error, 300)}</Fact> : null}
      </Service>
      <Service name="Gateway" state="good" word={`version ${system.gateway.version}`}>
        <Fact name="Id"><code>{system.gateway.id}</code></Fact>
        <Fact name="Up for">{system.gateway.since_ms > 0 ? format.milliseconds(Date.now() - system.gateway.since_ms) : "–"}</Fact>
        <Fact name="Open streams">{format.exact(system.gateway.event_streams)}</Fact>
      </Service>
      <Service name="Live board" state="good" word={`${format.exact(system.live.workers)} workers`}>
        <Fact name="Spans kept">{format.exact(system.live.spans)}</Fact>
        <Fact name="Left out by workers">{format.exact(system.live.spans_skipped)}</Fact>
        <Fact name="Oldest span">{system.live.oldest_span_ms ? `${format.milliseconds(Date.now() - system.live.oldest_span_ms)} ago` : "–"}</Fact>
      </Service>
    </div>
  );
}
