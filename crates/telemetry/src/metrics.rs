//! The table of all metrics: name, kind and help in one place.

use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::http::HttpMetrics;
use crate::labels::{JobOutcome, Reader, TaskState, Tier, WorkerState};
use crate::series::{Counter, Gauge, Labelled, Reading, register};

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
    /// 1 while this process hears a leader, else 0.
    leader: Gauge,
    /// The term this process follows.
    term: Gauge,

    /// Workers by state, as the leader last told.
    workers: Labelled<WorkerState, Reading>,
    /// Unfinished jobs, as the leader last told.
    jobs_active: Reading,
    /// Tasks of unfinished jobs by state, as the leader last told.
    tasks: Labelled<TaskState, Reading>,
    /// Tasks that execute, as the workers last told.
    tasks_executing: Reading,
    /// Bytes of objects in the workers' stores, by tier.
    store_bytes: Labelled<Tier, Reading>,
    /// Memory of the workers' processes and their children.
    process_bytes: Reading,

    /// Jobs that ended, by outcome.
    jobs: Labelled<JobOutcome, Counter>,
    /// Runs of tasks that made their output.
    task_runs: Counter,
    /// Outputs that were lost and had to be made again.
    recomputed: Counter,
    /// Workers declared lost.
    workers_lost: Counter,
    /// Messages that could not be read and went to the dead-letter queue, by reader.
    dead_letters: Labelled<Reader, Counter>,

    /// Connections to the broker made again after one was lost.
    reconnects: Counter,
    /// Fetches of results that failed and were tried at another holder or reported.
    fetch_failures: Counter,
    /// Open streams of job events.
    event_streams: Gauge,
    /// Messages of the live exchange that could not be read; nothing depends on them.
    live_dropped: Counter,
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
    use super::*;

    #[test]
    fn page_shows_every_label_value_of_a_counter_before_its_first_event() {
        let page = Metrics::new().encode();
        for line in [
            "millstream_jobs_total{outcome=\"failed\"} 0",
            "millstream_dead_letters_total{reader=\"scheduler\"} 0",
            "millstream_leader 0",
        ] {
            assert!(page.lines().any(|found| found == line), "no `{line}` in:\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn what_nobody_has_told_is_not_shown_as_zero() {
        let metrics = Metrics::new();
        let shown = |name: &str| {
            let page = metrics.encode();
            page.lines()
                .filter(|line| line.starts_with(name))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(shown("millstream_workers{"), Vec::<String>::new());
        assert_eq!(shown("millstream_jobs_active "), Vec::<String>::new());
        metrics.jobs_active.set(Some(0));
        metrics.workers.of(WorkerState::Paused).set(Some(2));
        assert_eq!(shown("millstream_jobs_active "), ["millstream_jobs_active 0"]);
        assert_eq!(
            shown("millstream_workers{"),
            ["millstream_workers{state=\"paused\"} 2"]
        );
        metrics.jobs_active.set(None);
        assert_eq!(shown("millstream_jobs_active "), Vec::<String>::new());
    }

    #[test]
    fn clones_share_their_numbers() {
        let metrics = Metrics::new();
        let clone = metrics.clone();
        clone.task_runs.add(7);
        clone.tasks.of(TaskState::Assigned).set(Some(3));
        let page = metrics.encode();
        assert!(page.contains("millstream_task_runs_total 7"), "{page}");
        assert!(page.contains("millstream_tasks{state=\"assigned\"} 3"), "{page}");
    }
}
