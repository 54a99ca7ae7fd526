//! The state of a cluster that lives in one process, and the simulator's stand-in for Redis.
//!
//! Owns its data behind one lock that is never held across an await. Means exactly what Redis means,
//! failures included: it can be taken down, restarted, emptied and rolled back.

mod data;
mod job;
mod shared;
mod store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_types::JobId;
use uuid::Uuid;

use crate::waiters::Waiters;
use crate::{Limits, StateError};
use data::Data;

/// Time since any fixed origin; never runs backwards.
type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The in-process state store. Clones share their data.
#[derive(Clone)]
pub struct MemoryState {
    inner: Arc<Mutex<Inner>>,
    waiters: Arc<Waiters<JobId>>,
    shared_waiters: Arc<Waiters<String>>,
    clock: Clock,
}

struct Inner {
    data: Data,
    limits: Limits,
    run_id: String,
    down: bool,
}

/// A copy of everything stored at one moment.
#[derive(Debug, Clone)]
pub struct MemorySnapshot(Data);

impl Default for MemoryState {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryState")
            .field("seq", &self.lock().data.seq)
            .finish_non_exhaustive()
    }
}

impl MemoryState {
    /// An empty store on tokio's clock, which tests may pause.
    pub fn new() -> Self {
        let origin = tokio::time::Instant::now();
        Self::with_clock(move || origin.elapsed())
    }

    /// An empty store whose leases and times to live follow `clock`: the time since any fixed origin.
    pub fn with_clock(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let inner = Inner {
            data: Data::default(),
            limits: Limits::default(),
            run_id: new_run_id(),
            down: false,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            waiters: Arc::default(),
            shared_waiters: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    /// Replaces the bounds of each job.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        self.lock().limits = limits;
        self
    }

    /// Copies everything stored.
    pub fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot(self.lock().data.clone())
    }

    /// Puts back what was stored at `snapshot`, as a server does that lost its latest writes in a crash.
    pub fn rollback(&self, snapshot: &MemorySnapshot) {
        self.restart_with(snapshot.0.clone());
    }

    /// Restarts the store without its data.
    pub fn restart_empty(&self) {
        self.restart_with(Data::default());
    }

    /// Restarts the store with its data.
    pub fn restart(&self) {
        self.lock().run_id = new_run_id();
        self.wake_all();
    }

    /// Makes every call fail as unreachable.
    pub fn go_down(&self) {
        self.lock().down = true;
        self.wake_all();
    }

    /// Ends [`MemoryState::go_down`].
    pub fn come_up(&self) {
        self.lock().down = false;
    }

    fn restart_with(&self, data: Data) {
        let mut inner = self.lock();
        let lost = std::mem::replace(&mut inner.data, data);
        inner.data.continue_after(&lost);
        inner.run_id = new_run_id();
        drop(inner);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.waiters.wake_all();
        self.shared_waiters.wake_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Runs one operation on the data, unless the store is down.
    fn with<T>(&self, operation: impl FnOnce(&mut Data, Duration) -> T) -> Result<T, StateError> {
        let now = self.now();
        let mut inner = self.up()?;
        Ok(operation(&mut inner.data, now))
    }

    fn up(&self) -> Result<MutexGuard<'_, Inner>, StateError> {
        let inner = self.lock();
        if inner.down {
            return Err(StateError::Unreachable {
                endpoint: "memory".to_owned(),
                reason: "down".to_owned(),
            });
        }
        Ok(inner)
    }
}

fn new_run_id() -> String {
    Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures::FutureExt;
    use millstream_types::{LeaderId, Term};

    use super::*;
    use crate::{Fence, StateStore, Write};

    const TTL: Duration = Duration::from_secs(3);
    const JOB: JobId = JobId::from_u128(1);

    /// A store on a clock that stands still until it is moved.
    fn on_a_still_clock() -> (MemoryState, Arc<AtomicU64>) {
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&seconds);
        let store = MemoryState::with_clock(move || Duration::from_secs(clock.load(Ordering::SeqCst)));
        (store, seconds)
    }

    /// Without a runtime: the simulator polls once.
    fn now<T>(future: impl Future<Output = Result<T, StateError>>) -> Result<T, StateError> {
        future.now_or_never().unwrap()
    }

    fn lead(store: &MemoryState) -> Fence {
        now(store.acquire_lease(LeaderId::from_u128(1), Term(0), TTL))
            .unwrap()
            .unwrap()
            .fence
    }

    fn put_job() -> Write {
        Write::PutJob {
            job: JOB,
            meta: "meta".into(),
            graph: "graph".into(),
            created_ms: 5,
        }
    }

    #[test]
    fn leases_and_lifetimes_follow_the_injected_clock() {
        let (store, seconds) = on_a_still_clock();
        let fence = lead(&store);
        let expire = Write::ExpireJob {
            job: JOB,
            ttl: Duration::from_secs(2),
        };
        now(store.commit(&fence, &[put_job(), expire])).unwrap();
        seconds.store(1, Ordering::SeqCst);
        assert!(now(store.job_record(JOB)).unwrap().is_some());
        seconds.store(2, Ordering::SeqCst);
        assert!(now(store.job_record(JOB)).unwrap().is_none());
        assert_eq!(now(store.lease_holder()), Ok(Some(fence)));
        seconds.store(3, Ordering::SeqCst);
        assert_eq!(now(store.lease_holder()), Ok(None));
    }

    #[test]
    fn a_rollback_forgets_later_writes_and_looks_like_another_server() {
        let (store, _) = on_a_still_clock();
        let fence = lead(&store);
        let event = Write::AppendEvent {
            job: JOB,
            event: "event".into(),
        };
        now(store.commit(&fence, &[put_job()])).unwrap();
        let snapshot = store.snapshot();
        let before = now(store.commit(&fence, &[event.clone(), event.clone()])).unwrap();
        let lost = now(store.events(JOB, None, 10, None)).unwrap().events;
        store.rollback(&snapshot);
        let after = now(store.journal()).unwrap();
        assert!(after.seq < before.seq);
        assert_ne!(after.run_id, before.run_id);
        assert!(now(store.events(JOB, None, 10, None)).unwrap().events.is_empty());
        now(store.commit(&fence, &[event])).unwrap();
        let fresh = now(store.events(JOB, None, 10, None)).unwrap().events;
        assert!(fresh[0].0 > lost[1].0, "ids grow over the rollback");
    }

    #[test]
    fn terms_are_not_below_the_seconds_of_the_clock() {
        let (store, seconds) = on_a_still_clock();
        let term = |at_least| {
            let lease = now(store.acquire_lease(LeaderId::from_u128(1), Term(at_least), TTL));
            lease.unwrap().unwrap().fence.term
        };
        assert_eq!(
            (term(0), term(1)),
            (Term(1), Term(2)),
            "above the last one in any case"
        );
        seconds.store(50, Ordering::SeqCst);
        assert_eq!(term(2), Term(50));
        store.restart_empty();
        seconds.store(51, Ordering::SeqCst);
        assert_eq!(term(0), Term(51));
    }

    #[test]
    fn a_store_that_is_down_answers_nothing_until_it_is_up() {
        let (store, _) = on_a_still_clock();
        let fence = lead(&store);
        store.go_down();
        let refused = now(store.commit(&fence, &[put_job()])).unwrap_err();
        assert!(matches!(refused, StateError::Unreachable { .. }));
        store.come_up();
        assert_eq!(now(store.active_jobs()), Ok(vec![]));
    }
}
