//! Job events: pages of the capped stream, and the subscription that wakes whoever waits for more.

use std::hash::Hash;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::redis::{Client, RedisError, RedisResult, pipe};
use bytes::Bytes;
use futures::StreamExt;
use millstream_types::JobId;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

use super::RedisState;
use crate::keys::JobKey;
use crate::waiters::{LOOK_AGAIN, Waiters};
use crate::{EventId, EventPage, StateError};

/// Events read at once, whatever a caller asks.
const EVENT_PAGE: usize = 10_000;
/// Pause between attempts to subscribe.
const RESUBSCRIBE: Duration = Duration::from_millis(250);

/// One stream entry: id and fields.
type RawEvent = (String, Vec<(String, Bytes)>);

impl RedisState {
    pub(super) async fn read_events(
        &self,
        job: JobId,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<EventPage, StateError> {
        let (meta, events) = (
            self.keys.job(job, JobKey::Meta),
            self.keys.job(job, JobKey::Events),
        );
        let lower = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
        let mut read = pipe();
        read.atomic()
            .cmd("HGET")
            .arg(meta)
            .arg("first_event")
            .cmd("XRANGE")
            .arg(&events)
            .arg(&["-", "+", "COUNT", "1"])
            .cmd("XRANGE")
            .arg(&events)
            .arg(lower)
            .arg("+")
            .arg("COUNT")
            .arg(limit.min(EVENT_PAGE));
        let (first_ever, oldest, page): (Option<String>, Vec<RawEvent>, Vec<RawEvent>) =
            self.shared.pipeline(&read, self.shared.patience()).await?;
        let corrupt = || StateError::Corrupt {
            key: events.clone(),
            what: "expected one field per event",
        };
        let oldest = oldest.first().map(|(id, _)| id.parse::<EventId>()).transpose();
        let oldest = oldest.map_err(|_| corrupt())?;
        let gap = match after {
            Some(after) => oldest.is_none_or(|oldest| after < oldest),
            None => first_ever.is_some() && first_ever != oldest.map(|id| id.to_string()),
        };
        let events = page.into_iter().map(|raw| parse_event(raw).ok_or_else(corrupt));
        Ok(EventPage {
            events: events.collect::<Result<_, _>>()?,
            gap,
        })
    }

    pub(super) async fn wait_for_events(
        &self,
        job: JobId,
        after: Option<EventId>,
        limit: usize,
        wait: Duration,
    ) -> Result<EventPage, StateError> {
        let deadline = Instant::now() + wait;
        let ticket = self.waiters.register(job);
        self.events.ensure(&self.keys.events_channel(), &self.waiters);
        loop {
            // Taken before the read, so that an event in between is not missed.
            let woken = ticket.next_wake();
            let page = self.read_events(job, after, limit).await?;
            if page.gap || !page.events.is_empty() || Instant::now() >= deadline {
                return Ok(page);
            }
            // Woken or not: the next read tells.
            let _ = timeout_at(deadline.min(Instant::now() + LOOK_AGAIN), woken).await;
        }
    }
}

fn parse_event((id, fields): RawEvent) -> Option<(EventId, Bytes)> {
    let (_, event) = fields.into_iter().next()?;
    Some((id.parse().ok()?, event))
}

/// The process's one subscription to a channel of changes; begins with the first waiter.
pub(super) struct Subscription {
    client: Client,
    connect_timeout: Duration,
    task: OnceLock<AbortHandle>,
}

impl Subscription {
    pub(super) fn new(client: Client, connect_timeout: Duration) -> Self {
        Self {
            client,
            connect_timeout,
            task: OnceLock::new(),
        }
    }

    /// Listens to the channel from now on, and wakes those that wait for the topics it tells.
    pub(super) fn ensure<K>(&self, channel: &str, waiters: &Arc<Waiters<K>>)
    where
        K: Eq + Hash + FromStr + Send + Sync + 'static,
    {
        self.task.get_or_init(|| {
            let (client, channel) = (self.client.clone(), channel.to_owned());
            let (waiters, connect_timeout) = (Arc::clone(waiters), self.connect_timeout);
            let listening = async move {
                loop {
                    if let Err(error) = listen(&client, &channel, connect_timeout, &waiters).await {
                        debug!(%error, channel, "subscription ended");
                    }
                    sleep(RESUBSCRIBE).await;
                }
            };
            tokio::spawn(listening).abort_handle()
        });
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

async fn listen(
    client: &Client,
    channel: &str,
    connect_timeout: Duration,
    waiters: &Waiters<impl Eq + Hash + FromStr>,
) -> RedisResult<()> {
    let subscribing = async {
        let mut subscriber = client.get_async_pubsub().await?;
        subscriber.subscribe(channel).await?;
        Ok::<_, RedisError>(subscriber.into_on_message())
    };
    let subscribed = timeout(connect_timeout, subscribing).await;
    let mut messages = subscribed.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    // What happened in the time without a subscription was not announced to us.
    waiters.wake_all();
    while let Some(message) = messages.next().await {
        let topic = message
            .get_payload::<String>()
            .ok()
            .and_then(|text| text.parse().ok());
        if let Some(topic) = topic {
            waiters.wake(&topic);
        }
    }
    Ok(())
}
