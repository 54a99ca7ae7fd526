//! What gateways count, and what they are told of the cluster.

use super::metrics;
use crate::http::HttpMetrics;
use crate::labels::{JobOutcome, Reader, TaskKind, TaskState, Tier, WorkerState};
use crate::series::{Counter, Gauge, Labelled, Reading, Timer};

metrics! {
    /// Every metric of a gateway.
    Metrics of "gateway" as "" {
        /// 1 while this gateway hears a leader, else 0.
        leader: Gauge,
        /// The term this gateway follows.
        term: Gauge,

        /// Workers by state, as the leader last told.
        workers: Labelled<WorkerState, Reading>,
        /// Tasks that the workers can run at once, as the leader last told.
        slots: Reading,
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
        /// Memory that the workers may use.
        memory_limit_bytes: Reading,

        /// Jobs that ended, by outcome.
        jobs: Labelled<JobOutcome, Counter>,
        /// Runs of tasks that made their output.
        task_runs: Counter,
        /// Runs of tasks that failed, by what runs them, as the workers told on the live exchange.
        task_failures: Labelled<TaskKind, Counter>,
        /// Outputs that were lost and had to be made again.
        recomputed: Counter,
        /// Workers declared lost.
        workers_lost: Counter,
        /// Messages that could not be read and went to the dead-letter queue, by reader.
        dead_letters: Labelled<Reader, Counter>,

        /// Connections to the broker made again after one was lost.
        reconnects: Counter,
        /// Time from the sending of a submission until the broker confirmed that it holds it.
        broker_confirm_seconds: Timer,
        /// Time that the state store took to answer, asked every five seconds.
        state_ping_seconds: Timer,
        /// Such questions that the state store did not answer.
        state_ping_failures: Counter,
        /// Fetches of results that failed and were tried at another holder or reported.
        fetch_failures: Counter,
        /// Open streams of job events.
        event_streams: Gauge,
        /// Messages of the live exchange that could not be read; nothing depends on them.
        live_dropped: Counter,
        /// Requests that the gateway answered.
        http: HttpMetrics,
    }
}

impl Metrics {
    /// The content type of [`Metrics::encode`].
    pub const CONTENT_TYPE: &'static str = super::CONTENT_TYPE;
}
