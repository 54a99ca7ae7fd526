//! Receiving from one queue of RabbitMQ. Each consumer has its own channel, so that closing it gives back what was
//! not acknowledged and hurts nobody else.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind};

use crate::error::BusError;
use crate::names::QueueName;
use crate::queue::{Acker, Delivery, QueueKind, QueueSpec};

use super::link::LinkState;
use super::topology;

/// Live frames that the broker may have under way to us. Beyond it they wait in the queue, where the oldest is
/// dropped, instead of in the client library's boundless buffer.
const LIVE_PREFETCH: u16 = 64;
/// Live frames acknowledged at once.
const LIVE_ACK_EVERY: u16 = LIVE_PREFETCH / 2;

/// Codes with which RabbitMQ refuses somebody else's exclusive queue and a missing one.
const RESOURCE_LOCKED: u16 = 405;
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;

/// Who acknowledges.
enum AckMode {
    /// The broker forgets a frame when it sends it.
    Automatic,
    /// The caller, one by one.
    Manual,
    /// The consumer, many at once.
    Batched { unacked: u16 },
}

/// Receives from one queue of RabbitMQ.
pub(crate) struct AmqpConsumer {
    state: Arc<LinkState>,
    channel: Channel,
    deliveries: lapin::Consumer,
    acks: AckMode,
}

impl AmqpConsumer {
    pub(super) async fn open(
        state: Arc<LinkState>,
        connection: &Connection,
        spec: QueueSpec,
    ) -> Result<Self, BusError> {
        let channel = connection
            .create_channel()
            .await
            .map_err(|error| state.fail(&error))?;
        let opened = tokio::select! {
            biased;
            opened = subscribe(&state, &channel, &spec) => opened,
            reason = state.closed.wait() => return Err(reason),
        };
        match opened {
            Ok((deliveries, acks)) => Ok(Self {
                state,
                channel,
                deliveries,
                acks,
            }),
            Err(error) => Err(refusal(&error, spec.name).unwrap_or_else(|| state.fail(&error))),
        }
    }

    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        if self.state.closed.is_set() {
            return None;
        }
        let item = tokio::select! {
            biased;
            item = self.deliveries.next() => item,
            _ = self.state.closed.wait() => return None,
        };
        match item {
            Some(Ok(delivery)) => Some(self.accept(delivery).await),
            Some(Err(error)) => {
                self.state.fail(&error);
                None
            }
            None => {
                self.state.fail_with("the broker ended a consumer".to_owned());
                None
            }
        }
    }

    async fn accept(&mut self, delivery: lapin::message::Delivery) -> Delivery {
        let lapin::message::Delivery {
            data,
            redelivered,
            acker,
            ..
        } = delivery;
        let acker = match &mut self.acks {
            AckMode::Automatic => Acker::Automatic,
            AckMode::Manual => Acker::Amqp(AmqpAcker {
                acker,
                state: Arc::clone(&self.state),
            }),
            AckMode::Batched { unacked } => {
                *unacked += 1;
                if *unacked >= LIVE_ACK_EVERY {
                    *unacked = 0;
                    // A failure means that the link is ending, which the next call tells.
                    let _ = acker.ack(BasicAckOptions { multiple: true }).await;
                }
                Acker::Automatic
            }
        };
        Delivery::new(Bytes::from(data), redelivered, acker)
    }
}

impl Drop for AmqpConsumer {
    fn drop(&mut self) {
        if self.state.closed.is_set() {
            return;
        }
        let channel = self.channel.clone();
        self.state.shared.runtime.handle().spawn(async move {
            // Fails only if the link has ended meanwhile.
            let _ = channel.close(200, "OK".into()).await;
        });
    }
}

impl fmt::Debug for AmqpConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConsumer")
            .field("queue", &self.deliveries.queue())
            .finish_non_exhaustive()
    }
}

async fn subscribe(
    state: &LinkState,
    channel: &Channel,
    spec: &QueueSpec,
) -> lapin::Result<(lapin::Consumer, AckMode)> {
    let names = &state.shared.names;
    let (acks, prefetch) = match &spec.kind {
        QueueKind::Intake { prefetch } => (AckMode::Manual, (*prefetch).max(1)),
        QueueKind::Private { hello } => {
            topology::declare_exclusive(channel, &spec.name, None).await?;
            if *hello {
                topology::bind(channel, &spec.name, &names.hello_exchange(), "").await?;
            }
            (AckMode::Automatic, 0)
        }
        QueueKind::Live { topics, max_length } => {
            topology::declare_exclusive(channel, &spec.name, Some(*max_length)).await?;
            for topic in topics {
                topology::bind(channel, &spec.name, &names.live_exchange(), topic).await?;
            }
            (AckMode::Batched { unacked: 0 }, LIVE_PREFETCH)
        }
    };
    if prefetch > 0 {
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    }
    let options = BasicConsumeOptions {
        no_ack: matches!(acks, AckMode::Automatic),
        exclusive: !matches!(acks, AckMode::Manual),
        ..Default::default()
    };
    let name = spec.name.as_str().into();
    let deliveries = channel
        .basic_consume(name, ShortString::default(), options, FieldTable::default())
        .await?;
    Ok((deliveries, acks))
}

/// The refusals that leave the link whole.
fn refusal(error: &lapin::Error, queue: QueueName) -> Option<BusError> {
    let ErrorKind::ProtocolError(protocol) = error.kind() else {
        return None;
    };
    match protocol.get_id() {
        RESOURCE_LOCKED | ACCESS_REFUSED => Some(BusError::QueueTaken { queue }),
        NOT_FOUND => Some(BusError::Unroutable { queue }),
        _ => None,
    }
}

/// Acknowledges one delivery.
pub(crate) struct AmqpAcker {
    acker: lapin::Acker,
    state: Arc<LinkState>,
}

impl AmqpAcker {
    pub(crate) async fn ack(self) -> Result<(), BusError> {
        self.state.closed.check()?;
        match self.acker.ack(BasicAckOptions::default()).await {
            Ok(true) => Ok(()),
            // The consumer is gone, and the broker has taken the frame back.
            Ok(false) => Err(self.state.closed.reason().unwrap_or(BusError::Closed)),
            Err(error) => Err(self
                .state
                .closed
                .reason()
                .unwrap_or_else(|| self.state.fail(&error))),
        }
    }
}

impl fmt::Debug for AmqpAcker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpAcker").finish_non_exhaustive()
    }
}
