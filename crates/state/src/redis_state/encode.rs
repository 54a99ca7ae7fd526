//! A batch of writes as calls of the commit script.

use std::collections::HashMap;
use std::io::Read;

use bytes::{Bytes, BytesMut};
use millstream_types::JobId;

use crate::keys::{JobKey, Keys, log_field};
use crate::{Fence, JobCursor, Limits, LogRef, PAGE_BYTES, StateError, Write};

/// A script of so many operations takes Redis a few milliseconds, in which nobody else is served.
const MAX_OPERATIONS: usize = 1024;
/// So many bytes take Redis about as long.
const MAX_BYTES: usize = 8 << 20;
/// Neighbouring pages are joined up to this length.
const MAX_RUN: usize = 1 << 20;
/// Fastest level: graphs are columnar, and more effort gains little.
const ZSTD_LEVEL: i32 = 1;
/// Refuses a frame that decompresses to more than was ever accepted.
const MAX_UNPACKED: u64 = 256 << 20;

/// One call of the commit script.
#[derive(Debug, Default)]
pub(super) struct Call {
    keys: Vec<String>,
    arguments: Vec<Argument>,
    jobs: HashMap<JobId, usize>,
    operations: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Argument {
    Name(&'static str),
    Text(String),
    Number(u64),
    Bytes(Bytes),
}

impl Call {
    /// Writes the number of keys, the keys and the arguments.
    pub(super) fn build(
        &self,
        command: &mut ::redis::Cmd,
        keys: &Keys,
        fence: &Fence,
        seq: u64,
        limits: &Limits,
    ) {
        let fixed = fixed_keys(keys);
        command
            .arg(fixed.len() + self.keys.len())
            .arg(&fixed)
            .arg(&self.keys);
        command.arg(fence_text(fence)).arg(seq).arg(keys.events_channel());
        command
            .arg(limits.events)
            .arg(limits.logs)
            .arg(limits.log_bytes.as_u64())
            .arg(limits.errors);
        for argument in &self.arguments {
            match argument {
                Argument::Name(name) => command.arg(name),
                Argument::Text(text) => command.arg(text),
                Argument::Number(number) => command.arg(number),
                Argument::Bytes(bytes) => command.arg(bytes.as_ref()),
            };
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.operations < MAX_OPERATIONS && self.bytes + bytes <= MAX_BYTES
    }

    /// Begins an operation on a job.
    fn on_job(&mut self, name: &'static str, keys: &Keys, job: JobId) -> &mut Self {
        let position = match self.jobs.get(&job) {
            Some(position) => *position,
            None => {
                let position = self.next_position();
                self.keys.extend(JobKey::ALL.map(|key| keys.job(job, key)));
                self.jobs.insert(job, position);
                position
            }
        };
        self.begin(name, position)
    }

    /// Begins an operation on a key of its own.
    fn on_key(&mut self, name: &'static str, key: String) -> &mut Self {
        let position = self.next_position();
        self.keys.push(key);
        self.begin(name, position)
    }

    fn next_position(&self) -> usize {
        FIXED_KEYS + self.keys.len() + 1
    }

    fn begin(&mut self, name: &'static str, position: usize) -> &mut Self {
        self.operations += 1;
        self.arguments.push(Argument::Name(name));
        self.number(position as u64)
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.arguments.push(Argument::Number(number));
        self
    }

    fn text(&mut self, text: String) -> &mut Self {
        self.arguments.push(Argument::Text(text));
        self
    }

    fn blob(&mut self, bytes: &Bytes) -> &mut Self {
        self.bytes += bytes.len();
        self.arguments.push(Argument::Bytes(bytes.clone()));
        self
    }
}

const FIXED_KEYS: usize = 6;

fn fixed_keys(keys: &Keys) -> [String; FIXED_KEYS] {
    [
        keys.lease(),
        keys.journal_seq(),
        keys.jobs(),
        keys.active_jobs(),
        keys.expiring_jobs(),
        keys.workers(),
    ]
}

/// The lease's value.
pub(super) fn fence_text(fence: &Fence) -> String {
    format!("{}:{}", fence.term, fence.leader)
}

/// Encodes a batch; always at least one call, so that an empty batch checks the fence too.
pub(super) fn encode(keys: &Keys, writes: &[Write]) -> Result<Vec<Call>, StateError> {
    let mut calls = vec![Call::default()];
    for write in writes {
        match write {
            Write::SetPages { job, pages } => encode_pages(&mut calls, keys, *job, pages),
            Write::PutJob {
                job,
                meta,
                graph,
                created_ms,
            } => {
                let index = JobCursor {
                    created_ms: *created_ms,
                    job: *job,
                }
                .to_string();
                let graph = pack(graph)?;
                let call = with_room(&mut calls, meta.len() + graph.len());
                call.on_job("put_job", keys, *job)
                    .blob(meta)
                    .blob(&graph)
                    .text(index);
            }
            Write::PutExtension { job, task, fragment } => {
                let fragment = pack(fragment)?;
                let call = with_room(&mut calls, fragment.len());
                call.on_job("put_extension", keys, *job)
                    .number(task.0.into())
                    .blob(&fragment);
            }
            other => encode_small(with_room(&mut calls, payload_len(other)), keys, other),
        }
    }
    Ok(calls)
}

/// The call that the next operation joins.
fn with_room(calls: &mut Vec<Call>, bytes: usize) -> &mut Call {
    let last_is_full = calls
        .last()
        .is_none_or(|call| call.operations > 0 && !call.has_room(bytes));
    if last_is_full {
        calls.push(Call::default());
    }
    let last = calls.len() - 1;
    &mut calls[last]
}

fn payload_len(write: &Write) -> usize {
    match write {
        Write::SetMeta { meta: bytes, .. }
        | Write::PutError { error: bytes, .. }
        | Write::PutResult { entry: bytes, .. }
        | Write::PutLog { log: bytes, .. }
        | Write::AppendEvent { event: bytes, .. }
        | Write::PutWorker { info: bytes, .. }
        | Write::PutRecord { value: bytes, .. }
        | Write::PutBlob { data: bytes, .. } => bytes.len(),
        _ => 0,
    }
}

fn encode_small(call: &mut Call, keys: &Keys, write: &Write) {
    match write {
        Write::SetMeta {
            job,
            meta,
            expire_after,
        } => {
            let ttl = expire_after
                .map(|ttl| ttl_millis(ttl).to_string())
                .unwrap_or_default();
            call.on_job("set_meta", keys, *job).blob(meta).text(ttl)
        }
        Write::ExpireJob { job, ttl } => call.on_job("expire_job", keys, *job).number(ttl_millis(*ttl)),
        Write::DeleteJob { job } => call.on_job("delete_job", keys, *job),
        Write::CancelRequested { job } => call.on_job("cancel", keys, *job),
        Write::PutError { job, task, error } => call
            .on_job("put_error", keys, *job)
            .number(task.0.into())
            .blob(error),
        Write::RemoveError { job, task } => call.on_job("remove_error", keys, *job).number(task.0.into()),
        Write::PutResult { job, task, entry } => call
            .on_job("put_result", keys, *job)
            .number(task.0.into())
            .blob(entry),
        Write::RemoveResult { job, task } => call.on_job("remove_result", keys, *job).number(task.0.into()),
        Write::PutLog {
            job,
            task,
            attempt,
            log,
        } => {
            let field = log_field(LogRef {
                task: *task,
                attempt: *attempt,
            });
            call.on_job("put_log", keys, *job).text(field).blob(log)
        }
        Write::AppendEvent { job, event } => call.on_job("append_event", keys, *job).blob(event),
        Write::PutWorker { worker, info, ttl } => call
            .on_key("put_worker", keys.worker(*worker))
            .text(worker.to_string())
            .blob(info)
            .number(ttl_millis(*ttl)),
        Write::RemoveWorker { worker } => call
            .on_key("remove_worker", keys.worker(*worker))
            .text(worker.to_string()),
        Write::PutRecord { table, key, value } => call
            .on_key("put_record", keys.table(*table))
            .text(key.clone())
            .blob(value),
        Write::RemoveRecord { table, key } => {
            call.on_key("remove_record", keys.table(*table)).text(key.clone())
        }
        Write::PutBlob { key, data } => call.on_key("put_blob", keys.blob(key)).blob(data),
        Write::KeepBlob { key } => call.on_key("keep_blob", keys.blob(key)),
        Write::ExpireBlob { key, ttl } => call
            .on_key("expire_blob", keys.blob(key))
            .number(ttl_millis(*ttl)),
        Write::DeleteBlob { key } => call.on_key("delete_blob", keys.blob(key)),
        // `encode` compresses or splits these.
        Write::PutJob { .. } | Write::PutExtension { .. } | Write::SetPages { .. } => call,
    };
}

/// Milliseconds for Redis, which refuses 0 and moments beyond its 64 bits.
pub(super) fn ttl_millis(ttl: std::time::Duration) -> u64 {
    const CENTURY: u64 = 100 * 366 * 24 * 3600 * 1000;
    u64::try_from(ttl.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, CENTURY)
}

fn encode_pages(calls: &mut Vec<Call>, keys: &Keys, job: JobId, pages: &[(u32, Bytes)]) {
    let mut runs = join_neighbours(pages).into_iter().peekable();
    while runs.peek().is_some() {
        let call = with_room(calls, 0);
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some((_, run)) = runs.peek()
            && (taken.is_empty() || (call.has_room(bytes + run.len()) && taken.len() < MAX_OPERATIONS))
        {
            bytes += run.len();
            taken.extend(runs.next());
        }
        call.operations += taken.len();
        call.on_job("set_pages", keys, job).number(taken.len() as u64);
        for (offset, run) in &taken {
            call.number(*offset).blob(run);
        }
    }
}

/// Joins full pages that follow each other, so that Redis is called once for them.
fn join_neighbours(pages: &[(u32, Bytes)]) -> Vec<(u64, Bytes)> {
    let mut runs = Vec::new();
    let mut rest = pages;
    while let Some(((first, page), following)) = rest.split_first() {
        let mut joined = 1;
        while joined < rest.len()
            && joined * PAGE_BYTES < MAX_RUN
            && rest[joined - 1].1.len() == PAGE_BYTES
            && rest[joined].0.checked_sub(joined as u32) == Some(*first)
        {
            joined += 1;
        }
        let run = if joined == 1 {
            page.clone()
        } else {
            let mut run = BytesMut::with_capacity(joined * PAGE_BYTES);
            rest[..joined]
                .iter()
                .for_each(|(_, page)| run.extend_from_slice(page));
            run.freeze()
        };
        runs.push((u64::from(*first) * PAGE_BYTES as u64, run));
        rest = &following[joined - 1..];
    }
    runs
}

fn pack(raw: &Bytes) -> Result<Bytes, StateError> {
    let packed = zstd::bulk::compress(raw, ZSTD_LEVEL);
    packed.map(Bytes::from).map_err(|_| StateError::Corrupt {
        key: "graph".to_owned(),
        what: "the graph cannot be compressed",
    })
}

/// Reverses the compression of a stored graph or extension.
pub(super) fn unpack(key: &str, packed: &[u8]) -> Result<Bytes, StateError> {
    let corrupt = || StateError::Corrupt {
        key: key.to_owned(),
        what: "expected a zstd frame",
    };
    let mut raw = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(packed).map_err(|_| corrupt())?;
    let read = decoder
        .take(MAX_UNPACKED + 1)
        .read_to_end(&mut raw)
        .map_err(|_| corrupt())?;
    if read as u64 > MAX_UNPACKED {
        Err(corrupt())
    } else {
        Ok(raw.into())
    }
}
