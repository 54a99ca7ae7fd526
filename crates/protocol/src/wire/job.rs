//! Jobs: options, states, events, and what is kept of them in the state store.

use std::collections::BTreeMap;

use millstream_types::{Attempt, ByteSize, JobId, TaskIdx, Term, WorkerId};
use serde::{Deserialize, Serialize, Serializer};

use crate::TaskError;
use crate::graph::{Graph, GraphExtension};

/// What a job asks beyond its graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobOptions {
    /// Higher runs first.
    pub priority: i32,
    /// Milliseconds from acceptance until the job fails if it has not ended.
    pub deadline_ms: Option<u64>,
    /// Seconds that results are kept after their last read; the cluster's default if none.
    pub result_ttl_s: Option<u64>,
    /// The client session the job lives with; none means detached.
    pub attached_to: Option<String>,
    /// Whose work it is.
    pub tenant: String,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            priority: 0,
            deadline_ms: None,
            result_ttl_s: None,
            attached_to: None,
            tenant: "default".to_owned(),
            labels: BTreeMap::new(),
        }
    }
}

/// Where a job stands.
///
/// ```text
///  accepted ─► running ─┬─► succeeded ◄─► recovering (an output was lost and is made again)
///                       ├─► failed
///                       └─► cancelling ─► cancelled
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// In the queue, not yet seen by a leader.
    Accepted,
    /// Tasks run or wait to.
    Running,
    /// All wanted outputs are stored.
    Succeeded,
    /// An output was lost after the end and is made again.
    Recovering,
    /// A wanted output cannot be made.
    Failed,
    /// Asked to stop; workers are answering.
    Cancelling,
    /// Stopped.
    Cancelled,
}

impl JobState {
    /// Whether nothing more will run.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Recovering => "recovering",
            Self::Failed => "failed",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A task's state as the journal keeps it: one byte. What is not here is found out from inventories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StoredTaskState {
    /// Not done, as far as the journal knows.
    Pending = 0,
    /// Its output was stored.
    Stored = 1,
    /// Its output was stored and let go since nobody needed it.
    Released = 2,
    /// It failed for good.
    Failed = 3,
    /// It was cancelled.
    Cancelled = 4,
}

impl StoredTaskState {
    /// Set in the journal's byte beside the state: the output was told outside the cluster. Written before it is told
    /// where the output may come out differently when it is made again.
    pub const DELIVERED: u8 = 0x80;

    /// Set beside the state: the client that wanted the output needs it no more. Written before that is answered.
    /// Readers of before take the whole byte for pending: to them the output is wanted again.
    pub const GIVEN_UP: u8 = 0x40;

    /// Set beside [`Self::GIVEN_UP`]: the task was cancelled by itself, or reads one that was.
    pub const CALLED_OFF: u8 = 0x20;

    /// Reads the journal's byte; an unknown one counts as pending, which is always safe.
    pub const fn from_byte(byte: u8) -> Self {
        match byte & !(Self::DELIVERED | Self::GIVEN_UP | Self::CALLED_OFF) {
            1 => Self::Stored,
            2 => Self::Released,
            3 => Self::Failed,
            4 => Self::Cancelled,
            _ => Self::Pending,
        }
    }
}

/// Tasks of a job by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobCounts {
    /// All.
    pub total: u32,
    /// Waiting for inputs.
    pub waiting: u32,
    /// Ready, without a worker.
    pub ready: u32,
    /// Sent to a worker or running there.
    pub assigned: u32,
    /// Done, output held.
    pub stored: u32,
    /// Done, output let go.
    pub released: u32,
    /// Failed for good.
    pub failed: u32,
    /// Cancelled.
    pub cancelled: u32,
}

/// Why the outputs of a job were let go while other jobs still import from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetGo {
    /// Their retention ended: the job's record stays for a while.
    Expired,
    /// The job was removed: nothing of it stays.
    Removed,
}

/// What the journal keeps of a job beside its graph and pages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobMeta {
    /// The job.
    pub job: JobId,
    /// The hash of the submission, to tell a repeat from another job of the same id.
    pub body_hash: millstream_types::ContentKey,
    /// Its options.
    pub options: JobOptions,
    /// Where it stands.
    pub state: JobState,
    /// Unix milliseconds at acceptance.
    pub accepted_ms: u64,
    /// Unix milliseconds at the end.
    pub ended_ms: Option<u64>,
    /// Tasks by state, as of the last note.
    pub counts: JobCounts,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// The task that failed first.
    pub failed_task: Option<TaskIdx>,
    /// What the job is called in lists: its SQL text's head, its label or its first key.
    #[serde(default)]
    pub name: String,
    /// Its outputs were let go. It is there only because other jobs import from it, and goes with the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_go: Option<LetGo>,
    /// The term in which a leader accepted it: what a run of an earlier term made is of another job, which had this id
    /// before the journal was lost. Only in the journal; 0 in answers and in records of before, where it says nothing.
    /// Older readers pass over it.
    #[serde(default, skip_serializing_if = "is_no_term")]
    pub accepted_in: Term,
}

fn is_no_term(term: &Term) -> bool {
    *term == Term::default()
}

impl JobMeta {
    /// Writes it for an answer. Those are positional, and older readers take one field too many for damage.
    pub(super) fn serialize_answer<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let answer = Self {
            accepted_in: Term::default(),
            ..self.clone()
        };
        answer.serialize(serializer)
    }
}

/// A graph extension as the journal keeps it, numbered to follow the job's tasks. Also read as a [`GraphExtension`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtensionRecord {
    /// The new tasks.
    pub fragment: Graph,
    /// The task whose output takes the place of the extending task's own.
    pub replacement: Option<TaskIdx>,
    /// The term in which a leader committed it: a run of an earlier term is of another task, which had its number before
    /// the journal lost an extension. 0 in records of before, where it says nothing. Older readers pass over it.
    #[serde(default, skip_serializing_if = "is_no_term")]
    pub term: Term,
}

impl ExtensionRecord {
    /// An extension that a leader commits in `term`.
    pub fn new(extension: GraphExtension, term: Term) -> Self {
        Self {
            fragment: extension.fragment,
            replacement: extension.replacement,
            term,
        }
    }
}

/// Where a wanted output is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultEntry {
    /// The task whose object it is: the wanted one, or what replaced it.
    pub task: TaskIdx,
    /// Its generation.
    pub attempt: Attempt,
    /// Its size.
    pub bytes: ByteSize,
    /// Who holds it, and their data-plane addresses.
    pub holders: Vec<(WorkerId, String)>,
    /// The value itself where it is small.
    pub inline: Option<bytes::Bytes>,
    /// It may come out differently when it is made again, and nobody has been told of it: readers ask the leader for it,
    /// so that the leader knows. Absent in records of before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_untold: bool,
}

/// Failures counted against a task, as the journal keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The last error.
    pub error: TaskError,
    /// Runs that failed by themselves.
    pub failures: u32,
    /// Workers that died while executing the task.
    pub lost_workers: u32,
    /// Whether the task will not run again.
    pub terminal: bool,
    /// Runs up to this one are void: what they made came from an output that was lost and may come out differently.
    /// Absent in records of before.
    #[serde(default, skip_serializing_if = "is_no_run")]
    pub void: Attempt,
}

impl FailureRecord {
    /// A record that counts nothing yet.
    pub const fn new(error: TaskError) -> Self {
        Self {
            error,
            failures: 0,
            lost_workers: 0,
            terminal: false,
            void: Attempt::new(Term(0), 0),
        }
    }
}

fn is_no_run(attempt: &Attempt) -> bool {
    *attempt == Attempt::default()
}

/// Head and tail of what a task wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskLog {
    /// The first 64 KiB.
    pub head: String,
    /// The last 64 KiB of the rest.
    pub tail: String,
    /// Bytes left out between them.
    pub omitted: u64,
}

/// One line of a job's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: JobEventKind,
}

/// What happens to a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobEventKind {
    /// The leader has committed it.
    Accepted {
        /// Tasks it has so far.
        tasks: u32,
    },
    /// Counts changed.
    Progress {
        /// Tasks by state.
        counts: JobCounts,
    },
    /// A task grew the graph.
    Extended {
        /// Its key.
        key: String,
        /// Tasks it added.
        added: u32,
    },
    /// A task failed and will be tried again.
    Retried {
        /// Its key.
        key: String,
        /// Why it failed.
        error: TaskError,
        /// Milliseconds until the next try.
        delay_ms: u32,
    },
    /// A task failed for good.
    TaskFailed {
        /// Its key.
        key: String,
        /// Why.
        error: TaskError,
    },
    /// A task waits that no registered worker can ever run.
    Unschedulable {
        /// Its key.
        key: String,
        /// What no worker has.
        reason: String,
    },
    /// A started task waits for something before its code begins, such as packages that are installed for it.
    Preparing {
        /// Which.
        key: String,
        /// The worker's name.
        worker: String,
        /// What is done, in words.
        message: String,
    },
    /// A worker was lost, and work goes back.
    WorkerLost {
        /// Its name.
        worker: String,
        /// Tasks that run again for it.
        requeued: u32,
        /// Outputs made again.
        recomputed: u32,
    },
    /// A leader took over or the state store came back.
    Recovered {
        /// Its term.
        term: u32,
        /// What was found.
        message: String,
    },
    /// The job's state changed.
    State {
        /// The new state.
        state: JobState,
        /// Why, where it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<TaskError>,
    },
}
