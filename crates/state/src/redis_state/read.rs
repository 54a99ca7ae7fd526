//! What is read of jobs and registries.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::{cmd, pipe};
use bytes::Bytes;
use millstream_types::{JobId, TaskIdx};

use super::RedisState;
use super::encode::unpack;
use crate::keys::JobKey;
use crate::{JobCursor, JobRecord, PAGE_BYTES, StateError, StoredJob};

/// Loading everything of a job may take longer than other reads.
const LOAD_BUDGET: Duration = Duration::from_secs(10);
/// Above this, decompressing would hold up an async thread for too long.
const UNPACK_INLINE: usize = 256 << 10;
/// Jobs read at once, whatever a caller asks.
const LIST_PAGE: usize = 1000;
/// Length of the order in front of a stored extension.
const ORDER_BYTES: usize = 4;

/// `meta`, `index` and `cancel` of a job's hash.
type RawRecord = (Option<Bytes>, Option<String>, Option<Bytes>);
type RawFields = HashMap<u32, Bytes>;
type RawJob = (RawRecord, Option<Bytes>, RawFields, Bytes, RawFields, RawFields);

impl RedisState {
    pub(super) async fn read_job(&self, job: JobId) -> Result<Option<StoredJob>, StateError> {
        let key = |key| self.keys.job(job, key);
        let mut read = pipe();
        read.atomic()
            .cmd("HMGET")
            .arg(key(JobKey::Meta))
            .arg(RECORD_FIELDS)
            .cmd("GET")
            .arg(key(JobKey::Graph))
            .cmd("HGETALL")
            .arg(key(JobKey::Extensions))
            .cmd("GETRANGE")
            .arg(key(JobKey::Pages))
            .arg(0)
            .arg(-1)
            .cmd("HGETALL")
            .arg(key(JobKey::Errors))
            .cmd("HGETALL")
            .arg(key(JobKey::Results));
        let (record, graph, extensions, pages, errors, results): RawJob =
            self.shared.pipeline(&read, LOAD_BUDGET).await?;
        let Some(record) = self.parse_record(job, record)? else {
            return Ok(None);
        };
        let graph = graph.ok_or_else(|| self.corrupt(job, JobKey::Graph, "the graph is missing"))?;
        Ok(Some(StoredJob {
            record,
            graph: self.unpack_value(job, JobKey::Graph, graph).await?,
            extensions: self.unpack_extensions(job, extensions).await?,
            pages,
            errors: by_task(errors),
            results: by_task(results),
        }))
    }

    pub(super) async fn read_record(&self, job: JobId) -> Result<Option<JobRecord>, StateError> {
        let mut read = cmd("HMGET");
        read.arg(self.keys.job(job, JobKey::Meta)).arg(RECORD_FIELDS);
        let record = self.shared.query(&read).await?;
        self.parse_record(job, record)
    }

    /// Reads the index page by page, because expired jobs leave it a little later.
    pub(super) async fn read_list(
        &self,
        before: Option<JobCursor>,
        limit: usize,
    ) -> Result<Vec<JobRecord>, StateError> {
        let mut jobs = Vec::new();
        let mut before = before;
        while jobs.len() < limit {
            let wanted = LIST_PAGE.min(limit - jobs.len());
            let upper = before.map_or_else(|| "+".to_owned(), |cursor| format!("({cursor}"));
            let mut read = cmd("ZREVRANGEBYLEX");
            read.arg(self.keys.jobs())
                .arg(upper)
                .arg("-")
                .arg("LIMIT")
                .arg(0)
                .arg(wanted);
            let members: Vec<String> = self.shared.query(&read).await?;
            let full = members.len() == wanted;
            let cursors = members.iter().map(|member| self.parse_index(member));
            let cursors: Vec<JobCursor> = cursors.collect::<Result<_, _>>()?;
            jobs.extend(self.read_records(&cursors).await?);
            before = cursors.last().copied();
            if !full {
                break;
            }
        }
        Ok(jobs)
    }

    async fn read_records(&self, cursors: &[JobCursor]) -> Result<Vec<JobRecord>, StateError> {
        if cursors.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = pipe();
        for cursor in cursors {
            read.cmd("HMGET")
                .arg(self.keys.job(cursor.job, JobKey::Meta))
                .arg(RECORD_FIELDS);
        }
        let records: Vec<RawRecord> = self.shared.pipeline(&read, self.shared.patience()).await?;
        let records = cursors.iter().zip(records);
        records
            .filter_map(|(cursor, raw)| self.parse_record(cursor.job, raw).transpose())
            .collect()
    }

    pub(super) async fn read_pages(&self, job: JobId, first: u32, count: u32) -> Result<Bytes, StateError> {
        if count == 0 {
            return Ok(Bytes::new());
        }
        let start = u64::from(first) * PAGE_BYTES as u64;
        let end = start + u64::from(count) * PAGE_BYTES as u64 - 1;
        self.shared
            .query(
                cmd("GETRANGE")
                    .arg(self.keys.job(job, JobKey::Pages))
                    .arg(start)
                    .arg(end),
            )
            .await
    }

    /// All fields of a job's hash by task.
    pub(super) async fn read_tasks(
        &self,
        job: JobId,
        key: JobKey,
    ) -> Result<Vec<(TaskIdx, Bytes)>, StateError> {
        let fields: RawFields = self
            .shared
            .query(cmd("HGETALL").arg(self.keys.job(job, key)))
            .await?;
        Ok(by_task(fields))
    }

    /// One field of a job's hash.
    pub(super) async fn read_field(
        &self,
        job: JobId,
        key: JobKey,
        field: String,
    ) -> Result<Option<Bytes>, StateError> {
        self.shared
            .query(cmd("HGET").arg(self.keys.job(job, key)).arg(field))
            .await
    }

    /// What is registered under an index and has not lapsed; names that have lapsed are skipped.
    pub(super) async fn read_registry(
        &self,
        index: String,
        key_of: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, Bytes)>, StateError> {
        let mut names: Vec<String> = self.shared.query(cmd("ZRANGE").arg(index).arg(0).arg(-1)).await?;
        names.sort_unstable();
        names.retain(|name| key_of(name).is_some());
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = names.iter().filter_map(|name| key_of(name)).collect();
        let values: Vec<Option<Bytes>> = self.shared.query(cmd("MGET").arg(keys)).await?;
        let entries = names.into_iter().zip(values);
        Ok(entries
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect())
    }

    /// One value.
    pub(super) async fn get(&self, key: String) -> Result<Option<Bytes>, StateError> {
        self.shared.query(cmd("GET").arg(key)).await
    }

    fn parse_record(&self, job: JobId, raw: RawRecord) -> Result<Option<JobRecord>, StateError> {
        let (meta, index, cancel) = raw;
        let (Some(meta), Some(index)) = (meta, index) else {
            return Ok(None);
        };
        let created_ms = self.parse_index(&index)?.created_ms;
        Ok(Some(JobRecord {
            job,
            created_ms,
            meta,
            cancel_requested: cancel.is_some(),
        }))
    }

    fn parse_index(&self, member: &str) -> Result<JobCursor, StateError> {
        member.parse().map_err(|_| StateError::Corrupt {
            key: self.keys.jobs(),
            what: "expected members `<created>:<job>`",
        })
    }

    async fn unpack_extensions(
        &self,
        job: JobId,
        extensions: RawFields,
    ) -> Result<Vec<(TaskIdx, Bytes)>, StateError> {
        let mut ordered = Vec::with_capacity(extensions.len());
        for (task, mut value) in extensions {
            if value.len() < ORDER_BYTES {
                return Err(self.corrupt(job, JobKey::Extensions, "expected an order and a zstd frame"));
            }
            let order = value.split_to(ORDER_BYTES);
            ordered.push((order, TaskIdx(task), value));
        }
        // Big-endian, so bytes compare as the numbers do.
        ordered.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut unpacked = Vec::with_capacity(ordered.len());
        for (_, task, value) in ordered {
            unpacked.push((task, self.unpack_value(job, JobKey::Extensions, value).await?));
        }
        Ok(unpacked)
    }

    async fn unpack_value(&self, job: JobId, key: JobKey, packed: Bytes) -> Result<Bytes, StateError> {
        let key = self.keys.job(job, key);
        if packed.len() <= UNPACK_INLINE {
            return unpack(&key, &packed);
        }
        let unpacking = tokio::task::spawn_blocking(move || unpack(&key, &packed));
        unpacking.await.unwrap_or_else(|_| Err(self.shutting_down()))
    }

    /// The runtime ends, and its blocking threads with it.
    pub(super) fn shutting_down(&self) -> StateError {
        StateError::Unreachable {
            endpoint: self.shared.endpoint().to_owned(),
            reason: "this process is shutting down".to_owned(),
        }
    }

    fn corrupt(&self, job: JobId, key: JobKey, what: &'static str) -> StateError {
        StateError::Corrupt {
            key: self.keys.job(job, key),
            what,
        }
    }
}

/// The fields that [`RawRecord`] holds.
const RECORD_FIELDS: &[&str] = &["meta", "index", "cancel"];

fn by_task(fields: RawFields) -> Vec<(TaskIdx, Bytes)> {
    let mut tasks: Vec<_> = fields
        .into_iter()
        .map(|(task, value)| (TaskIdx(task), value))
        .collect();
    tasks.sort_unstable_by_key(|(task, _)| *task);
    tasks
}
