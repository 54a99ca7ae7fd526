//! The table of all metrics: name, kind and help in one place.

use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::http::HttpMetrics;
use crate::labels::{
    Direction, DropReason, JobOutcome, Link, MemoryUse, OpKind, Queue, TaskOutcome, TaskState, Tier,
    WorkerState,
};
use crate::series::{Counter, Gauge, Labelled, Timer, register};

/// Begins every metric's name.
const PREFIX: &str = "millstream";

macro_rules! metrics {
    ($( $(#[doc = $doc:literal])+ $field:ident: $kind:ty, )+) => {
        /// Every metric of a process. Clones share their numbers; a process makes one and hands it to its parts.
        #[derive(Debug, Clone)]
        pub struct Metrics {
            $( $(#[doc = $doc])+ pub $field: $kind, )+
            /// Requests that the gateway answered.
            pub http: HttpMetrics,
            registry: Arc<Registry>,
        }

        impl Metrics {
            /// All metrics at zero.
            pub fn new() -> Self {
                let mut registry = Registry::with_prefix(PREFIX);
                $( let $field = register(&mut registry, stringify!($field), concat!($($doc,)+)); )+
                let http = HttpMetrics::register(&mut registry);
                Self { $( $field, )+ http, registry: Arc::new(registry) }
            }
        }
    };
}

metrics! {
    /// Tasks of unfinished jobs, by state.
    tasks: Labelled<TaskState, Gauge>,
    /// Attempts at tasks that ended, by outcome.
    attempts: Labelled<TaskOutcome, Counter>,
    /// How long tasks executed, by kind of operation.
    task_seconds: Labelled<OpKind, Timer>,
    /// Unfinished jobs.
    jobs_active: Gauge,
    /// Jobs that ended, by outcome.
    jobs: Labelled<JobOutcome, Counter>,

    /// 1 in the scheduler that leads, else 0.
    leader: Gauge,
    /// The term this process follows.
    term: Gauge,
    /// Connected workers, by state.
    workers: Labelled<WorkerState, Gauge>,
    /// Workers declared lost.
    workers_lost: Counter,
    /// How long the core took for one batch of events.
    core_seconds: Timer,
    /// Broken internal rules of a core; any is a defect.
    invariant_violations: Counter,

    /// Batches on the bus, by direction.
    bus_batches: Labelled<Direction, Counter>,
    /// Messages on the bus, by direction.
    bus_messages: Labelled<Direction, Counter>,
    /// Bytes on the bus, by direction.
    bus_bytes: Labelled<Direction, Counter>,
    /// Connections made again after one was lost, by server.
    reconnects: Labelled<Link, Counter>,
    /// Messages dropped, by reason.
    dropped_messages: Labelled<DropReason, Counter>,
    /// Messages sent to the dead-letter queue.
    dead_letters: Counter,
    /// Entries in a queue.
    queue_length: Labelled<Queue, Gauge>,

    /// How long a commit to the journal took.
    commit_seconds: Timer,
    /// Pages of task states written to the journal.
    note_pages: Counter,
    /// Journal writes refused because another leader holds a higher term.
    fenced_writes: Counter,

    /// Objects in the store, by tier.
    store_objects: Labelled<Tier, Gauge>,
    /// Bytes in the store, by tier.
    store_bytes: Labelled<Tier, Gauge>,
    /// Bytes written to disk because memory was short.
    spilled_bytes: Counter,
    /// Spilled bytes read back.
    unspilled_bytes: Counter,
    /// Worker memory, by use.
    memory_bytes: Labelled<MemoryUse, Gauge>,
    /// Executors replaced because of memory, a limit or a crash.
    executors_recycled: Counter,

    /// Bytes on the data plane, by direction.
    transfer_bytes: Labelled<Direction, Counter>,
    /// How long fetching one object took.
    fetch_seconds: Timer,
    /// Fetches that failed and were tried elsewhere or reported.
    fetch_failures: Counter,

    /// Open streams of job events.
    event_streams: Gauge,
}

impl Metrics {
    /// All metrics in the text format of OpenMetrics, for `/metrics`.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        // Writing to a string cannot fail, and no encoder of this crate reports an error of its own.
        let _ = text::encode(&mut page, &self.registry);
        page
    }

    /// The content type of [`Metrics::encode`].
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn page_shows_every_label_value_before_its_first_event() {
        let page = Metrics::new().encode();
        for line in [
            "millstream_tasks{state=\"waiting\"} 0",
            "millstream_attempts_total{outcome=\"lost\"} 0",
            "millstream_reconnects_total{link=\"broker\"} 0",
            "millstream_leader 0",
        ] {
            assert!(page.lines().any(|found| found == line), "no `{line}` in:\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn clones_share_their_numbers() {
        let metrics = Metrics::new();
        let clone = metrics.clone();
        clone.spilled_bytes.add(7);
        clone.tasks.of(TaskState::Running).set(3);
        clone
            .task_seconds
            .of(OpKind::Native)
            .observe(Duration::from_millis(2));
        let page = metrics.encode();
        assert!(page.contains("millstream_spilled_bytes_total 7"), "{page}");
        assert!(page.contains("millstream_tasks{state=\"running\"} 3"), "{page}");
        assert!(
            page.contains("millstream_task_seconds_count{op=\"native\"} 1"),
            "{page}"
        );
    }
}
