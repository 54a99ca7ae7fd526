//! Brings a wanted result from its holder to the user.
//!
//! Until the first byte is sent, a holder that fails is replaced by another, or by one the leader finds. After that
//! the body ends without its terminator: a broken result is never taken for a short one.

use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use millstream_protocol::ErrorKind;
use millstream_protocol::api::{JOB_HEADER, MSGPACK_CONTENT_TYPE, TASK_HEADER};
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{
    GatewayRequest, JobState, ObjectLocation, Response, ResultEntry, StoredTaskState,
};
use millstream_transfer::{FetchError, ObjectRequest, ObjectStream};
use millstream_types::{ByteSize, JobId, ObjectId, TaskIdx, WorkerId};
use tokio::time::Instant;

use crate::context::{Context, read_record};
use crate::error::ApiError;
use crate::intake::{Outcome, follow};
use crate::values::{ValueKind, plain};

/// Largest MessagePack value that is turned into JSON on the way, which needs it whole; larger ones go as they are.
const MAX_CONVERTED: ByteSize = ByteSize::from_mib(1);

/// Rounds of asking the leader for other holders before the result counts as unreachable for now.
const MAX_RELOCATIONS: usize = 3;

/// The result that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) job: JobId,
    pub(crate) task: TaskIdx,
    pub(crate) key: String,
    /// One part of the object; all of them if none.
    pub(crate) part: Option<u32>,
    pub(crate) kind: ValueKind,
    /// Whether values go as they are stored instead of as JSON.
    pub(crate) raw: bool,
}

/// A result on its way, or why not yet.
pub(crate) enum Delivery {
    Ready(HttpResponse),
    /// It is being made, or made again.
    Pending(JobState),
}

impl Wanted {
    /// The main result of a task: all of it, but of a command its standard output.
    pub(crate) fn of(job: JobId, graph: &Graph, task: TaskIdx, raw: bool) -> Self {
        let kind = ValueKind::of(graph, task);
        Self {
            job,
            task,
            key: graph.key_of(task),
            part: (kind == ValueKind::Raw).then_some(0),
            kind,
            raw,
        }
    }
}

/// Delivers a result, waiting for it until `wait` has passed.
pub(crate) async fn deliver(
    gateway: &Context,
    wanted: &Wanted,
    wait: Option<Duration>,
) -> Result<Delivery, ApiError> {
    let deadline = wait.map(|wait| Instant::now() + wait);
    loop {
        let state = match attempt(gateway, wanted).await? {
            Delivery::Pending(state) => state,
            ready @ Delivery::Ready(_) => return Ok(ready),
        };
        let left = deadline.and_then(|deadline| deadline.checked_duration_since(Instant::now()));
        let Some(left) = left.filter(|left| !left.is_zero()) else {
            return Ok(Delivery::Pending(state));
        };
        // A job being recovered ends again; one that runs, ends.
        match follow(gateway, wanted.job, None, Some(left)).await? {
            Outcome::Accepted => {}
            Outcome::Ended(_) | Outcome::Over(_) => tokio::time::sleep(NOTE_DELAY.min(left)).await,
        }
    }
}

/// Notes trail the end of a job by this much: where the result is may reach the state store a moment later.
const NOTE_DELAY: Duration = Duration::from_millis(20);

async fn attempt(gateway: &Context, wanted: &Wanted) -> Result<Delivery, ApiError> {
    let mut failed = Vec::new();
    let known = match gateway.state.result_entry(wanted.job, wanted.task).await? {
        Some(bytes) => Some(read_record::<ResultEntry>("a result", &bytes)?),
        None => None,
    };
    let place = match known {
        // The leader has to know that it is read.
        Some(entry) if entry.is_untold => locate(gateway, wanted, Vec::new()).await?,
        Some(entry) => Place::At(entry),
        None => without_entry(gateway, wanted).await?,
    };
    let mut entry = match place {
        Place::At(entry) => entry,
        Place::Pending(state) => return Ok(Delivery::Pending(state)),
    };
    for _ in 0..MAX_RELOCATIONS {
        if let Some(response) = open(gateway, wanted, &entry, &mut failed).await {
            return Ok(Delivery::Ready(response));
        }
        entry = match locate(gateway, wanted, failed.clone()).await? {
            Place::At(entry) => entry,
            Place::Pending(state) => return Ok(Delivery::Pending(state)),
        };
    }
    Err(ApiError::ResultUnreachable {
        job: wanted.job,
        key: wanted.key.clone(),
    })
}

enum Place {
    At(ResultEntry),
    Pending(JobState),
}

/// Says why the index has no such result: it is not made yet, never will be, or is being made again.
async fn without_entry(gateway: &Context, wanted: &Wanted) -> Result<Place, ApiError> {
    let Some(meta) = gateway.meta(wanted.job).await? else {
        return Ok(Place::Pending(JobState::Accepted));
    };
    if matches!(meta.state, JobState::Running | JobState::Failed) && is_given_up(gateway, wanted).await? {
        // The leader knows how.
        return locate(gateway, wanted, Vec::new()).await;
    }
    match meta.state {
        JobState::Failed => {
            let mut error = meta.error.unwrap_or_else(|| {
                millstream_protocol::TaskError::new(ErrorKind::UpstreamFailed, "the job failed")
            });
            if let Some(bytes) = gateway.state.task_error(wanted.job, wanted.task).await? {
                error = read_record::<millstream_protocol::wire::FailureRecord>("a failure", &bytes)?.error;
            }
            Err(failed(wanted, error))
        }
        JobState::Cancelled | JobState::Cancelling => Err(ApiError::JobOver {
            job: wanted.job,
            state: meta.state,
        }),
        JobState::Succeeded | JobState::Recovering => locate(gateway, wanted, Vec::new()).await,
        JobState::Accepted | JobState::Running => Ok(Place::Pending(meta.state)),
    }
}

/// Whether the output was released, or its task cancelled by itself.
async fn is_given_up(gateway: &Context, wanted: &Wanted) -> Result<bool, ApiError> {
    let page = gateway.state.pages(wanted.job, wanted.task.0 / 256, 1).await?;
    let byte = page.get(wanted.task.index() % 256).copied().unwrap_or_default();
    Ok(byte & StoredTaskState::GIVEN_UP != 0)
}

async fn locate(gateway: &Context, wanted: &Wanted, failed_at: Vec<WorkerId>) -> Result<Place, ApiError> {
    let request = GatewayRequest::Locate {
        job: wanted.job,
        task: wanted.task,
        failed: failed_at,
    };
    match gateway.leader.ask(request).await? {
        Response::Location(ObjectLocation::Held(entry)) => Ok(Place::At(entry)),
        Response::Location(ObjectLocation::Pending { state }) => Ok(Place::Pending(state)),
        Response::Location(ObjectLocation::Failed(error)) => Err(failed(wanted, error)),
        _ => Err(ApiError::LeaderSilent),
    }
}

fn failed(wanted: &Wanted, error: millstream_protocol::TaskError) -> ApiError {
    ApiError::TaskFailed {
        job: wanted.job,
        key: wanted.key.clone(),
        error: Box::new(error),
    }
}

/// Opens the result at its first holder that has it; adds the others to `failed`.
async fn open(
    gateway: &Context,
    wanted: &Wanted,
    entry: &ResultEntry,
    failed: &mut Vec<WorkerId>,
) -> Option<HttpResponse> {
    // A value that travels with its entry is the whole of it, its first part.
    if let Some(inline) = entry
        .inline
        .as_ref()
        .filter(|_| wanted.part.is_none_or(|part| part == 0))
    {
        return Some(respond_whole(wanted, wanted.kind.content_type(), inline.clone()));
    }
    let request = ObjectRequest {
        object: ObjectId::new(wanted.job, entry.task),
        attempt: entry.attempt,
        part: wanted.part,
    };
    for (worker, address) in &entry.holders {
        if failed.contains(worker) {
            continue;
        }
        match open_at(gateway, wanted, address, request).await {
            Ok(response) => return Some(response),
            Err(error) => {
                gateway.metrics.fetch_failures.inc();
                tracing::info!(%worker, job = %wanted.job, task = %wanted.task, %error, "holder does not deliver");
                failed.push(*worker);
            }
        }
    }
    None
}

async fn open_at(
    gateway: &Context,
    wanted: &Wanted,
    address: &str,
    request: ObjectRequest,
) -> Result<HttpResponse, FetchError> {
    let ObjectStream {
        format,
        length,
        mut chunks,
        ..
    } = gateway.fetcher.open(address, request).await?;
    let own_type = format.content_type();
    // Rows and a command's output are plain bytes to the store; the operation says what they are.
    let content_type = if own_type == ValueKind::Raw.content_type() {
        wanted.kind.content_type()
    } else {
        own_type
    };
    if is_converted(wanted, content_type, length) {
        let whole = chunks.try_collect::<BytesMut>().await?;
        return Ok(respond_whole(wanted, content_type, whole.freeze()));
    }
    // Nothing is promised to the user before the holder has begun to deliver.
    let first = chunks.try_next().await?;
    let body = stream::iter(first.map(Ok)).chain(chunks);
    Ok(head(wanted)
        .content_type(content_type)
        .body(SizedStream::new(length, body)))
}

fn is_converted(wanted: &Wanted, content_type: &str, length: u64) -> bool {
    content_type == MSGPACK_CONTENT_TYPE && !wanted.raw && ByteSize::new(length) <= MAX_CONVERTED
}

fn respond_whole(wanted: &Wanted, content_type: &str, value: Bytes) -> HttpResponse {
    if is_converted(wanted, content_type, value.len() as u64) {
        return head(wanted).json(plain(ValueKind::Value.decode(&value)));
    }
    head(wanted).content_type(content_type).body(value)
}

fn head(wanted: &Wanted) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((JOB_HEADER, wanted.job.to_string()))
        .insert_header((TASK_HEADER, wanted.task.to_string()));
    response
}
