//! What the bus counts. Read by the metrics endpoint; never decides anything.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one [`crate::Bus`], over all its links.
#[derive(Debug, Default)]
pub struct BusCounters {
    connected: AtomicU64,
    connect_failures: AtomicU64,
    published: AtomicU64,
    returned: AtomicU64,
    dead_lettered: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CounterSnapshot {
    /// Links opened.
    pub connected: u64,
    /// Attempts to open a link that failed.
    pub connect_failures: u64,
    /// Frames handed to the broker.
    pub published: u64,
    /// Frames that found no queue.
    pub returned: u64,
    /// Undecodable frames sent to the dead-letter queue.
    pub dead_lettered: u64,
}

impl BusCounters {
    /// Reads all counters.
    pub fn snapshot(&self) -> CounterSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CounterSnapshot {
            connected: read(&self.connected),
            connect_failures: read(&self.connect_failures),
            published: read(&self.published),
            returned: read(&self.returned),
            dead_lettered: read(&self.dead_lettered),
        }
    }

    pub(crate) fn count_connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_connect_failure(&self) {
        self.connect_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_returned(&self) {
        self.returned.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_dead_lettered(&self) {
        self.dead_lettered.fetch_add(1, Ordering::Relaxed);
    }
}
