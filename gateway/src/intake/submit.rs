//! Sees a submission into the intake queue, and waits for its verdict and, if asked, for its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use millstream_protocol::codec;
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{GraphSource, JobAnswer, JobMeta, JobOptions, RequestError, SubmitMsg};
use millstream_types::{ByteSize, ContentKey, JobId};
use tokio::time::Instant;

use super::spread;
use crate::context::Context;
use crate::error::ApiError;
use crate::leader::{JobNews, Watch};

/// Largest graph that travels inside the intake message; the rest of the frame is the job's options and labels.
const MAX_INLINE: ByteSize = ByteSize::new(900 << 10);

/// How long a confirmed submission waits for the leader's verdict, so that a refusal is an answer and not a surprise,
/// and a read that follows at once finds the job. Without a leader the broker's confirmation alone is the answer.
const VERDICT_GRACE: Duration = Duration::from_millis(250);

/// A job on its way to the intake queue.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) id: JobId,
    /// Whether the client made the id: only then can this be a repeat.
    pub(crate) is_client_id: bool,
    pub(crate) name: String,
    pub(crate) options: JobOptions,
    pub(crate) graph: Arc<Graph>,
    /// The graph, encoded.
    pub(crate) encoded: Bytes,
}

/// What became of a submission within the time that its client waits.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is accepted and goes on.
    Accepted,
    /// It ended.
    Ended(Box<JobAnswer>),
    /// It ended before: only its record is left.
    Over(Box<JobMeta>),
}

/// Submits a job and waits for its end for at most `wait`.
pub(crate) async fn submit(
    gateway: &Context,
    mut submission: Submission,
    wait: Option<Duration>,
) -> Result<Outcome, ApiError> {
    let body_hash = hash_of(&submission);
    let job = submission.id;
    if submission.is_client_id {
        match earlier(gateway, job, body_hash).await? {
            Earlier::None => {}
            Earlier::Same(meta) => return follow(gateway, job, Some(meta), wait).await,
        }
    }
    if let Some(session) = &submission.options.attached_to {
        gateway.check_session(session).await?;
    }
    gateway.admit().await?;
    // After the hash: a repeat is the same job although the cluster has grown.
    spread::over_cluster(gateway, &mut submission).await;
    let graph = place_graph(gateway, &submission, body_hash).await?;
    gateway
        .graphs
        .insert(job, &submission.graph, submission.encoded.len());
    gateway.recent.add(job, body_hash, &submission.name);
    let message = SubmitMsg {
        job,
        body_hash,
        name: submission.name,
        graph,
        options: submission.options,
        reply_to: String::new(),
        watch: wait.is_some(),
        submitted_ms: unix_ms(),
    };
    let watch = gateway.leader.watch(job, true).await;
    let outcome = accept(gateway, message, watch, wait).await;
    if outcome.is_err() {
        gateway.recent.remove(job);
    }
    outcome
}

async fn accept(
    gateway: &Context,
    message: SubmitMsg,
    mut watch: Watch,
    wait: Option<Duration>,
) -> Result<Outcome, ApiError> {
    let confirm = gateway.leader.publish(message, gateway.settings.request_timeout);
    tokio::pin!(confirm);
    let mut confirmed = false;
    let mut deadline = Instant::now() + wait.unwrap_or(gateway.settings.request_timeout);
    loop {
        tokio::select! {
            result = &mut confirm, if !confirmed => {
                result?;
                confirmed = true;
                if wait.is_none() {
                    deadline = Instant::now() + VERDICT_GRACE;
                }
            }
            news = watch.next() => match news {
                Some(JobNews::Verdict(Err(refusal))) => return Err(refusal.into()),
                // The leader's commit is worth more than the broker's confirmation.
                Some(JobNews::Verdict(Ok(()))) if wait.is_none() => return Ok(Outcome::Accepted),
                Some(JobNews::Verdict(Ok(()))) => confirmed = true,
                Some(JobNews::Ended(answer)) => return Ok(Outcome::Ended(answer)),
                None => return Ok(Outcome::Accepted),
            },
            () = tokio::time::sleep_until(deadline), if confirmed => return Ok(Outcome::Accepted),
        }
    }
}

/// Waits for the end of a job that exists; `meta` is its record, if it is in the state store yet.
pub(crate) async fn follow(
    gateway: &Context,
    job: JobId,
    meta: Option<Box<JobMeta>>,
    wait: Option<Duration>,
) -> Result<Outcome, ApiError> {
    if let Some(meta) = meta.filter(|meta| meta.state.is_terminal()) {
        return Ok(Outcome::Over(meta));
    }
    let Some(wait) = wait else {
        return Ok(Outcome::Accepted);
    };
    let mut watch = gateway.leader.watch(job, false).await;
    let ended = async {
        loop {
            match watch.next().await {
                Some(JobNews::Ended(answer)) => return Some(answer),
                Some(JobNews::Verdict(_)) => {}
                None => return None,
            }
        }
    };
    match tokio::time::timeout(wait, ended).await {
        Ok(Some(answer)) => Ok(Outcome::Ended(answer)),
        // It may have ended while no leader could tell: its record knows.
        _ => Ok(match gateway.meta(job).await? {
            Some(meta) if meta.state.is_terminal() => Outcome::Over(Box::new(meta)),
            _ => Outcome::Accepted,
        }),
    }
}

enum Earlier {
    None,
    Same(Box<JobMeta>),
}

/// Looks for an earlier submission of the same id.
async fn earlier(gateway: &Context, job: JobId, body_hash: ContentKey) -> Result<Earlier, ApiError> {
    let meta = match gateway.meta(job).await {
        Ok(meta) => meta,
        // The leader recognises a repeat as well; a state store that is away must not refuse jobs.
        Err(ApiError::State(error)) if error.is_retryable() => None,
        Err(error) => return Err(error),
    };
    let known = match &meta {
        Some(meta) => Some(meta.body_hash),
        None => gateway.recent.get(job).map(|(hash, _)| hash),
    };
    match known {
        None => Ok(Earlier::None),
        // Without a record it is on its way to the leader, who recognises a repeat, or was lost with all that the state
        // store had, and is submitted again.
        Some(hash) if hash == body_hash => {
            Ok(meta.map_or(Earlier::None, |meta| Earlier::Same(Box::new(meta))))
        }
        Some(_) => Err(RequestError::IdConflict(job).into()),
    }
}

/// Hashes what the job is: its graph, name and options.
fn hash_of(submission: &Submission) -> ContentKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(submission.encoded.len() as u64).to_le_bytes());
    hasher.update(&submission.encoded);
    // Names and options are texts and numbers: they always encode.
    hasher.update(&codec::encode(&(&submission.name, &submission.options)).unwrap_or_default());
    ContentKey::from_bytes(*hasher.finalize().as_bytes())
}

async fn place_graph(
    gateway: &Context,
    submission: &Submission,
    body_hash: ContentKey,
) -> Result<GraphSource, ApiError> {
    let graph = submission.encoded.clone();
    if ByteSize::of_len(graph.len()) <= MAX_INLINE {
        return Ok(GraphSource::Inline(graph));
    }
    // The hash keeps another submission of the same id from overwriting this one.
    let key = format!("graph/{}/{body_hash}", submission.id);
    gateway
        .state
        .put_blob(&key, graph, gateway.settings.blob_ttl)
        .await?;
    Ok(GraphSource::Blob(key))
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
