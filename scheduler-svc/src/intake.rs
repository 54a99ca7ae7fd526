//! Takes submissions from the intake queue, fetches and decodes their graphs, and acknowledges them late.
//!
//! A delivery is acknowledged some seconds after its commit: a killed Redis may lose its last two seconds, and the
//! queue then still has what was lost. Unacknowledged deliveries return to the queue when the link breaks; the core
//! recognises the job when it comes again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use millstream_bus::{Bus, Delivery, Link, QueueSpec};
use millstream_protocol::wire::{Datagram, GraphSource, Intake, RequestError, SubmitMsg, decode_datagrams};
use millstream_scheduler_core::{SchedulerEvent, SubmittedGraph};
use millstream_state::StateStore;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::leader::{Heard, LeaderActor};

/// Unacknowledged deliveries at once. Each lives for the delay, so this bounds accepted jobs per delay.
const PREFETCH: u16 = 10_000;

/// Pause between two tries to read a graph from a store that is away.
const BLOB_RETRY: Duration = Duration::from_millis(200);

/// Where committed submissions are told.
#[derive(Debug, Clone)]
pub(crate) struct Acks(mpsc::UnboundedSender<u64>);

impl Acks {
    /// A channel for one link's deliveries. Bounded by the queue's prefetch.
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<u64>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// The submission of this delivery is committed or refused.
    pub(crate) fn acknowledge(&self, token: u64) {
        let _ = self.0.send(token);
    }
}

/// The task that reads the intake queue.
pub(crate) struct IntakeReader {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) leader: Addr<LeaderActor>,
    pub(crate) ack_delay: Duration,
}

impl IntakeReader {
    /// Reads until the link ends. Tokens continue over links, so that a late acknowledgement hits nothing else.
    pub(crate) async fn run(
        &self,
        link: &Arc<dyn Link>,
        committed: &mut mpsc::UnboundedReceiver<u64>,
        next_token: &mut u64,
    ) {
        let queue = QueueSpec::intake(self.bus.names(), PREFETCH);
        let mut consumer = match link.consume(queue).await {
            Ok(consumer) => consumer,
            Err(error) => {
                warn!(%error, "cannot read the intake queue");
                return;
            }
        };
        let mut waiting: HashMap<u64, Delivery> = HashMap::new();
        let (due_sender, mut due) = mpsc::unbounded_channel();
        loop {
            tokio::select! {
                delivery = consumer.next() => {
                    let Some(delivery) = delivery else { return };
                    if let Some(submission) = self.read(link, &delivery).await {
                        *next_token += 1;
                        waiting.insert(*next_token, delivery);
                        self.submit(*next_token, submission).await;
                    } else if let Err(error) = delivery.ack().await {
                        debug!(%error, "a dead letter was not acknowledged");
                    }
                }
                Some(token) = committed.recv() => {
                    let (due_sender, delay) = (due_sender.clone(), self.ack_delay);
                    tokio::spawn(async move {
                        tokio::time::sleep(delay).await;
                        let _ = due_sender.send(token);
                    });
                }
                Some(token) = due.recv() => {
                    if let Some(delivery) = waiting.remove(&token)
                        && let Err(error) = delivery.ack().await
                    {
                        debug!(%error, "a submission was not acknowledged and will come again");
                    }
                }
            }
        }
    }

    /// The submission of a delivery; none if it is none, and then it is put aside for an operator.
    async fn read(&self, link: &Arc<dyn Link>, delivery: &Delivery) -> Option<SubmitMsg> {
        let reason = match decode_datagrams(self.bus.names().cluster(), &delivery.frame) {
            Ok(batch) => match batch.items.into_iter().next() {
                Some(Datagram::Intake(Intake::Submit(msg))) => return Some(msg),
                _ => "not a submission".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        warn!(%reason, "a message on the intake queue cannot be read");
        let intake = self.bus.names().intake();
        if let Err(error) = link.dead_letter(&intake, delivery.frame.clone(), &reason).await {
            debug!(%error, "a dead letter was not put aside");
        }
        let _ = self.leader.send(Heard(vec![SchedulerEvent::DeadLettered])).await;
        None
    }

    async fn submit(&self, token: u64, mut msg: SubmitMsg) {
        let graph = match &msg.graph {
            GraphSource::Inline(encoded) => Ok(encoded.clone()),
            GraphSource::Blob(key) => self.blob(key).await.ok_or(RequestError::GraphExpired(msg.job)),
        };
        // What the core keeps must not hold the bytes twice.
        if matches!(msg.graph, GraphSource::Inline(_)) {
            msg.graph = GraphSource::Inline(bytes::Bytes::new());
        }
        let graph = graph.and_then(SubmittedGraph::decode);
        let event = SchedulerEvent::JobSubmitted {
            token,
            msg: Box::new(msg),
            graph,
        };
        let _ = self.leader.send(Heard(vec![event])).await;
    }

    async fn blob(&self, key: &str) -> Option<bytes::Bytes> {
        loop {
            match self.state.get_blob(key).await {
                Ok(blob) => return blob,
                Err(error) if error.is_retryable() => tokio::time::sleep(BLOB_RETRY).await,
                Err(error) => {
                    warn!(%error, key, "cannot read a submitted graph");
                    return None;
                }
            }
        }
    }
}
