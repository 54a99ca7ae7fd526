//! The only place of the service that reads clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use millstream_scheduler_core::Clock;
use millstream_types::{Timestamp, duration_micros};

/// Monotonic time since the service's start, and wall clock for display.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    origin: Instant,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub(crate) fn read(&self) -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock {
            now: Timestamp::from_micros(duration_micros(self.origin.elapsed())),
            unix_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
