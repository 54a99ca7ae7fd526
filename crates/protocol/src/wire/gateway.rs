//! Gateway ↔ leader.

use bytes::Bytes;
use millstream_types::{ByteSize, ContentKey, JobId, TaskIdx, Timestamp, WorkerId};
use serde::{Deserialize, Serialize};

use super::{HeartbeatMsg, JobCounts, JobMeta, JobOptions, JobState, ResultEntry, WorkerInfo};
use crate::TaskError;
use crate::columns::U32s;

/// What waits in the intake queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intake {
    /// A job.
    Submit(SubmitMsg),
}

/// A job on its way to the leader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubmitMsg {
    /// Made by the client.
    pub job: JobId,
    /// The hash of what the client sent.
    pub body_hash: ContentKey,
    /// What it is called in lists.
    pub name: String,
    /// The graph.
    pub graph: GraphSource,
    /// Its options.
    pub options: JobOptions,
    /// The gateway's queue, which is told the verdict and, if `watch`, the end.
    pub reply_to: String,
    /// Whether somebody waits for the end.
    pub watch: bool,
    /// Unix milliseconds when the gateway took it.
    pub submitted_ms: u64,
}

/// Where a graph is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphSource {
    /// Here: an encoded [`crate::graph::Graph`].
    Inline(Bytes),
    /// In the state store, by this key.
    Blob(String),
}

/// What a gateway sends to the leader's own queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FromGateway {
    /// Chosen by the gateway; the response carries it.
    pub id: u64,
    /// The gateway's queue.
    pub reply_to: String,
    /// What is asked.
    pub request: GatewayRequest,
}

/// What a gateway asks. Every request may be repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayRequest {
    /// Answer at once with the job's state, and again when it ends.
    Watch {
        /// The job.
        job: JobId,
    },
    /// Where the job stands.
    Job {
        /// The job.
        job: JobId,
    },
    /// Stop the job.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// Forget a terminal job and its results.
    Remove {
        /// The job.
        job: JobId,
    },
    /// A page of tasks.
    Tasks(TaskQuery),
    /// One task with its story and why it is not running.
    Task {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
    },
    /// Where a wanted output is; starts its recovery if it was lost.
    Locate {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
        /// Holders that were tried in vain.
        failed: Vec<WorkerId>,
    },
    /// All workers.
    Workers,
    /// Let a worker finish and leave.
    Drain {
        /// The worker.
        worker: WorkerId,
    },
    /// How far the job is, layer by layer. Leaders of before do not answer.
    Layers {
        /// The job.
        job: JobId,
    },
    /// The client needs the outputs of these tasks no more. Leaders of before do not answer.
    ReleaseTasks {
        /// The job.
        job: JobId,
        /// The tasks.
        tasks: U32s,
    },
    /// These tasks, and those that read them, are not to run. Leaders of before do not answer.
    CancelTasks {
        /// The job.
        job: JobId,
        /// The tasks.
        tasks: U32s,
    },
}

/// Which tasks are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskQuery {
    /// The job.
    pub job: JobId,
    /// Only tasks in this state, by its name.
    pub state: Option<String>,
    /// The first task to look at.
    pub from: TaskIdx,
    /// Most tasks to return.
    pub limit: u32,
}

/// What a leader sends to a gateway's queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToGateway {
    /// The answer to a request.
    Response {
        /// The request's id.
        id: u64,
        /// The answer.
        result: Result<Response, RequestError>,
    },
    /// A submission was committed, or why not.
    Submitted {
        /// The job.
        job: JobId,
        /// The verdict.
        result: Result<JobState, RequestError>,
    },
    /// A watched job ended.
    Ended(Box<JobAnswer>),
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestError {
    /// No such job here.
    #[error("no job {0}")]
    UnknownJob(JobId),
    /// No such task in the job.
    #[error("no task number {0}")]
    UnknownTask(TaskIdx),
    /// No such worker.
    #[error("no worker {0}")]
    UnknownWorker(WorkerId),
    /// The id was used for another submission.
    #[error("job id {0} was already used for another submission")]
    IdConflict(JobId),
    /// The graph cannot be accepted.
    #[error("{message}")]
    InvalidGraph {
        /// A stable code.
        code: String,
        /// What is wrong with it.
        message: String,
    },
    /// The graph's blob has expired.
    #[error("the graph of job {0} is no longer there: submit it again")]
    GraphExpired(JobId),
    /// Not while the job is in this state.
    #[error("not possible while the job is {}", .0.name())]
    WrongState(JobState),
    /// The result was let go.
    #[error("{0}")]
    Gone(String),
    /// The cluster has as much work as it accepts.
    #[error("too many active jobs: try again in a few seconds")]
    Overloaded,
}

/// Answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To `Job`, `Watch`, `Cancel` and `Remove`.
    Job(Box<JobAnswer>),
    /// To `Tasks`.
    Tasks {
        /// The page.
        tasks: Vec<TaskAnswer>,
        /// Where the next page begins.
        next: Option<TaskIdx>,
    },
    /// To `Task`.
    Task(Box<TaskAnswer>),
    /// To `Locate`.
    Location(ObjectLocation),
    /// To `Workers`.
    Workers(Vec<WorkerAnswer>),
    /// To `Drain`.
    Done,
    /// To `Layers`.
    Layers(Box<LayersAnswer>),
    /// To `ReleaseTasks` and `CancelTasks`.
    Changed {
        /// Tasks that were changed by it; none if it was asked before.
        tasks: u32,
    },
}

/// How far a job is, layer by layer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LayersAnswer {
    /// The tasks of one operation in one layer each, in the graph's order.
    pub layers: Vec<LayerAnswer>,
    /// Its largest objects that are held, the largest first.
    pub largest: Vec<HeldObject>,
}

/// The tasks of one operation in one layer of a job's graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerAnswer {
    /// The layer's number.
    pub layer: u32,
    /// Kind and name of the operation.
    pub op: String,
    /// The first of the tasks.
    pub first: TaskIdx,
    /// Tasks by state, exact.
    pub counts: JobCounts,
    /// Bytes of their outputs that are held.
    pub held: ByteSize,
    /// Of these, bytes that stay after the job since its user wants them.
    pub wanted: ByteSize,
    /// Microseconds that one of them is expected to run.
    pub cost_us: u32,
}

/// An object that workers hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldObject {
    /// The task that made it.
    pub task: TaskIdx,
    /// Its key.
    pub key: String,
    /// Kind and name of its operation.
    pub op: String,
    /// Its size.
    pub bytes: ByteSize,
    /// Whether it stays after the job.
    pub is_wanted: bool,
    /// Tasks that have yet to read it.
    pub readers: u32,
    /// Who holds it.
    pub workers: Vec<WorkerId>,
}

/// A job as its leader sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobAnswer {
    /// Its record.
    #[serde(serialize_with = "JobMeta::serialize_answer")]
    pub meta: JobMeta,
    /// Tasks by state, exact.
    pub counts: JobCounts,
    /// Wanted outputs that are small, where the job has succeeded.
    pub inline: Vec<InlineResult>,
    /// Wanted outputs.
    pub outputs: Vec<TaskIdx>,
}

/// A wanted output that travels with the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InlineResult {
    /// The wanted task.
    pub task: TaskIdx,
    /// Its key.
    pub key: String,
    /// The value as the store holds it.
    pub value: Bytes,
}

/// A task as its leader sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskAnswer {
    /// Its number.
    pub task: u32,
    /// The user's key.
    pub key: String,
    /// Kind and name of its operation.
    pub op: String,
    /// Its state's name.
    pub state: String,
    /// Runs so far.
    pub attempts: u32,
    /// Failures counted against it.
    pub failures: u32,
    /// Where it runs or is held.
    pub workers: Vec<WorkerId>,
    /// Size of its output.
    pub bytes: Option<ByteSize>,
    /// Keys of its inputs, the first hundred.
    pub deps: Vec<String>,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// Why it is where it is, in sentences.
    pub explain: Vec<String>,
    /// Its transitions: time and text.
    pub story: Vec<(Timestamp, String)>,
}

/// Where a wanted output is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectLocation {
    /// Held.
    Held(ResultEntry),
    /// Not yet made, or being made again.
    Pending {
        /// The job's state.
        state: JobState,
    },
    /// It failed or was cancelled.
    Failed(TaskError),
}

/// A worker as its leader sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerAnswer {
    /// Who it is.
    pub info: WorkerInfo,
    /// `active`, `suspect`, `paused` or `draining`.
    pub state: String,
    /// Tasks sent to it and not done.
    pub assigned: u32,
    /// Tasks known to execute.
    pub executing: u32,
    /// Objects it holds.
    pub objects: u32,
    /// Milliseconds since it was heard.
    pub silent_ms: u64,
    /// Its last heartbeat.
    pub load: Option<HeartbeatMsg>,
}
