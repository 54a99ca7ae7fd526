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
        /// Sent to a worker, or running there.
        Assigned = "assigned",
        /// Its output is on a worker.
        Stored = "stored",
        /// Its output was freed.
        Released = "released",
        /// Ended with an error.
        Failed = "failed",
        /// Ended because it was cancelled.
        Cancelled = "cancelled",
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

    /// Who was to read a message.
    Reader as "reader" {
        /// This gateway.
        Gateway = "gateway",
        /// The leader.
        Scheduler = "scheduler",
    }

    /// What runs a task.
    TaskKind as "kind" {
        /// A function compiled into the worker.
        Native = "native",
        /// A step of a query plan.
        Frame = "frame",
        /// A kernel on blocks of arrays.
        Array = "array",
        /// A Python function.
        Python = "python",
        /// A program.
        Command = "command",
        /// Nothing: the task stands for an object of another job.
        Import = "import",
    }

    /// Which way an object went between memory and disk.
    DiskWay as "way" {
        /// Out of memory.
        Write = "write",
        /// Back into memory.
        Read = "read",
    }

    /// Where an object is.
    Tier as "tier" {
        /// In memory.
        Memory = "memory",
        /// Spilled to disk.
        Disk = "disk",
    }
}
