//! What is consumed: kinds of queues, the consumer and its deliveries.

use bytes::Bytes;

use crate::amqp::{AmqpAcker, AmqpConsumer};
use crate::error::BusError;
use crate::inproc::{InprocAcker, InprocConsumer};
use crate::names::{Names, QueueName, check_name};

/// Bytes that wait in the intake at most: a cluster whose schedulers are away refuses jobs before it eats the broker's
/// disk.
pub(crate) const INTAKE_MAX_BYTES: i64 = 1 << 30;
/// Undecodable frames kept for an operator; the oldest go first.
pub(crate) const DEAD_MAX_FRAMES: i64 = 10_000;

/// A queue to consume from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name.
    pub name: QueueName,
    /// How it behaves.
    pub kind: QueueKind,
}

/// How a queue behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueKind {
    /// Durable, shared by all who consume it, acknowledged by hand. The cluster's intake and its dead-letter queue;
    /// both exist as soon as anybody has connected.
    Intake {
        /// Most unacknowledged deliveries at a time.
        prefetch: u16,
    },
    /// Exclusive, gone with its consumer. Not acknowledged and not bounded here: the session window of the layer
    /// above bounds it.
    Private {
        /// Whether the leader's hello arrives here too.
        hello: bool,
    },
    /// Exclusive, gone with its consumer. When it is full, the oldest frame is dropped.
    Live {
        /// Patterns of topics: `*` is one word, `#` any number of words.
        topics: Vec<String>,
        /// Most frames that wait.
        max_length: u32,
    },
}

impl QueueSpec {
    /// The cluster's intake.
    pub fn intake(names: &Names, prefetch: u16) -> Self {
        Self {
            name: names.intake(),
            kind: QueueKind::Intake { prefetch },
        }
    }

    /// The cluster's dead-letter queue.
    pub fn dead(names: &Names, prefetch: u16) -> Self {
        Self {
            name: names.dead(),
            kind: QueueKind::Intake { prefetch },
        }
    }

    /// A private queue.
    pub const fn private(name: QueueName) -> Self {
        Self {
            name,
            kind: QueueKind::Private { hello: false },
        }
    }

    /// A private queue that also receives the leader's hello.
    pub const fn private_with_hello(name: QueueName) -> Self {
        Self {
            name,
            kind: QueueKind::Private { hello: true },
        }
    }

    /// A view of the live exchange.
    pub fn live<T: Into<String>>(
        name: QueueName,
        topics: impl IntoIterator<Item = T>,
        max_length: u32,
    ) -> Self {
        let topics = topics.into_iter().map(Into::into).collect();
        Self {
            name,
            kind: QueueKind::Live { topics, max_length },
        }
    }

    /// Refuses names that no broker takes.
    pub(crate) fn check(&self) -> Result<(), BusError> {
        check_name(self.name.as_str())?;
        if let QueueKind::Live { topics, .. } = &self.kind {
            topics.iter().try_for_each(|topic| check_name(topic))?;
        }
        Ok(())
    }
}

/// The receiving end of a queue. Dropping it gives unacknowledged deliveries back and removes an exclusive queue.
#[derive(Debug)]
pub struct Consumer(ConsumerKind);

#[derive(Debug)]
enum ConsumerKind {
    Inproc(InprocConsumer),
    Amqp(Box<AmqpConsumer>),
}

impl Consumer {
    pub(crate) const fn inproc(consumer: InprocConsumer) -> Self {
        Self(ConsumerKind::Inproc(consumer))
    }

    pub(crate) fn amqp(consumer: AmqpConsumer) -> Self {
        Self(ConsumerKind::Amqp(Box::new(consumer)))
    }

    /// The next delivery, in the queue's order; nothing once the link has ended. Cancelling the call loses nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        match &mut self.0 {
            ConsumerKind::Inproc(consumer) => consumer.next().await,
            ConsumerKind::Amqp(consumer) => consumer.next().await,
        }
    }
}

/// One received frame.
#[derive(Debug)]
pub struct Delivery {
    /// The frame as it was published.
    pub frame: Bytes,
    /// Whether the frame may have been delivered before.
    pub redelivered: bool,
    acker: Acker,
}

#[derive(Debug)]
pub(crate) enum Acker {
    /// The broker forgot the frame when it sent it.
    Automatic,
    Inproc(InprocAcker),
    Amqp(AmqpAcker),
}

impl Delivery {
    pub(crate) const fn new(frame: Bytes, redelivered: bool, acker: Acker) -> Self {
        Self {
            frame,
            redelivered,
            acker,
        }
    }

    /// Tells the broker that the frame is dealt with. Does nothing for queues that need no acknowledgement. A
    /// delivery that is dropped without this is delivered again once its consumer or link has ended.
    ///
    /// # Errors
    /// Why the link ended: the frame will be delivered again.
    pub async fn ack(self) -> Result<(), BusError> {
        match self.acker {
            Acker::Automatic => Ok(()),
            Acker::Inproc(acker) => acker.ack(),
            Acker::Amqp(acker) => acker.ack().await,
        }
    }
}
