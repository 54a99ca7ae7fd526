//! What workers count.

use super::metrics;
use crate::labels::{DiskWay, TaskKind, Tier};
use crate::series::{Counter, Fact, Gauge, Labelled, Timer};

metrics! {
    /// Every metric of a worker.
    WorkerMetrics of "worker" as "worker" {
        /// The worker's id, in the label `worker`; always 1.
        info: Fact,
        /// Tasks that this worker runs at once.
        slots: Gauge,
        /// Tasks that execute.
        tasks_executing: Gauge,
        /// Tasks that wait for their inputs or for a slot.
        tasks_queued: Gauge,
        /// Time that a task filled its slot, by what runs it, whatever became of it.
        task_seconds: Labelled<TaskKind, Timer>,
        /// Time from the moment when a task could start until it did, by what runs it.
        task_wait_seconds: Labelled<TaskKind, Timer>,
        /// Runs that failed, by what runs them.
        task_failures: Labelled<TaskKind, Counter>,

        /// Time that the fetch of one or several objects from one peer took.
        fetch_seconds: Timer,
        /// Objects that could not be fetched from a peer.
        fetch_failures: Counter,
        /// Bytes fetched from peers.
        fetched_bytes: Counter,
        /// Bytes served to peers and gateways.
        served_bytes: Counter,

        /// Bytes of objects in the store, by tier.
        store_bytes: Labelled<Tier, Gauge>,
        /// Memory of the process and its children.
        process_bytes: Gauge,
        /// Memory that this worker may use.
        memory_limit_bytes: Gauge,
        /// 1 while memory is so short that no task starts, else 0.
        paused: Gauge,
        /// Time that the spilling of one object to disk, or its reading back, took.
        spill_seconds: Labelled<DiskWay, Timer>,
        /// Bytes spilled to disk, or read back.
        spill_bytes: Labelled<DiskWay, Counter>,
        /// Causes for which spilling failed; each is counted once until it works again.
        spill_failures: Counter,
        /// Objects lost although nobody dropped them.
        objects_lost: Counter,

        /// How late the measuring of memory is, which is due every 200 ms: messages wait as long.
        loop_lag_seconds: Timer,
        /// Links to the broker that were opened.
        broker_connections: Counter,
        /// Attempts to open a link to the broker that failed.
        broker_connect_failures: Counter,
        /// Frames handed to the broker.
        broker_frames: Counter,
        /// Frames that found no queue: who was to read them is gone.
        broker_returns: Counter,
    }
}
