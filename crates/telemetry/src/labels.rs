//! Every label a metric can have. Labels are enums: the number of series is known when the code is compiled.

use crate::series::Label;

macro_rules! labels {
    ($(
        $(#[doc = $doc:literal])+
        $label:ident as $key:literal { $( $(#[doc = $value_doc:literal])+ $variant:ident = $value:literal, )+ }
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $label { $( $(#[doc = $value_doc])+ $variant, )+ }

        impl Label for $label {
            const KEY: &'static str = $key;
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn value(self) -> &'static str {
                match self { $(Self::$variant => $value,)+ }
            }
        }
    )+};
}

labels! {
    /// Where a task is in its life.
    TaskState as "state" {
        /// Inputs are missing.
        Waiting = "waiting",
        /// Could run, has no worker yet.
        Ready = "ready",
        /// Sent to a worker.
        Assigned = "assigned",
        /// Executing.
        Running = "running",
        /// Its output is on a worker.
        Stored = "stored",
        /// Ended with an error.
        Failed = "failed",
        /// Ended because it was cancelled.
        Cancelled = "cancelled",
        /// Its output was freed.
        Released = "released",
    }

    /// How one attempt at a task ended.
    TaskOutcome as "outcome" {
        /// With an output.
        Stored = "stored",
        /// With an error of its own.
        Failed = "failed",
        /// By a cancel.
        Cancelled = "cancelled",
        /// With its worker.
        Lost = "lost",
        /// Past its time limit.
        TimedOut = "timed_out",
    }

    /// How a job ended.
    JobOutcome as "outcome" {
        /// With all its outputs.
        Succeeded = "succeeded",
        /// With an error.
        Failed = "failed",
        /// By a cancel.
        Cancelled = "cancelled",
    }

    /// What the leader thinks of a worker.
    WorkerState as "state" {
        /// Takes tasks.
        Active = "active",
        /// Has been silent for a while.
        Suspect = "suspect",
        /// Is short of memory.
        Paused = "paused",
        /// Is leaving.
        Draining = "draining",
    }

    /// Seen from this process.
    Direction as "direction" {
        /// Received.
        In = "in",
        /// Sent.
        Out = "out",
    }

    /// A server this process depends on.
    Link as "link" {
        /// RabbitMQ.
        Broker = "broker",
        /// Redis.
        State = "state",
    }

    /// Why a message was dropped.
    DropReason as "reason" {
        /// Of an earlier leader's term.
        StaleTerm = "stale_term",
        /// Of a session that has ended.
        StaleSession = "stale_session",
        /// Received before.
        Duplicate = "duplicate",
        /// Of an attempt or generation that no longer counts.
        StaleAttempt = "stale_attempt",
        /// Of another cluster.
        ForeignCluster = "foreign_cluster",
        /// Not a message of this version.
        Undecodable = "undecodable",
    }

    /// Something that can grow when its reader is slow.
    Queue as "queue" {
        /// Events before the core.
        Mailbox = "mailbox",
        /// Messages before the broker.
        Outbox = "outbox",
        /// Jobs before the leader.
        Intake = "intake",
        /// Task states before the journal.
        Notes = "notes",
        /// Tasks before an executor.
        Executor = "executor",
        /// Inputs before a fetch.
        Fetch = "fetch",
    }

    /// Where an object is.
    Tier as "tier" {
        /// In memory.
        Memory = "memory",
        /// Spilled to disk.
        Disk = "disk",
    }

    /// Who uses a worker's memory.
    MemoryUse as "use" {
        /// All there is.
        Limit = "limit",
        /// The whole process, as the kernel counts it.
        Process = "process",
        /// Executing tasks.
        Execution = "execution",
        /// Stored objects.
        Store = "store",
        /// Inputs on their way.
        Fetch = "fetch",
    }

    /// What kind of operation a task is.
    OpKind as "op" {
        /// A function compiled into the worker.
        Native = "native",
        /// A stage of a data-frame plan.
        Frame = "frame",
        /// A block of an array.
        Array = "array",
        /// A Python function.
        Python = "python",
        /// A program.
        Command = "command",
    }
}
