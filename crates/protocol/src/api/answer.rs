//! Answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_types::{ByteSize, JobId, ResourceSet, WorkerId};
use serde::{Deserialize, Serialize};

use crate::TaskError;
use crate::wire::{HeartbeatMsg, JobAnswer, JobCounts, JobMeta, JobState, TaskAnswer, WorkerAnswer};

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What it is called in lists.
    #[serde(default)]
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// Unix milliseconds when it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_ms: Option<u64>,
    /// Unix milliseconds when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// Tasks by state.
    #[serde(default)]
    pub tasks: JobCounts,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// The key of the task that failed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_task: Option<String>,
    /// Its priority.
    #[serde(default)]
    pub priority: i32,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Wanted results, once the job has succeeded and somebody waited for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ResultView>,
    /// Where to look further.
    pub links: Links,
}

/// Paths on the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// The job.
    #[serde(rename = "self")]
    pub job: String,
    /// Its events.
    pub events: String,
    /// Its tasks.
    pub tasks: String,
    /// Its results; a key follows.
    pub results: String,
}

impl Links {
    /// The paths of `job`.
    pub fn of(job: JobId) -> Self {
        let base = format!("/v1/jobs/{job}");
        Self {
            events: format!("{base}/events"),
            tasks: format!("{base}/tasks"),
            results: format!("{base}/results/"),
            job: base,
        }
    }
}

impl JobView {
    /// A job of which only the submission is known.
    pub fn accepted(id: JobId, name: impl Into<String>) -> Self {
        Self {
            id,
            name: name.into(),
            state: JobState::Accepted,
            accepted_ms: None,
            ended_ms: None,
            tasks: JobCounts::default(),
            error: None,
            failed_task: None,
            priority: 0,
            labels: BTreeMap::new(),
            results: Vec::new(),
            links: Links::of(id),
        }
    }

    /// A job as its leader answers.
    pub fn of_answer(answer: &JobAnswer) -> Self {
        Self {
            tasks: answer.counts,
            ..Self::from(&answer.meta)
        }
    }
}

impl From<&JobMeta> for JobView {
    fn from(meta: &JobMeta) -> Self {
        Self {
            id: meta.job,
            name: meta.name.clone(),
            state: meta.state,
            accepted_ms: Some(meta.accepted_ms),
            ended_ms: meta.ended_ms,
            tasks: meta.counts,
            error: meta.error.clone(),
            failed_task: meta.failed_task.map(|task| task.to_string()),
            priority: meta.options.priority,
            labels: meta.options.labels.clone(),
            results: Vec::new(),
            links: Links::of(meta.job),
        }
    }
}

/// A wanted result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultView {
    /// The task's key.
    pub key: String,
    /// The value, where it is small: what a native function returned, or a command's output as text.
    /// Bytes that are no text are `{"base64": …}` in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<rmpv::Value>,
    /// The value's bytes as stored, where it is small and the answer is MessagePack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Bytes>,
    /// Where to get it.
    pub link: String,
}

/// A page of jobs, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobsPage {
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// The `before` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskView {
    /// Its number.
    pub task: u32,
    /// Its key.
    pub key: String,
    /// Kind and name of its operation.
    pub op: String,
    /// Its state.
    pub state: String,
    /// Runs so far.
    pub attempts: u32,
    /// Failures counted against it.
    pub failures: u32,
    /// Where it runs or is held.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerId>,
    /// Size of its output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteSize>,
    /// Keys of its inputs, the first hundred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deps: Vec<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Why it is where it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub explain: Vec<String>,
    /// Its transitions, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub story: Vec<StoryLine>,
    /// What it wrote, by attempt, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogView>,
}

/// One transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryLine {
    /// Microseconds on the leader's clock: for differences only.
    pub at_us: u64,
    /// What happened.
    pub text: String,
}

/// Captured output of one attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogView {
    /// The attempt.
    pub attempt: String,
    /// How it begins.
    pub head: String,
    /// How it ends, where it is longer than the head.
    pub tail: String,
    /// Bytes left out between them.
    pub omitted: u64,
}

impl From<TaskAnswer> for TaskView {
    fn from(answer: TaskAnswer) -> Self {
        Self {
            task: answer.task,
            key: answer.key,
            op: answer.op,
            state: answer.state,
            attempts: answer.attempts,
            failures: answer.failures,
            workers: answer.workers,
            bytes: answer.bytes,
            deps: answer.deps,
            error: answer.error,
            explain: answer.explain,
            story: answer
                .story
                .into_iter()
                .map(|(at, text)| StoryLine {
                    at_us: at.as_micros(),
                    text,
                })
                .collect(),
            logs: Vec::new(),
        }
    }
}

/// A page of tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TasksPage {
    /// The tasks.
    pub tasks: Vec<TaskView>,
    /// The `from` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// What the Python tasks of the cluster execute at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StacksPage {
    /// One for each task that runs.
    pub stacks: Vec<StackView>,
    /// Names of the workers that did not answer.
    pub unreachable: Vec<String>,
}

/// What one task executes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackView {
    /// The name of its worker.
    pub worker: String,
    /// Its job.
    pub job: JobId,
    /// Its number.
    pub task: u32,
    /// Its key.
    pub key: String,
    /// The frames of its threads, innermost first.
    pub text: String,
}

/// All workers, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkersPage {
    /// The workers.
    pub workers: Vec<WorkerView>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Its id.
    pub id: WorkerId,
    /// Its name.
    pub name: String,
    /// The host it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// `active`, `suspect`, `paused` or `draining`.
    pub state: String,
    /// Tasks it runs at once.
    pub slots: u32,
    /// Bytes it may hold.
    pub memory_limit: ByteSize,
    /// What tasks may ask of it.
    #[serde(default, skip_serializing_if = "ResourceSet::is_empty")]
    pub resources: ResourceSet,
    /// The version of its program.
    pub version: String,
    /// Host and port of its data plane.
    pub data_address: String,
    /// Tasks sent to it and not done.
    pub assigned: u32,
    /// Tasks known to execute.
    pub executing: u32,
    /// Objects it holds.
    pub objects: u32,
    /// Milliseconds since it was heard.
    pub silent_ms: u64,
    /// Its last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<HeartbeatMsg>,
}

impl From<WorkerAnswer> for WorkerView {
    fn from(answer: WorkerAnswer) -> Self {
        let info = answer.info;
        Self {
            id: info.worker,
            name: info.name,
            host: info.host,
            pid: info.pid,
            state: answer.state,
            slots: info.slots,
            memory_limit: info.memory_limit,
            resources: info.resources,
            version: info.version,
            data_address: info.data_address,
            assigned: answer.assigned,
            executing: answer.executing,
            objects: answer.objects,
            silent_ms: answer.silent_ms,
            load: answer.load,
        }
    }
}
