//! Sends the worker's frames in order, and listens on the queue of the session of the moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Addr;
use bytes::Bytes;
use futures::FutureExt;
use millstream_bus::{Address, Bus, Consumer, Link, QueueName, QueueSpec};
use millstream_protocol::envelope::{Header, decode_header};
use millstream_protocol::wire::{Datagram, LiveMsg, WorkerInfo, decode_datagrams, encode_datagrams};
use millstream_types::{ClusterName, Term};
use millstream_worker_core::WorkerEvent;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::actor::{Happened, WorkerActor};
use crate::work::{SlotRows, WorkLog};

/// Frames handed to the actor together.
const MERGE: usize = 64;

/// How often those who watch are told what was done.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// What is to be done on the link, in order.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Listen on a new queue, and on no older one.
    OpenQueue {
        /// Its name.
        name: String,
    },
    /// Publish a frame.
    Frame {
        /// The leader's queue.
        queue: String,
        /// The frame.
        frame: Bytes,
    },
}

/// The task that keeps the worker connected.
pub(crate) struct Broker {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) worker: Addr<WorkerActor>,
    pub(crate) who: String,
    /// What the worker's queues are called, before the session's number.
    pub(crate) queue_base: String,
    /// Begins the names of the queues for the hello alone, one for each link.
    pub(crate) hello_base: String,
    pub(crate) show: Show,
}

/// What those who watch are told.
pub(crate) struct Show {
    pub(crate) work: Arc<WorkLog>,
    pub(crate) info: WorkerInfo,
}

impl Show {
    /// Tells what was done, each second, while the link holds. What is not sent is forgotten.
    async fn run(&self, bus: &Arc<dyn Bus>, link: &Arc<dyn Link>) {
        let mut beats = tokio::time::interval(SHOW_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut slots = SlotRows::new(self.info.slots);
        let mut told = Instant::now();
        let topic = Address::Live(format!("work.{}", self.info.worker));
        let sender = Uuid::from_u128(self.info.worker.as_u128());
        let header = Header::datagram(bus.names().cluster().clone(), sender, Term(0));
        loop {
            beats.tick().await;
            let msg = self.work.take(&self.info, &mut slots, told.elapsed());
            told = Instant::now();
            let live = Datagram::Live(LiveMsg::Work(Box::new(msg)));
            let sent = match encode_datagrams(&header, &[live]) {
                Ok(frame) => link
                    .publish(&topic, frame)
                    .await
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = sent {
                debug!(error, "what was done is not told");
            }
        }
    }
}

impl Broker {
    /// Connects, carries frames, and begins again when the link ends; for ever.
    pub(crate) async fn run(self, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
        for epoch in 0_u32.. {
            let link = self.bus.connect(&self.who).await;
            // What was meant for the last link belongs to a session that ended with it.
            while outgoing.try_recv().is_ok() {}
            let hello = QueueName::from(format!("{}.{epoch}", self.hello_base));
            match link.consume(QueueSpec::private_with_hello(hello)).await {
                Ok(consumer) => {
                    info!("connected to the broker");
                    self.tell(WorkerEvent::LinkUp {
                        queue_base: self.queue_base.clone(),
                    })
                    .await;
                    tokio::select! {
                        () = self.hear(consumer) => {}
                        () = self.carry(&link, &mut outgoing) => {}
                        () = self.hear_returns(&link) => {}
                        () = self.show.run(&self.bus, &link) => {}
                        reason = link.wait_closed() => warn!(%reason, "the broker's link ended"),
                    }
                    self.tell(WorkerEvent::LinkDown).await;
                }
                Err(error) => warn!(%error, "cannot listen"),
            }
            link.close().await;
        }
    }

    async fn tell(&self, event: WorkerEvent) {
        let _ = self.worker.send(Happened(vec![event])).await;
    }

    async fn hear(&self, consumer: Consumer) {
        hear(consumer, self.worker.clone(), self.bus.names().cluster().clone()).await;
    }

    async fn carry(&self, link: &Arc<dyn Link>, outgoing: &mut mpsc::UnboundedReceiver<Outgoing>) {
        let mut listening: Option<AbortOnDropHandle<()>> = None;
        while let Some(next) = outgoing.recv().await {
            let done = match next {
                Outgoing::OpenQueue { name } => {
                    drop(listening.take());
                    let opened = link.consume(QueueSpec::private(QueueName::from(name))).await;
                    opened.map(|consumer| {
                        let worker = self.worker.clone();
                        let cluster = self.bus.names().cluster().clone();
                        listening = Some(AbortOnDropHandle::new(actix_rt::spawn(hear(
                            consumer, worker, cluster,
                        ))));
                    })
                }
                Outgoing::Frame { queue, frame } => {
                    link.publish(&Address::Queue(QueueName::from(queue)), frame).await
                }
            };
            if let Err(error) = done {
                debug!(%error, "the link does not carry a frame");
                return;
            }
        }
    }

    async fn hear_returns(&self, link: &Arc<dyn Link>) {
        let mut returns = link.returns();
        while let Some(address) = returns.next().await {
            if let Address::Queue(queue) = address {
                self.tell(WorkerEvent::LeaderUnroutable {
                    queue: queue.to_string(),
                })
                .await;
            }
        }
    }
}

async fn hear(mut consumer: Consumer, worker: Addr<WorkerActor>, cluster: ClusterName) {
    while let Some(delivery) = consumer.next().await {
        let mut events = Vec::new();
        read(&cluster, delivery.frame, &mut events);
        while events.len() < MERGE {
            let Some(Some(more)) = consumer.next().now_or_never() else {
                break;
            };
            read(&cluster, more.frame, &mut events);
        }
        let _ = worker.send(Happened(events)).await;
    }
}

/// A frame of the session goes to the core as it is; the hello is read here.
fn read(cluster: &ClusterName, frame: Bytes, events: &mut Vec<WorkerEvent>) {
    let is_datagram = decode_header(cluster, &frame).is_ok_and(|(header, _)| header.is_datagram());
    if !is_datagram {
        events.push(WorkerEvent::LeaderFrame(frame));
        return;
    }
    match decode_datagrams(cluster, &frame) {
        Ok(batch) => events.extend(batch.items.into_iter().filter_map(|datagram| match datagram {
            Datagram::Hello(hello) => Some(WorkerEvent::Hello(hello)),
            _ => None,
        })),
        Err(error) => warn!(%error, "a message outside any session cannot be read"),
    }
}
