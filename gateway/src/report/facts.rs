//! What a report is made of.

use millstream_protocol::api::JobView;
use millstream_protocol::wire::JobCounts;

use crate::live::{Blocks, Level, OpName, Pause};

/// Everything that is known of a job.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) job: JobView,
    /// Unix microseconds of its acceptance, and of its end or of now.
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
    /// Workers and slots of the cluster as it is now.
    pub(crate) workers: u32,
    pub(crate) slots: u32,
    /// Whether some of what it did is no longer known, or never was: the board began later, or forgot it.
    pub(crate) is_partial: bool,
    pub(crate) layers: Vec<LayerFacts>,
    pub(crate) pauses: Vec<Pause>,
    pub(crate) memory: Vec<MemoryPoint>,
    /// Microseconds in which one run of it was all that went on, and the key of the task that had most of them.
    pub(crate) alone: Option<(u64, String)>,
    pub(crate) stream: Stream,
    pub(crate) events: Vec<Event>,
}

impl Facts {
    /// Whether workers told fewer runs one by one than there were.
    pub(crate) fn is_sample(&self) -> bool {
        self.layers.iter().any(|layer| {
            let runs = layer.totals.map_or(0, |totals| totals.finished + totals.failed);
            runs > layer.runs.count
        })
    }

    /// Microseconds from its acceptance to its end.
    pub(crate) fn took_us(&self) -> u64 {
        self.to_us.saturating_sub(self.from_us)
    }
}

/// The tasks of one operation in one layer.
#[derive(Debug, Default)]
pub(crate) struct LayerFacts {
    pub(crate) layer: u32,
    /// Kind and name of the operation.
    pub(crate) op: String,
    pub(crate) tasks: JobCounts,
    /// Bytes of outputs that workers hold.
    pub(crate) held: u64,
    /// All of its runs, where no other layer has the same operation.
    pub(crate) totals: Option<Totals>,
    /// Those of its runs that were told one by one.
    pub(crate) runs: Runs,
    /// Transfers of its outputs between workers that were told one by one.
    pub(crate) fetched: Moves,
    /// Its outputs' ways to disk and back.
    pub(crate) spilled: Moves,
}

impl LayerFacts {
    /// Microseconds that its runs took, as far as they are known.
    pub(crate) fn busy_us(&self) -> u64 {
        self.totals.map_or(self.runs.busy_us, |totals| totals.busy_us)
    }
}

/// Exact sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) finished: u64,
    pub(crate) failed: u64,
    pub(crate) busy_us: u64,
    pub(crate) bytes: u64,
}

/// How long runs took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) count: u64,
    pub(crate) busy_us: u64,
    pub(crate) median_us: u64,
    pub(crate) longest_us: u64,
    /// The key of the task whose run was the longest.
    pub(crate) longest_task: String,
    /// Unix microseconds of the first beginning and the last end.
    pub(crate) first_us: u64,
    pub(crate) last_us: u64,
}

/// Objects that went somewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) busy_us: u64,
}

/// The memory of all workers at a moment, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct MemoryPoint {
    pub(crate) at_us: u64,
    pub(crate) managed: f64,
    pub(crate) unmanaged: f64,
    pub(crate) spilled: f64,
    pub(crate) limit: f64,
}

/// What ran where and when.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
    /// Names of the workers that the blocks number.
    pub(crate) workers: Vec<String>,
    pub(crate) ops: Vec<OpName>,
    pub(crate) blocks: Blocks,
}

/// Something that happened to the job.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) at_us: u64,
    pub(crate) level: Level,
    pub(crate) text: String,
}
