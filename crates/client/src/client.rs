//! The connection to a gateway.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_protocol::api::{
    GRAPH_CONTENT_TYPE, GraphRequest, JobRequest, JobView, JobsPage, MSGPACK_CONTENT_TYPE, Problem,
    SqlRequest, TaskView, TasksPage, WorkerView, WorkersPage,
};
use millstream_protocol::codec;
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::JobOptions;
use millstream_types::{JobId, WorkerId};
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{Access, Error, Job, Running};

/// How often a request that may be repeated is repeated before its failure is told.
const TRIES: u32 = 8;

/// The first pause between two tries; doubled each time, at most [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How a client reaches its gateway.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// The gateway's address; the environment's or this machine's if none.
    pub url: Option<String>,
    /// The token; the environment's or this user's if none.
    pub token: Option<String>,
}

/// A connection to a gateway. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// How often a request is sent before its failure is told.
    tries: u32,
}

#[derive(Debug)]
struct Inner {
    access: Access,
    http: reqwest::Client,
    #[cfg(feature = "local")]
    local: Option<millstream_local::LocalCluster>,
}

impl Client {
    /// A client of the gateway that the options or the environment name, else of this machine's.
    ///
    /// # Errors
    /// An address that is none, or no token anywhere. Nothing is sent yet.
    pub fn connect(options: &ClientOptions) -> Result<Self, Error> {
        Ok(Self::with_access(Access::find(
            options.url.as_deref(),
            options.token.as_deref(),
        )?))
    }

    /// A client with a known address and token.
    pub fn with_access(access: Access) -> Self {
        Self {
            inner: Arc::new(Inner {
                access,
                http: reqwest::Client::new(),
                #[cfg(feature = "local")]
                local: None,
            }),
            tries: TRIES,
        }
    }

    /// A client of a cluster of its own inside this process, which ends with its last clone.
    ///
    /// # Errors
    /// A machine on which the cluster does not start.
    #[cfg(feature = "local")]
    pub async fn local() -> Result<Self, Error> {
        Self::local_with(millstream_local::LocalOptions::default()).await
    }

    /// As [`Client::local`], with options.
    ///
    /// # Errors
    /// A machine on which the cluster does not start.
    #[cfg(feature = "local")]
    pub async fn local_with(options: millstream_local::LocalOptions) -> Result<Self, Error> {
        let cluster = millstream_local::LocalCluster::start(options).await?;
        let access = Access {
            url: cluster.url().to_owned(),
            token: cluster.token().to_owned(),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                access,
                http: reqwest::Client::new(),
                local: Some(cluster),
            }),
            tries: TRIES,
        })
    }

    /// The cluster inside this process, if this is its client.
    #[cfg(feature = "local")]
    pub fn cluster(&self) -> Option<&millstream_local::LocalCluster> {
        self.inner.local.as_ref()
    }

    /// The gateway's address and token.
    pub fn access(&self) -> &Access {
        &self.inner.access
    }

    /// A client of the same connection that sends each request once: for programs that show a failure and try again
    /// themselves.
    #[must_use]
    pub fn impatient(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            tries: 1,
        }
    }

    /// Submits a job. Repeated by itself while the gateway is away; the job's id keeps it from running twice.
    ///
    /// # Errors
    /// A job that the cluster refuses, or no gateway for several seconds.
    pub async fn submit(&self, job: &Job) -> Result<Running, Error> {
        self.submit_request(&job.request()?).await
    }

    /// Submits a job as it is written in JSON.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn submit_request(&self, request: &JobRequest) -> Result<Running, Error> {
        let mut request = request.clone();
        let id = *request.id.get_or_insert_with(|| JobId::from(Uuid::now_v7()));
        let view: JobView = self.post("/v1/jobs", &request).await?;
        debug_assert_eq!(view.id, id, "the gateway keeps the client's id");
        Ok(Running::new(self.clone(), view.id))
    }

    /// Submits a graph that is already columnar, and waits for its end up to `wait`.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn submit_graph(
        &self,
        name: &str,
        graph: &Graph,
        options: JobOptions,
        wait: Duration,
    ) -> Result<(Running, JobView), Error> {
        let encoded = codec::encode(graph).map_err(|error| Error::Encode(error.to_string()))?;
        let id = JobId::from(Uuid::now_v7());
        let request = GraphRequest {
            id,
            name: name.to_owned(),
            options,
            graph: encoded.into(),
        };
        let body =
            Bytes::from(codec::encode_named(&request).map_err(|error| Error::Encode(error.to_string()))?);
        let path = if wait.is_zero() {
            "/v1/jobs".to_owned()
        } else {
            format!("/v1/jobs?wait={}ms", wait.as_millis())
        };
        let response = self
            .send(Method::POST, &path, |request| {
                request
                    .header(CONTENT_TYPE, GRAPH_CONTENT_TYPE)
                    .header(ACCEPT, MSGPACK_CONTENT_TYPE)
                    .body(body.clone())
            })
            .await?;
        let view: JobView = self.read(response).await?;
        Ok((Running::new(self.clone(), id), view))
    }

    /// Runs a query and returns the answer's bytes in the format that the request names.
    ///
    /// # Errors
    /// A query that cannot be planned or run; no gateway.
    pub async fn sql(&self, request: &SqlRequest) -> Result<Bytes, Error> {
        self.sql_as(JobId::from(Uuid::now_v7()), request).await
    }

    /// As [`Client::sql`], as the job of this id, which can be followed and cancelled meanwhile.
    ///
    /// # Errors
    /// As [`Client::sql`].
    pub async fn sql_as(&self, id: JobId, request: &SqlRequest) -> Result<Bytes, Error> {
        let format = request.options.format.unwrap_or_default();
        let body = encode(request)?;
        // The id keeps a repeated request from running the query twice.
        let response = self
            .send(Method::POST, &format!("/v1/sql?id={id}"), |builder| {
                builder
                    .header(CONTENT_TYPE, MSGPACK_CONTENT_TYPE)
                    .header(ACCEPT, format.content_type())
                    .body(body.clone())
            })
            .await?;
        if response.status() == StatusCode::ACCEPTED {
            let finished = Running::new(self.clone(), id).wait().await?;
            return finished.only_bytes().await;
        }
        self.body(response).await
    }

    /// A job that was submitted before, perhaps by another program.
    pub fn job(&self, id: JobId) -> Running {
        Running::new(self.clone(), id)
    }

    /// Where a job stands.
    ///
    /// # Errors
    /// An unknown job; no gateway.
    pub async fn job_view(&self, id: JobId) -> Result<JobView, Error> {
        self.get(&format!("/v1/jobs/{id}")).await
    }

    /// A page of jobs, newest first, after the cursor of the last page.
    ///
    /// # Errors
    /// No gateway.
    pub async fn jobs(&self, limit: usize, before: Option<&str>) -> Result<JobsPage, Error> {
        let before = before
            .map(|cursor| format!("&before={cursor}"))
            .unwrap_or_default();
        self.get(&format!("/v1/jobs?limit={limit}{before}")).await
    }

    /// A page of a job's tasks, those in `state` if one is named.
    ///
    /// # Errors
    /// An unknown job or state; no gateway.
    pub async fn tasks(
        &self,
        id: JobId,
        state: Option<&str>,
        from: u32,
        limit: u32,
    ) -> Result<TasksPage, Error> {
        let state = state.map(|state| format!("&state={state}")).unwrap_or_default();
        self.get(&format!("/v1/jobs/{id}/tasks?from={from}&limit={limit}{state}"))
            .await
    }

    /// One task, with its story, its logs and why it is where it is.
    ///
    /// # Errors
    /// An unknown job or task; no gateway.
    pub async fn task(&self, id: JobId, key: &str) -> Result<TaskView, Error> {
        self.get(&format!("/v1/jobs/{id}/tasks/{}", path_segment(key)))
            .await
    }

    /// What a job did, as a page of HTML that needs no cluster to be read.
    ///
    /// # Errors
    /// An unknown job; no gateway.
    pub async fn report(&self, id: JobId) -> Result<Bytes, Error> {
        let path = format!("/v1/jobs/{id}/report");
        let response = self.send(Method::GET, &path, |request| request).await?;
        self.body(response).await
    }

    /// Asks a job to stop, and returns where it stands then.
    ///
    /// # Errors
    /// An unknown job; no gateway.
    pub async fn cancel(&self, id: JobId) -> Result<JobView, Error> {
        let response = self
            .send(Method::DELETE, &format!("/v1/jobs/{id}"), accept_msgpack)
            .await?;
        self.read(response).await
    }

    /// Forgets a job that has ended, and its results.
    ///
    /// # Errors
    /// A job that has not ended, or is unknown; no gateway.
    pub async fn remove(&self, id: JobId) -> Result<(), Error> {
        self.send(
            Method::DELETE,
            &format!("/v1/jobs/{id}?remove=true"),
            accept_msgpack,
        )
        .await?;
        Ok(())
    }

    /// All workers.
    ///
    /// # Errors
    /// No gateway, or no leader behind it.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, Error> {
        let page: WorkersPage = self.get("/v1/workers").await?;
        Ok(page.workers)
    }

    /// One worker.
    ///
    /// # Errors
    /// An unknown worker; no gateway, or no leader behind it.
    pub async fn worker(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.get(&format!("/v1/workers/{worker}")).await
    }

    /// Lets a worker finish what it runs and leave.
    ///
    /// # Errors
    /// An unknown worker; no gateway.
    pub async fn drain(&self, worker: WorkerId) -> Result<(), Error> {
        self.send(
            Method::POST,
            &format!("/v1/workers/{worker}/drain"),
            accept_msgpack,
        )
        .await?;
        Ok(())
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let response = self.send(Method::GET, path, accept_msgpack).await?;
        self.read(response).await
    }

    async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Error> {
        let body = encode(body)?;
        let response = self
            .send(Method::POST, path, |request| {
                accept_msgpack(request)
                    .header(CONTENT_TYPE, MSGPACK_CONTENT_TYPE)
                    .body(body.clone())
            })
            .await?;
        self.read(response).await
    }

    /// Sends a request that may be repeated, and repeats it while the gateway is away or has no room.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Error> {
        let url = format!("{}{path}", self.inner.access.url);
        let mut pause = FIRST_PAUSE;
        for tries in 1.. {
            let request = self
                .inner
                .http
                .request(method.clone(), &url)
                .bearer_auth(&self.inner.access.token);
            let (error, wait) = match prepare(request).send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let wait = retry_after(&response);
                    (refusal(response).await, wait)
                }
                Err(error) => {
                    let reason = innermost(&error);
                    (
                        Error::Unreachable {
                            url: self.inner.access.url.clone(),
                            reason,
                        },
                        None,
                    )
                }
            };
            if !error.is_retryable() || tries >= self.tries {
                return Err(error);
            }
            tokio::time::sleep(wait.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        unreachable!("the last try returns")
    }

    pub(crate) async fn body(&self, response: Response) -> Result<Bytes, Error> {
        let url = response.url().to_string();
        response.bytes().await.map_err(|error| Error::BadAnswer {
            url,
            reason: innermost(&error),
        })
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, Error> {
        let url = response.url().to_string();
        let is_json = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/json"));
        let body = self.body(response).await?;
        let read = if is_json {
            serde_json::from_slice(&body).map_err(|error| error.to_string())
        } else {
            codec::decode(&body).map_err(|error| error.to_string())
        };
        read.map_err(|reason| Error::BadAnswer { url, reason })
    }
}

/// Asks for MessagePack: values as they are stored, and answers that need no number's text read.
pub(crate) fn accept_msgpack(request: RequestBuilder) -> RequestBuilder {
    request.header(ACCEPT, MSGPACK_CONTENT_TYPE)
}

fn encode<T: Serialize>(value: &T) -> Result<Bytes, Error> {
    codec::encode_named(value)
        .map(Bytes::from)
        .map_err(|error| Error::Encode(error.to_string()))
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The gateway's own words where it has any.
async fn refusal(response: Response) -> Error {
    let status = response.status();
    let url = response.url().to_string();
    match response.json::<Problem>().await {
        Ok(problem) => Error::Refused(Box::new(problem)),
        Err(_) => Error::Refused(Box::new(Problem {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("refused").to_owned(),
            code: "http".to_owned(),
            detail: format!("{url} answered {status}"),
            ..Problem::default()
        })),
    }
}

pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A key as one segment of a path.
pub(crate) fn path_segment(key: &str) -> String {
    let mut segment = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => segment.push(byte as char),
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}
