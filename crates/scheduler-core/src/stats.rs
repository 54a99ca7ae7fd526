//! What is learned of operations: how long they run, how much they make.

use std::collections::BTreeMap;

use millstream_protocol::graph::{OpKind, OpSpec};

/// Weight of the newest observation.
const WEIGHT: f64 = 0.2;
/// Run time assumed of an operation that was never seen, in microseconds: two of them fill a slot's queue target.
pub(crate) const UNKNOWN_COST_US: u32 = 25_000;
/// What a task costs a worker beyond its run time, in microseconds.
const OVERHEAD_US: f64 = 5.0;

/// A row of [`OpStats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StatNo(u32);

#[derive(Debug, Clone, Copy, Default)]
struct Stat {
    seen: bool,
    duration_us: f64,
    bytes: f64,
}

/// Moving averages by operation, shared by all jobs that name it alike.
#[derive(Debug, Default)]
pub(crate) struct OpStats {
    rows: Vec<Stat>,
    shared: BTreeMap<(OpKind, String), StatNo>,
}

impl OpStats {
    /// The row of an operation. Commands share a name but nothing else, so each job's are counted apart.
    pub(crate) fn row_of(&mut self, op: &OpSpec) -> StatNo {
        if op.kind == OpKind::Command {
            return self.add();
        }
        if let Some(row) = self.shared.get(&(op.kind, op.name.clone())) {
            return *row;
        }
        let row = self.add();
        self.shared.insert((op.kind, op.name.clone()), row);
        row
    }

    fn add(&mut self) -> StatNo {
        self.rows.push(Stat::default());
        StatNo((self.rows.len() - 1) as u32)
    }

    /// Learns from one run.
    pub(crate) fn observe(&mut self, row: StatNo, duration_us: u32, bytes: u64) {
        let Some(stat) = self.rows.get_mut(row.0 as usize) else {
            return;
        };
        let (duration, bytes) = (f64::from(duration_us), bytes as f64);
        if stat.seen {
            stat.duration_us += WEIGHT * (duration - stat.duration_us);
            stat.bytes += WEIGHT * (bytes - stat.bytes);
        } else {
            *stat = Stat {
                seen: true,
                duration_us: duration,
                bytes,
            };
        }
    }

    /// The run time to expect, in microseconds.
    pub(crate) fn cost_us(&self, row: StatNo) -> u32 {
        match self.rows.get(row.0 as usize) {
            Some(stat) if stat.seen => (stat.duration_us + OVERHEAD_US).min(f64::from(u32::MAX)) as u32,
            _ => UNKNOWN_COST_US,
        }
    }

    /// The output size to expect.
    pub(crate) fn bytes(&self, row: StatNo) -> u64 {
        self.rows.get(row.0 as usize).map_or(0, |stat| stat.bytes as u64)
    }
}
