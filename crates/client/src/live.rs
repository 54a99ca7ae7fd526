//! What a gateway shows of its cluster from second to second: the stream behind the dashboard.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use millstream_protocol::wire::{JobCounts, JobState};
use millstream_types::{ByteSize, JobId, WorkerId};
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::innermost;
use crate::sse::{self, ServerEvent};
use crate::{Client, Error};

/// Longest event: several times the numbers of as many workers as a cluster has.
const LONGEST_EVENT: usize = 64 << 20;

/// One event of the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveEvent {
    /// The seconds before the stream began, and what a point's numbers are called. Comes first.
    History(LiveHistory),
    /// The cluster's last second.
    Cluster(LiveCluster),
    /// Where the jobs stand that run, or that ended within the last half minute.
    Jobs(BTreeMap<JobId, LiveJob>),
    /// Who the workers are. Comes before the first numbers and whenever a worker comes or goes.
    Table(LiveWorkers),
    /// The numbers of the workers, in the order of the last table.
    Workers(LiveNumbers),
}

/// Seconds one after the other.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LiveHistory {
    /// The names of a point's numbers, in order.
    pub fields: Vec<String>,
    /// The points, oldest first.
    pub points: Vec<LivePoint>,
}

/// One second of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LivePoint {
    /// Counts the seconds of the gateway.
    pub seq: u64,
    /// Unix milliseconds.
    pub at_ms: u64,
    /// Bytes, counts and cores, in the order of [`LiveHistory::fields`].
    pub values: Vec<f64>,
}

/// The cluster as a whole.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LiveCluster {
    /// Its last second.
    pub point: LivePoint,
    /// What somebody should look at, the worst first.
    pub alerts: Vec<LiveAlert>,
    /// What the gateway depends on.
    pub surroundings: Surroundings,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LiveAlert {
    /// `error` or `warn`.
    pub severity: String,
    /// A stable name.
    pub code: String,
    /// What is wrong.
    pub text: String,
}

/// What a gateway depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Surroundings {
    /// Whether it has a link to the message broker.
    pub broker: bool,
    /// The term of the leader that it follows.
    pub term: Option<u32>,
    /// That leader.
    pub leader: Option<String>,
    /// Microseconds that the state store takes to answer.
    pub state_us: Option<u64>,
    /// Why it does not.
    pub state_error: Option<String>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LiveJob {
    /// Its state.
    pub state: JobState,
    /// Its tasks by state.
    pub tasks: JobCounts,
}

/// Who the workers are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LiveWorkers {
    /// Rises with each change.
    pub version: u64,
    /// All of them, by name.
    pub workers: Vec<LiveWorker>,
}

/// What does not change of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LiveWorker {
    /// Its id.
    pub id: WorkerId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The host it runs on.
    #[serde(default)]
    pub host: String,
    /// Tasks it runs at once.
    #[serde(default)]
    pub slots: u32,
    /// Bytes it may hold.
    #[serde(default)]
    pub memory_limit: ByteSize,
}

/// The numbers of all workers, in columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LiveNumbers {
    /// The version of the table that names the rows.
    pub version: u64,
    /// `active`, `suspect`, `paused` or `draining`.
    pub state: Vec<String>,
    /// Thousandths of one cpu in use.
    pub cpu_milli: Vec<u32>,
    /// Bytes of objects in memory.
    pub stored: Vec<u64>,
    /// Bytes of the process that no object accounts for.
    pub unmanaged: Vec<u64>,
    /// Bytes of objects on disk.
    pub spilled: Vec<u64>,
    /// Tasks that execute.
    pub executing: Vec<u32>,
    /// Tasks that wait there.
    pub queued: Vec<u32>,
    /// Objects held.
    pub objects: Vec<u32>,
    /// Tasks that ended in the last second.
    pub tasks_per_s: Vec<u32>,
}

/// What is wanted of the stream.
#[derive(Debug, Clone, Copy)]
pub struct LiveQuery {
    /// Time between two pulses; the gateway makes one each second.
    pub every: Duration,
    /// Seconds before the first pulse that come as history.
    pub points: usize,
    /// Pulses until the stream ends; none: it goes on.
    pub pulses: Option<u64>,
}

/// An open stream. The gateway skips what a slow reader misses.
pub struct LiveStream {
    url: String,
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    buffer: BytesMut,
}

impl Client {
    /// Opens the stream of what the cluster does.
    ///
    /// # Errors
    /// No gateway, or one with too many streams already.
    pub async fn live(&self, query: LiveQuery) -> Result<LiveStream, Error> {
        let pulses = query
            .pulses
            .map(|pulses| format!("&pulses={pulses}"))
            .unwrap_or_default();
        let path = format!(
            "/v1/live?topics=cluster,jobs,workers&every={}ms&points={}{pulses}",
            query.every.as_millis(),
            query.points
        );
        let response = self.send(Method::GET, &path, |request| request).await?;
        Ok(LiveStream {
            url: self.access().url.clone(),
            body: response.bytes_stream().boxed(),
            buffer: BytesMut::new(),
        })
    }
}

impl LiveStream {
    /// The next event; `None` after the last one that was asked for.
    ///
    /// # Errors
    /// A connection that broke, or an event that cannot be read.
    pub async fn next(&mut self) -> Result<Option<LiveEvent>, Error> {
        loop {
            while let Some(event) = sse::take(&mut self.buffer) {
                if let Some(event) = self.read(&event)? {
                    return Ok(Some(event));
                }
            }
            match self.body.next().await {
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(error)) => {
                    return Err(Error::Unreachable {
                        url: self.url.clone(),
                        reason: innermost(&error),
                    });
                }
                None => return Ok(None),
            }
            if self.buffer.len() > LONGEST_EVENT {
                return Err(self.unusable("an event without an end".to_owned()));
            }
        }
    }

    /// What an event says; none if a newer gateway says something else.
    fn read(&self, event: &ServerEvent) -> Result<Option<LiveEvent>, Error> {
        Ok(Some(match event.name.as_deref() {
            Some("history") => LiveEvent::History(self.decode(event)?),
            Some("cluster") => LiveEvent::Cluster(self.decode(event)?),
            Some("jobs") => LiveEvent::Jobs(self.decode(event)?),
            Some("table") => LiveEvent::Table(self.decode(event)?),
            Some("workers") => LiveEvent::Workers(self.decode(event)?),
            _ => return Ok(None),
        }))
    }

    fn decode<T: DeserializeOwned>(&self, event: &ServerEvent) -> Result<T, Error> {
        serde_json::from_str(&event.data).map_err(|error| self.unusable(error.to_string()))
    }

    fn unusable(&self, reason: String) -> Error {
        Error::BadAnswer {
            url: format!("{}/v1/live", self.url),
            reason,
        }
    }
}

impl std::fmt::Debug for LiveStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveStream")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
