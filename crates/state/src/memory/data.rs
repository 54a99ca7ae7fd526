//! What the in-process store holds, and how writes change it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use millstream_types::{JobId, LeaderId, Term, WorkerId};

use super::job::Job;
use super::shared::Shared;
use crate::{EventId, Fence, JobCursor, JobRecord, Lease, Limits, StateError, Table, Write};

/// How often what has expired is really dropped; reads skip it at once.
const PURGE_EVERY: Duration = Duration::from_secs(1);

/// A value and the moment it is gone, if it expires.
#[derive(Debug, Clone)]
pub(super) struct Expiring<T> {
    pub(super) value: T,
    pub(super) expires: Option<Duration>,
}

impl<T> Expiring<T> {
    pub(super) fn is_live(&self, now: Duration) -> bool {
        self.expires.is_none_or(|at| at > now)
    }

    /// Makes it stay at least until `until`; what never expires stays so.
    fn extend(&mut self, until: Duration) {
        self.expires = self.expires.map(|at| at.max(until));
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Data {
    lease: Option<Expiring<Fence>>,
    /// Who was given the highest term.
    last: Option<Lease>,
    pub(super) seq: u64,
    jobs: BTreeMap<JobId, Job>,
    /// Every job of `jobs`, oldest first.
    index: BTreeSet<JobCursor>,
    workers: BTreeMap<WorkerId, Expiring<Bytes>>,
    sessions: BTreeMap<String, Expiring<Bytes>>,
    blobs: BTreeMap<String, Expiring<Bytes>>,
    records: BTreeMap<Table, BTreeMap<String, Bytes>>,
    last_event: EventId,
    next_purge: Duration,
    pub(super) shared: Shared,
}

impl Data {
    pub(super) fn holder(&self, now: Duration) -> Option<Fence> {
        self.lease
            .as_ref()
            .filter(|lease| lease.is_live(now))
            .map(|lease| lease.value)
    }

    pub(super) fn acquire(
        &mut self,
        leader: LeaderId,
        at_least: Term,
        until: Duration,
        now: Duration,
    ) -> Result<Option<Lease>, StateError> {
        let lease = match self.holder(now) {
            Some(fence) if fence.leader != leader => return Ok(None),
            Some(fence) if fence.term > at_least => Lease {
                fence,
                before: self.last.and_then(|last| last.before),
            },
            _ => Lease {
                fence: Fence {
                    term: self.next_term(at_least, now)?,
                    leader,
                },
                before: self.last.map(|last| last.fence),
            },
        };
        self.last = Some(lease);
        self.lease = Some(Expiring {
            value: lease.fence,
            expires: Some(until),
        });
        Ok(Some(lease))
    }

    /// Not below the clock: a store that lost its counter gives no term again that it gave before.
    fn next_term(&self, at_least: Term, now: Duration) -> Result<Term, StateError> {
        let floor = self.last.map_or(at_least, |last| last.fence.term.max(at_least));
        let next = floor.0.checked_add(1).ok_or(StateError::TermsExhausted(floor))?;
        let clock = u32::try_from(now.as_secs()).map_err(|_| StateError::TermsExhausted(floor))?;
        Ok(Term(next.max(clock)))
    }

    pub(super) fn renew(&mut self, fence: &Fence, until: Duration, now: Duration) -> Result<(), StateError> {
        self.check_fence(fence, now)?;
        self.lease = Some(Expiring {
            value: *fence,
            expires: Some(until),
        });
        Ok(())
    }

    pub(super) fn release(&mut self, fence: &Fence) {
        self.lease.take_if(|lease| lease.value == *fence);
    }

    fn check_fence(&self, fence: &Fence, now: Duration) -> Result<(), StateError> {
        let holder = self.holder(now);
        if holder == Some(*fence) {
            Ok(())
        } else {
            Err(StateError::Fenced { ours: *fence, holder })
        }
    }

    /// Applies a whole batch; the caller has checked the writes' sizes.
    pub(super) fn commit(
        &mut self,
        fence: &Fence,
        writes: &[Write],
        limits: &Limits,
        now: Duration,
    ) -> Result<u64, StateError> {
        self.check_fence(fence, now)?;
        self.purge(now);
        for write in writes {
            self.apply(write, limits, now);
        }
        self.seq += 1;
        Ok(self.seq)
    }

    fn apply(&mut self, write: &Write, limits: &Limits, now: Duration) {
        match write {
            Write::PutJob {
                job,
                meta,
                graph,
                created_ms,
            } => {
                self.put_job(*job, meta, graph, *created_ms, now);
            }
            Write::DeleteJob { job } => self.delete_job(*job),
            Write::PutWorker { worker, info, ttl } => {
                let entry = Expiring {
                    value: info.clone(),
                    expires: Some(now + *ttl),
                };
                self.workers.insert(*worker, entry);
            }
            Write::RemoveWorker { worker } => {
                self.workers.remove(worker);
            }
            Write::PutRecord { table, key, value } => {
                self.records
                    .entry(*table)
                    .or_default()
                    .insert(key.clone(), value.clone());
            }
            Write::RemoveRecord { table, key } => {
                self.records.entry(*table).or_default().remove(key);
            }
            Write::PutBlob { key, data } => {
                self.blobs.insert(
                    key.clone(),
                    Expiring {
                        value: data.clone(),
                        expires: None,
                    },
                );
            }
            Write::KeepBlob { key } => self.set_blob_expiry(key, None, now),
            Write::ExpireBlob { key, ttl } => self.set_blob_expiry(key, Some(now + *ttl), now),
            Write::DeleteBlob { key } => {
                self.blobs.remove(key);
            }
            Write::AppendEvent { job, event } => {
                let id = self.next_event_id(now);
                if let Some(job) = self.job_mut(*job, now) {
                    job.append_event(id, event, limits);
                }
            }
            of_job => {
                if let Some(job) = of_job.job().and_then(|job| self.job_mut(job, now)) {
                    job.apply(of_job, limits, now);
                }
            }
        }
    }

    fn next_event_id(&mut self, now: Duration) -> EventId {
        let fresh = EventId {
            ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            seq: 0,
        };
        let following = EventId {
            seq: self.last_event.seq + 1,
            ..self.last_event
        };
        self.last_event = fresh.max(following);
        self.last_event
    }

    /// Keeps event ids and versions growing although `self` is older than `lost`.
    pub(super) fn continue_after(&mut self, lost: &Self) {
        self.last_event = self.last_event.max(lost.last_event);
        self.shared.continue_after(&lost.shared);
    }

    fn put_job(&mut self, id: JobId, meta: &Bytes, graph: &Bytes, created_ms: u64, now: Duration) {
        let mut job = self
            .jobs
            .remove(&id)
            .filter(|job| job.is_live(now))
            .unwrap_or_default();
        self.index.remove(&JobCursor {
            created_ms: job.created_ms,
            job: id,
        });
        job.put(meta, graph, created_ms);
        self.index.insert(JobCursor { created_ms, job: id });
        self.jobs.insert(id, job);
    }

    fn delete_job(&mut self, id: JobId) {
        if let Some(job) = self.jobs.remove(&id) {
            self.index.remove(&JobCursor {
                created_ms: job.created_ms,
                job: id,
            });
        }
    }

    fn set_blob_expiry(&mut self, key: &str, expires: Option<Duration>, now: Duration) {
        if let Some(blob) = self.blobs.get_mut(key).filter(|blob| blob.is_live(now)) {
            blob.expires = expires;
        }
    }

    /// Drops what has expired.
    fn purge(&mut self, now: Duration) {
        if now < self.next_purge {
            return;
        }
        self.next_purge = now + PURGE_EVERY;
        let gone: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(_, job)| !job.is_live(now))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.delete_job(id);
        }
        self.workers.retain(|_, entry| entry.is_live(now));
        self.sessions.retain(|_, entry| entry.is_live(now));
        self.blobs.retain(|_, entry| entry.is_live(now));
    }

    pub(super) fn job(&self, id: JobId, now: Duration) -> Option<&Job> {
        self.jobs.get(&id).filter(|job| job.is_live(now))
    }

    fn job_mut(&mut self, id: JobId, now: Duration) -> Option<&mut Job> {
        self.jobs.get_mut(&id).filter(|job| job.is_live(now))
    }

    pub(super) fn active_jobs(&self) -> Vec<JobId> {
        self.jobs
            .iter()
            .filter(|(_, job)| job.is_active())
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn list_jobs(&self, before: Option<JobCursor>, limit: usize, now: Duration) -> Vec<JobRecord> {
        let newest_first = match before {
            Some(cursor) => self.index.range(..cursor).rev(),
            None => self.index.range(..).rev(),
        };
        newest_first
            .filter_map(|cursor| self.job(cursor.job, now).map(|job| job.record(cursor.job)))
            .take(limit)
            .collect()
    }

    pub(super) fn workers(&self, now: Duration) -> Vec<(WorkerId, Bytes)> {
        live(&self.workers, now)
    }

    pub(super) fn records(&self, table: Table) -> Vec<(String, Bytes)> {
        let records = self.records.get(&table).into_iter().flatten();
        records.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(super) fn record(&self, table: Table, key: &str) -> Option<Bytes> {
        self.records.get(&table)?.get(key).cloned()
    }

    pub(super) fn put_blob(&mut self, key: &str, data: Bytes, until: Duration, now: Duration) {
        self.purge(now);
        let known = self.blobs.get(key).filter(|blob| blob.is_live(now));
        let mut blob = Expiring {
            value: data,
            expires: known.map_or(Some(until), |blob| blob.expires),
        };
        blob.extend(until);
        self.blobs.insert(key.to_owned(), blob);
    }

    pub(super) fn blob(&self, key: &str, now: Duration) -> Option<Bytes> {
        self.blobs
            .get(key)
            .filter(|blob| blob.is_live(now))
            .map(|blob| blob.value.clone())
    }

    pub(super) fn extend_blob(&mut self, key: &str, until: Duration, now: Duration) -> bool {
        let blob = self.blobs.get_mut(key).filter(|blob| blob.is_live(now));
        blob.map(|blob| blob.extend(until)).is_some()
    }

    pub(super) fn delete_blob(&mut self, key: &str, now: Duration) -> bool {
        let removable = self
            .blobs
            .get(key)
            .is_some_and(|blob| blob.is_live(now) && blob.expires.is_some());
        removable && self.blobs.remove(key).is_some()
    }

    pub(super) fn put_session(&mut self, key: &str, data: Bytes, until: Duration, now: Duration) {
        self.purge(now);
        self.sessions.insert(
            key.to_owned(),
            Expiring {
                value: data,
                expires: Some(until),
            },
        );
    }

    pub(super) fn renew_session(&mut self, key: &str, until: Duration, now: Duration) -> bool {
        let session = self.sessions.get_mut(key).filter(|session| session.is_live(now));
        session.map(|session| session.expires = Some(until)).is_some()
    }

    pub(super) fn remove_session(&mut self, key: &str) {
        self.sessions.remove(key);
    }

    pub(super) fn session(&self, key: &str, now: Duration) -> Option<Bytes> {
        self.sessions
            .get(key)
            .filter(|session| session.is_live(now))
            .map(|session| session.value.clone())
    }

    pub(super) fn sessions(&self, now: Duration) -> Vec<(String, Bytes)> {
        live(&self.sessions, now)
    }
}

fn live<K: Clone>(entries: &BTreeMap<K, Expiring<Bytes>>, now: Duration) -> Vec<(K, Bytes)> {
    let live = entries.iter().filter(|(_, entry)| entry.is_live(now));
    live.map(|(key, entry)| (key.clone(), entry.value.clone()))
        .collect()
}
