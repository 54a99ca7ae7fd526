//! Sending frames: pipelined without confirms, or one confirm each.
//!
//! [`Publisher`] hands a frame to the client library's socket thread in the caller's own poll and does not wait for
//! the socket: a byte window bounds what is under way, and one task collects the outcomes in order.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, PublisherConfirm};
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::error::BusError;
use crate::names::{Address, QueueName};

use super::link::LinkState;
use super::topology::text;

/// Bytes handed to the socket thread and not yet written. Some batches deep, so that the socket never idles.
const WINDOW: u32 = 8 << 20;
/// What a frame costs in the window besides its bytes, so that small frames are bounded too.
const FRAME_COST: usize = 512;
/// Bytes published with a confirm and not yet confirmed.
const CONFIRM_WINDOW: u32 = 16 << 20;
/// The client library wakes nobody when a frame comes back, so it is asked this often after a publish…
const RETURNS_CHECK: Duration = Duration::from_millis(20);
/// …this many times. Whatever comes back later is seen with the next publish.
const RETURNS_CHECKS: u32 = 50;
/// AMQP's delivery mode for frames that survive the broker's restart.
const PERSISTENT: u8 = 2;

/// Where a frame goes, in AMQP's terms.
pub(super) struct Route {
    exchange: ShortString,
    key: ShortString,
    mandatory: bool,
    properties: BasicProperties,
}

/// Why a frame is put aside.
pub(super) struct DeadLetter<'a> {
    pub(super) from: &'a QueueName,
    pub(super) reason: &'a str,
}

impl Route {
    pub(super) fn queue(queue: &QueueName) -> Self {
        Self {
            exchange: ShortString::default(),
            key: queue.as_str().into(),
            mandatory: true,
            properties: BasicProperties::default(),
        }
    }

    pub(super) fn exchange(exchange: String, topic: &str) -> Self {
        Self {
            exchange: exchange.into(),
            key: topic.into(),
            mandatory: false,
            properties: BasicProperties::default(),
        }
    }

    pub(super) fn with_headers(mut self, dead: &DeadLetter<'_>) -> Self {
        let mut headers = FieldTable::default();
        headers.insert("x-millstream-from".into(), text(dead.from.as_str()));
        headers.insert("x-millstream-reason".into(), text(dead.reason));
        self.properties = self
            .properties
            .with_headers(headers)
            .with_delivery_mode(PERSISTENT);
        self
    }
}

/// A frame that the socket thread has not written yet.
struct InFlight {
    outcome: BoxFuture<'static, lapin::Result<PublisherConfirm>>,
    room: OwnedSemaphorePermit,
}

/// Publishes in order, without confirms.
pub(super) struct Publisher {
    state: Arc<LinkState>,
    channel: Arc<Channel>,
    window: Arc<Semaphore>,
    in_flight: mpsc::UnboundedSender<InFlight>,
    published_mandatory: Arc<Notify>,
}

impl Publisher {
    pub(super) fn start(state: Arc<LinkState>, channel: Channel) -> Self {
        let channel = Arc::new(channel);
        // Unbounded in type only: each entry holds its share of the window.
        let (in_flight, outcomes) = mpsc::unbounded_channel();
        let published_mandatory = Arc::new(Notify::new());
        let runtime = state.shared.runtime.handle();
        runtime.spawn(collect_outcomes(Arc::clone(&state), outcomes));
        runtime.spawn(collect_returns(
            Arc::clone(&state),
            Arc::clone(&channel),
            Arc::clone(&published_mandatory),
        ));
        let window = Arc::new(Semaphore::new(WINDOW as usize));
        Self {
            state,
            channel,
            window,
            in_flight,
            published_mandatory,
        }
    }

    pub(super) async fn publish(&self, route: Route, frame: Bytes) -> Result<(), BusError> {
        self.state.closed.check()?;
        let room = self.reserve(cost(&frame, WINDOW)).await?;
        let channel = Arc::clone(&self.channel);
        let Route {
            exchange,
            key,
            mandatory,
            properties,
        } = route;
        let mut outcome: BoxFuture<'static, _> = Box::pin(async move {
            let options = BasicPublishOptions {
                mandatory,
                immediate: false,
            };
            channel
                .basic_publish(exchange, key, options, &frame, properties)
                .await
        });
        // The first poll queues the frame for the socket thread; calls in order give frames in order.
        match futures::poll!(Pin::new(&mut outcome)) {
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Err(self.state.fail(&error)),
            Poll::Pending => {
                // Fails only when the collecting task has ended with the link.
                let _ = self.in_flight.send(InFlight { outcome, room });
            }
        }
        self.state.shared.counters.count_published();
        if mandatory {
            self.published_mandatory.notify_one();
        }
        Ok(())
    }

    /// Waits until everything published so far is written.
    pub(super) async fn flush(&self) -> Result<(), BusError> {
        self.reserve(WINDOW).await.map(drop)
    }

    async fn reserve(&self, bytes: u32) -> Result<OwnedSemaphorePermit, BusError> {
        reserve(&self.state, &self.window, bytes).await
    }
}

async fn reserve(
    state: &LinkState,
    window: &Arc<Semaphore>,
    bytes: u32,
) -> Result<OwnedSemaphorePermit, BusError> {
    if let Ok(room) = Arc::clone(window).try_acquire_many_owned(bytes) {
        return Ok(room);
    }
    tokio::select! {
        biased;
        reason = state.closed.wait() => Err(reason),
        room = Arc::clone(window).acquire_many_owned(bytes) => room.map_err(|_| BusError::Closed),
    }
}

fn cost(frame: &Bytes, window: u32) -> u32 {
    u32::try_from(frame.len() + FRAME_COST)
        .unwrap_or(window)
        .min(window)
}

/// Frees the window as the socket thread writes, in order, and ends the link when it cannot.
async fn collect_outcomes(state: Arc<LinkState>, mut outcomes: mpsc::UnboundedReceiver<InFlight>) {
    loop {
        let InFlight { outcome, room } = tokio::select! {
            biased;
            next = outcomes.recv() => match next {
                Some(next) => next,
                None => return,
            },
            _ = state.closed.wait() => return,
        };
        tokio::select! {
            biased;
            outcome = outcome => if let Err(error) = outcome {
                state.fail(&error);
            },
            _ = state.closed.wait() => return,
        }
        drop(room);
    }
}

/// Reports frames that came back, for a while after each mandatory publish.
async fn collect_returns(state: Arc<LinkState>, channel: Arc<Channel>, published: Arc<Notify>) {
    let mut checks_left = 0;
    loop {
        let pause = async {
            if checks_left > 0 {
                tokio::time::sleep(RETURNS_CHECK).await;
            } else {
                published.notified().await;
            }
        };
        tokio::select! {
            _ = state.closed.wait() => return,
            () = pause => {}
        }
        if checks_left == 0 || published_again(&published) {
            checks_left = RETURNS_CHECKS;
        } else {
            checks_left -= 1;
        }
        report_returns(&state, &channel).await;
    }
}

/// Whether there was a publish since the last look. Takes the note of it.
fn published_again(published: &Notify) -> bool {
    use futures::FutureExt;
    published.notified().now_or_never().is_some()
}

async fn report_returns(state: &LinkState, channel: &Channel) {
    // Without confirms on the channel this only hands over what came back.
    let Ok(returned) = channel.wait_for_confirms().await else {
        return;
    };
    for message in returned {
        state.shared.counters.count_returned();
        state.returns.send(Address::Queue(
            message.delivery.routing_key.to_string().as_str().into(),
        ));
    }
}

/// Publishes with confirms. Each queue has its own channel: the client library pairs a returned message with
/// whichever confirm comes next on its channel, which between two queues could blame the wrong one.
pub(super) struct ConfirmedPublisher {
    state: Arc<LinkState>,
    window: Arc<Semaphore>,
    channels: Mutex<HashMap<QueueName, Arc<Channel>>>,
}

impl ConfirmedPublisher {
    pub(super) fn new(state: Arc<LinkState>) -> Self {
        let window = Arc::new(Semaphore::new(CONFIRM_WINDOW as usize));
        Self {
            state,
            window,
            channels: Mutex::default(),
        }
    }

    pub(super) async fn publish(
        &self,
        connection: &Connection,
        queue: &QueueName,
        frame: Bytes,
    ) -> Result<(), BusError> {
        self.state.closed.check()?;
        let _room = reserve(&self.state, &self.window, cost(&frame, CONFIRM_WINDOW)).await?;
        let confirmation = tokio::select! {
            biased;
            confirmation = self.confirm(connection, queue, &frame) => confirmation,
            reason = self.state.closed.wait() => return Err(reason),
        };
        match confirmation.map_err(|error| self.state.fail(&error))? {
            Confirmation::Ack(None) | Confirmation::NotRequested => Ok(()),
            Confirmation::Ack(Some(_)) => {
                self.state.shared.counters.count_returned();
                Err(BusError::Unroutable { queue: queue.clone() })
            }
            Confirmation::Nack(_) => Err(BusError::Refused { queue: queue.clone() }),
        }
    }

    async fn confirm(
        &self,
        connection: &Connection,
        queue: &QueueName,
        frame: &[u8],
    ) -> lapin::Result<Confirmation> {
        let channel = self.channel(connection, queue).await?;
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let key = queue.as_str().into();
        let confirm = channel
            .basic_publish(ShortString::default(), key, options, frame, properties)
            .await?;
        self.state.shared.counters.count_published();
        confirm.await
    }

    async fn channel(&self, connection: &Connection, queue: &QueueName) -> lapin::Result<Arc<Channel>> {
        let mut channels = self.channels.lock().await;
        if let Some(channel) = channels.get(queue) {
            return Ok(Arc::clone(channel));
        }
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let channel = Arc::new(channel);
        channels.insert(queue.clone(), Arc::clone(&channel));
        Ok(channel)
    }
}
