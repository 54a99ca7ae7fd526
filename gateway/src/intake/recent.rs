//! Submissions of the last minutes, so that a job is known here before its leader has committed it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use millstream_types::{ContentKey, JobId};
use parking_lot::Mutex;

/// After this the job is in the state store, or its submission was lost with the broker's disk.
const LIFETIME: Duration = Duration::from_secs(600);

/// Most submissions remembered; the oldest go first.
const CAPACITY: usize = 10_000;

/// Submissions that this gateway took. Nothing relies on it: another gateway only says "unknown" for a moment longer.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: HashMap<JobId, (ContentKey, String)>,
    order: VecDeque<(Instant, JobId)>,
}

impl Recent {
    pub(crate) fn add(&self, job: JobId, body_hash: ContentKey, name: &str) {
        let mut inner = self.inner.lock();
        inner.expire(Instant::now());
        if inner.jobs.insert(job, (body_hash, name.to_owned())).is_none() {
            inner.order.push_back((Instant::now(), job));
        }
    }

    pub(crate) fn remove(&self, job: JobId) {
        let mut inner = self.inner.lock();
        inner.jobs.remove(&job);
        inner.order.retain(|(_, other)| *other != job);
    }

    /// The hash and name of a submission.
    pub(crate) fn get(&self, job: JobId) -> Option<(ContentKey, String)> {
        let mut inner = self.inner.lock();
        inner.expire(Instant::now());
        inner.jobs.get(&job).cloned()
    }
}

impl Inner {
    fn expire(&mut self, now: Instant) {
        while let Some((added, job)) = self.order.front().copied() {
            if self.order.len() <= CAPACITY && now.duration_since(added) < LIFETIME {
                break;
            }
            self.jobs.remove(&job);
            self.order.pop_front();
        }
    }
}
