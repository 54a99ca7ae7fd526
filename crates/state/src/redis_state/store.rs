//! [`StateStore`] over Redis.

use std::sync::Arc;
use std::time::Duration;

use ::redis::cmd;
use async_trait::async_trait;
use bytes::Bytes;
use millstream_types::{JobId, LeaderId, TaskIdx, Term, WorkerId};

use super::RedisState;
use super::encode::{Call, encode, fence_text, ttl_millis};
use super::script::{
    ACQUIRE_LEASE, COMMIT, DELETE_BLOB, EXTEND_BLOB, PUT_BLOB, PUT_SESSION, RELEASE_LEASE, RENEW_LEASE,
};
use crate::keys::{JobKey, log_field, parse_log_field};
use crate::write::check_named;
use crate::{
    EventId, EventPage, Fence, JobCursor, JobRecord, Journal, Lease, LogRef, StateError, StateStore,
    StoredJob, Table, Write,
};

/// Above this, compressing would hold up an async thread for too long.
const ENCODE_INLINE: usize = 256 << 10;
/// A commit is renumbered once after a restart and repeated once after a broken connection; the rest is reserve.
const COMMIT_TRIES: usize = 4;

/// What the commit script answers.
enum Answer {
    Applied(u64),
    Fenced(Option<Fence>),
    OutOfSequence(u64),
}

fn parse_fence(text: Option<String>, key: impl FnOnce() -> String) -> Result<Option<Fence>, StateError> {
    let Some(text) = text else { return Ok(None) };
    let fence = text.split_once(':').and_then(|(term, leader)| {
        Some(Fence {
            term: Term(term.parse().ok()?),
            leader: leader.parse().ok()?,
        })
    });
    let corrupt = || StateError::Corrupt {
        key: key(),
        what: "expected `<term>:<leader>`",
    };
    fence.map(Some).ok_or_else(corrupt)
}

impl RedisState {
    fn parse_fence(&self, text: Option<String>) -> Result<Option<Fence>, StateError> {
        parse_fence(text, || self.keys.lease())
    }

    async fn encode(&self, writes: &[Write]) -> Result<Vec<Call>, StateError> {
        let packed: usize = writes
            .iter()
            .map(|write| match write {
                Write::PutJob { graph: raw, .. } | Write::PutExtension { fragment: raw, .. } => raw.len(),
                _ => 0,
            })
            .sum();
        if packed <= ENCODE_INLINE {
            return encode(&self.keys, writes);
        }
        let (keys, writes) = (self.keys.clone(), writes.to_vec());
        let encoding = tokio::task::spawn_blocking(move || encode(&keys, &writes));
        encoding.await.unwrap_or_else(|_| Err(self.shutting_down()))
    }

    /// Applies one call exactly once, whatever became of its answer.
    async fn apply(&self, fence: &Fence, call: &Call, committed: &mut u64) -> Result<Arc<str>, StateError> {
        let mut unanswered = None;
        for _ in 0..COMMIT_TRIES {
            let script = COMMIT.call(|command| {
                call.build(command, &self.keys, fence, *committed, &self.limits);
            });
            let (answer, run_id) = match self.journal.script_once(script).await {
                Ok((answer, run_id)) => (self.parse_answer(answer)?, run_id),
                Err(failure) if failure.broken && unanswered.is_none() => {
                    unanswered = Some(failure.error);
                    continue;
                }
                Err(failure) => return Err(failure.error),
            };
            match answer {
                Answer::Applied(seq) => {
                    *committed = seq;
                    return Ok(run_id);
                }
                Answer::Fenced(holder) => return Err(StateError::Fenced { ours: *fence, holder }),
                // Only we commit under this fence: the try whose answer was lost raised it.
                Answer::OutOfSequence(seq) if unanswered.is_some() && seq == *committed + 1 => {
                    *committed = seq;
                    return Ok(run_id);
                }
                Answer::OutOfSequence(seq) => *committed = seq,
            }
        }
        Err(unanswered.unwrap_or_else(|| StateError::Corrupt {
            key: self.keys.journal_seq(),
            what: "somebody else commits under the same fence",
        }))
    }

    fn parse_answer(&self, (code, value): (u8, ::redis::Value)) -> Result<Answer, StateError> {
        let corrupt = || StateError::Corrupt {
            key: self.keys.journal_seq(),
            what: "expected a number",
        };
        if code == 0 {
            let holder = ::redis::from_redis_value(value).map_err(|_| corrupt())?;
            return Ok(Answer::Fenced(self.parse_fence(holder)?));
        }
        let seq = ::redis::from_redis_value(value).map_err(|_| corrupt())?;
        Ok(if code == 1 {
            Answer::Applied(seq)
        } else {
            Answer::OutOfSequence(seq)
        })
    }

    async fn touch_session(
        &self,
        key: &str,
        ttl: Duration,
        data: Option<&Bytes>,
    ) -> Result<bool, StateError> {
        let call = PUT_SESSION.call(|command| {
            command
                .arg(2)
                .arg(self.keys.session(key))
                .arg(self.keys.sessions());
            command.arg(key).arg(ttl_millis(ttl)).arg(data.map(Bytes::as_ref));
        });
        self.shared.script(call).await
    }
}

#[async_trait]
impl StateStore for RedisState {
    async fn acquire_lease(
        &self,
        leader: LeaderId,
        at_least: Term,
        ttl: Duration,
    ) -> Result<Option<Lease>, StateError> {
        let call = ACQUIRE_LEASE.call(|command| {
            command
                .arg(3)
                .arg(self.keys.lease())
                .arg(self.keys.term())
                .arg(self.keys.last_lease())
                .arg(leader.to_string())
                .arg(at_least.0)
                .arg(ttl_millis(ttl));
        });
        let (term, before): (i64, Option<String>) = self.lease.script(call).await?;
        let term = match u32::try_from(term) {
            Ok(0) => return Ok(None),
            Ok(term) => Term(term),
            Err(_) => return Err(StateError::TermsExhausted(at_least)),
        };
        Ok(Some(Lease {
            fence: Fence { term, leader },
            before: parse_fence(before, || self.keys.last_lease())?,
        }))
    }

    async fn renew_lease(&self, fence: &Fence, ttl: Duration) -> Result<(), StateError> {
        let call = RENEW_LEASE.call(|command| {
            command
                .arg(1)
                .arg(self.keys.lease())
                .arg(fence_text(fence))
                .arg(ttl_millis(ttl));
        });
        let (renewed, holder): (bool, Option<String>) = self.lease.script(call).await?;
        if renewed {
            return Ok(());
        }
        Err(StateError::Fenced {
            ours: *fence,
            holder: self.parse_fence(holder)?,
        })
    }

    async fn release_lease(&self, fence: &Fence) -> Result<(), StateError> {
        let call = RELEASE_LEASE.call(|command| {
            command.arg(1).arg(self.keys.lease()).arg(fence_text(fence));
        });
        self.lease.script(call).await
    }

    async fn lease_holder(&self) -> Result<Option<Fence>, StateError> {
        let holder = self.lease.query(cmd("GET").arg(self.keys.lease())).await?;
        self.parse_fence(holder)
    }

    async fn commit(&self, fence: &Fence, writes: &[Write]) -> Result<Journal, StateError> {
        writes.iter().try_for_each(Write::check)?;
        let calls = self.encode(writes).await?;
        let mut committed = self.committed.lock().await;
        let mut run_id = Arc::from("");
        for call in &calls {
            run_id = self.apply(fence, call, &mut committed).await?;
        }
        Ok(Journal {
            seq: *committed,
            run_id: run_id.to_string(),
        })
    }

    async fn journal(&self) -> Result<Journal, StateError> {
        let mut read = cmd("GET");
        read.arg(self.keys.journal_seq());
        let (seq, run_id): (Option<u64>, _) = self.journal.query_of_run(&read).await?;
        Ok(Journal {
            seq: seq.unwrap_or_default(),
            run_id: run_id.to_string(),
        })
    }

    async fn active_jobs(&self) -> Result<Vec<JobId>, StateError> {
        let key = self.keys.active_jobs();
        let jobs: Vec<String> = self.shared.query(cmd("SMEMBERS").arg(&key)).await?;
        let jobs = jobs.iter().map(|job| job.parse());
        jobs.collect::<Result<_, _>>().map_err(|_| StateError::Corrupt {
            key,
            what: "expected job ids",
        })
    }

    async fn load_job(&self, job: JobId) -> Result<Option<StoredJob>, StateError> {
        self.read_job(job).await
    }

    async fn job_record(&self, job: JobId) -> Result<Option<JobRecord>, StateError> {
        self.read_record(job).await
    }

    async fn list_jobs(&self, before: Option<JobCursor>, limit: usize) -> Result<Vec<JobRecord>, StateError> {
        self.read_list(before, limit).await
    }

    async fn pages(&self, job: JobId, first: u32, count: u32) -> Result<Bytes, StateError> {
        self.read_pages(job, first, count).await
    }

    async fn task_errors(&self, job: JobId) -> Result<Vec<(TaskIdx, Bytes)>, StateError> {
        self.read_tasks(job, JobKey::Errors).await
    }

    async fn task_error(&self, job: JobId, task: TaskIdx) -> Result<Option<Bytes>, StateError> {
        self.read_field(job, JobKey::Errors, task.to_string()).await
    }

    async fn results(&self, job: JobId) -> Result<Vec<(TaskIdx, Bytes)>, StateError> {
        self.read_tasks(job, JobKey::Results).await
    }

    async fn result_entry(&self, job: JobId, task: TaskIdx) -> Result<Option<Bytes>, StateError> {
        self.read_field(job, JobKey::Results, task.to_string()).await
    }

    async fn logs(&self, job: JobId) -> Result<Vec<LogRef>, StateError> {
        let key = self.keys.job(job, JobKey::LogOrder);
        let fields: Vec<String> = self.shared.query(cmd("LRANGE").arg(&key).arg(0).arg(-1)).await?;
        let logs = fields.iter().map(|field| parse_log_field(field));
        logs.collect::<Option<_>>().ok_or(StateError::Corrupt {
            key,
            what: "expected fields `<task>/<attempt>`",
        })
    }

    async fn task_log(&self, job: JobId, log: LogRef) -> Result<Option<Bytes>, StateError> {
        self.read_field(job, JobKey::Logs, log_field(log)).await
    }

    async fn events(
        &self,
        job: JobId,
        after: Option<EventId>,
        limit: usize,
        wait: Option<Duration>,
    ) -> Result<EventPage, StateError> {
        match wait {
            Some(wait) => self.wait_for_events(job, after, limit, wait).await,
            None => self.read_events(job, after, limit).await,
        }
    }

    async fn workers(&self) -> Result<Vec<(WorkerId, Bytes)>, StateError> {
        let key_of = |name: &str| name.parse().ok().map(|worker| self.keys.worker(worker));
        let workers = self.read_registry(self.keys.workers(), key_of).await?;
        Ok(workers
            .into_iter()
            .filter_map(|(name, info)| Some((name.parse().ok()?, info)))
            .collect())
    }

    async fn records(&self, table: Table) -> Result<Vec<(String, Bytes)>, StateError> {
        let mut records: Vec<(String, Bytes)> = self
            .shared
            .query(cmd("HGETALL").arg(self.keys.table(table)))
            .await?;
        records.sort_unstable();
        Ok(records)
    }

    async fn record(&self, table: Table, key: &str) -> Result<Option<Bytes>, StateError> {
        self.shared
            .query(cmd("HGET").arg(self.keys.table(table)).arg(key))
            .await
    }

    async fn put_blob(&self, key: &str, data: Bytes, ttl: Duration) -> Result<(), StateError> {
        check_named(key, &data)?;
        let call = PUT_BLOB.call(|command| {
            command
                .arg(1)
                .arg(self.keys.blob(key))
                .arg(data.as_ref())
                .arg(ttl_millis(ttl));
        });
        self.shared.script(call).await
    }

    async fn get_blob(&self, key: &str) -> Result<Option<Bytes>, StateError> {
        self.get(self.keys.blob(key)).await
    }

    async fn extend_blob(&self, key: &str, ttl: Duration) -> Result<bool, StateError> {
        let call = EXTEND_BLOB.call(|command| {
            command.arg(1).arg(self.keys.blob(key)).arg(ttl_millis(ttl));
        });
        self.shared.script(call).await
    }

    async fn delete_blob(&self, key: &str) -> Result<bool, StateError> {
        let call = DELETE_BLOB.call(|command| {
            command.arg(1).arg(self.keys.blob(key));
        });
        self.shared.script(call).await
    }

    async fn put_session(&self, key: &str, data: Bytes, ttl: Duration) -> Result<(), StateError> {
        check_named(key, &data)?;
        self.touch_session(key, ttl, Some(&data)).await.map(drop)
    }

    async fn renew_session(&self, key: &str, ttl: Duration) -> Result<bool, StateError> {
        self.touch_session(key, ttl, None).await
    }

    async fn remove_session(&self, key: &str) -> Result<(), StateError> {
        self.shared.query(cmd("DEL").arg(self.keys.session(key))).await
    }

    async fn session(&self, key: &str) -> Result<Option<Bytes>, StateError> {
        self.get(self.keys.session(key)).await
    }

    async fn sessions(&self) -> Result<Vec<(String, Bytes)>, StateError> {
        self.read_registry(self.keys.sessions(), |name| Some(self.keys.session(name)))
            .await
    }

    async fn ping(&self) -> Result<(), StateError> {
        self.shared.query(&cmd("PING")).await
    }
}
