//! What shall happen later.

use std::collections::BTreeSet;

use millstream_types::Timestamp;

use crate::ids::JobNo;

/// What a timer is for. A timer that is due may be stale: its handler looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A delayed task is tried again.
    Retry { job: JobNo, task: u32 },
    /// A job's deadline.
    Deadline { job: JobNo },
    /// A job's results may have outlived their retention.
    Retention { job: JobNo },
    /// Workers' silence.
    Liveness,
    /// The next Hello.
    Hello,
    /// The next snapshot on the live exchange.
    Snapshot,
    /// A job's next progress event.
    Progress { job: JobNo },
    /// The end of the recovery window.
    Recovery,
    /// Classes that nobody could run, looked at again.
    Unschedulable,
    /// Balance between workers, looked at again.
    Balance,
}

/// Timers by time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Timestamp, Timer)>,
}

impl Timers {
    pub(crate) fn arm(&mut self, at: Timestamp, timer: Timer) {
        self.queue.insert((at, timer));
    }

    /// The next timer that is due.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        let first = *self.queue.first()?;
        (first.0 <= now).then(|| {
            self.queue.remove(&first);
            first.1
        })
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }
}
