//! How the core's commits and notes are written: the payloads of the state store, encoded with field names.

use bytes::Bytes;
use millstream_protocol::codec::{self, DecodeError, EncodeError};
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{ExtensionRecord, FailureRecord, JobMeta, ResultEntry};
use millstream_scheduler_core::{Commit, Note, RecoveredJob};
use millstream_state::{StoredJob, Write};
use serde::Serialize;

fn encoded<T: Serialize>(value: &T) -> Result<Bytes, EncodeError> {
    codec::encode_named(value).map(Bytes::from)
}

/// The write that a commit asks for.
pub(crate) fn write_of_commit(commit: Commit) -> Result<Write, EncodeError> {
    Ok(match commit {
        Commit::PutJob { meta, graph } => Write::PutJob {
            job: meta.job,
            created_ms: meta.accepted_ms,
            meta: encoded(&*meta)?,
            graph,
        },
        Commit::SetMeta { meta, expire_after } => Write::SetMeta {
            job: meta.job,
            meta: encoded(&*meta)?,
            expire_after,
        },
        Commit::RequestCancel { job } => Write::CancelRequested { job },
        Commit::PutExtension { job, task, extension } => Write::PutExtension {
            job,
            task,
            fragment: extension,
        },
        Commit::PutFailure { job, task, failure } => Write::PutError {
            job,
            task,
            error: encoded(&*failure)?,
        },
        Commit::PutPages { job, pages } => Write::SetPages { job, pages },
        Commit::DeleteJob { job } => Write::DeleteJob { job },
    })
}

/// The write that a note asks for.
pub(crate) fn write_of_note(note: Note) -> Result<Write, EncodeError> {
    Ok(match note {
        Note::Pages { job, pages } => Write::SetPages { job, pages },
        Note::Result { job, task, entry } => Write::PutResult {
            job,
            task,
            entry: encoded(&*entry)?,
        },
        Note::ResultGone { job, task } => Write::RemoveResult { job, task },
        Note::Meta { meta } => Write::SetMeta {
            job: meta.job,
            meta: encoded(&*meta)?,
            expire_after: None,
        },
        Note::Event { job, event } => Write::AppendEvent {
            job,
            event: encoded(&event)?,
        },
        Note::Log {
            job,
            task,
            attempt,
            log,
        } => Write::PutLog {
            job,
            task,
            attempt,
            log: encoded(&log)?,
        },
        Note::Worker { info, ttl } => Write::PutWorker {
            worker: info.worker,
            info: encoded(&*info)?,
            ttl,
        },
        Note::WorkerGone { worker } => Write::RemoveWorker { worker },
    })
}

/// A stored job as the core takes it over.
pub(crate) fn recovered_job(stored: StoredJob) -> Result<RecoveredJob, DecodeError> {
    Ok(RecoveredJob {
        meta: codec::decode::<JobMeta>(&stored.record.meta)?,
        cancel_requested: stored.record.cancel_requested,
        graph: codec::decode::<Graph>(&stored.graph)?,
        extensions: each(stored.extensions, codec::decode::<ExtensionRecord>)?,
        pages: stored.pages,
        failures: each(stored.errors, codec::decode::<FailureRecord>)?,
        results: each(stored.results, codec::decode::<ResultEntry>)?,
    })
}

fn each<K, T>(
    rows: Vec<(K, Bytes)>,
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<Vec<(K, T)>, DecodeError> {
    rows.into_iter()
        .map(|(key, bytes)| Ok((key, decode(&bytes)?)))
        .collect()
}
