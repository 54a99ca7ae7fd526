//! [`SharedState`] over the in-process data.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Shared;
use super::semaphore::Woken;
use crate::memory::MemoryState;
use crate::shared::queue_limit;
use crate::{
    Cell, Entry, Expected, Push, QueuePage, SemaphoreView, SharedError, SharedKind, SharedLimits, SharedState,
};

impl MemoryState {
    /// Runs one operation on what is shared, unless the store is down.
    fn share<T>(
        &self,
        operation: impl FnOnce(&mut Shared, &SharedLimits, Duration) -> T,
    ) -> Result<T, SharedError> {
        let now = self.now();
        let mut inner = self.up()?;
        let limits = inner.limits.shared;
        Ok(operation(&mut inner.data.shared, &limits, now))
    }

    fn changed(&self, kind: SharedKind, name: &str) {
        self.shared_waiters.wake(&kind.member(name));
    }

    fn call(&self, name: &str, tickets: &Woken) {
        for ticket in tickets {
            self.shared_waiters.wake(&place(name, ticket));
        }
    }
}

/// What a holder of this ticket waits for.
fn place(name: &str, ticket: &str) -> String {
    format!("{}/{ticket}", SharedKind::Semaphore.member(name))
}

#[async_trait]
impl SharedState for MemoryState {
    async fn shared_names(&self, kind: SharedKind, prefix: &str) -> Result<Vec<String>, SharedError> {
        self.share(|shared, _, now| shared.names(kind, prefix, now))
    }

    async fn cell(
        &self,
        name: &str,
        after: Option<u64>,
        wait: Duration,
    ) -> Result<Option<Cell>, SharedError> {
        let read = || self.share(|shared, _, now| shared.cell(name, now).cloned());
        let attempt = || async {
            let cell = read()?;
            let is_news = cell.as_ref().map(|cell| cell.version) != after;
            Ok::<_, SharedError>(is_news.then_some(cell))
        };
        let news = self
            .shared_waiters
            .until(SharedKind::Cell.member(name), wait, attempt)
            .await?;
        match news {
            Some(cell) => Ok(cell),
            None => read(),
        }
    }

    async fn put_cell(
        &self,
        name: &str,
        value: Bytes,
        expected: Expected,
        ttl: Duration,
    ) -> Result<u64, SharedError> {
        let version = self
            .share(|shared, limits, now| shared.put_cell(name, value, expected, now + ttl, limits, now))??;
        self.changed(SharedKind::Cell, name);
        Ok(version)
    }

    async fn renew_cell(&self, name: &str, ttl: Duration) -> Result<bool, SharedError> {
        Ok(self.share(|shared, _, now| shared.renew_cell(name, now + ttl, now))?)
    }

    async fn remove_cell(&self, name: &str, expected: Expected) -> Result<bool, SharedError> {
        let removed = self.share(|shared, _, now| shared.remove_cell(name, expected, now))??;
        self.changed(SharedKind::Cell, name);
        Ok(removed)
    }

    async fn push(&self, name: &str, push: &Push, wait: Duration) -> Result<usize, SharedError> {
        let attempt = || async { self.share(|shared, limits, now| shared.push(name, push, limits, now))? };
        let pushed = self
            .shared_waiters
            .until(SharedKind::Queue.member(name), wait, attempt)
            .await?;
        if let Some(length) = pushed {
            self.changed(SharedKind::Queue, name);
            return Ok(length);
        }
        self.share(|shared, limits, now| {
            Err(SharedError::QueueFull {
                length: shared.queue(name, 0, 0, now).length,
                limit: queue_limit(push, limits),
            })
        })?
    }

    async fn take(
        &self,
        name: &str,
        id: &str,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Bytes>, SharedError> {
        let attempt = || async { self.share(|shared, _, now| shared.take(name, id, most, now)) };
        let taken = self
            .shared_waiters
            .until(SharedKind::Queue.member(name), wait, attempt)
            .await?;
        if taken.is_some() {
            self.changed(SharedKind::Queue, name);
        }
        Ok(taken.unwrap_or_default())
    }

    async fn queue(&self, name: &str, from: usize, limit: usize) -> Result<QueuePage, SharedError> {
        self.share(|shared, _, now| shared.queue(name, from, limit, now))
    }

    async fn remove_queue(&self, name: &str) -> Result<(), SharedError> {
        self.share(|shared, _, _| shared.remove_queue(name))?;
        self.changed(SharedKind::Queue, name);
        Ok(())
    }

    async fn enter(&self, name: &str, entry: &Entry, wait: Duration) -> Result<usize, SharedError> {
        let mut ahead = 0;
        let attempt = || {
            let entered = self.share(|shared, limits, now| shared.enter(name, entry, limits, now));
            let outcome = entered.flatten().map(|(now_ahead, woken)| {
                self.call(name, &woken);
                ahead = now_ahead;
                (now_ahead == 0).then_some(0)
            });
            std::future::ready(outcome)
        };
        let held = self
            .shared_waiters
            .until(place(name, &entry.ticket), wait, attempt)
            .await?;
        Ok(held.unwrap_or(ahead))
    }

    async fn leave(&self, name: &str, ticket: &str) -> Result<bool, SharedError> {
        let (left, woken) = self.share(|shared, _, now| shared.leave(name, ticket, now))?;
        self.call(name, &woken);
        Ok(left)
    }

    async fn semaphore(&self, name: &str) -> Result<SemaphoreView, SharedError> {
        self.share(|shared, _, now| shared.semaphore(name, now))
    }
}
