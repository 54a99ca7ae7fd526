//! Thresholds: when to spill, when to pause.

use millstream_types::ByteSize;

/// Thresholds as fractions of the memory limit, rising.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpillPolicy {
    /// Stored bytes above this are spilled.
    pub target: f64,
    /// Process memory above this makes objects spill however little is stored.
    pub spill: f64,
    /// Above this no task is to be started.
    pub pause: f64,
    /// Above this whoever holds the memory is to be recycled.
    pub terminate: f64,
}

impl Default for SpillPolicy {
    fn default() -> Self {
        Self {
            target: 0.60,
            spill: 0.70,
            pause: 0.80,
            terminate: 0.95,
        }
    }
}

/// How short memory is. Later ones are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum MemoryLevel {
    /// Nothing needs to be done.
    #[default]
    Normal,
    /// Objects are being spilled, least recently used first.
    Target,
    /// Objects are being spilled for the process's sake.
    Spill,
    /// No task should be started.
    Pause,
    /// Whoever holds the memory should be recycled.
    Terminate,
}

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of objects in memory, those still being read after they were dropped included.
    pub memory: ByteSize,
    /// Bytes of spill files.
    pub spilled: ByteSize,
    /// Those of `memory` that are being read and cannot be spilled now.
    pub pinned: ByteSize,
}

/// The state of a worker's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryReport {
    /// Bytes of objects in memory.
    pub stored: ByteSize,
    /// Bytes of spill files.
    pub spilled: ByteSize,
    /// Stored bytes that are being read.
    pub pinned: ByteSize,
    /// Stored bytes that can still go to disk: none while spilling fails, or where there is no spill folder.
    pub spillable: ByteSize,
    /// Memory of the process, as last told by [`crate::Store::report_process_memory`].
    pub process: Option<ByteSize>,
    /// How short memory is.
    pub level: MemoryLevel,
}

impl SpillPolicy {
    /// The level for `stored` bytes of objects and, where known, `process` bytes of process memory.
    pub(crate) fn level(&self, limit: u64, stored: u64, process: Option<u64>) -> MemoryLevel {
        let above = |bytes: u64, fraction: f64| bytes as f64 > limit as f64 * fraction;
        let either =
            |fraction| above(stored, fraction) || process.is_some_and(|bytes| above(bytes, fraction));
        if process.is_some_and(|bytes| above(bytes, self.terminate)) {
            MemoryLevel::Terminate
        } else if either(self.pause) {
            MemoryLevel::Pause
        } else if either(self.spill) {
            MemoryLevel::Spill
        } else if above(stored, self.target) {
            MemoryLevel::Target
        } else {
            MemoryLevel::Normal
        }
    }

    /// Stored bytes to come down to, given what is stored and the process's memory.
    pub(crate) fn goal(&self, limit: u64, stored: u64, process: Option<u64>) -> u64 {
        let target = (limit as f64 * self.target) as u64;
        let spill = (limit as f64 * self.spill) as u64;
        match process {
            Some(process) if process > spill => target.min(stored.saturating_sub(process - spill)),
            _ => target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_the_thresholds() {
        let policy = SpillPolicy::default();
        let level = |stored, process| policy.level(1000, stored, process);
        assert_eq!(level(600, None), MemoryLevel::Normal);
        assert_eq!(level(601, None), MemoryLevel::Target);
        assert_eq!(level(0, Some(701)), MemoryLevel::Spill);
        assert_eq!(level(801, Some(0)), MemoryLevel::Pause);
        assert_eq!(level(1000, None), MemoryLevel::Pause);
        assert_eq!(level(0, Some(951)), MemoryLevel::Terminate);
    }

    #[test]
    fn process_memory_lowers_the_goal() {
        let policy = SpillPolicy::default();
        assert_eq!(policy.goal(1000, 500, None), 600);
        assert_eq!(policy.goal(1000, 500, Some(700)), 600);
        assert_eq!(policy.goal(1000, 500, Some(900)), 300);
        assert_eq!(policy.goal(1000, 100, Some(900)), 0);
    }
}
