//! The leader's connection to the broker: its own queue, the intake, and what comes back.

use std::sync::Arc;

use actix::Addr;
use futures::FutureExt;
use millstream_bus::{Address, Bus, Consumer, Link, QueueName, QueueSpec};
use millstream_protocol::envelope::decode_header;
use millstream_protocol::wire::{Datagram, decode_datagrams};
use millstream_scheduler_core::{Identity, SchedulerEvent};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::intake::IntakeReader;
use crate::leader::{Heard, LeaderActor, Listening};

/// Frames handed to the actor together.
const MERGE: usize = 256;

/// The task that keeps the leader connected.
pub(crate) struct Broker {
    pub(crate) identity: Identity,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) leader: Addr<LeaderActor>,
    pub(crate) intake: IntakeReader,
    pub(crate) link: watch::Sender<Option<Arc<dyn Link>>>,
}

impl Broker {
    /// Connects, listens, and begins again when the link ends; for ever.
    pub(crate) async fn run(self, mut committed: mpsc::UnboundedReceiver<u64>) {
        let mut next_token = 0;
        for epoch in 0_u32.. {
            let link = self.bus.connect("scheduler").await;
            let queue = self.queue_of(epoch);
            match link.consume(QueueSpec::private_with_hello(queue.clone())).await {
                Ok(consumer) => {
                    info!(%queue, "listening");
                    self.link.send_replace(Some(link.clone()));
                    let _ = self.leader.send(Listening(queue.to_string())).await;
                    tokio::select! {
                        () = self.listen(consumer, &queue, &link) => {}
                        () = self.intake.run(&link, &mut committed, &mut next_token) => {}
                        () = self.hear_returns(&link) => {}
                        reason = link.wait_closed() => warn!(%reason, "the broker's link ended"),
                    }
                    self.link.send_replace(None);
                    let _ = self.leader.send(Heard(vec![SchedulerEvent::BrokerDown])).await;
                }
                Err(error) => warn!(%error, %queue, "cannot listen"),
            }
            link.close().await;
        }
    }

    /// A name per link: the broker may keep a dead connection's exclusive queue for a while.
    fn queue_of(&self, epoch: u32) -> QueueName {
        let base = self.bus.names().leader(self.identity.term, self.identity.leader);
        if epoch == 0 {
            base
        } else {
            QueueName::from(format!("{base}.{epoch}"))
        }
    }

    async fn listen(&self, mut consumer: Consumer, queue: &QueueName, link: &Arc<dyn Link>) {
        while let Some(delivery) = consumer.next().await {
            let mut events = Vec::new();
            self.read(delivery.frame, queue, link, &mut events).await;
            while events.len() < MERGE {
                let Some(Some(more)) = consumer.next().now_or_never() else {
                    break;
                };
                self.read(more.frame, queue, link, &mut events).await;
            }
            let _ = self.leader.send(Heard(events)).await;
        }
    }

    async fn read(
        &self,
        frame: bytes::Bytes,
        queue: &QueueName,
        link: &Arc<dyn Link>,
        events: &mut Vec<SchedulerEvent>,
    ) {
        let cluster = self.bus.names().cluster();
        let read = decode_header(cluster, &frame).and_then(|(header, _)| {
            if header.is_datagram() {
                decode_datagrams(cluster, &frame).map(Some)
            } else {
                Ok(None)
            }
        });
        match read {
            Ok(None) => events.push(SchedulerEvent::WorkerFrame(frame)),
            Ok(Some(batch)) => events.extend(batch.items.into_iter().filter_map(event_of)),
            Err(error) => {
                warn!(%error, "a message on the leader's queue cannot be read");
                let _ = link.dead_letter(queue, frame, error.code()).await;
                events.push(SchedulerEvent::DeadLettered);
            }
        }
    }

    async fn hear_returns(&self, link: &Arc<dyn Link>) {
        let mut returns = link.returns();
        while let Some(address) = returns.next().await {
            if let Address::Queue(queue) = address {
                let event = SchedulerEvent::WorkerUnroutable {
                    queue: queue.to_string(),
                };
                let _ = self.leader.send(Heard(vec![event])).await;
            }
        }
    }
}

fn event_of(datagram: Datagram) -> Option<SchedulerEvent> {
    match datagram {
        Datagram::FromGateway(msg) => Some(SchedulerEvent::GatewayAsked(msg)),
        Datagram::StaleTerm(stale) => Some(SchedulerEvent::StaleTermHeard(stale)),
        Datagram::Hello(hello) => Some(SchedulerEvent::HelloHeard(hello)),
        Datagram::Intake(_) | Datagram::ToGateway(_) | Datagram::Live(_) => None,
    }
}
