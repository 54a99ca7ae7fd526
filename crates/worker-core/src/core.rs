//! The state machine itself: events in, effects out.

use millstream_protocol::wire::WorkerInfo;
use millstream_types::{ClusterName, Timestamp};

use crate::{WorkerConfig, WorkerEffect, WorkerEvent};

/// All that a worker knows, and every decision it takes.
#[derive(Debug)]
pub struct WorkerCore {
    config: WorkerConfig,
    info: WorkerInfo,
    cluster: ClusterName,
    out: Vec<WorkerEffect>,
}

impl WorkerCore {
    /// A worker without a leader, at the instant `now`.
    pub fn new(config: WorkerConfig, info: WorkerInfo, cluster: ClusterName, _now: Timestamp) -> Self {
        Self {
            config,
            info,
            cluster,
            out: Vec::new(),
        }
    }

    /// Takes note of one event. What follows from it comes out of [`WorkerCore::poll`].
    pub fn apply(&mut self, _now: Timestamp, _event: WorkerEvent) {}

    /// Decides, after one or many events, and moves everything to be done to the end of `out`, in order.
    pub fn poll(&mut self, _now: Timestamp, out: &mut Vec<WorkerEffect>) {
        out.append(&mut self.out);
    }

    /// When [`WorkerEvent::Tick`] is due, if nothing else happens.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        None
    }

    /// Who this worker is.
    pub const fn info(&self) -> &WorkerInfo {
        &self.info
    }

    /// Its settings.
    pub const fn config(&self) -> &WorkerConfig {
        &self.config
    }

    /// The cluster it belongs to.
    pub const fn cluster(&self) -> &ClusterName {
        &self.cluster
    }
}
