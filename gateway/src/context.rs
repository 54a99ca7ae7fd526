//! What all routes share, and the few questions that several of them ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_config::{GatewaySettings, Secret, Settings};
use millstream_protocol::codec;
use millstream_protocol::graph::{Graph, GraphLimits};
use millstream_protocol::wire::{GatewayRequest, JobMeta, RequestError, Response};
use millstream_state::StateStore;
use millstream_telemetry::Metrics;
use millstream_transfer::{FetchError, FetchOptions, Fetcher};
use millstream_types::{GatewayId, JobId, TaskIdx};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::cluster::Cluster;
use crate::error::ApiError;
use crate::fleet::Fleet;
use crate::graphs::GraphCache;
use crate::intake::Recent;
use crate::layers::LayerCache;
use crate::leader::Leader;
use crate::live::Live;
use crate::near::nearest;

/// How long a count of unfinished jobs is used before it is taken again.
const COUNT_LIFETIME: Duration = Duration::from_secs(1);

/// Streams of events that may be open at once; each holds a connection and at most one page of events.
const MAX_EVENT_STREAMS: usize = 1_000;

/// Keys looked at for a near name.
const NEAR_KEYS: u32 = 2_000;

/// One gateway. Shared by its request threads.
pub(crate) struct Context {
    pub(crate) settings: GatewaySettings,
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) leader: Leader,
    pub(crate) live: Live,
    pub(crate) layers: LayerCache,
    pub(crate) id: GatewayId,
    pub(crate) fetcher: Fetcher,
    pub(crate) metrics: Metrics,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) graphs: GraphCache,
    pub(crate) recent: Recent,
    /// Requests that may be worked on at once.
    pub(crate) requests: Arc<Semaphore>,
    /// Streams of events that may be open at once.
    pub(crate) streams: Arc<Semaphore>,
    /// Requests that may wait for something shared at once; the others must find room beside them.
    pub(crate) waits: Arc<Semaphore>,
    /// What starts workers, where this process can.
    pub(crate) fleet: Option<Arc<dyn Fleet>>,
    active: Mutex<Option<(Instant, usize)>>,
}

impl Context {
    pub(crate) fn new(
        settings: &Settings,
        state: Arc<dyn StateStore>,
        leader: Leader,
        live: Live,
        id: GatewayId,
        metrics: Metrics,
        cluster: Arc<Cluster>,
    ) -> Result<Self, FetchError> {
        let secret = settings.cluster.secret.as_ref().map_or("", Secret::expose);
        Ok(Self {
            requests: Arc::new(Semaphore::new(settings.gateway.max_requests as usize)),
            streams: Arc::new(Semaphore::new(MAX_EVENT_STREAMS)),
            waits: Arc::new(Semaphore::new(settings.gateway.max_requests as usize / 2)),
            settings: settings.gateway.clone(),
            state,
            leader,
            live,
            layers: LayerCache::default(),
            id,
            fetcher: Fetcher::new(FetchOptions::new(secret))?,
            metrics,
            cluster,
            graphs: GraphCache::default(),
            recent: Recent::default(),
            fleet: None,
            active: Mutex::default(),
        })
    }

    /// Streams of events that are open.
    pub(crate) fn open_streams(&self) -> usize {
        MAX_EVENT_STREAMS - self.streams.available_permits().min(MAX_EVENT_STREAMS)
    }

    /// The limits on graphs.
    pub(crate) fn graph_limits(&self) -> GraphLimits {
        let default = GraphLimits::default();
        let tasks = u32::try_from(self.settings.graph_limit).unwrap_or(u32::MAX);
        GraphLimits {
            tasks: tasks.min(default.tasks),
            ..default
        }
    }

    /// A job's record, if it is in the state store.
    pub(crate) async fn meta(&self, job: JobId) -> Result<Option<JobMeta>, ApiError> {
        match self.state.job_record(job).await? {
            Some(record) => read_record("a job", &record.meta).map(Some),
            None => Ok(None),
        }
    }

    /// A job's graph with all its extensions.
    pub(crate) async fn graph(&self, job: JobId) -> Result<Arc<Graph>, ApiError> {
        if let Some(graph) = self.graphs.get(job) {
            return Ok(graph);
        }
        self.load_graph(job).await
    }

    /// The number of the task called `key`.
    pub(crate) async fn task_of(&self, job: JobId, key: &str) -> Result<(Arc<Graph>, TaskIdx), ApiError> {
        let mut graph = self.graph(job).await?;
        let mut task = graph.task_of_key(key);
        if task.is_none() {
            // It may have grown since it was cached.
            if let Ok(grown) = self.load_graph(job).await {
                task = grown.task_of_key(key);
                graph = grown;
            }
        }
        match task {
            Some(task) => Ok((graph, task)),
            None => {
                let keys: Vec<String> = (0..graph.task_count().min(NEAR_KEYS))
                    .map(|task| graph.key_of(TaskIdx(task)))
                    .collect();
                let suggestion = nearest(key, keys.iter().map(String::as_str));
                Err(ApiError::UnknownTask {
                    job,
                    key: key.to_owned(),
                    suggestion,
                })
            }
        }
    }

    /// The numbers of the tasks called by these keys.
    pub(crate) async fn tasks_of(&self, job: JobId, keys: &[String]) -> Result<Vec<u32>, ApiError> {
        let mut tasks = self.graph(job).await?.tasks_of_keys(keys);
        if tasks.contains(&None) {
            // It may have grown since it was cached.
            tasks = self.load_graph(job).await?.tasks_of_keys(keys);
        }
        let mut numbers = Vec::with_capacity(keys.len());
        for (key, task) in keys.iter().zip(tasks) {
            numbers.push(match task {
                Some(task) => task.0,
                None => self.task_of(job, key).await?.1.0,
            });
        }
        Ok(numbers)
    }

    /// Refuses new jobs while there are as many unfinished ones as the cluster accepts.
    pub(crate) async fn admit(&self) -> Result<(), ApiError> {
        let limit = self.settings.max_active_jobs;
        let counted = self
            .active
            .lock()
            .filter(|(taken, _)| taken.elapsed() < COUNT_LIFETIME);
        let count = match counted {
            Some((_, count)) => count,
            None => {
                // A state store that is away must not refuse jobs: the intake queue keeps them.
                let count = self.state.active_jobs().await.map_or(0, |jobs| jobs.len());
                *self.active.lock() = Some((Instant::now(), count));
                count
            }
        };
        if count >= limit as usize {
            return Err(ApiError::TooManyJobs(limit));
        }
        Ok(())
    }

    /// The record of a job that must exist; asks the leader for one that is only just committed.
    pub(crate) async fn known_meta(&self, job: JobId) -> Result<Option<JobMeta>, ApiError> {
        if let Some(meta) = self.meta(job).await? {
            return Ok(Some(meta));
        }
        if self.recent.get(job).is_some() {
            return Ok(None);
        }
        match self.leader.ask(GatewayRequest::Job { job }).await {
            Ok(Response::Job(answer)) => Ok(Some(answer.meta)),
            // The state store has no such job, and nobody knows better.
            Ok(_) | Err(ApiError::NoLeader | ApiError::LeaderSilent | ApiError::NoBroker) => {
                Err(RequestError::UnknownJob(job).into())
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn load_graph(&self, job: JobId) -> Result<Arc<Graph>, ApiError> {
        let stored = self.state.load_job(job).await?;
        let stored = stored.ok_or(ApiError::Request(RequestError::UnknownJob(job)))?;
        let mut graph: Graph = read_record("a graph", &stored.graph)?;
        let mut size = stored.graph.len();
        for (_, fragment) in &stored.extensions {
            let extension: millstream_protocol::graph::GraphExtension = read_record("a graph", fragment)?;
            size += fragment.len();
            graph.append(extension.fragment);
        }
        let graph = Arc::new(graph);
        self.graphs.insert(job, &graph, size);
        Ok(graph)
    }
}

/// Decodes what a leader wrote.
pub(crate) fn read_record<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, ApiError> {
    codec::decode(bytes).map_err(|error| ApiError::Unreadable { what, error })
}
