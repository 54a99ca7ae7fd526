//! One job of the in-process store.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use millstream_types::{ByteSize, JobId, TaskIdx};

use crate::{EventId, EventPage, JobRecord, Limits, LogRef, PAGE_BYTES, StoredJob, Write};

#[derive(Debug, Clone, Default)]
pub(super) struct Job {
    pub(super) created_ms: u64,
    meta: Bytes,
    graph: Bytes,
    cancel_requested: bool,
    /// `None` while the job is live or referenced.
    expires: Option<Duration>,
    extensions: Vec<(TaskIdx, Bytes)>,
    pages: Vec<u8>,
    errors: BTreeMap<TaskIdx, Bytes>,
    results: BTreeMap<TaskIdx, Bytes>,
    /// Oldest first.
    logs: VecDeque<(LogRef, Bytes)>,
    events: VecDeque<(EventId, Bytes)>,
    events_dropped: bool,
}

impl Job {
    pub(super) fn is_live(&self, now: Duration) -> bool {
        self.expires.is_none_or(|at| at > now)
    }

    pub(super) fn is_active(&self) -> bool {
        self.expires.is_none()
    }

    pub(super) fn put(&mut self, meta: &Bytes, graph: &Bytes, created_ms: u64) {
        self.meta = meta.clone();
        self.graph = graph.clone();
        self.created_ms = created_ms;
        self.expires = None;
    }

    /// Applies one of the writes that change a stored job.
    pub(super) fn apply(&mut self, write: &Write, limits: &Limits, now: Duration) {
        match write {
            Write::SetMeta {
                meta, expire_after, ..
            } => {
                self.meta = meta.clone();
                self.expires = expire_after.map(|ttl| now + ttl);
            }
            Write::ExpireJob { ttl, .. } => self.expires = Some(now + *ttl),
            Write::CancelRequested { .. } => self.cancel_requested = true,
            Write::PutExtension { task, fragment, .. } => self.put_extension(*task, fragment),
            Write::SetPages { pages, .. } => pages.iter().for_each(|(no, bytes)| self.set_page(*no, bytes)),
            Write::PutError { task, error, .. } => self.put_error(*task, error, limits),
            Write::RemoveError { task, .. } => {
                self.errors.remove(task);
            }
            Write::PutResult { task, entry, .. } => {
                self.results.insert(*task, entry.clone());
            }
            Write::RemoveResult { task, .. } => {
                self.results.remove(task);
            }
            Write::PutLog {
                task, attempt, log, ..
            } => {
                self.put_log(
                    LogRef {
                        task: *task,
                        attempt: *attempt,
                    },
                    log,
                    limits,
                );
            }
            // The rest does not change a stored job; `Data` applies it.
            _ => {}
        }
    }

    fn put_extension(&mut self, task: TaskIdx, fragment: &Bytes) {
        if !self.extensions.iter().any(|(known, _)| *known == task) {
            self.extensions.push((task, fragment.clone()));
        }
    }

    fn put_error(&mut self, task: TaskIdx, error: &Bytes, limits: &Limits) {
        if self.errors.len() < limits.errors || self.errors.contains_key(&task) {
            self.errors.insert(task, error.clone());
        }
    }

    fn set_page(&mut self, no: u32, bytes: &[u8]) {
        let start = no as usize * PAGE_BYTES;
        let end = start + bytes.len();
        if !bytes.is_empty() && self.pages.len() < end {
            self.pages.resize(end, 0);
        }
        if let Some(page) = self.pages.get_mut(start..end) {
            page.copy_from_slice(bytes);
        }
    }

    fn put_log(&mut self, log: LogRef, text: &Bytes, limits: &Limits) {
        match self.logs.iter_mut().find(|(known, _)| *known == log) {
            Some((_, known)) => *known = text.clone(),
            None => self.logs.push_back((log, text.clone())),
        }
        let mut bytes: ByteSize = self
            .logs
            .iter()
            .map(|(_, text)| ByteSize::of_len(text.len()))
            .sum();
        while self.logs.len() > limits.logs || bytes > limits.log_bytes {
            let Some((_, dropped)) = self.logs.pop_front() else {
                break;
            };
            bytes -= ByteSize::of_len(dropped.len());
        }
    }

    pub(super) fn append_event(&mut self, id: EventId, event: &Bytes, limits: &Limits) {
        self.events.push_back((id, event.clone()));
        while self.events.len() > limits.events {
            self.events.pop_front();
            self.events_dropped = true;
        }
    }

    pub(super) fn record(&self, job: JobId) -> JobRecord {
        JobRecord {
            job,
            created_ms: self.created_ms,
            meta: self.meta.clone(),
            cancel_requested: self.cancel_requested,
        }
    }

    pub(super) fn load(&self, job: JobId) -> StoredJob {
        StoredJob {
            record: self.record(job),
            graph: self.graph.clone(),
            extensions: self.extensions.clone(),
            pages: Bytes::copy_from_slice(&self.pages),
            errors: self.errors(),
            results: self.results(),
        }
    }

    pub(super) fn pages(&self, first: u32, count: u32) -> Bytes {
        let start = self.pages.len().min(first as usize * PAGE_BYTES);
        let end = self.pages.len().min(start + count as usize * PAGE_BYTES);
        Bytes::copy_from_slice(self.pages.get(start..end).unwrap_or_default())
    }

    pub(super) fn errors(&self) -> Vec<(TaskIdx, Bytes)> {
        self.errors
            .iter()
            .map(|(task, error)| (*task, error.clone()))
            .collect()
    }

    pub(super) fn error(&self, task: TaskIdx) -> Option<Bytes> {
        self.errors.get(&task).cloned()
    }

    pub(super) fn results(&self) -> Vec<(TaskIdx, Bytes)> {
        self.results
            .iter()
            .map(|(task, entry)| (*task, entry.clone()))
            .collect()
    }

    pub(super) fn result(&self, task: TaskIdx) -> Option<Bytes> {
        self.results.get(&task).cloned()
    }

    pub(super) fn logs(&self) -> Vec<LogRef> {
        self.logs.iter().map(|(log, _)| *log).collect()
    }

    pub(super) fn log(&self, log: LogRef) -> Option<Bytes> {
        self.logs
            .iter()
            .find(|(known, _)| *known == log)
            .map(|(_, text)| text.clone())
    }

    pub(super) fn events(&self, after: Option<EventId>, limit: usize) -> EventPage {
        let first = self.events.front().map(|(id, _)| *id);
        let gap = match after {
            Some(after) => first.is_none_or(|first| after < first),
            None => self.events_dropped,
        };
        let start = after.map_or(0, |after| self.events.partition_point(|(id, _)| *id <= after));
        EventPage {
            events: self.events.range(start..).take(limit).cloned().collect(),
            gap,
        }
    }
}
