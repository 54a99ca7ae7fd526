//! A frame from the leader: judged by the session, then its items one by one.

use millstream_protocol::wire::{PeerInfo, ToWorker};
use millstream_types::Timestamp;

use super::{assign, free, replicate, take_back};
use crate::conversation::Heard;
use crate::{WorkerCore, WorkerEffect};

/// Handles one frame.
pub(super) fn heard(core: &mut WorkerCore, now: Timestamp, frame: &[u8]) {
    let heard = core.conversation.hear(now, frame);
    if let Some(live) = core.conversation.live() {
        core.reports.acknowledged(live.acked());
    }
    match heard {
        Heard::Nothing => {}
        Heard::Malformed => core.ignored += 1,
        Heard::Gap => core.conversation.broken(),
        Heard::Items(items) => items.into_iter().for_each(|item| apply(core, item)),
        // The batch counts as received: only an inventory puts that right.
        Heard::Unreadable => {
            core.ignored += 1;
            core.conversation.broken();
        }
    }
}

fn apply(core: &mut WorkerCore, item: ToWorker) {
    match item {
        // The opening is settled; nothing here waits for it.
        ToWorker::Settled => {}
        ToWorker::Ops(msg) => core.graph.jobs.learn(msg, &mut core.graph.ready),
        ToWorker::Peers(peers) => learn_peers(core, peers),
        ToWorker::Assign(msg) => assign::assigned(core, *msg),
        ToWorker::Retract { job, tasks } => take_back::retract(core, job, &tasks),
        ToWorker::Cancel { job, tasks } => take_back::cancel(core, job, &tasks),
        ToWorker::Free { job, tasks, attempts } => free::free(core, job, &tasks, &attempts),
        ToWorker::ForgetJob { job } => free::forget_job(core, job),
        ToWorker::Replicate(msg) => replicate::replicate(core, msg),
        ToWorker::Drain => core.draining = true,
        ToWorker::Shutdown => core.out.push(WorkerEffect::Exit),
    }
}

fn learn_peers(core: &mut WorkerCore, peers: Vec<PeerInfo>) {
    let Some(live) = core.conversation.live_mut() else {
        return;
    };
    for peer in peers {
        let number = peer.number;
        live.peers.insert(number, core.fetches.learn_peer(peer));
    }
}
