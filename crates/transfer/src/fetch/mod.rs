//! The reading end of the data plane.

mod batch;
mod stream;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use millstream_store::{Missing, Object, Pinned};
use millstream_types::ByteSize;
use reqwest::{Body, Client, Response, StatusCode};
use uuid::Uuid;

use crate::error::FetchError;
use crate::local;
use crate::uploads::UploadReceipt;
use crate::wire::{MAX_BATCH, ObjectRequest, TaskStack};

pub use stream::ObjectStream;

/// How long an unused connection is kept; the server keeps it longer.
const POOL_IDLE: Duration = Duration::from_secs(60);

/// Most bytes of an error's body that are read for its words.
const MAX_PROBLEM_BYTES: usize = 16 << 10;

/// How objects are fetched.
#[derive(Clone)]
pub struct FetchOptions {
    /// The cluster's secret.
    pub secret: String,
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest silence within an answer. A holder may have to read the object from disk first.
    pub read_timeout: Duration,
    /// Whether stores of this process are read directly.
    pub same_process: bool,
}

impl FetchOptions {
    /// Ordinary timeouts.
    pub fn new(secret: impl Into<String>) -> Self {
        Self {
            secret: secret.into(),
            connect_timeout: Duration::from_secs(3),
            read_timeout: Duration::from_secs(10),
            same_process: true,
        }
    }
}

/// An object that was fetched.
#[derive(Debug, Clone)]
pub enum Fetched {
    /// Encoded, from another process.
    Remote(Object),
    /// Shared with a store of this process.
    Local(Pinned),
}

impl Fetched {
    /// The object, ready for [`millstream_store::Store::put_fetched`]. Within a process nothing is copied, but a part
    /// of typed data that cannot be divided is encoded.
    pub fn into_object(self) -> io::Result<Object> {
        match self {
            Self::Remote(object) => Ok(object),
            Self::Local(pinned) => pinned.to_object(),
        }
    }
}

/// Fetches objects. Clones share connections.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    /// Its answers come after the body, which takes as long as it takes.
    sender: Client,
    options: Arc<FetchOptions>,
    fetched: Arc<AtomicU64>,
}

impl Fetcher {
    /// A fetcher without any connection yet.
    pub fn new(options: FetchOptions) -> Result<Self, FetchError> {
        let builder = || {
            Client::builder()
                .connect_timeout(options.connect_timeout)
                .pool_idle_timeout(POOL_IDLE)
                .tcp_nodelay(true)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
        };
        let unusable = |error| FetchError::Refused {
            address: "this process".to_owned(),
            reason: describe(&error),
        };
        Ok(Self {
            client: builder()
                .read_timeout(options.read_timeout)
                .build()
                .map_err(unusable)?,
            sender: builder().build().map_err(unusable)?,
            options: Arc::new(options),
            fetched: Arc::default(),
        })
    }

    /// Bytes of objects fetched from other processes.
    pub fn fetched(&self) -> ByteSize {
        ByteSize::new(self.fetched.load(Ordering::Relaxed))
    }

    /// Fetches one object from the holder at `address` (`host:port`).
    pub async fn fetch(&self, address: &str, request: ObjectRequest) -> Result<Fetched, FetchError> {
        let mut answers = self.fetch_batch(address, &[request]).await;
        answers.pop().unwrap_or_else(|| Err(broken(address, "no answer")))
    }

    /// Fetches several objects from one holder with as few requests as possible. Answers come in the order of
    /// `requests`; what had arrived whole before a connection broke counts.
    pub async fn fetch_batch(
        &self,
        address: &str,
        requests: &[ObjectRequest],
    ) -> Vec<Result<Fetched, FetchError>> {
        let mut answers = Vec::with_capacity(requests.len());
        if self.options.same_process
            && let Some(store) = local::find(address)
        {
            for request in requests {
                let found = store.get(request.object, request.attempt, request.part).await;
                answers.push(
                    found
                        .map(Fetched::Local)
                        .map_err(|missing| gone(address, &missing)),
                );
            }
            return answers;
        }
        for requests in requests.chunks(MAX_BATCH) {
            batch::fetch(self, address, requests, &mut answers).await;
        }
        answers
    }

    /// Opens one object for reading as it arrives. For readers that pass it on; nothing is held in memory.
    pub async fn open(&self, address: &str, request: ObjectRequest) -> Result<ObjectStream, FetchError> {
        if self.options.same_process
            && let Some(store) = local::find(address)
        {
            let pinned = store
                .get(request.object, request.attempt, request.part)
                .await
                .map_err(|missing| gone(address, &missing))?;
            return ObjectStream::local(address, pinned);
        }
        let url = format!("http://{address}{}", request.path());
        let response = self.send(address, self.client.get(url)).await?;
        ObjectStream::remote(address, response, Arc::clone(&self.fetched))
    }

    /// Asks the worker at `address` what its tasks execute.
    pub async fn stacks(&self, address: &str) -> Result<Vec<TaskStack>, FetchError> {
        let url = format!("http://{address}/stacks");
        let response = self.send(address, self.client.get(url)).await?;
        let body = response.bytes().await;
        let body = body.map_err(|error| broken(address, describe(&error)))?;
        rmp_serde::from_slice(&body).map_err(|error| damaged(address, error.to_string()))
    }

    /// Leaves a value at the worker at `address`, as it arrives. A body that ends in an error leaves nothing.
    pub async fn upload(
        &self,
        address: &str,
        id: Uuid,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<UploadReceipt, FetchError> {
        let url = format!("http://{address}/uploads/{id}");
        let request = self.sender.put(url).body(Body::wrap_stream(body));
        let response = self.send(address, request).await?;
        let answer = response.bytes().await;
        let answer = answer.map_err(|error| broken(address, describe(&error)))?;
        rmp_serde::from_slice(&answer).map_err(|error| damaged(address, error.to_string()))
    }

    /// Removes a value that was left at the worker at `address`.
    pub async fn remove_upload(&self, address: &str, id: Uuid) -> Result<(), FetchError> {
        let url = format!("http://{address}/uploads/{id}");
        self.send(address, self.client.delete(url)).await.map(drop)
    }

    async fn send(&self, address: &str, request: reqwest::RequestBuilder) -> Result<Response, FetchError> {
        let sent = request.bearer_auth(&self.options.secret).send().await;
        let response = sent.map_err(|error| broken(address, describe(&error)))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(refused(address, status, response).await),
        }
    }
}

fn gone(address: &str, missing: &Missing) -> FetchError {
    let (address, reason) = (address.to_owned(), missing.to_string());
    match missing {
        Missing::Damaged { .. } => FetchError::Damaged { address, reason },
        Missing::Gone | Missing::WrongGeneration { .. } | Missing::NoSuchPart { .. } => {
            FetchError::Gone { address, reason }
        }
    }
}

fn broken(address: &str, reason: impl Into<String>) -> FetchError {
    FetchError::Unreachable {
        address: address.to_owned(),
        reason: reason.into(),
    }
}

fn damaged(address: &str, reason: impl Into<String>) -> FetchError {
    FetchError::Damaged {
        address: address.to_owned(),
        reason: reason.into(),
    }
}

/// An error with its causes: reqwest's own words say only that something went wrong.
fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[derive(serde::Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

async fn refused(address: &str, status: StatusCode, response: Response) -> FetchError {
    let problem = read_problem(response).await;
    let address = address.to_owned();
    let (code, reason) = match problem {
        Some(problem) => (problem.code, problem.detail),
        None => (String::new(), format!("HTTP status {status}")),
    };
    match status {
        StatusCode::GONE if code == "object_damaged" => FetchError::Damaged { address, reason },
        StatusCode::GONE => FetchError::Gone { address, reason },
        StatusCode::INSUFFICIENT_STORAGE => FetchError::Refused { address, reason },
        status if status.is_server_error() => FetchError::Unreachable { address, reason },
        _ => FetchError::Refused { address, reason },
    }
}

async fn read_problem(response: Response) -> Option<Problem> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.try_next().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_PROBLEM_BYTES {
            return None;
        }
    }
    serde_json::from_slice(&body).ok()
}
