//! The cluster as its leader last told it, for `/metrics`.
//!
//! Owns the last snapshot and the totals counted from it. Nothing relies on it: what was not told for a while is not
//! shown.

use std::time::{Duration, Instant};

use millstream_protocol::wire::{ClusterSnapshot, ClusterTotals, HeartbeatMsg, JobCounts, WorkerSnapshot};
use millstream_telemetry::{Counter, JobOutcome, Metrics, Reader, Reading, TaskState, Tier, WorkerState};
use parking_lot::Mutex;

/// How long a snapshot counts: three of them may be lost, and the leader may change meanwhile.
const LIFETIME: Duration = Duration::from_secs(16);

/// What the leader told. Shared by the task that listens and the route that shows it.
#[derive(Debug)]
pub(crate) struct Cluster {
    metrics: Metrics,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    snapshot: Option<(ClusterSnapshot, Instant)>,
    totals: ClusterTotals,
}

impl Cluster {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            told: Mutex::default(),
        }
    }

    /// A snapshot came.
    pub(crate) fn heard(&self, snapshot: ClusterSnapshot, now: Instant) {
        let mut told = self.told.lock();
        if told
            .snapshot
            .as_ref()
            .is_some_and(|(known, _)| known.term > snapshot.term)
        {
            return;
        }
        self.count(told.totals, snapshot.totals);
        told.totals = snapshot.totals;
        told.snapshot = Some((snapshot, now));
    }

    /// Writes what is known now into the metrics, and takes out what is known no more.
    pub(crate) fn show(&self, hears_leader: bool, now: Instant) {
        self.metrics.leader.set(u64::from(hears_leader));
        let mut told = self.told.lock();
        if told
            .snapshot
            .as_ref()
            .is_some_and(|(_, at)| now.duration_since(*at) >= LIFETIME)
        {
            told.snapshot = None;
        }
        let snapshot = told.snapshot.as_ref().map(|(snapshot, _)| snapshot);
        self.show_jobs(snapshot);
        self.show_workers(snapshot);
    }

    fn show_jobs(&self, snapshot: Option<&ClusterSnapshot>) {
        self.metrics
            .jobs_active
            .set(snapshot.map(|snapshot| snapshot.jobs.len() as u64));
        for (state, count) in TASK_STATES {
            let sum = |snapshot: &ClusterSnapshot| {
                let jobs = snapshot.jobs.values();
                jobs.map(|(_, counts)| u64::from(count(counts))).sum()
            };
            self.metrics.tasks.of(*state).set(snapshot.map(sum));
        }
    }

    fn show_workers(&self, snapshot: Option<&ClusterSnapshot>) {
        let metrics = &self.metrics;
        for (state, name) in WORKER_STATES {
            let count = |snapshot: &ClusterSnapshot| {
                let workers = snapshot.workers.iter();
                workers.filter(|worker| worker.state == *name).count() as u64
            };
            metrics.workers.of(*state).set(snapshot.map(count));
        }
        let sum = |of: fn(&WorkerSnapshot) -> u64| {
            snapshot.map(|snapshot| snapshot.workers.iter().map(of).sum::<u64>())
        };
        metrics.slots.set(sum(|worker| u64::from(worker.slots)));
        metrics
            .memory_limit_bytes
            .set(sum(|worker| worker.memory_limit.as_u64()));
        let show = |reading: &Reading, of: fn(&HeartbeatMsg) -> u64| {
            let sum = |snapshot: &ClusterSnapshot| {
                let loads = snapshot.workers.iter().filter_map(|worker| worker.load.as_ref());
                loads.map(of).sum()
            };
            reading.set(snapshot.map(sum));
        };
        show(&metrics.tasks_executing, |load| u64::from(load.executing));
        show(&metrics.process_bytes, |load| load.process.as_u64());
        show(&metrics.store_bytes.of(Tier::Memory), |load| load.stored.as_u64());
        show(&metrics.store_bytes.of(Tier::Disk), |load| load.spilled.as_u64());
    }

    /// Adds what the leader counted since it last told.
    fn count(&self, before: ClusterTotals, now: ClusterTotals) {
        let metrics = &self.metrics;
        // A total below its last value is a new leader's, which counts from zero.
        let add =
            |counter: &Counter, before: u64, now: u64| counter.add(now.checked_sub(before).unwrap_or(now));
        add(
            &metrics.dead_letters.of(Reader::Scheduler),
            before.dead_letters,
            now.dead_letters,
        );
        add(&metrics.task_runs, before.finished, now.finished);
        add(&metrics.recomputed, before.recomputed, now.recomputed);
        add(&metrics.workers_lost, before.workers_lost, now.workers_lost);
        let jobs = |outcome| metrics.jobs.of(outcome);
        add(&jobs(JobOutcome::Succeeded), before.succeeded, now.succeeded);
        add(&jobs(JobOutcome::Failed), before.failed, now.failed);
        add(&jobs(JobOutcome::Cancelled), before.cancelled, now.cancelled);
    }
}

type CountOf = fn(&JobCounts) -> u32;

const TASK_STATES: &[(TaskState, CountOf)] = &[
    (TaskState::Waiting, |counts| counts.waiting),
    (TaskState::Ready, |counts| counts.ready),
    (TaskState::Assigned, |counts| counts.assigned),
    (TaskState::Stored, |counts| counts.stored),
    (TaskState::Released, |counts| counts.released),
    (TaskState::Failed, |counts| counts.failed),
    (TaskState::Cancelled, |counts| counts.cancelled),
];

/// The names that leaders give to workers' states.
const WORKER_STATES: &[(WorkerState, &str)] = &[
    (WorkerState::Active, "active"),
    (WorkerState::Suspect, "suspect"),
    (WorkerState::Paused, "paused"),
    (WorkerState::Draining, "draining"),
];

#[cfg(test)]
mod tests {
    use millstream_types::Term;

    use super::*;

    fn snapshot(term: u32, succeeded: u64) -> ClusterSnapshot {
        ClusterSnapshot {
            term: Term(term),
            totals: ClusterTotals {
                succeeded,
                ..ClusterTotals::default()
            },
            ..ClusterSnapshot::default()
        }
    }

    #[test]
    fn what_was_not_told_for_long_is_not_shown() {
        let (metrics, start) = (Metrics::new(), Instant::now());
        let cluster = Cluster::new(metrics.clone());
        cluster.heard(snapshot(1, 0), start);
        cluster.show(true, start + LIFETIME / 2);
        assert_eq!(metrics.workers.of(WorkerState::Active).get(), Some(0));
        cluster.show(false, start + LIFETIME);
        assert_eq!(metrics.workers.of(WorkerState::Active).get(), None);
        assert_eq!(metrics.leader.get(), 0);
    }

    #[test]
    fn totals_add_up_over_leaders_and_an_old_one_is_not_heard() {
        let (metrics, now) = (Metrics::new(), Instant::now());
        let cluster = Cluster::new(metrics.clone());
        cluster.heard(snapshot(1, 5), now);
        cluster.heard(snapshot(1, 7), now);
        cluster.heard(snapshot(2, 2), now);
        cluster.heard(snapshot(1, 9), now);
        assert_eq!(metrics.jobs.of(JobOutcome::Succeeded).get(), 9);
    }
}
