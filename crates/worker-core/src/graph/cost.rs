//! What runs of an operation take, learned from those that ended here.

use millstream_types::ByteSize;

/// Runs before the figures are believed.
const ENOUGH: u32 = 2;
/// Handing over, storing and reporting a task that does nothing, in microseconds.
const OVERHEAD_US: u64 = 3;

/// Moving averages over runs; the newest counts a quarter.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OpCost {
    runs: u32,
    us: u64,
    bytes: u64,
}

impl OpCost {
    /// Takes note of a run.
    pub(crate) fn learn(&mut self, duration_us: u32, bytes: ByteSize) {
        let (us, bytes) = (u64::from(duration_us), bytes.as_u64());
        if self.runs == 0 {
            (self.us, self.bytes) = (us, bytes);
        } else {
            // A single long run counts at once: whoever waits behind the next one would wait for it.
            self.us = if us > 4 * self.us {
                us
            } else {
                (3 * self.us + us) / 4
            };
            self.bytes = (3 * self.bytes + bytes) / 4;
        }
        self.runs = self.runs.saturating_add(1);
    }

    /// Expected microseconds and bytes of output of one more run, if enough is known.
    pub(crate) fn expected(&self) -> Option<(u64, u64)> {
        (self.runs >= ENOUGH).then_some((self.us + OVERHEAD_US, self.bytes))
    }
}
