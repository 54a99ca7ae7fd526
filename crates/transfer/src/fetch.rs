//! The reading end of the data plane.

use std::time::Duration;

use millstream_store::{Object, Pinned};

use crate::error::FetchError;
use crate::local::LocalStores;
use crate::wire::ObjectRequest;

/// How objects are fetched.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// The cluster's secret.
    pub secret: String,
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest silence within an answer.
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

/// Fetches objects. Clones share connections.
#[derive(Clone)]
pub struct Fetcher {
    options: FetchOptions,
}

impl Fetcher {
    /// A fetcher without any connection yet.
    pub const fn new(options: FetchOptions) -> Self {
        Self { options }
    }

    /// Fetches one object from the holder at `address` (`host:port`).
    pub async fn fetch(&self, address: &str, request: ObjectRequest) -> Result<Fetched, FetchError> {
        let unreachable = || FetchError::Unreachable {
            address: address.to_owned(),
            reason: "no such peer".to_owned(),
        };
        let store = LocalStores::find(address).filter(|_| self.options.same_process);
        let store = store.ok_or_else(unreachable)?;
        store
            .get(request.object, request.attempt, request.part)
            .await
            .map(Fetched::Local)
            .map_err(|missing| FetchError::Gone {
                address: address.to_owned(),
                reason: missing.to_string(),
            })
    }

    /// Fetches several objects from one holder with one request. Answers come in the order of `requests`.
    pub async fn fetch_batch(
        &self,
        address: &str,
        requests: &[ObjectRequest],
    ) -> Vec<Result<Fetched, FetchError>> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(self.fetch(address, *request).await);
        }
        answers
    }
}
