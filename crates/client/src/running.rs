//! Jobs that have been submitted.

use bytes::Bytes;
use futures::Stream;
use millstream_protocol::api::{JobView, TASK_HEADER};
use millstream_protocol::codec;
use millstream_protocol::wire::JobState;
use millstream_types::JobId;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;

use crate::client::{accept_msgpack, path_segment};
use crate::{Client, Error, EventStream};

/// How long one request waits for the job's end before it asks again.
const WAIT_SECONDS: u32 = 30;

/// A submitted job. It goes on without this handle.
#[derive(Debug, Clone)]
pub struct Running {
    client: Client,
    id: JobId,
}

impl Running {
    pub(crate) const fn new(client: Client, id: JobId) -> Self {
        Self { client, id }
    }

    /// The job's id.
    pub const fn id(&self) -> JobId {
        self.id
    }

    /// Where it stands.
    ///
    /// # Errors
    /// An unknown job; no gateway.
    pub async fn view(&self) -> Result<JobView, Error> {
        self.client.job_view(self.id).await
    }

    /// What happens to it, from its beginning.
    pub fn events(&self) -> EventStream {
        EventStream::new(self.client.clone(), self.id)
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// An unknown job; no gateway.
    pub async fn cancel(&self) -> Result<JobView, Error> {
        self.client.cancel(self.id).await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Error::JobFailed`] if it did not succeed; no gateway.
    pub async fn wait(&self) -> Result<Finished, Error> {
        loop {
            let view: JobView = self
                .client
                .get(&format!("/v1/jobs/{}?wait={WAIT_SECONDS}s", self.id))
                .await?;
            match view.state {
                JobState::Succeeded => {
                    return Ok(Finished {
                        running: self.clone(),
                        view,
                    });
                }
                JobState::Failed | JobState::Cancelled => {
                    return Err(Error::JobFailed {
                        job: self.id,
                        state: view.state.name(),
                        task: view.failed_task,
                        error: view.error.map(Box::new),
                    });
                }
                _ => {}
            }
        }
    }
}

/// A job that has succeeded.
#[derive(Debug, Clone)]
pub struct Finished {
    running: Running,
    view: JobView,
}

impl Finished {
    /// The job.
    pub const fn view(&self) -> &JobView {
        &self.view
    }

    /// The bytes of a wanted result: a command's output, or an encoded value.
    ///
    /// # Errors
    /// No such result, or one that was let go; no gateway.
    pub async fn bytes(&self, key: &str) -> Result<Bytes, Error> {
        let response = self.open(key).await?;
        self.running.client.body(response).await
    }

    /// The bytes of a wanted result as they arrive. A stream that breaks ends in an error.
    ///
    /// # Errors
    /// No such result, or one that was let go; no gateway.
    pub async fn stream(&self, key: &str) -> Result<impl Stream<Item = Result<Bytes, Error>> + use<>, Error> {
        use futures::StreamExt as _;
        let response = self.open(key).await?;
        let url = response.url().to_string();
        Ok(response.bytes_stream().map(move |chunk| {
            chunk.map_err(|error| Error::BadAnswer {
                url: url.clone(),
                reason: error.to_string(),
            })
        }))
    }

    /// A native function's value.
    ///
    /// # Errors
    /// As [`Finished::bytes`], or a value of another type.
    pub async fn value<T: DeserializeOwned>(&self, key: &str) -> Result<T, Error> {
        let bytes = self.bytes(key).await?;
        codec::decode(&bytes).map_err(|error| Error::Decode {
            key: key.to_owned(),
            reason: error.to_string(),
        })
    }

    /// The bytes of a job's only result.
    pub(crate) async fn only_bytes(&self) -> Result<Bytes, Error> {
        let key = self
            .view
            .results
            .first()
            .map_or_else(|| "0".to_owned(), |result| result.key.clone());
        self.bytes(&key).await
    }

    async fn open(&self, key: &str) -> Result<reqwest::Response, Error> {
        let path = format!("/v1/jobs/{}/results/{}", self.running.id, path_segment(key));
        loop {
            let response = self
                .running
                .client
                .send(Method::GET, &path, accept_msgpack)
                .await?;
            // Lost since its job's end, and being made again.
            if response.status() == StatusCode::ACCEPTED {
                self.running.wait_again().await?;
                continue;
            }
            debug_assert!(response.headers().contains_key(TASK_HEADER) || response.status().is_success());
            return Ok(response);
        }
    }
}

impl Running {
    async fn wait_again(&self) -> Result<(), Error> {
        let _: JobView = self.client.get(&format!("/v1/jobs/{}?wait=1s", self.id)).await?;
        Ok(())
    }
}
