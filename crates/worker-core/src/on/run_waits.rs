//! A running task waits for other tasks, or goes on.

use crate::graph::NodeState;
use crate::{TaskRun, WorkerCore};

/// While a task waits, its slot is free, here and in the leader's books, or tasks that wait for each other's tasks would
/// take all slots for ever. One that goes on has its slot again at once, whoever has it too: until enough have ended,
/// none is started.
pub(super) fn changed(core: &mut WorkerCore, run: TaskRun, waits: bool) {
    let at = core.graph.find_run(run);
    let state = at.map(|at| (at, core.graph.node(at).state()));
    let Some((at, NodeState::Running { since, stop, .. })) = state else {
        // It has ended meanwhile.
        core.ignored += 1;
        return;
    };
    // The leader has to hear of it soon.
    core.graph.transition(
        at,
        NodeState::Running {
            since,
            reported: false,
            waits,
            stop,
        },
    );
}
