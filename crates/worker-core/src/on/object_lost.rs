//! The store no longer has an object that nobody dropped.

use millstream_types::{Attempt, ObjectId};

use crate::WorkerCore;
use crate::graph::{NodeState, WHOLE};

/// Tells the leader, and gives back what would have read the object.
pub(super) fn lost(core: &mut WorkerCore, object: ObjectId, attempt: Attempt, part: Option<u32>) {
    let job = core.graph.jobs.find(object.job);
    let at = job.and_then(|job| {
        core.graph
            .find(job, object.task.0, attempt, part.unwrap_or(WHOLE))
    });
    let at = at.filter(|at| core.graph.node(*at).state() == NodeState::Stored);
    let Some(at) = at else {
        core.ignored += 1;
        return;
    };
    if core.graph.node(at).is_output() {
        core.reports.lost(core.graph.run_of(at));
    }
    core.fetches.forget_stored(&mut core.graph, at);
    core.let_go(at, false);
}
