//! One link to the in-process broker, its consumers and their acknowledgements.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;
use tracing::warn;

use crate::counters::BusCounters;
use crate::error::BusError;
use crate::link::{Link, check_size};
use crate::names::{Address, Names, QueueName};
use crate::queue::{Acker, Consumer, Delivery, QueueSpec};
use crate::returns::Returns;

use super::hub::{Ends, Hub, LinkHandle, Routed};
use super::queues::{ConsumerId, LinkId};

/// A link to the in-process broker.
#[derive(Debug)]
pub(super) struct InprocLink {
    hub: Arc<Hub>,
    id: LinkId,
    ends: Arc<Ends>,
    names: Names,
    counters: Arc<BusCounters>,
}

impl InprocLink {
    pub(super) fn new(hub: Arc<Hub>, handle: LinkHandle, names: Names, counters: Arc<BusCounters>) -> Self {
        Self {
            hub,
            id: handle.id,
            ends: handle.ends,
            names,
            counters,
        }
    }

    /// Why the hub refused a call: this link's own end is the better reason.
    fn explain(&self, refusal: BusError) -> BusError {
        self.ends.closed.reason().unwrap_or(refusal)
    }

    fn to_queue(&self, queue: &QueueName, frame: Bytes) -> Result<Routed, BusError> {
        let routed = self
            .hub
            .to_queue(self.id, queue, frame)
            .map_err(|refusal| self.explain(refusal))?;
        self.counters.count_published();
        if routed == Routed::NoQueue {
            self.counters.count_returned();
        }
        Ok(routed)
    }

    fn to_exchange(&self, exchange: &str, topic: &str, frame: &Bytes) -> Result<(), BusError> {
        self.hub
            .to_exchange(self.id, exchange, topic, frame)
            .map_err(|refusal| self.explain(refusal))
            .inspect(|()| self.counters.count_published())
    }
}

#[async_trait]
impl Link for InprocLink {
    async fn consume(&self, queue: QueueSpec) -> Result<Consumer, BusError> {
        queue.check()?;
        let name = queue.name.clone();
        let (id, wake) = self
            .hub
            .consume(self.id, &self.names, queue)
            .map_err(|refusal| self.explain(refusal))?;
        let source = Source {
            hub: Arc::clone(&self.hub),
            ends: Arc::clone(&self.ends),
            queue: name,
            link: self.id,
            consumer: id,
        };
        Ok(Consumer::inproc(InprocConsumer { source, wake }))
    }

    async fn publish(&self, to: &Address, frame: Bytes) -> Result<(), BusError> {
        check_size(&frame)?;
        to.check()?;
        match to {
            Address::Hello => self.to_exchange(&self.names.hello_exchange(), "", &frame),
            Address::Live(topic) => self.to_exchange(&self.names.live_exchange(), topic, &frame),
            Address::Queue(queue) => {
                if self.to_queue(queue, frame)? == Routed::NoQueue {
                    self.ends.returns.send(to.clone());
                }
                Ok(())
            }
        }
    }

    async fn publish_confirmed(&self, to: &Address, frame: Bytes) -> Result<(), BusError> {
        check_size(&frame)?;
        to.check()?;
        let Address::Queue(queue) = to else {
            return Err(BusError::NotConfirmable);
        };
        match self.to_queue(queue, frame)? {
            Routed::Queued => Ok(()),
            Routed::Full => Err(BusError::Refused { queue: queue.clone() }),
            Routed::NoQueue => Err(BusError::Unroutable { queue: queue.clone() }),
        }
    }

    async fn dead_letter(&self, from: &QueueName, frame: Bytes, reason: &str) -> Result<(), BusError> {
        check_size(&frame)?;
        warn!(queue = %from, bytes = frame.len(), reason, "message put aside in the dead-letter queue");
        self.to_queue(&self.names.dead(), frame)?;
        self.counters.count_dead_lettered();
        Ok(())
    }

    fn returns(&self) -> Returns {
        self.ends.returns.subscribe()
    }

    async fn wait_closed(&self) -> BusError {
        self.ends.closed.wait().await
    }

    fn closed(&self) -> Option<BusError> {
        self.ends.closed.reason()
    }

    async fn close(&self) {
        self.hub.close(self.id);
    }
}

impl Drop for InprocLink {
    fn drop(&mut self) {
        self.hub.close(self.id);
    }
}

/// Which queue a delivery comes from, and for whom.
#[derive(Debug, Clone)]
struct Source {
    hub: Arc<Hub>,
    ends: Arc<Ends>,
    queue: QueueName,
    link: LinkId,
    consumer: ConsumerId,
}

/// Receives from one queue of the in-process broker.
#[derive(Debug)]
pub(crate) struct InprocConsumer {
    source: Source,
    wake: Arc<Notify>,
}

impl InprocConsumer {
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        loop {
            if self.source.ends.closed.is_set() {
                return None;
            }
            let taken = self.source.hub.take(&self.source.queue, self.source.consumer);
            if let Some(taken) = taken {
                let acker = if taken.needs_ack {
                    Acker::Inproc(InprocAcker {
                        source: self.source.clone(),
                        seq: taken.seq,
                    })
                } else {
                    Acker::Automatic
                };
                return Some(Delivery::new(taken.frame, taken.redelivered, acker));
            }
            // The hub leaves a permit when it changes the queue between the look above and this wait, and when it
            // ends the link.
            self.wake.notified().await;
        }
    }
}

impl Drop for InprocConsumer {
    fn drop(&mut self) {
        let Source {
            hub,
            queue,
            link,
            consumer,
            ..
        } = &self.source;
        hub.unsubscribe(queue, *link, *consumer);
    }
}

/// Acknowledges one delivery.
#[derive(Debug)]
pub(crate) struct InprocAcker {
    source: Source,
    seq: u64,
}

impl InprocAcker {
    pub(crate) fn ack(self) -> Result<(), BusError> {
        let Source {
            hub,
            ends,
            queue,
            consumer,
            ..
        } = &self.source;
        if hub.ack(queue, *consumer, self.seq) {
            return Ok(());
        }
        Err(ends.closed.reason().unwrap_or(BusError::Closed))
    }
}
