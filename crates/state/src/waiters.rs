//! Who waits for events of which job, inside this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use millstream_types::JobId;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// One wake-up call per job somebody waits for. Holds nothing for jobs nobody waits for.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    jobs: Mutex<HashMap<JobId, Weak<Notify>>>,
}

/// A place in the queue for one job's events; dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Ticket {
    job: JobId,
    notify: Arc<Notify>,
    waiters: Arc<Waiters>,
}

impl Waiters {
    /// Registers for wake-ups of one job.
    pub(crate) fn register(self: &Arc<Self>, job: JobId) -> Ticket {
        let mut jobs = self.lock();
        let slot = jobs.entry(job).or_default();
        let notify = slot.upgrade().unwrap_or_else(|| {
            let notify = Arc::new(Notify::new());
            *slot = Arc::downgrade(&notify);
            notify
        });
        Ticket {
            job,
            notify,
            waiters: Arc::clone(self),
        }
    }

    /// Wakes everybody who waits for the job.
    pub(crate) fn wake(&self, job: JobId) {
        if let Some(notify) = self.lock().get(&job).and_then(Weak::upgrade) {
            notify.notify_waiters();
        }
    }

    /// Wakes everybody, because wake-ups may have been missed.
    pub(crate) fn wake_all(&self) {
        for notify in self.lock().values().filter_map(Weak::upgrade) {
            notify.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Weak<Notify>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// A future that completes at the first wake-up after this call, even if it is polled only later.
    pub(crate) fn next_wake(&self) -> OwnedNotified {
        Arc::clone(&self.notify).notified_owned()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut jobs = self.waiters.lock();
        // The last ticket takes the entry with it.
        if Arc::strong_count(&self.notify) == 1 {
            jobs.remove(&self.job);
        }
    }
}
