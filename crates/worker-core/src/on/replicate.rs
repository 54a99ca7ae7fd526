//! The leader wants a copy of an object here, for safety.

use millstream_protocol::wire::ReplicateMsg;

use super::assign::known_holders;
use crate::fetch::REPLICA_PRIORITY;
use crate::graph::{Body, CopySource, NodeState, WHOLE};
use crate::{TaskRun, WorkerCore};

/// Fetches the object, or keeps the copy that is here.
pub(super) fn replicate(core: &mut WorkerCore, msg: ReplicateMsg) {
    let run = TaskRun {
        job: msg.job,
        task: msg.task,
        attempt: msg.attempt,
    };
    let job = core.graph.jobs.find_or_add(msg.job);
    if let Some(at) = core.graph.find(job, msg.task.0, msg.attempt, WHOLE) {
        core.fetches.revive(&mut core.graph, at);
        let state = core.graph.node(at).state();
        if state == NodeState::Stored {
            core.keep_replica(at);
        } else if let Some(source) = core.graph.node_mut(at).copy_mut() {
            source.replica = true;
            if state == NodeState::Remote {
                core.fetches.want(REPLICA_PRIORITY, at);
            }
        }
        return;
    }
    let holders = known_holders(core, &msg.holders);
    if holders.is_empty() {
        core.reports.lost(run);
        core.graph.jobs.drop_if_unused(job);
        return;
    }
    let source = CopySource {
        holders,
        replica: true,
        ..CopySource::default()
    };
    let at = core
        .graph
        .add(job, msg.task.0, msg.attempt, WHOLE, Body::Copy(Box::new(source)));
    core.graph.node_mut(at).bytes = msg.bytes.as_u64();
    core.graph.transition(at, NodeState::Remote);
    core.fetches.want(REPLICA_PRIORITY, at);
}

impl WorkerCore {
    /// A stored copy is the leader's from now on: it is reported, and kept until freed.
    pub(super) fn keep_replica(&mut self, at: crate::graph::NodeRef) {
        let node = self.graph.node_mut(at);
        let bytes = millstream_types::ByteSize::new(node.bytes);
        if let Body::Copy(mut source) = std::mem::replace(&mut node.body, Body::Output) {
            self.fetches.release(&mut source);
        }
        let run = self.graph.run_of(at);
        self.reports.replicated(run, bytes);
    }
}
