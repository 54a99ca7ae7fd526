//! [`StateStore`] over the in-process data.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_types::{JobId, LeaderId, TaskIdx, Term, WorkerId};
use tokio::time::{Instant, timeout_at};

use super::MemoryState;
use super::job::Job;
use crate::write::check_named;
use crate::{
    EventId, EventPage, Fence, JobCursor, JobRecord, Journal, Lease, LogRef, StateError, StateStore,
    StoredJob, Table, Write,
};

impl MemoryState {
    /// Reads something of one job; the default if the job is not stored.
    fn of_job<T: Default>(&self, job: JobId, read: impl FnOnce(&Job) -> T) -> Result<T, StateError> {
        self.with(|data, now| data.job(job, now).map(read).unwrap_or_default())
    }

    fn read_events(&self, job: JobId, after: Option<EventId>, limit: usize) -> Result<EventPage, StateError> {
        self.with(|data, now| match data.job(job, now) {
            Some(job) => job.events(after, limit),
            None => EventPage {
                events: Vec::new(),
                gap: after.is_some(),
            },
        })
    }
}

#[async_trait]
impl StateStore for MemoryState {
    async fn acquire_lease(
        &self,
        leader: LeaderId,
        at_least: Term,
        ttl: Duration,
    ) -> Result<Option<Lease>, StateError> {
        self.with(|data, now| data.acquire(leader, at_least, now + ttl, now))?
    }

    async fn renew_lease(&self, fence: &Fence, ttl: Duration) -> Result<(), StateError> {
        self.with(|data, now| data.renew(fence, now + ttl, now))?
    }

    async fn release_lease(&self, fence: &Fence) -> Result<(), StateError> {
        self.with(|data, _| data.release(fence))
    }

    async fn lease_holder(&self) -> Result<Option<Fence>, StateError> {
        self.with(|data, now| data.holder(now))
    }

    async fn commit(&self, fence: &Fence, writes: &[Write]) -> Result<Journal, StateError> {
        writes.iter().try_for_each(Write::check)?;
        let now = self.now();
        let mut inner = self.up()?;
        let limits = inner.limits;
        let seq = inner.data.commit(fence, writes, &limits, now)?;
        let run_id = inner.run_id.clone();
        drop(inner);
        for write in writes {
            if let Write::AppendEvent { job, .. } | Write::DeleteJob { job } = write {
                self.waiters.wake(job);
            }
        }
        Ok(Journal { seq, run_id })
    }

    async fn journal(&self) -> Result<Journal, StateError> {
        let inner = self.up()?;
        Ok(Journal {
            seq: inner.data.seq,
            run_id: inner.run_id.clone(),
        })
    }

    async fn active_jobs(&self) -> Result<Vec<JobId>, StateError> {
        self.with(|data, _| data.active_jobs())
    }

    async fn load_job(&self, job: JobId) -> Result<Option<StoredJob>, StateError> {
        self.of_job(job, |stored| Some(stored.load(job)))
    }

    async fn job_record(&self, job: JobId) -> Result<Option<JobRecord>, StateError> {
        self.of_job(job, |stored| Some(stored.record(job)))
    }

    async fn list_jobs(&self, before: Option<JobCursor>, limit: usize) -> Result<Vec<JobRecord>, StateError> {
        self.with(|data, now| data.list_jobs(before, limit, now))
    }

    async fn pages(&self, job: JobId, first: u32, count: u32) -> Result<Bytes, StateError> {
        self.of_job(job, |stored| stored.pages(first, count))
    }

    async fn task_errors(&self, job: JobId) -> Result<Vec<(TaskIdx, Bytes)>, StateError> {
        self.of_job(job, Job::errors)
    }

    async fn task_error(&self, job: JobId, task: TaskIdx) -> Result<Option<Bytes>, StateError> {
        self.of_job(job, |stored| stored.error(task))
    }

    async fn results(&self, job: JobId) -> Result<Vec<(TaskIdx, Bytes)>, StateError> {
        self.of_job(job, Job::results)
    }

    async fn result_entry(&self, job: JobId, task: TaskIdx) -> Result<Option<Bytes>, StateError> {
        self.of_job(job, |stored| stored.result(task))
    }

    async fn logs(&self, job: JobId) -> Result<Vec<LogRef>, StateError> {
        self.of_job(job, Job::logs)
    }

    async fn task_log(&self, job: JobId, log: LogRef) -> Result<Option<Bytes>, StateError> {
        self.of_job(job, |stored| stored.log(log))
    }

    async fn events(
        &self,
        job: JobId,
        after: Option<EventId>,
        limit: usize,
        wait: Option<Duration>,
    ) -> Result<EventPage, StateError> {
        let Some(wait) = wait else {
            return self.read_events(job, after, limit);
        };
        let deadline = Instant::now() + wait;
        let ticket = self.waiters.register(job);
        loop {
            // Taken before the read, so that an event in between is not missed.
            let woken = ticket.next_wake();
            let page = self.read_events(job, after, limit)?;
            if page.gap || !page.events.is_empty() || timeout_at(deadline, woken).await.is_err() {
                return Ok(page);
            }
        }
    }

    async fn workers(&self) -> Result<Vec<(WorkerId, Bytes)>, StateError> {
        self.with(|data, now| data.workers(now))
    }

    async fn records(&self, table: Table) -> Result<Vec<(String, Bytes)>, StateError> {
        self.with(|data, _| data.records(table))
    }

    async fn record(&self, table: Table, key: &str) -> Result<Option<Bytes>, StateError> {
        self.with(|data, _| data.record(table, key))
    }

    async fn put_blob(&self, key: &str, data: Bytes, ttl: Duration) -> Result<(), StateError> {
        check_named(key, &data)?;
        self.with(|stored, now| stored.put_blob(key, data, now + ttl, now))
    }

    async fn get_blob(&self, key: &str) -> Result<Option<Bytes>, StateError> {
        self.with(|data, now| data.blob(key, now))
    }

    async fn extend_blob(&self, key: &str, ttl: Duration) -> Result<bool, StateError> {
        self.with(|data, now| data.extend_blob(key, now + ttl, now))
    }

    async fn delete_blob(&self, key: &str) -> Result<bool, StateError> {
        self.with(|data, now| data.delete_blob(key, now))
    }

    async fn put_session(&self, key: &str, data: Bytes, ttl: Duration) -> Result<(), StateError> {
        check_named(key, &data)?;
        self.with(|stored, now| stored.put_session(key, data, now + ttl, now))
    }

    async fn renew_session(&self, key: &str, ttl: Duration) -> Result<bool, StateError> {
        self.with(|data, now| data.renew_session(key, now + ttl, now))
    }

    async fn remove_session(&self, key: &str) -> Result<(), StateError> {
        self.with(|data, _| data.remove_session(key))
    }

    async fn session(&self, key: &str) -> Result<Option<Bytes>, StateError> {
        self.with(|data, now| data.session(key, now))
    }

    async fn sessions(&self) -> Result<Vec<(String, Bytes)>, StateError> {
        self.with(|data, now| data.sessions(now))
    }

    async fn ping(&self) -> Result<(), StateError> {
        self.up().map(drop)
    }
}
