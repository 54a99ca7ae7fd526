//! The state machine itself: events in, effects out.

use millstream_protocol::wire::{HeartbeatMsg, WorkerInfo};
use millstream_types::{ByteSize, ClusterName, Timestamp};

use crate::conversation::Conversation;
use crate::fetch::FetchPlanner;
use crate::graph::LocalGraph;
use crate::reports::Reports;
use crate::{MemoryReport, WorkerConfig, WorkerEffect, WorkerEvent, decide, on, speak};

/// All that a worker knows, and every decision it takes.
#[derive(Debug)]
pub struct WorkerCore {
    pub(crate) config: WorkerConfig,
    pub(crate) info: WorkerInfo,
    pub(crate) graph: LocalGraph,
    pub(crate) fetches: FetchPlanner,
    pub(crate) reports: Reports,
    pub(crate) conversation: Conversation,
    pub(crate) memory: MemoryReport,
    /// Nothing more is started: what is not running goes back.
    pub(crate) draining: bool,
    /// Whether the drain was asked for here, so that each leader has to be told.
    pub(crate) drain_is_own: bool,
    /// Whether the allocator was purged since the pause began.
    pub(crate) relieved: bool,
    /// What peers, executors or the leader said that made no sense any more.
    pub(crate) ignored: u64,
    pub(crate) out: Vec<WorkerEffect>,
}

/// A worker's state in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Tasks that wait for inputs or a slot.
    pub queued: u32,
    /// Tasks that execute.
    pub executing: u32,
    /// Objects that only the leader frees.
    pub objects: u32,
    /// Copies, fetched or under way.
    pub copies: u32,
    /// Events and messages that were ignored as stale or impossible.
    pub ignored: u64,
}

impl WorkerCore {
    /// A worker without a leader, at the instant `now`.
    pub fn new(config: WorkerConfig, info: WorkerInfo, cluster: ClusterName, _now: Timestamp) -> Self {
        Self {
            graph: LocalGraph::new(&info),
            fetches: FetchPlanner::default(),
            reports: Reports::default(),
            conversation: Conversation::new(cluster, info.worker),
            memory: MemoryReport::default(),
            draining: false,
            drain_is_own: false,
            relieved: false,
            ignored: 0,
            out: Vec::new(),
            config,
            info,
        }
    }

    /// Takes note of one event. What follows from it comes out of [`WorkerCore::poll`].
    pub fn apply(&mut self, now: Timestamp, event: WorkerEvent) {
        on::event(self, now, event);
    }

    /// Decides, after one or many events, and moves everything to be done to the end of `out`, in order.
    pub fn poll(&mut self, now: Timestamp, out: &mut Vec<WorkerEffect>) {
        self.graph.take_over(now);
        decide::overdue(self, now);
        decide::recall(self, now);
        decide::shed(self);
        decide::fetch(self);
        decide::start(self, now);
        speak::speak(self, now);
        out.append(&mut self.out);
    }

    /// When [`WorkerEvent::Tick`] is due, if nothing else happens.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let timeout = self.graph.next_timeout().map(|(at, _)| at);
        let session = self.conversation.next_wakeup(&self.config);
        let executing = speak::executing_due(self);
        let recall = decide::recall_due(self);
        [timeout, session, executing, recall].into_iter().flatten().min()
    }

    /// Who this worker is.
    pub const fn info(&self) -> &WorkerInfo {
        &self.info
    }

    /// Whether it gives back all work, to leave.
    pub const fn is_draining(&self) -> bool {
        self.draining
    }

    /// Its state in numbers. Counts all nodes: for metrics and tests, not for every event.
    pub fn stats(&self) -> WorkerStats {
        let count = |wanted: fn(&crate::graph::Node) -> bool| {
            self.graph
                .occupied()
                .filter(|at| wanted(self.graph.node(*at)))
                .count() as u32
        };
        WorkerStats {
            queued: self.graph.queued_count(),
            executing: self.graph.computing(),
            objects: count(crate::graph::Node::is_output),
            copies: count(|node| node.copy().is_some()),
            ignored: self.ignored,
        }
    }

    /// Breaks of what must always hold, in words; none is right. Looks at everything: for tests and the simulator.
    pub fn check_invariants(&self) -> Result<(), String> {
        let mut faults = self.graph.faults();
        faults.extend(self.fetches.faults(&self.graph));
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults.join("; "))
        }
    }

    /// Life and load, as the leader is told.
    pub fn load(&self) -> HeartbeatMsg {
        let memory = &self.memory;
        HeartbeatMsg {
            stored: memory.stored,
            spilled: memory.spilled,
            process: memory.process,
            cpu_milli: memory.cpu_milli,
            paused: memory.level.is_paused(),
            queued: self.graph.queued_count() + self.graph.lanes.len() as u32,
            executing: self.graph.computing(),
            fetched: memory.fetched,
            served: memory.served,
        }
    }

    /// The cache's limit: nothing while memory is short.
    pub(crate) fn cache_limit(&self) -> ByteSize {
        if self.memory.level.is_paused() {
            ByteSize::ZERO
        } else {
            self.config.cache_limit
        }
    }
}
