//! Frames of workers' sessions: judged, then their items handled one by one.

use millstream_protocol::codec::{self, DecodeError};
use millstream_protocol::envelope::{self, Header};
use millstream_protocol::session::{Session, Verdict};
use millstream_protocol::wire::{ExecutingMsg, FromWorker, RegisterMsg};
use millstream_types::WorkerId;
use uuid::Uuid;

use super::{drain, finished, inventory, reports};
use crate::Note;
use crate::core::SchedulerCore;
use crate::ids::WorkerNo;
use crate::worker::{Inventory, Link, WorkerState};

/// A frame arrived.
pub(crate) fn received(core: &mut SchedulerCore, frame: &[u8]) {
    let Ok((header, items)) = envelope::decode_header(&core.cx.identity.cluster, frame) else {
        core.cx.counters.malformed_frames += 1;
        return;
    };
    if header.term != core.cx.identity.term {
        core.cx.counters.foreign_frames += 1;
        core.hear_term(header.term);
        return;
    }
    let known = core.cx.workers.find(WorkerId::from(header.sender));
    let is_new_session =
        header.seq == 1 && known.is_none_or(|no| header.session > core.cx.workers[no].last_session);
    if is_new_session {
        open(core, &header, items);
        return;
    }
    let Some(no) = known else {
        core.cx.counters.foreign_frames += 1;
        return;
    };
    let Some(session) = core.cx.workers[no].session() else {
        core.cx.counters.foreign_frames += 1;
        return;
    };
    match session.accept(&header) {
        Verdict::Accepted => {
            let items = session.read(items);
            heard(core, no);
            handle_read(core, no, items);
        }
        Verdict::AckOnly | Verdict::Duplicate => heard(core, no),
        Verdict::Foreign => core.cx.counters.foreign_frames += 1,
        Verdict::Gap { .. } => {
            core.cx.counters.gaps += 1;
            core.cx.workers[no].end_session();
        }
    }
}

/// A publish came back: the worker's queue is gone, and with it its session.
pub(crate) fn unroutable(core: &mut SchedulerCore, queue: &str) {
    let found = core.cx.workers.iter().find(|worker| worker.queue == queue);
    if let Some(no) = found.map(|worker| worker.no) {
        core.cx.workers[no].end_session();
    }
}

fn heard(core: &mut SchedulerCore, no: WorkerNo) {
    let now = core.cx.clock.now;
    let worker = &mut core.cx.workers[no];
    worker.last_heard = now;
    if worker.state == WorkerState::Suspect {
        worker.state = WorkerState::Active;
    }
    core.cx.workers.touch(no);
}

/// The first batch of a session must open it.
fn open(core: &mut SchedulerCore, header: &Header, items: &[u8]) {
    let mut rest = items;
    let Ok(first) = codec::decode_prefix::<FromWorker>(&mut rest) else {
        core.cx.counters.malformed_frames += 1;
        return;
    };
    let FromWorker::Register(register) = first else {
        core.cx.counters.impossible_messages += 1;
        return;
    };
    let sender = header.sender;
    if register.info.worker.as_u128() != sender.as_u128() || register.session != header.session {
        core.cx.counters.impossible_messages += 1;
        return;
    }
    core.hear_term(register.known_term);
    if core.cx.has_stepped_down {
        return;
    }
    let no = register_worker(core, register, sender, header);
    heard(core, no);
    if let Some(session) = core.cx.workers[no].session() {
        let items = session.read(rest);
        handle_read(core, no, items);
    }
}

fn handle_read(core: &mut SchedulerCore, no: WorkerNo, items: Result<Vec<FromWorker>, DecodeError>) {
    match items {
        Ok(items) => handle_all(core, no, items),
        Err(_) => {
            // Its items are lost, so the session cannot go on.
            core.cx.counters.malformed_frames += 1;
            core.cx.workers[no].end_session();
        }
    }
}

fn register_worker(
    core: &mut SchedulerCore,
    register: RegisterMsg,
    sender: Uuid,
    header: &Header,
) -> WorkerNo {
    let cx = &mut core.cx;
    let mut session = Session::new(
        cx.identity.cluster.clone(),
        cx.own_uuid(),
        sender,
        cx.identity.term,
        header.session,
    );
    // The header was made for exactly this session, as its first batch.
    session.accept(header);
    let now = cx.clock.now;
    let no = match cx.workers.find(register.info.worker) {
        Some(no) => no,
        None => cx.workers.add(register.info.clone(), now),
    };
    // Its list of what executes follows.
    reports::executing(core, no, &ExecutingMsg::default());
    let cx = &mut core.cx;
    let has_moved = cx.workers[no].info.data_address != register.info.data_address;
    let worker = &mut cx.workers[no];
    worker.end_session();
    worker.info = register.info;
    worker.queue = register.queue;
    worker.last_session = header.session;
    worker.unreachable.clear();
    if matches!(worker.state, WorkerState::Lost | WorkerState::Suspect) {
        worker.state = WorkerState::Active;
    }
    worker.link = Link::Collecting {
        session: Box::new(session),
        inventory: Inventory::default(),
    };
    if has_moved {
        for peer in cx.workers.iter_mut() {
            peer.peers.remove(&no);
        }
    }
    note_registration(core, no);
    no
}

/// Writes a worker's registration, which keeps it known to the next leader.
pub(crate) fn note_registration(core: &mut SchedulerCore, no: WorkerNo) {
    let ttl = core.cx.config.worker_ttl;
    let until = core.cx.clock.now + ttl / 3;
    let worker = &mut core.cx.workers[no];
    worker.registered_until = until;
    let info = Box::new(worker.info.clone());
    core.cx.notes.push(Note::Worker { info, ttl });
}

/// Handles a batch, unless the recovery window is open and it is no inventory: then it waits.
///
/// Reports that were not acknowledged in the last session come between the inventory and its end, and count at once:
/// what the inventory lacks is taken back only after them.
pub(crate) fn handle_all(core: &mut SchedulerCore, no: WorkerNo, items: Vec<FromWorker>) {
    for item in items {
        let may_wait = !matches!(item, FromWorker::Inventory(_) | FromWorker::Heartbeat(_));
        if core.cx.recovery.is_some() && may_wait {
            core.cx.workers[no].deferred.push(item);
        } else {
            handle(core, no, item);
        }
    }
}

fn handle(core: &mut SchedulerCore, no: WorkerNo, item: FromWorker) {
    match item {
        // Only ever the first item of a session.
        FromWorker::Register(_) => core.cx.counters.impossible_messages += 1,
        FromWorker::Inventory(msg) => inventory::part(core, no, msg),
        FromWorker::Finished(msg) => finished::finished(core, no, msg),
        FromWorker::Extended(msg) => finished::extended(core, no, msg),
        FromWorker::Failed(msg) => reports::failed(core, no, msg),
        FromWorker::Returned(msg) => reports::returned(core, no, &msg),
        FromWorker::Executing(msg) => reports::executing(core, no, &msg),
        FromWorker::Gone(msg) => reports::gone(core, no, msg),
        FromWorker::Lost(msg) => reports::objects_lost(core, no, &msg),
        FromWorker::Replicated(msg) => drain::replicated(core, no, &msg),
        FromWorker::Preparing(msg) => reports::preparing(core, no, msg),
        FromWorker::Log(msg) => reports::logged(core, msg),
        FromWorker::Heartbeat(msg) => core.cx.workers[no].load = Some(msg),
        FromWorker::Draining => drain::drain(core, no),
    }
}
