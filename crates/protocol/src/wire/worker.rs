//! Leader ↔ worker.

use bytes::Bytes;
use millstream_types::{Attempt, ByteSize, JobId, ObjectId, ResourceSet, SessionNo, TaskIdx, Term, WorkerId};
use serde::{Deserialize, Serialize};

use crate::TaskError;
use crate::columns::{BytesColumn, U16s, U32s, U64s};
use crate::graph::{GraphExtension, OpSpec, TaskOptions};

/// What a leader tells a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToWorker {
    /// The register and the whole inventory have been settled; work may follow.
    Settled,
    /// Operations and options of a job; precedes the first assignment that names them.
    Ops(OpsMsg),
    /// Other workers, by the numbers that assignments use for holders in this session.
    Peers(Vec<PeerInfo>),
    /// Tasks to run.
    Assign(Box<AssignMsg>),
    /// Give back what has not started. Answered per task by [`FromWorker::Returned`].
    Retract {
        /// The job.
        job: JobId,
        /// The tasks.
        tasks: U32s,
    },
    /// Stop and forget these tasks, running or not. Answered per task by [`FromWorker::Returned`].
    Cancel {
        /// The job.
        job: JobId,
        /// The tasks.
        tasks: U32s,
    },
    /// Objects nobody needs any more, each of exactly this generation.
    Free {
        /// The job that made them.
        job: JobId,
        /// The tasks that made them.
        tasks: U32s,
        /// Their generations, [`Attempt::packed`].
        attempts: U64s,
    },
    /// The job is over: forget its operations.
    ForgetJob {
        /// The job.
        job: JobId,
    },
    /// Hold a copy of an object, for safety.
    Replicate(ReplicateMsg),
    /// Start nothing more, return what has not started, finish what runs, keep serving objects.
    Drain,
    /// The drain is complete and nothing here is needed any more: exit.
    Shutdown,
}

/// A job's tables, or a later part of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpsMsg {
    /// The job.
    pub job: JobId,
    /// The index of the first operation below.
    pub first_op: u16,
    /// Operations in order.
    pub ops: Vec<OpSpec>,
    /// The index of the first options below.
    pub first_options: u16,
    /// Options in order.
    pub options: Vec<TaskOptions>,
    /// The job's key for display, so that a task's log can name it.
    #[serde(default)]
    pub label: String,
}

/// A worker as its peers reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Its number in this session's assignments.
    pub number: u32,
    /// The worker.
    pub worker: WorkerId,
    /// Host and port of its data plane.
    pub data_address: String,
    /// The host it runs on: peers of one host may map files instead of copying.
    pub host: String,
}

/// Tasks to run, in columns: row `i` of each column belongs to `tasks[i]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AssignMsg {
    /// The job. All-zero only in the default.
    pub job: AssignJob,
    /// The tasks.
    pub tasks: U32s,
    /// Attempts, [`Attempt::packed`].
    pub attempts: U64s,
    /// Operation indexes.
    pub ops: U16s,
    /// Options indexes.
    pub options: U16s,
    /// Order: lower runs first, over all jobs.
    pub priorities: U64s,
    /// A symbolic task's index inside its layer; none if all tasks are explicit.
    pub indexes: U32s,
    /// Parameters.
    pub params: BytesColumn,
    /// Where each task's inputs begin in the `dep_` columns, and the end.
    pub dep_offsets: U32s,
    /// Producers.
    pub dep_tasks: U32s,
    /// Sub-ranges, [`crate::graph::ExplicitLayer::WHOLE`] for whole objects.
    pub dep_parts: U32s,
    /// Generations to read, [`Attempt::packed`].
    pub dep_attempts: U64s,
    /// Sizes in bytes of what is read, 0 if not yet known.
    pub dep_bytes: U64s,
    /// Where each input's holders begin in `holders`, and the end. An input without holders is made by this worker:
    /// it is here, or an earlier assignment of it is.
    pub holder_offsets: U32s,
    /// Peer numbers of holders.
    pub holders: U32s,
    /// Bits per task, see [`AssignMsg::INLINE`]; none if no task has any. Older writers send none.
    #[serde(default)]
    pub flags: U16s,
    /// Objects of other jobs that are read here. Older writers send none; an older reader looks for an object of its own
    /// job, finds none, and gives the task back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<ObjectId>,
    /// Per input: 0 if it is an object of this job, `n` if it is `foreign[n - 1]`; none if all are this job's.
    #[serde(default, skip_serializing_if = "no_rows")]
    pub dep_foreign: U32s,
}

fn no_rows(column: &U32s) -> bool {
    column.is_empty()
}

impl AssignMsg {
    /// In `flags`: the task is wanted, so a small output travels inside [`FinishedMsg`].
    pub const INLINE: u16 = 1;
}

/// The job of an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AssignJob(pub JobId);

impl Default for AssignJob {
    fn default() -> Self {
        Self(JobId::from_u128(0))
    }
}

/// An object to copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicateMsg {
    /// The job that made it.
    pub job: JobId,
    /// The task that made it.
    pub task: TaskIdx,
    /// Its generation.
    pub attempt: Attempt,
    /// Its size.
    pub bytes: ByteSize,
    /// Peer numbers of holders.
    pub holders: U32s,
}

/// What a worker tells its leader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromWorker {
    /// Opens a session. Always the first item of its first batch.
    Register(RegisterMsg),
    /// A part of what the worker has; the last part says so.
    Inventory(InventoryMsg),
    /// Tasks whose outputs are stored here.
    Finished(FinishedMsg),
    /// A task that finished with more tasks.
    Extended(ExtendedMsg),
    /// A task that failed.
    Failed(FailedMsg),
    /// The answers to retract and cancel, and what the worker gives back unasked.
    Returned(ReturnedMsg),
    /// What is executing now, whole: replaces the last such list.
    Executing(ExecutingMsg),
    /// Inputs that no named holder had: the task goes back to the leader.
    Gone(GoneMsg),
    /// Objects this worker no longer has although nobody freed them.
    Lost(JobObjects),
    /// A copy asked for by [`ToWorker::Replicate`] is here.
    Replicated(JobObjects),
    /// What a task waits for before its code begins.
    Preparing(PreparingMsg),
    /// Captured output of a finished or failed task.
    Log(TaskLogMsg),
    /// Life and load.
    Heartbeat(HeartbeatMsg),
    /// A drain was asked for here (SIGTERM): as if the leader had sent [`ToWorker::Drain`].
    Draining,
}

/// Who a worker is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Its identity, new at each start.
    pub worker: WorkerId,
    /// The name people give it.
    pub name: String,
    /// The host it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Host and port of its data plane.
    pub data_address: String,
    /// Tasks it runs at once.
    pub slots: u32,
    /// Bytes it may hold.
    pub memory_limit: ByteSize,
    /// What tasks may ask of it.
    pub resources: ResourceSet,
    /// The version of the program.
    pub version: String,
}

/// Opens a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegisterMsg {
    /// Who speaks.
    pub info: WorkerInfo,
    /// The queue it listens on in this session.
    pub queue: String,
    /// The number of the session that this opens.
    pub session: SessionNo,
    /// The highest term it ever saw.
    pub known_term: Term,
}

/// Objects of one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobObjects {
    /// The job.
    pub job: JobId,
    /// The tasks that made them.
    pub tasks: U32s,
    /// Their generations, [`Attempt::packed`].
    pub attempts: U64s,
    /// Their sizes.
    pub bytes: U64s,
}

/// Tasks of one job with their attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobAttempts {
    /// The job.
    pub job: JobId,
    /// The tasks.
    pub tasks: U32s,
    /// Their attempts, [`Attempt::packed`].
    pub attempts: U64s,
}

/// A part of what a worker has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InventoryMsg {
    /// Objects in its store.
    pub objects: Vec<JobObjects>,
    /// Tasks that wait for inputs or a slot.
    pub queued: Vec<JobAttempts>,
    /// Tasks that run.
    pub running: Vec<JobAttempts>,
    /// Whether this is the last part. Unacknowledged reports follow it as ordinary items.
    pub last: bool,
}

/// Tasks whose outputs are stored, in columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedMsg {
    /// The job.
    pub job: JobId,
    /// The tasks.
    pub tasks: U32s,
    /// Their attempts, [`Attempt::packed`].
    pub attempts: U64s,
    /// Sizes of the outputs.
    pub bytes: U64s,
    /// Run times in microseconds.
    pub durations_us: U32s,
    /// Small outputs that were wanted, by row: the value itself, encoded as the store does.
    pub inline: Vec<(u32, Bytes)>,
}

/// A task that finished with a graph extension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtendedMsg {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskIdx,
    /// Its attempt.
    pub attempt: Attempt,
    /// Size of the output; 0 when the extension replaces it.
    pub bytes: ByteSize,
    /// Run time in microseconds.
    pub duration_us: u32,
    /// The tasks to add.
    pub extension: GraphExtension,
}

/// A task that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedMsg {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskIdx,
    /// Its attempt.
    pub attempt: Attempt,
    /// Run time in microseconds.
    pub duration_us: u32,
    /// Why.
    pub error: TaskError,
}

/// What became of a task that was asked back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnOutcome {
    /// It had not started and is forgotten here.
    Returned,
    /// It has started and goes on. (To a retract.)
    Started,
    /// It was done, failed or unknown here: a report says so, or nothing is known of it.
    Done,
    /// It was running and has been stopped. (To a cancel.)
    Stopped,
}

/// Answers to retract and cancel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReturnedMsg {
    /// The job.
    pub job: JobId,
    /// The tasks.
    pub tasks: U32s,
    /// The attempts the answers speak of, [`Attempt::packed`]; 0 where the task is unknown.
    pub attempts: U64s,
    /// What became of each.
    pub outcomes: Vec<ReturnOutcome>,
}

/// All tasks that execute now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecutingMsg {
    /// By job.
    pub tasks: Vec<JobAttempts>,
    /// Those of them that wait for other tasks, by job: their slots are free meanwhile.
    #[serde(default)]
    pub waiting: Vec<JobAttempts>,
}

/// Inputs that could not be fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoneMsg {
    /// The job.
    pub job: JobId,
    /// The task that needs them, given back with this message.
    pub task: TaskIdx,
    /// Its attempt.
    pub attempt: Attempt,
    /// The inputs.
    pub inputs: Vec<GoneInput>,
}

/// An input and who did not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneInput {
    /// The producer.
    pub task: TaskIdx,
    /// The generation asked for.
    pub attempt: Attempt,
    /// Holders that answered "gone" or sent damaged bytes: they do not have it.
    pub gone_at: Vec<WorkerId>,
    /// Holders that did not answer.
    pub unreachable: Vec<WorkerId>,
}

/// What a started task waits for before its code begins, such as packages that are installed for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparingMsg {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskIdx,
    /// The attempt.
    pub attempt: Attempt,
    /// What is done, in words.
    pub text: String,
}

/// Captured output of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLogMsg {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskIdx,
    /// The attempt.
    pub attempt: Attempt,
    /// Head and tail of what it wrote, 64 KiB each at most.
    pub log: super::TaskLog,
}

/// Life and load of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatMsg {
    /// Bytes of objects in memory.
    pub stored: ByteSize,
    /// Bytes of objects on disk.
    pub spilled: ByteSize,
    /// Memory of the process and its children, as the cgroup counts it.
    pub process: ByteSize,
    /// Thousandths of one cpu in use.
    pub cpu_milli: u32,
    /// Whether it starts no tasks for lack of memory.
    pub paused: bool,
    /// Tasks that wait here.
    pub queued: u32,
    /// Tasks that execute here.
    pub executing: u32,
    /// Bytes fetched from peers since its start.
    pub fetched: ByteSize,
    /// Bytes served to peers since its start.
    pub served: ByteSize,
}
