//! The one interface to the cluster's state.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_types::{JobId, LeaderId, TaskIdx, Term, WorkerId};

use crate::{
    EventId, EventPage, Fence, JobCursor, JobRecord, Journal, Lease, LogRef, SharedState, StateError,
    StoredJob, Table, Write,
};

/// A cluster's state: the lease, the leader's journal, blobs and client sessions, and what clients share.
///
/// Payloads are opaque. While the store is down every call fails fast with [`StateError::Unreachable`]; it
/// works again when the store is back, without being told. Dropping a returned future may or may not undo the
/// call.
#[async_trait]
pub trait StateStore: SharedState {
    // ---- leadership

    /// Takes the lease for `ttl` under a term above every earlier one and above `at_least`.
    ///
    /// The term is at least the seconds of the store's clock. So a store that lost its data gives no term a second time,
    /// unless it does so within the second in which it gave the first.
    ///
    /// `None` if another candidacy holds it. A candidacy that already holds it gets the same fence again,
    /// unless `at_least` asks for a higher term.
    async fn acquire_lease(
        &self,
        leader: LeaderId,
        at_least: Term,
        ttl: Duration,
    ) -> Result<Option<Lease>, StateError>;

    /// Makes the lease last `ttl` from now; [`StateError::Fenced`] if it was lost.
    async fn renew_lease(&self, fence: &Fence, ttl: Duration) -> Result<(), StateError>;

    /// Gives the lease up; nothing happens if it was lost already.
    async fn release_lease(&self, fence: &Fence) -> Result<(), StateError>;

    /// Who holds the lease.
    async fn lease_holder(&self) -> Result<Option<Fence>, StateError>;

    // ---- the leader's journal

    /// Applies `writes` in order, only while the lease holds `fence`.
    ///
    /// A batch of up to a thousand writes (each state page counts) and 8 MiB is applied as a whole or not at all.
    /// A larger one is applied in several such steps in order, each of which is fenced; an error then leaves a
    /// prefix.
    async fn commit(&self, fence: &Fence, writes: &[Write]) -> Result<Journal, StateError>;

    /// Where the journal stands.
    async fn journal(&self) -> Result<Journal, StateError>;

    // ---- jobs

    /// Jobs that are not terminal or still referenced, in no particular order.
    async fn active_jobs(&self) -> Result<Vec<JobId>, StateError>;

    /// Everything of a job but its logs and events, from one moment.
    async fn load_job(&self, job: JobId) -> Result<Option<StoredJob>, StateError>;

    /// A job's metadata.
    async fn job_record(&self, job: JobId) -> Result<Option<JobRecord>, StateError>;

    /// Up to `limit` jobs, newest first, beginning after `before`.
    async fn list_jobs(&self, before: Option<JobCursor>, limit: usize) -> Result<Vec<JobRecord>, StateError>;

    /// The state bytes of `count` pages from page `first`; shorter where nothing was written yet.
    async fn pages(&self, job: JobId, first: u32, count: u32) -> Result<Bytes, StateError>;

    /// The kept errors of a job, by task.
    async fn task_errors(&self, job: JobId) -> Result<Vec<(TaskIdx, Bytes)>, StateError>;

    /// One task's error.
    async fn task_error(&self, job: JobId, task: TaskIdx) -> Result<Option<Bytes>, StateError>;

    /// The index of a job's results, by task.
    async fn results(&self, job: JobId) -> Result<Vec<(TaskIdx, Bytes)>, StateError>;

    /// Where one wanted output is.
    async fn result_entry(&self, job: JobId, task: TaskIdx) -> Result<Option<Bytes>, StateError>;

    /// Which logs of a job are kept, oldest first.
    async fn logs(&self, job: JobId) -> Result<Vec<LogRef>, StateError>;

    /// One kept log.
    async fn task_log(&self, job: JobId, log: LogRef) -> Result<Option<Bytes>, StateError>;

    /// Up to `limit` events after `after` (from the oldest kept one if `None`).
    ///
    /// If there are none and nothing was dropped, waits up to `wait` for one. A job without events, or an unknown one, has an empty
    /// page.
    async fn events(
        &self,
        job: JobId,
        after: Option<EventId>,
        limit: usize,
        wait: Option<Duration>,
    ) -> Result<EventPage, StateError>;

    // ---- cluster

    /// Workers whose registration has not lapsed, by id.
    async fn workers(&self) -> Result<Vec<(WorkerId, Bytes)>, StateError>;

    /// All records of a table, by name.
    async fn records(&self, table: Table) -> Result<Vec<(String, Bytes)>, StateError>;

    /// One record of a table.
    async fn record(&self, table: Table, key: &str) -> Result<Option<Bytes>, StateError>;

    // ---- blobs: gateways write them, the leader's commits decide how long they stay

    /// Stores a blob for at least `ttl`. A blob that a live job keeps stays kept.
    async fn put_blob(&self, key: &str, data: Bytes, ttl: Duration) -> Result<(), StateError>;

    /// A blob's content.
    async fn get_blob(&self, key: &str) -> Result<Option<Bytes>, StateError>;

    /// Makes a blob stay for at least `ttl` from now; whether it exists.
    async fn extend_blob(&self, key: &str, ttl: Duration) -> Result<bool, StateError>;

    /// Removes a blob unless a live job keeps it; whether it was removed.
    async fn delete_blob(&self, key: &str) -> Result<bool, StateError>;

    // ---- client sessions

    /// Opens or replaces a client session that lapses after `ttl`.
    async fn put_session(&self, key: &str, data: Bytes, ttl: Duration) -> Result<(), StateError>;

    /// Makes a session last `ttl` from now; `false` if it has lapsed.
    async fn renew_session(&self, key: &str, ttl: Duration) -> Result<bool, StateError>;

    /// Ends a session.
    async fn remove_session(&self, key: &str) -> Result<(), StateError>;

    /// One session's data.
    async fn session(&self, key: &str) -> Result<Option<Bytes>, StateError>;

    /// All sessions that have not lapsed, by name.
    async fn sessions(&self) -> Result<Vec<(String, Bytes)>, StateError>;

    // ---- health

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StateError>;
}
