//! One link: two AMQP connections that live and die together.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use lapin::{Channel, Connection, Event};
use tracing::{info, warn};

use crate::closed::Closed;
use crate::error::BusError;
use crate::link::{Link, check_size};
use crate::names::{Address, QueueName};
use crate::queue::{Consumer, QueueSpec};
use crate::returns::{Returns, ReturnsSender};

use super::Shared;
use super::consumer::AmqpConsumer;
use super::publisher::{ConfirmedPublisher, DeadLetter, Publisher, Route};

/// A close by the broker need not raise an event in the client library, so its state is looked at this often.
const STATE_CHECK: Duration = Duration::from_millis(500);
/// How long a link that is being closed may take to send what was published before.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What an attempt to connect yields.
pub(super) struct Connections {
    pub(super) publish: Connection,
    pub(super) consume: Connection,
    /// On the publishing connection.
    pub(super) channel: Channel,
}

/// The part of a link that its consumers and tasks hold too.
pub(super) struct LinkState {
    pub(super) shared: Arc<Shared>,
    pub(super) closed: Closed,
    pub(super) returns: ReturnsSender,
}

impl LinkState {
    /// Ends the link because of `error`, unless it has ended, and tells why it ended.
    pub(super) fn fail(&self, error: &lapin::Error) -> BusError {
        self.fail_with(error.to_string())
    }

    pub(super) fn fail_with(&self, reason: String) -> BusError {
        self.end(BusError::Broken {
            endpoint: self.shared.endpoint.to_string(),
            reason,
        })
    }

    fn end(&self, reason: BusError) -> BusError {
        if self.closed.set(reason.clone()) {
            self.returns.close();
            if reason == BusError::Closed {
                info!(broker = %self.shared.endpoint, "connection to the broker closed");
            } else {
                warn!(error = %reason, "connection to the broker broke");
            }
        }
        self.closed.reason().unwrap_or(reason)
    }
}

/// A link to RabbitMQ.
pub(super) struct AmqpLink {
    state: Arc<LinkState>,
    connections: Arc<[Connection; 2]>,
    publisher: Publisher,
    confirmed: ConfirmedPublisher,
}

/// Where the two connections stand in [`AmqpLink::connections`].
const PUBLISH: usize = 0;
const CONSUME: usize = 1;

impl AmqpLink {
    /// Takes over fresh connections and starts watching them. Runs on the bus's own thread.
    pub(super) fn start(shared: Arc<Shared>, connections: Connections) -> Self {
        let state = Arc::new(LinkState {
            shared,
            closed: Closed::new(),
            returns: ReturnsSender::new(),
        });
        let Connections {
            publish,
            consume,
            channel,
        } = connections;
        let publisher = Publisher::start(Arc::clone(&state), channel);
        let connections = Arc::new([publish, consume]);
        let watch = watch_connections(Arc::clone(&state), Arc::clone(&connections));
        state.shared.runtime.handle().spawn(watch);
        Self {
            confirmed: ConfirmedPublisher::new(Arc::clone(&state)),
            state,
            connections,
            publisher,
        }
    }

    fn route(&self, to: &Address) -> Route {
        let names = &self.state.shared.names;
        match to {
            Address::Queue(queue) => Route::queue(queue),
            Address::Hello => Route::exchange(names.hello_exchange(), ""),
            Address::Live(topic) => Route::exchange(names.live_exchange(), topic),
        }
    }
}

#[async_trait]
impl Link for AmqpLink {
    async fn consume(&self, queue: QueueSpec) -> Result<Consumer, BusError> {
        self.state.closed.check()?;
        queue.check()?;
        let consumer = AmqpConsumer::open(Arc::clone(&self.state), &self.connections[CONSUME], queue).await?;
        Ok(Consumer::amqp(consumer))
    }

    async fn publish(&self, to: &Address, frame: Bytes) -> Result<(), BusError> {
        check_size(&frame)?;
        to.check()?;
        self.publisher.publish(self.route(to), frame).await
    }

    async fn publish_confirmed(&self, to: &Address, frame: Bytes) -> Result<(), BusError> {
        check_size(&frame)?;
        to.check()?;
        let Address::Queue(queue) = to else {
            return Err(BusError::NotConfirmable);
        };
        self.confirmed
            .publish(&self.connections[PUBLISH], queue, frame)
            .await
    }

    async fn dead_letter(&self, from: &QueueName, frame: Bytes, reason: &str) -> Result<(), BusError> {
        check_size(&frame)?;
        warn!(queue = %from, bytes = frame.len(), reason, "message put aside in the dead-letter queue");
        let shared = &self.state.shared;
        let route = Route::queue(&shared.names.dead()).with_headers(&DeadLetter { from, reason });
        self.publisher.publish(route, frame).await?;
        shared.counters.count_dead_lettered();
        Ok(())
    }

    fn returns(&self) -> Returns {
        self.state.returns.subscribe()
    }

    async fn wait_closed(&self) -> BusError {
        self.state.closed.wait().await
    }

    fn closed(&self) -> Option<BusError> {
        self.state.closed.reason()
    }

    async fn close(&self) {
        // A link that is already broken has nothing to send.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.publisher.flush()).await;
        self.state.end(BusError::Closed);
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, close_all(Arc::clone(&self.connections))).await;
    }
}

impl Drop for AmqpLink {
    fn drop(&mut self) {
        self.state.end(BusError::Closed);
        let connections = Arc::clone(&self.connections);
        self.state.shared.runtime.handle().spawn(close_all(connections));
    }
}

async fn close_all(connections: Arc<[Connection; 2]>) {
    for connection in connections.iter() {
        // Fails only if the connection has ended already.
        let _ = connection.close(200, "OK".into()).await;
    }
}

/// Ends the link when either connection ends.
async fn watch_connections(state: Arc<LinkState>, connections: Arc<[Connection; 2]>) {
    let [publish, consume] = connections.each_ref().map(Connection::events_listener);
    let mut events = Box::pin(futures::stream::select(publish, consume));
    let mut state_check = tokio::time::interval(STATE_CHECK);
    loop {
        tokio::select! {
            _ = state.closed.wait() => break,
            event = events.next() => match event {
                // A soft error ends one channel, and whoever uses that channel sees it.
                Some(Event::Error(error)) if !error.is_amqp_soft_error() => {
                    state.fail(&error);
                }
                Some(Event::ConnectionBlocked(reason)) => {
                    warn!(broker = %state.shared.endpoint, reason, "the broker takes no messages: memory or disk is short");
                }
                Some(Event::ConnectionUnblocked) => {
                    info!(broker = %state.shared.endpoint, "the broker takes messages again");
                }
                _ => {}
            },
            _ = state_check.tick() => {
                if connections.iter().any(|connection| !connection.status().connected()) {
                    state.fail_with("the broker ended the connection".to_owned());
                }
            }
        }
    }
    // The other connection of a broken link must not keep its exclusive queues alive.
    close_all(connections).await;
}
