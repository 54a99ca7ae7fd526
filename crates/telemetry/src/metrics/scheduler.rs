//! What schedulers count. What they know of jobs, tasks and workers is told by the gateways.

use super::metrics;
use crate::series::{Counter, Gauge, Timer};

metrics! {
    /// Every metric of a scheduler.
    SchedulerMetrics of "scheduler" as "scheduler" {
        /// 1 while this scheduler leads, 0 while it stands by.
        leading: Gauge,
        /// The last term in which this scheduler led.
        term: Gauge,
        /// Elections that this scheduler won.
        elections_won: Counter,
        /// How late the leader's clock ticks, which is due every 20 ms: what comes in meanwhile waits as long.
        loop_lag_seconds: Timer,
        /// Batches of writes and messages that wait to be carried out; at 64 the leader stops giving work away.
        outbox_batches: Gauge,
        /// Time that the state store took for a commit.
        commit_seconds: Timer,
        /// Commits that the state store did not take and that are tried again.
        commit_failures: Counter,
        /// Time that the state store took to renew the lease.
        lease_renewal_seconds: Timer,
        /// Renewals of the lease that failed.
        lease_renewal_failures: Counter,
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
