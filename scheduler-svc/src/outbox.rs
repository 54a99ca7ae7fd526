//! Carries effects out in the order the core gave them: commits before what follows them.
//!
//! What waits together is written together: all commits of the waiting batches go into one script, then their sends
//! leave in order. Frames that find no link are dropped, because sessions are opened anew with the next link.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Addr;
use bytes::Bytes;
use millstream_bus::{Address, Bus, Link, QueueName};
use millstream_protocol::envelope::Header;
use millstream_protocol::wire::{Datagram, LiveMsg, ToGateway, encode_datagrams};
use millstream_scheduler_core::{Effect, Identity};
use millstream_state::{Fence, Journal, StateError, StateStore, Write};
use millstream_telemetry::SchedulerMetrics;
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, warn};

use crate::intake::Acks;
use crate::journal::write_of_commit;
use crate::leader::{LeaderActor, OutboxHasRoom, StateNews};

/// Batches that may wait; beyond that the core is not polled, and its sessions' windows close.
pub(crate) const CAPACITY: usize = 64;

/// Batches written and sent together.
const MERGE: usize = 32;

/// Pause between two tries of a commit that the store did not take.
const RETRY: Duration = Duration::from_millis(100);

/// How long an answer waits for the notes that belong to it.
const NOTES_PATIENCE: Duration = Duration::from_secs(1);

/// The link of the moment; none while the broker is away.
pub(crate) type CurrentLink = watch::Receiver<Option<Arc<dyn Link>>>;

/// Effects with their number.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) number: u64,
    /// Notes that must be written before the batch's answers to gateways leave.
    pub(crate) noted: Option<u64>,
    pub(crate) effects: Vec<Effect>,
}

/// The task that carries effects out.
pub(crate) struct Outbox {
    pub(crate) identity: Identity,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) link: CurrentLink,
    pub(crate) leader: Addr<LeaderActor>,
    pub(crate) acks: Acks,
    pub(crate) committed: watch::Sender<u64>,
    pub(crate) noted: watch::Receiver<u64>,
    pub(crate) journal: JournalWatch,
    pub(crate) metrics: SchedulerMetrics,
}

impl Outbox {
    /// Runs until the leader is gone or fenced.
    pub(crate) async fn run(mut self, mut batches: mpsc::Receiver<Batch>) {
        let mut waiting = Vec::with_capacity(MERGE);
        while batches.recv_many(&mut waiting, MERGE).await > 0 {
            let number = waiting.last().map_or(0, |batch| batch.number);
            let noted = waiting.iter().filter_map(|batch| batch.noted).max();
            let effects: Vec<Effect> = waiting.drain(..).flat_map(|batch| batch.effects).collect();
            if self.commit(&effects).await.is_err() {
                return;
            }
            self.committed.send_replace(number);
            for effect in effects {
                self.carry_out(effect, noted).await;
            }
            // A full mailbox holds messages that make the leader look for room by itself.
            let _ = self.leader.try_send(OutboxHasRoom);
        }
    }

    /// Writes the commits among `effects`, however long it takes; an error means that this leader is one no more.
    async fn commit(&mut self, effects: &[Effect]) -> Result<(), StateError> {
        let mut writes = Vec::new();
        for effect in effects {
            let Effect::Commit(commit) = effect else { continue };
            match write_of_commit(commit.clone()) {
                Ok(write) => writes.push(write),
                Err(error) => error!(%error, "a commit has no encoding"),
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        let fence = fence_of(&self.identity);
        let journal = (&self.journal, &self.leader);
        commit_until_taken(&*self.state, &fence, &writes, journal, &self.metrics).await
    }

    async fn carry_out(&self, effect: Effect, noted: Option<u64>) {
        match effect {
            Effect::Commit(_) => {}
            Effect::AckIntake { token } => self.acks.acknowledge(token),
            Effect::SendToWorker { queue, frame } => self.publish(&queue_address(queue), frame).await,
            Effect::ReplyToGateway { queue, msg } => match noted {
                None => {
                    self.send_datagram(&queue_address(queue), Datagram::ToGateway(msg))
                        .await;
                }
                Some(noted) => self.reply_when_noted(queue, msg, noted),
            },
            Effect::Publish(msg) => {
                let topic = match &msg {
                    LiveMsg::Job { job, .. } => format!("job.{job}"),
                    LiveMsg::Snapshot(_) => "snapshot".to_owned(),
                    LiveMsg::Work(work) => format!("work.{}", work.worker),
                };
                self.send_datagram(&Address::Live(topic), Datagram::Live(msg))
                    .await;
            }
            Effect::SayHello(hello) => self.send_datagram(&Address::Hello, Datagram::Hello(hello)).await,
            Effect::StepDown { known } => {
                let _ = self.leader.try_send(StateNews::Outranked { known });
            }
        }
    }

    /// Answers once the state store holds what the gateway will look for there, without holding up what follows.
    fn reply_when_noted(&self, queue: String, msg: ToGateway, noted: u64) {
        let Some(frame) = self.encoded(Datagram::ToGateway(msg)) else {
            return;
        };
        let (link, mut written) = (self.link.clone(), self.noted.clone());
        tokio::spawn(async move {
            // An answer that lacks a log is better than none.
            let _ = tokio::time::timeout(NOTES_PATIENCE, written.wait_for(|number| *number >= noted)).await;
            publish(&link, &queue_address(queue), frame).await;
        });
    }

    async fn send_datagram(&self, to: &Address, datagram: Datagram) {
        if let Some(frame) = self.encoded(datagram) {
            self.publish(to, frame).await;
        }
    }

    fn encoded(&self, datagram: Datagram) -> Option<Bytes> {
        let sender = uuid::Uuid::from_u128(self.identity.leader.as_u128());
        let header = Header::datagram(self.bus.names().cluster().clone(), sender, self.identity.term);
        encode_datagrams(&header, &[datagram])
            .inspect_err(|error| error!(%error, "a datagram has no encoding"))
            .ok()
    }

    async fn publish(&self, to: &Address, frame: Bytes) {
        publish(&self.link, to, frame).await;
    }
}

/// Sends a frame, if there is a link.
async fn publish(link: &CurrentLink, to: &Address, frame: Bytes) {
    let link = link.borrow().clone();
    let Some(link) = link else { return };
    if let Err(error) = link.publish(to, frame).await {
        debug!(%error, ?to, "a frame was not sent");
    }
}

fn queue_address(queue: String) -> Address {
    Address::Queue(QueueName::from(queue))
}

/// The proof of leadership of one term.
pub(crate) fn fence_of(identity: &Identity) -> Fence {
    Fence {
        term: identity.term,
        leader: identity.leader,
    }
}

/// Writes until the store has taken it. Tells the leader when the journal shows another past, or another leader.
pub(crate) async fn commit_until_taken(
    state: &dyn StateStore,
    fence: &Fence,
    writes: &[Write],
    (journal, leader): (&JournalWatch, &Addr<LeaderActor>),
    metrics: &SchedulerMetrics,
) -> Result<(), StateError> {
    let mut complaint = None;
    loop {
        let known = journal.known();
        let asked = Instant::now();
        match state.commit(fence, writes).await {
            Ok(reached) => {
                metrics.commit_seconds.observe(asked.elapsed());
                if journal.note(&known, reached) {
                    let _ = leader.send(StateNews::JournalLost).await;
                }
                return Ok(());
            }
            Err(StateError::Fenced { ours, holder }) => {
                // The keeper may not know yet. Whether the lease can be had again is decided there.
                let _ = leader.send(StateNews::Fenced { holder }).await;
                return Err(StateError::Fenced { ours, holder });
            }
            Err(error) => {
                metrics.commit_failures.inc();
                let text = error.to_string();
                if complaint.as_ref() != Some(&text) {
                    warn!(%error, "cannot write the journal; trying again");
                    complaint = Some(text);
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Notices that the journal's past is not ours: another server, or a rolled-back one.
#[derive(Debug, Clone, Default)]
pub(crate) struct JournalWatch(Arc<std::sync::Mutex<Option<Journal>>>);

impl JournalWatch {
    /// Where the journal was last seen.
    pub(crate) fn known(&self) -> Option<Journal> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Records where the journal is now; whether it lost what was there at `before`.
    pub(crate) fn note(&self, before: &Option<Journal>, now: Journal) -> bool {
        let lost = before
            .as_ref()
            .is_some_and(|before| now.seq < before.seq || now.run_id != before.run_id);
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let newer = known.as_ref().is_none_or(|known| lost || now.seq >= known.seq);
        if newer {
            *known = Some(now);
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64, run_id: &str) -> Journal {
        Journal {
            seq,
            run_id: run_id.to_owned(),
        }
    }

    #[test]
    fn a_lower_number_or_another_server_is_a_lost_journal() {
        let watch = JournalWatch::default();
        assert!(!watch.note(&watch.known(), at(5, "a")));
        assert!(!watch.note(&watch.known(), at(6, "a")));
        assert!(watch.note(&watch.known(), at(3, "a")));
        assert!(watch.note(&watch.known(), at(4, "b")));
        assert!(!watch.note(&watch.known(), at(5, "b")));
    }

    #[test]
    fn two_writers_that_finish_out_of_order_are_no_loss() {
        let watch = JournalWatch::default();
        let (first, second) = (watch.known(), watch.known());
        assert!(!watch.note(&second, at(2, "a")));
        assert!(!watch.note(&first, at(1, "a")));
        assert_eq!(watch.known(), Some(at(2, "a")));
    }
}
