//! Who waits for what inside this process: for events of a job, or for changes of something shared.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, timeout_at};

/// A waiter looks again this often: a wake-up may be lost with a connection, and nobody announces what expires.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One wake-up call per topic somebody waits for. Holds nothing for topics nobody waits for.
#[derive(Debug)]
pub(crate) struct Waiters<K: Eq + Hash> {
    topics: Mutex<HashMap<K, Weak<Notify>>>,
}

/// A place among those that wait for one topic; dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Ticket<K: Eq + Hash> {
    topic: K,
    notify: Arc<Notify>,
    waiters: Arc<Waiters<K>>,
}

impl<K: Eq + Hash> Default for Waiters<K> {
    fn default() -> Self {
        Self {
            topics: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Clone> Waiters<K> {
    /// Registers for wake-ups of one topic.
    pub(crate) fn register(self: &Arc<Self>, topic: K) -> Ticket<K> {
        let mut topics = self.lock();
        let slot = topics.entry(topic.clone()).or_default();
        let notify = slot.upgrade().unwrap_or_else(|| {
            let notify = Arc::new(Notify::new());
            *slot = Arc::downgrade(&notify);
            notify
        });
        Ticket {
            topic,
            notify,
            waiters: Arc::clone(self),
        }
    }

    /// Repeats `attempt` at every wake-up until it finds something or `wait` is over.
    pub(crate) async fn until<T, E, F>(
        self: &Arc<Self>,
        topic: K,
        wait: Duration,
        mut attempt: impl FnMut() -> F,
    ) -> Result<Option<T>, E>
    where
        F: Future<Output = Result<Option<T>, E>>,
    {
        let deadline = Instant::now() + wait;
        let ticket = self.register(topic);
        loop {
            // Taken before the attempt, so that a change in between is not missed.
            let woken = ticket.next_wake();
            if let Some(found) = attempt().await? {
                return Ok(Some(found));
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(None);
            }
            // Woken or not: the next attempt tells.
            let _ = timeout_at(deadline.min(now + LOOK_AGAIN), woken).await;
        }
    }
}

impl<K: Eq + Hash> Waiters<K> {
    /// Wakes everybody who waits for the topic.
    pub(crate) fn wake(&self, topic: &K) {
        if let Some(notify) = self.lock().get(topic).and_then(Weak::upgrade) {
            notify.notify_waiters();
        }
    }

    /// Wakes everybody, because wake-ups may have been missed.
    pub(crate) fn wake_all(&self) {
        for notify in self.lock().values().filter_map(Weak::upgrade) {
            notify.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Weak<Notify>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Ticket<K> {
    /// A future that completes at the first wake-up after this call, even if it is polled only later.
    pub(crate) fn next_wake(&self) -> OwnedNotified {
        Arc::clone(&self.notify).notified_owned()
    }
}

impl<K: Eq + Hash> Drop for Ticket<K> {
    fn drop(&mut self) {
        let mut topics = self.waiters.lock();
        // The last ticket takes the entry with it.
        if Arc::strong_count(&self.notify) == 1 {
            topics.remove(&self.topic);
        }
    }
}
