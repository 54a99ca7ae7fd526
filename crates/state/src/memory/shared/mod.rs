//! What clients share, in this process.

mod queue;
mod semaphore;
mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::data::Expiring;
use crate::shared::{OVERHEAD, check_value};
use crate::{Cell, Expected, SharedError, SharedKind, SharedLimits};
use queue::Queue;
use semaphore::Semaphore;

/// All cells, queues and semaphores.
#[derive(Debug, Clone, Default)]
pub(in crate::memory) struct Shared {
    cells: BTreeMap<String, Expiring<Cell>>,
    queues: BTreeMap<String, Expiring<Queue>>,
    semaphores: BTreeMap<String, Expiring<Semaphore>>,
    last_version: u64,
}

impl Shared {
    /// Keeps versions growing although `self` is older than `lost`.
    pub(in crate::memory) fn continue_after(&mut self, lost: &Self) {
        self.last_version = self.last_version.max(lost.last_version);
    }

    fn names(&self, kind: SharedKind, prefix: &str, now: Duration) -> Vec<String> {
        match kind {
            SharedKind::Cell => live_names(&self.cells, prefix, now),
            SharedKind::Queue => live_names(&self.queues, prefix, now),
            SharedKind::Semaphore => live_names(&self.semaphores, prefix, now),
        }
    }

    fn cell(&self, name: &str, now: Duration) -> Option<&Cell> {
        let cell = self.cells.get(name).filter(|cell| cell.is_live(now));
        cell.map(|cell| &cell.value)
    }

    fn put_cell(
        &mut self,
        name: &str,
        value: Bytes,
        expected: Expected,
        until: Duration,
        limits: &SharedLimits,
        now: Duration,
    ) -> Result<u64, SharedError> {
        check_value(&value, limits)?;
        self.purge(now);
        let known = self.cell(name, now);
        check_expected(known, expected)?;
        let (is_new, old) = (known.is_none(), known.map_or(0, |cell| cell.value.len()));
        self.check_room(is_new, value.len().saturating_sub(old), limits)?;
        self.last_version += 1;
        let cell = Cell {
            version: self.last_version,
            value,
        };
        self.cells.insert(name.to_owned(), expiring(cell, until));
        Ok(self.last_version)
    }

    fn renew_cell(&mut self, name: &str, until: Duration, now: Duration) -> bool {
        let cell = self.cells.get_mut(name).filter(|cell| cell.is_live(now));
        cell.is_some_and(|cell| {
            cell.expires = Some(until);
            true
        })
    }

    fn remove_cell(&mut self, name: &str, expected: Expected, now: Duration) -> Result<bool, SharedError> {
        check_expected(self.cell(name, now), expected)?;
        Ok(self.cells.remove(name).is_some_and(|cell| cell.is_live(now)))
    }

    /// Whether a new name, or so many bytes more, are within the bounds.
    fn check_room(&self, is_new: bool, more: usize, limits: &SharedLimits) -> Result<(), SharedError> {
        let names = self.cells.len() + self.queues.len() + self.semaphores.len();
        if is_new && names >= limits.names {
            return Err(SharedError::TooManyNames(limits.names));
        }
        if more > 0 && (self.size() + more) as u64 > limits.bytes.as_u64() {
            return Err(SharedError::OutOfRoom(limits.bytes));
        }
        Ok(())
    }

    /// Counted anew each time, which a few thousand names allow.
    fn size(&self) -> usize {
        let cells = self.cells.values().map(|cell| cell.value.value.len() + OVERHEAD);
        let queues = self.queues.values().map(|queue| queue.value.size());
        let semaphores = self.semaphores.values().map(|each| each.value.size());
        cells.chain(queues).chain(semaphores).sum()
    }

    fn purge(&mut self, now: Duration) {
        self.cells.retain(|_, cell| cell.is_live(now));
        self.queues.retain(|_, queue| queue.is_live(now));
        self.semaphores.retain(|_, semaphore| semaphore.is_live(now));
    }
}

fn check_expected(known: Option<&Cell>, expected: Expected) -> Result<(), SharedError> {
    let current = known.map(|cell| cell.version);
    let is_so = match expected {
        Expected::Any => true,
        Expected::Absent => current.is_none(),
        Expected::Version(version) => current == Some(version),
    };
    if is_so {
        Ok(())
    } else {
        Err(SharedError::Conflict { current })
    }
}

const fn expiring<T>(value: T, until: Duration) -> Expiring<T> {
    Expiring {
        value,
        expires: Some(until),
    }
}

fn live_names<T>(things: &BTreeMap<String, Expiring<T>>, prefix: &str, now: Duration) -> Vec<String> {
    things
        .iter()
        .filter(|(name, thing)| name.starts_with(prefix) && thing.is_live(now))
        .map(|(name, _)| name.clone())
        .collect()
}
