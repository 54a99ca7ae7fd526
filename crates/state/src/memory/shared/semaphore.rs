//! Semaphores in this process.

use std::time::Duration;

use super::{Shared, expiring};
use crate::shared::{IDLE_TTL, OVERHEAD};
use crate::{Entry, SemaphoreView, SharedError, SharedLimits};

/// A line of tickets: the first `limit` hold, the others wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Semaphore {
    limit: usize,
    line: Vec<(String, Duration)>,
}

impl Semaphore {
    pub(super) const fn size(&self) -> usize {
        self.line.len() * 2 * OVERHEAD
    }

    /// Drops tickets that nobody renewed; whether there were any.
    fn expire(&mut self, now: Duration) -> bool {
        let before = self.line.len();
        self.line.retain(|(_, until)| *until > now);
        self.line.len() < before
    }

    fn rank(&self, ticket: &str) -> Option<usize> {
        self.line.iter().position(|(known, _)| known == ticket)
    }

    fn holders(&self) -> impl Iterator<Item = &str> {
        self.line
            .iter()
            .take(self.limit)
            .map(|(ticket, _)| ticket.as_str())
    }
}

/// Tickets that may hold since a change.
pub(super) type Woken = Vec<String>;

impl Shared {
    pub(super) fn enter(
        &mut self,
        name: &str,
        entry: &Entry,
        limits: &SharedLimits,
        now: Duration,
    ) -> Result<(usize, Woken), SharedError> {
        self.purge(now);
        let mut woken = Woken::new();
        let mut length = 0;
        let mut rank = None;
        if let Some(known) = self.semaphores.get_mut(name) {
            if known.value.expire(now) {
                woken = known.value.holders().map(str::to_owned).collect();
            }
            length = known.value.line.len();
            rank = known.value.rank(&entry.ticket);
            if length > 0 && known.value.limit != entry.limit {
                let known = known.value.limit;
                return Err(SharedError::LimitDiffers { known });
            }
        }
        if rank.is_none() {
            if length >= limits.tickets {
                return Err(SharedError::TooManyTickets(length));
            }
            self.check_room(!self.semaphores.contains_key(name), 2 * OVERHEAD, limits)?;
        }
        let semaphore = self
            .semaphores
            .entry(name.to_owned())
            .or_insert_with(|| expiring(Semaphore::default(), now));
        semaphore.expires = Some(now + IDLE_TTL);
        semaphore.value.limit = entry.limit;
        let until = now + entry.ttl;
        match rank.and_then(|rank| semaphore.value.line.get_mut(rank)) {
            Some((_, known)) => *known = until,
            None => semaphore.value.line.push((entry.ticket.clone(), until)),
        }
        let rank = rank.unwrap_or(length);
        Ok(((rank + 1).saturating_sub(entry.limit), woken))
    }

    pub(super) fn leave(&mut self, name: &str, ticket: &str, now: Duration) -> (bool, Woken) {
        let Some(semaphore) = self.semaphores.get_mut(name) else {
            return (false, Woken::new());
        };
        let has_changed = semaphore.value.expire(now);
        let rank = semaphore.value.rank(ticket);
        if let Some(rank) = rank {
            semaphore.value.line.remove(rank);
        }
        let limit = semaphore.value.limit;
        let woken = if has_changed {
            semaphore.value.holders().map(str::to_owned).collect()
        } else if rank.is_some_and(|rank| rank < limit) {
            semaphore
                .value
                .holders()
                .nth(limit - 1)
                .map(str::to_owned)
                .into_iter()
                .collect()
        } else {
            Woken::new()
        };
        if semaphore.value.line.is_empty() {
            self.semaphores.remove(name);
        }
        (rank.is_some(), woken)
    }

    pub(super) fn semaphore(&self, name: &str, now: Duration) -> SemaphoreView {
        let Some(semaphore) = self.semaphores.get(name) else {
            return SemaphoreView::default();
        };
        let line = semaphore.value.line.iter();
        let tickets = line.filter(|(_, until)| *until > now).count();
        SemaphoreView {
            tickets,
            held: tickets.min(semaphore.value.limit),
        }
    }
}
