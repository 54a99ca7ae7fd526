//! Retract and cancel: both are answered for each task, at once or when its executor has let go of it.

use millstream_protocol::wire::ReturnOutcome;
use millstream_types::{JobId, TaskIdx};

use crate::WorkerCore;
use crate::graph::{NodeRef, Stop};

/// The leader wants back what has not started.
pub(super) fn retract(core: &mut WorkerCore, job: JobId, tasks: &[u32]) {
    for task in tasks {
        match current_run(core, job, *task) {
            Some(at) if core.graph.node(at).is_queued() => core.give_back(at),
            Some(at) => core.report_returned(at, ReturnOutcome::Started),
            None => answer_done(core, job, *task),
        }
    }
}

/// The leader wants these tasks stopped, running or not.
pub(super) fn cancel(core: &mut WorkerCore, job: JobId, tasks: &[u32]) {
    for task in tasks {
        match current_run(core, job, *task) {
            Some(at) if core.graph.node(at).is_queued() => core.give_back(at),
            // Answered when the executor says that it has ended.
            Some(at) => {
                core.stop(at, Stop::Cancelled);
                core.give_back_descendants(at);
            }
            None => answer_done(core, job, *task),
        }
    }
}

/// The run of a task that the leader can mean: not one that was discarded for a newer one.
fn current_run(core: &WorkerCore, job: JobId, task: u32) -> Option<NodeRef> {
    let job = core.graph.jobs.find(job)?;
    let runs = core.graph.runs_of(job, task);
    runs.into_iter()
        .find(|at| core.graph.node(*at).stop() != Some(Stop::Discarded))
}

fn answer_done(core: &mut WorkerCore, job: JobId, task: u32) {
    let known = core.graph.jobs.find(job);
    let attempt = known.and_then(|known| core.stored_attempt(known, task));
    core.reports
        .returned(job, TaskIdx(task), attempt, ReturnOutcome::Done);
}
