//! A fetch ended: copies are here, are tried elsewhere, or cannot be had.

use std::collections::BTreeSet;

use millstream_protocol::TaskError;
use millstream_protocol::wire::GoneInput;
use millstream_types::TaskIdx;

use crate::fetch::{PeerRef, REPLICA_PRIORITY};
use crate::graph::{NodeRef, NodeState};
use crate::{FetchId, FetchOutcome, WorkerCore};

/// Handles the end of one fetch.
pub(super) fn ended(core: &mut WorkerCore, id: FetchId, outcomes: Vec<FetchOutcome>) {
    let Some(fetch) = core.fetches.end(id) else {
        core.ignored += 1;
        return;
    };
    let (mut out_of_reach, mut unstored) = (Vec::new(), Vec::new());
    let outcomes = outcomes
        .into_iter()
        .chain(std::iter::repeat(FetchOutcome::Unreachable));
    for (at, outcome) in fetch.nodes.iter().zip(outcomes) {
        let unread = core.graph.node(*at).pins == 0 && !is_replica(core, *at);
        match outcome {
            FetchOutcome::Fetched { bytes } => {
                core.fetches.arrived(&mut core.graph, *at, bytes);
                arrived(core, *at, unread);
            }
            _ if unread => abandon(core, *at),
            // Called off, then wanted again: the holder is not to blame.
            FetchOutcome::Unreachable if fetch.cancelled => {
                core.fetches.queue_at_holder(&mut core.graph, *at);
            }
            FetchOutcome::Unstored(error) => unstored.push((*at, *error)),
            outcome => {
                blame(core, *at, fetch.peer, &outcome);
                if !core.fetches.queue_at_holder(&mut core.graph, *at) {
                    out_of_reach.push(*at);
                }
            }
        }
    }
    give_up(core, &out_of_reach);
    for (at, error) in unstored {
        fail_readers(core, at, &error);
    }
}

fn is_replica(core: &WorkerCore, at: NodeRef) -> bool {
    core.graph.node(at).copy().is_some_and(|source| source.replica)
}

fn arrived(core: &mut WorkerCore, at: NodeRef, unread: bool) {
    core.graph.transition(at, NodeState::Stored);
    core.wake_waiters(at, false);
    if is_replica(core, at) {
        core.keep_replica(at);
    } else if unread {
        let cache_limit = core.cache_limit();
        let job = core.graph.node(at).job;
        core.fetches
            .unread(&mut core.graph, at, job, cache_limit, &mut core.out);
    }
}

/// Nobody wants the copy any more, and it did not come.
fn abandon(core: &mut WorkerCore, at: NodeRef) {
    unreserve(core, at);
    core.graph.remove(at);
}

fn unreserve(core: &mut WorkerCore, at: NodeRef) {
    core.graph.transition(at, NodeState::Remote);
    if let Some(source) = core.graph.node_mut(at).copy_mut() {
        core.fetches.release(source);
    }
}

/// Notes that a holder was tried in vain.
fn blame(core: &mut WorkerCore, at: NodeRef, peer: PeerRef, outcome: &FetchOutcome) {
    let Some(source) = core.graph.node_mut(at).copy_mut() else {
        return;
    };
    source.holders.retain(|holder| *holder != peer);
    match outcome {
        FetchOutcome::Unreachable => source.unreachable.push(peer),
        _ => source.gone_at.push(peer),
    }
}

/// No holder is left for these copies: the tasks that need them go back to the leader, each with all it cannot have.
fn give_up(core: &mut WorkerCore, copies: &[NodeRef]) {
    let mut tasks = Vec::new();
    let mut seen = BTreeSet::new();
    for at in copies {
        unreserve(core, *at);
        let waiters = &core.graph.node(*at).waiters;
        tasks.extend(waiters.iter().copied().filter(|task| seen.insert(*task)));
    }
    let inputs: Vec<_> = copies.iter().map(|at| (*at, gone_input(core, *at))).collect();
    inputs.iter().for_each(|(at, _)| give_up_replica(core, *at));
    for task in tasks {
        let reads = core
            .graph
            .node(task)
            .work()
            .map(|work| work.inputs.as_slice())
            .unwrap_or_default();
        let lacking = inputs.iter().filter_map(|(at, gone)| {
            let read = reads.iter().find(|input| input.node == *at)?;
            Some(GoneInput {
                task: TaskIdx(read.task),
                ..gone.clone()
            })
        });
        let lacking: Vec<_> = lacking.collect();
        // An earlier one may have taken it along.
        if core.graph.node(task).is_queued() {
            core.give_back_gone(task, lacking);
        }
    }
}

/// A copy for safety cannot be made. Without readers it goes now, else when the last of them is given back.
fn give_up_replica(core: &mut WorkerCore, at: NodeRef) {
    if !is_replica(core, at) {
        return;
    }
    core.reports.lost(core.graph.run_of(at));
    core.fetches.unwant(REPLICA_PRIORITY, at);
    if let Some(source) = core.graph.node_mut(at).copy_mut() {
        source.replica = false;
    }
    if core.graph.node(at).pins == 0 {
        core.graph.remove(at);
    }
}

/// There is no room for the copy and there will be none: the tasks that need it fail with the reason.
fn fail_readers(core: &mut WorkerCore, at: NodeRef, error: &TaskError) {
    unreserve(core, at);
    let readers = core.graph.node(at).waiters.clone();
    give_up_replica(core, at);
    for task in readers {
        // An earlier one may have taken it along.
        if core.graph.node(task).is_queued() {
            core.fail(task, error.clone(), 0);
        }
    }
}

/// What is told of a copy without a holder; each reader has a name of its own for it.
fn gone_input(core: &WorkerCore, at: NodeRef) -> GoneInput {
    let node = core.graph.node(at);
    let workers = |peers: &[PeerRef]| core.fetches.workers(peers);
    GoneInput {
        task: TaskIdx(node.task),
        attempt: node.attempt,
        gone_at: node
            .copy()
            .map(|source| workers(&source.gone_at))
            .unwrap_or_default(),
        unreachable: node
            .copy()
            .map(|source| workers(&source.unreachable))
            .unwrap_or_default(),
    }
}
