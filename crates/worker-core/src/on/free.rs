//! The leader lets go: of objects it names by generation, or of a whole job.

use millstream_types::{Attempt, JobId};

use crate::WorkerCore;
use crate::fetch::REPLICA_PRIORITY;
use crate::graph::{Body, JobRef, NodeRef, NodeState, Stop};

/// Drops objects of exactly these generations, and cached copies of them.
pub(super) fn free(core: &mut WorkerCore, job: JobId, tasks: &[u32], attempts: &[u64]) {
    let Some(job) = core.graph.jobs.find(job) else {
        return;
    };
    for (task, attempt) in tasks.iter().zip(attempts) {
        free_one(core, job, *task, Attempt::from_packed(*attempt));
    }
}

fn free_one(core: &mut WorkerCore, job: JobRef, task: u32, attempt: Attempt) {
    let of_generation = core.graph.nodes_of(job, task);
    let nodes: Vec<_> = of_generation
        .filter(|at| core.graph.node(*at).attempt == attempt)
        .collect();
    for at in nodes {
        let node = core.graph.node(at);
        if node.is_output() {
            core.let_go(at, true);
        } else if node.copy().is_some_and(|copy| copy.cached.is_some()) {
            core.fetches.uncache(&mut core.graph, at, &mut core.out);
        } else if node.copy().is_some_and(|copy| copy.replica) {
            give_up_replica(core, at);
        }
    }
}

/// A copy that the leader asked for is not needed any more; its readers here may still be.
fn give_up_replica(core: &mut WorkerCore, at: NodeRef) {
    core.fetches.unwant(REPLICA_PRIORITY, at);
    if let Some(source) = core.graph.node_mut(at).copy_mut() {
        source.replica = false;
    }
    if core.graph.node(at).pins == 0 {
        let job = core.graph.node(at).job;
        core.fetches
            .unread(&mut core.graph, at, job, core.config.cache_limit, &mut core.out);
    }
}

/// Forgets a job: its tables, tasks and objects, and what there was to say of it.
pub(super) fn forget_job(core: &mut WorkerCore, id: JobId) {
    core.reports.forget(id);
    let Some(job) = core.graph.jobs.find(id) else {
        return;
    };
    let queued = core.graph.job_in_order(job, crate::graph::Node::is_queued);
    queued.iter().for_each(|at| core.detach(*at));
    queued.iter().for_each(|at| core.graph.remove(*at));
    for at in core.graph.job_in_order(job, crate::graph::Node::is_started) {
        core.stop(at, Stop::Discarded);
    }
    for at in core.graph.job_in_order(job, |_| true) {
        let node = core.graph.node(at);
        match (&node.body, node.state()) {
            (Body::Output, NodeState::Stored) => core.let_go(at, true),
            (Body::Copy(source), NodeState::Stored) if source.cached.is_some() => {
                core.fetches.uncache(&mut core.graph, at, &mut core.out);
            }
            (Body::Copy(source), _) if source.replica => give_up_replica(core, at),
            _ => {}
        }
    }
    core.fetches.uncache_for(&mut core.graph, job, &mut core.out);
    core.graph.jobs.unlearn(job);
}
