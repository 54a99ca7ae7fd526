//! A running task waits for something before its code begins.

use millstream_protocol::wire::{FromWorker, PreparingMsg};

use crate::graph::NodeState;
use crate::{TaskRun, WorkerCore};

/// Told once: it is for people, and nothing depends on it.
pub(super) fn told(core: &mut WorkerCore, run: TaskRun, text: String) {
    let at = core.graph.find_run(run);
    let is_running = at.is_some_and(|at| matches!(core.graph.node(at).state(), NodeState::Running { .. }));
    if !is_running {
        core.ignored += 1;
        return;
    }
    core.reports.push_once(FromWorker::Preparing(PreparingMsg {
        job: run.job,
        task: run.task,
        attempt: run.attempt,
        text,
    }));
}
