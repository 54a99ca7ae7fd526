//! Metrics at hand: looked up once, so that a task that ends pays for the counting alone.

use millstream_protocol::graph::OpKind;
use millstream_protocol::wire::HeartbeatMsg;
use millstream_telemetry::{Counter, Gauge, TaskKind, Tier, Timer, WorkerMetrics};

use crate::work::TaskEnd;

/// What is counted of tasks of one kind.
struct OfKind {
    took: Timer,
    waited: Timer,
    failures: Counter,
}

/// The metrics that change often.
pub(crate) struct Meters {
    native: OfKind,
    frame: OfKind,
    array: OfKind,
    python: OfKind,
    command: OfKind,
    import: OfKind,
    memory: Gauge,
    disk: Gauge,
}

impl Meters {
    pub(crate) fn of(metrics: &WorkerMetrics) -> Self {
        let of_kind = |kind| OfKind {
            took: metrics.task_seconds.of(kind),
            waited: metrics.task_wait_seconds.of(kind),
            failures: metrics.task_failures.of(kind),
        };
        Self {
            native: of_kind(TaskKind::Native),
            frame: of_kind(TaskKind::Frame),
            array: of_kind(TaskKind::Array),
            python: of_kind(TaskKind::Python),
            command: of_kind(TaskKind::Command),
            import: of_kind(TaskKind::Import),
            memory: metrics.store_bytes.of(Tier::Memory),
            disk: metrics.store_bytes.of(Tier::Disk),
        }
    }

    /// Counts a task that ended.
    pub(crate) fn count(&self, end: &TaskEnd<'_>) {
        let meters = match end.op.kind {
            OpKind::Native => &self.native,
            OpKind::Frame => &self.frame,
            OpKind::Array => &self.array,
            OpKind::Python => &self.python,
            OpKind::Command => &self.command,
            OpKind::Import => &self.import,
        };
        meters.took.observe(end.took);
        meters.waited.observe(end.waited);
        if end.made.is_none() {
            meters.failures.inc();
        }
    }

    /// Shows a load.
    pub(crate) fn show(&self, metrics: &WorkerMetrics, load: &HeartbeatMsg) {
        self.memory.set(load.stored.as_u64());
        self.disk.set(load.spilled.as_u64());
        metrics.process_bytes.set(load.process.as_u64());
        metrics.paused.set(u64::from(load.paused));
        metrics.tasks_executing.set(u64::from(load.executing));
        metrics.tasks_queued.set(u64::from(load.queued));
        metrics.fetched_bytes.follow(load.fetched.as_u64());
        metrics.served_bytes.follow(load.served.as_u64());
    }
}
