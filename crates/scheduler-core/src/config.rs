//! What the core is told once: its limits and who it is.

use std::time::Duration;

use millstream_protocol::graph::GraphLimits;
use millstream_types::{ByteSize, ClusterName, LeaderId, Term, Timestamp};

/// The time of a call, read by the shell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    /// Monotonic: all durations and timers.
    pub now: Timestamp,
    /// Unix milliseconds: display and absolute deadlines only.
    pub unix_ms: u64,
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterName,
    /// This candidacy.
    pub leader: LeaderId,
    /// The term it holds the lease for.
    pub term: Term,
    /// The queue that workers and gateways send to in this term.
    pub queue: String,
}

/// Limits and delays of the scheduler core.
#[derive(Debug, Clone, PartialEq)]
pub struct CoreConfig {
    /// Largest graph of a job, extensions included.
    pub graph: GraphLimits,
    /// Most jobs that are not over; one more is refused as overload.
    pub max_active_jobs: usize,
    /// Most tasks over all jobs that are not over.
    pub max_active_tasks: u64,
    /// Ended jobs without results whose ids and verdicts are still remembered.
    pub max_ended_jobs: usize,
    /// Silence after which a worker gets no new work.
    pub suspect_after: Duration,
    /// Silence after which a worker is lost.
    pub lost_after: Duration,
    /// Time given to workers to answer a new leader's first Hello.
    pub recovery_window: Duration,
    /// Time between two Hellos.
    pub hello_every: Duration,
    /// Time between two snapshots on the live exchange.
    pub snapshot_every: Duration,
    /// Least time between two progress events of a job.
    pub progress_every: Duration,
    /// Workers a task may kill before it fails.
    pub allowed_failures: u32,
    /// Seconds of work that a worker's queue aims at once durations are known.
    pub queue_target: Duration,
    /// Most tasks in one worker's queue.
    pub max_queue: u32,
    /// Most tasks sent ahead of their inputs to one worker.
    pub max_lookahead: u32,
    /// Fraction of a worker's memory limit beyond which it gets no new roots.
    pub admission: f64,
    /// Bytes per second assumed between two workers.
    pub bandwidth: u64,
    /// Largest wanted output that travels with its report.
    pub inline_limit: ByteSize,
    /// Bytes of inlined outputs kept over all jobs.
    pub inline_budget: ByteSize,
    /// How long results of a job live after their last read, unless the job says otherwise.
    pub result_ttl: Duration,
    /// How long records of ended jobs without results stay in the state store.
    pub record_ttl: Duration,
    /// How long a registration of a worker lasts in the state store.
    pub worker_ttl: Duration,
    /// How long a task waits that no registered worker can ever run, before it fails. None: for ever.
    pub unschedulable_after: Option<Duration>,
    /// Transitions kept for stories, over all tasks.
    pub story_capacity: usize,
    /// Most assignments made in one poll, so that one call stays short.
    pub placements_per_poll: u32,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            graph: GraphLimits::default(),
            max_active_jobs: 10_000,
            max_active_tasks: 50_000_000,
            max_ended_jobs: 10_000,
            suspect_after: Duration::from_secs(3),
            lost_after: Duration::from_secs(6),
            recovery_window: Duration::from_secs(3),
            hello_every: Duration::from_secs(1),
            snapshot_every: Duration::from_secs(5),
            progress_every: Duration::from_millis(250),
            allowed_failures: 3,
            queue_target: Duration::from_millis(50),
            max_queue: 4096,
            max_lookahead: 1024,
            admission: 0.6,
            bandwidth: 500_000_000,
            inline_limit: ByteSize::new(4096),
            inline_budget: ByteSize::from_mib(64),
            result_ttl: Duration::from_secs(24 * 3600),
            record_ttl: Duration::from_secs(7 * 24 * 3600),
            worker_ttl: Duration::from_secs(30),
            unschedulable_after: Some(Duration::from_secs(300)),
            story_capacity: 1 << 16,
            placements_per_poll: 16_384,
        }
    }
}
