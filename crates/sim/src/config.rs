//! What is simulated, and how hard it is made.

/// The shape of a simulated cluster and the faults it meets. Times are in simulated milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct SimConfig {
    /// Workers at the start, at most; at least one.
    pub workers: u32,
    /// Slots of a worker, at most.
    pub slots: u32,
    /// Scheduler processes.
    pub schedulers: u32,
    /// Jobs, at most; at least one.
    pub jobs: u32,
    /// Tasks of one explicit layer, at most.
    pub layer_tasks: u32,
    /// How long faults happen. After that everything is healed and must come to rest.
    pub fault_ms: u64,
    /// The mean time between two faults; 0 for none at all.
    pub fault_every_ms: u64,
    /// Frames in a thousand that are lost, which ends their session.
    pub drop_per_mille: u32,
    /// Frames in a thousand that arrive twice.
    pub duplicate_per_mille: u32,
    /// Frames in a thousand that hold up their queue for a while.
    pub delay_per_mille: u32,
    /// How long after the healing all must be done.
    pub rest_ms: u64,
    /// Whether jobs may contain operations that give something else each time.
    pub indeterminate: bool,
    /// Whether jobs may import objects of earlier ones, some of which their clients remove meanwhile.
    pub imports: bool,
    /// Whether clients release outputs that they have read, and cancel single tasks.
    pub gives_up: bool,
    /// Lines of history kept for a failure.
    pub story_lines: usize,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            workers: 4,
            slots: 4,
            schedulers: 2,
            jobs: 5,
            layer_tasks: 24,
            fault_ms: 20_000,
            fault_every_ms: 1_500,
            drop_per_mille: 3,
            duplicate_per_mille: 5,
            delay_per_mille: 5,
            rest_ms: 180_000,
            indeterminate: true,
            imports: true,
            gives_up: true,
            story_lines: 4000,
        }
    }
}

impl SimConfig {
    /// The same without any fault.
    pub fn fault_free() -> Self {
        Self {
            fault_every_ms: 0,
            drop_per_mille: 0,
            duplicate_per_mille: 0,
            delay_per_mille: 0,
            ..Self::default()
        }
    }

    /// Whether anything may go wrong.
    pub(crate) const fn has_faults(&self) -> bool {
        self.fault_every_ms > 0
            || self.drop_per_mille > 0
            || self.duplicate_per_mille > 0
            || self.delay_per_mille > 0
    }
}
