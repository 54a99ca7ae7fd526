//! `/v1/uploads`: values that clients leave on workers, ahead of the tasks that read them.
//!
//! The bytes pass through; nothing of them stays here.

use std::io;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::join_all;
use futures::{SinkExt as _, StreamExt as _};
use millstream_protocol::api::WorkerView;
use millstream_transfer::{FetchError, UploadReceipt};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use super::params::{Query, parse, path_part};
use crate::context::Context;
use crate::error::ApiError;
use crate::reply::ok;

/// Workers that get a copy, if there are so many.
const COPIES: usize = 2;

/// Chunks on their way to one worker: enough to keep a connection busy.
const UNDER_WAY: usize = 8;

/// How long a worker may take for a chunk before it counts as gone.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
struct UploadView {
    id: Uuid,
    length: u64,
    crc32: u32,
    /// Ids of the workers that have it.
    workers: Vec<String>,
}

/// `PUT /v1/uploads/{upload}`
pub(crate) async fn put(
    request: HttpRequest,
    body: web::Payload,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let id = upload_of(&request)?;
    let receivers = gateway.receivers().await?;
    if receivers.is_empty() {
        return Err(ApiError::NoWorker);
    }
    let mut copies: Vec<Copy> = receivers
        .into_iter()
        .map(|worker| Copy::start(&gateway, worker, id))
        .collect();
    let sent = pass_on(body, &mut copies, gateway.settings.request_timeout).await?;
    let ended = join_all(copies.into_iter().map(Copy::end)).await;
    let mut workers = Vec::new();
    let mut failure = None;
    for (worker, result) in ended {
        match result {
            Ok(receipt) if receipt == sent => workers.push(worker.id.to_string()),
            Ok(_) => tracing::warn!(worker = worker.name, %id, "an upload arrived changed"),
            Err(error) => {
                tracing::info!(worker = worker.name, %id, %error, "an upload was not taken");
                failure = Some(error);
            }
        }
    }
    if workers.is_empty() {
        return Err(failure.map_or(ApiError::LeaderSilent, ApiError::UploadFailed));
    }
    let UploadReceipt { length, crc: crc32 } = sent;
    Ok(ok(
        &request,
        &UploadView {
            id,
            length,
            crc32,
            workers,
        },
    ))
}

/// `DELETE /v1/uploads/{upload}`
pub(crate) async fn remove(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let id = upload_of(&request)?;
    let workers = gateway.workers().await?;
    let removals = workers
        .iter()
        .map(|worker| timeout(PATIENCE, gateway.fetcher.remove_upload(&worker.data_address, id)));
    // Who does not answer removes it when its time is over.
    join_all(removals).await;
    Ok(HttpResponse::build(StatusCode::NO_CONTENT).finish())
}

fn upload_of(request: &HttpRequest) -> Result<Uuid, ApiError> {
    Query::of(request, &[])?;
    parse(
        "upload",
        &path_part(request, "upload"),
        "upload id: expected a UUID",
    )
}

/// One worker's copy on its way.
struct Copy {
    worker: WorkerView,
    chunks: Option<mpsc::Sender<io::Result<Bytes>>>,
    sending: JoinHandle<Result<UploadReceipt, FetchError>>,
}

impl Copy {
    fn start(gateway: &Context, worker: WorkerView, id: Uuid) -> Self {
        let (chunks, receiver) = mpsc::channel(UNDER_WAY);
        let (fetcher, address) = (gateway.fetcher.clone(), worker.data_address.clone());
        let sending = tokio::spawn(async move { fetcher.upload(&address, id, receiver).await });
        Self {
            worker,
            chunks: Some(chunks),
            sending,
        }
    }

    /// A worker that does not take it is given up; the others go on.
    async fn send(&mut self, chunk: io::Result<Bytes>) {
        let Some(chunks) = &mut self.chunks else { return };
        if !matches!(timeout(PATIENCE, chunks.send(chunk)).await, Ok(Ok(()))) {
            self.sending.abort();
            self.chunks = None;
        }
    }

    async fn end(mut self) -> (WorkerView, Result<UploadReceipt, FetchError>) {
        self.chunks = None;
        let broken = |reason: String| FetchError::Unreachable {
            address: self.worker.data_address.clone(),
            reason,
        };
        let result = match timeout(PATIENCE, &mut self.sending).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(broken(error.to_string())),
            Err(_) => {
                self.sending.abort();
                Err(broken("it does not say that it has all".to_owned()))
            }
        };
        (self.worker, result)
    }
}

/// Passes a body on to all copies; tells what was sent.
async fn pass_on(
    mut body: web::Payload,
    copies: &mut [Copy],
    patience: Duration,
) -> Result<UploadReceipt, ApiError> {
    let mut length = 0;
    let mut crc = crc32fast::Hasher::new();
    loop {
        let chunk = match timeout(patience, body.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(error))) => {
                return Err(break_off(copies, ApiError::BodyBroken(error.to_string())).await);
            }
            Err(_) => return Err(break_off(copies, ApiError::BodyTimeout).await),
        };
        length += chunk.len() as u64;
        crc.update(&chunk);
        join_all(copies.iter_mut().map(|copy| copy.send(Ok(chunk.clone())))).await;
        if copies.iter().all(|copy| copy.chunks.is_none()) {
            break;
        }
    }
    Ok(UploadReceipt {
        length,
        crc: crc.finalize(),
    })
}

/// Workers must not take half a body for a whole one.
async fn break_off(copies: &mut [Copy], error: ApiError) -> ApiError {
    let broken = || Err(io::Error::other("the client broke off"));
    join_all(copies.iter_mut().map(|copy| copy.send(broken()))).await;
    error
}

impl Context {
    /// The workers that an upload goes to: those with most room, on different hosts if there are.
    async fn receivers(&self) -> Result<Vec<WorkerView>, ApiError> {
        let mut workers = self.workers().await?;
        workers.retain(|worker| worker.state == "active");
        workers.sort_by_key(|worker| {
            let used = worker
                .load
                .as_ref()
                .map_or(0, |load| (load.stored + load.spilled).as_u64());
            (used, worker.assigned, worker.id)
        });
        let mut chosen: Vec<WorkerView> = Vec::with_capacity(COPIES);
        while chosen.len() < COPIES && !workers.is_empty() {
            let elsewhere = |worker: &WorkerView| chosen.iter().all(|other| other.host != worker.host);
            let next = workers.iter().position(elsewhere).unwrap_or(0);
            chosen.push(workers.remove(next));
        }
        Ok(chosen)
    }
}
