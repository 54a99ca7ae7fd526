//! How far ahead of its process a slot sends tasks.

/// Most tasks that a process is sent ahead.
const MAX_WINDOW: usize = 256;

/// Work that a process is sent ahead, by what its tasks took so far: enough to outlast the time that a busy machine
/// takes to wake the slot. What waits behind a task that turns out to be long is taken back, so it costs little.
const WINDOW_US: f64 = 4000.0;

/// How many tasks to send ahead.
pub(super) struct Pace {
    /// Moving average of what tasks took.
    average_us: f64,
}

impl Pace {
    /// Nothing is known: one at a time.
    pub(super) const fn unknown() -> Self {
        Self {
            average_us: WINDOW_US,
        }
    }

    /// Learns from a task that has ended.
    pub(super) fn took(&mut self, us: u32) {
        // Bounded, because a machine that is short of cores makes any task look long now and then.
        let us = f64::from(us).min(4.0 * self.average_us + 50.0);
        self.average_us += (us - self.average_us) / 4.0;
    }

    /// Learns that a task is long while it still runs.
    pub(super) fn is_long(&mut self) {
        self.average_us = (2.0 * self.average_us).min(WINDOW_US);
    }

    /// Tasks that a process may have at once.
    pub(super) fn window(&self) -> usize {
        ((WINDOW_US / self.average_us.max(1.0)) as usize).clamp(1, MAX_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tasks_are_sent_ahead_and_long_ones_are_not() {
        let mut pace = Pace::unknown();
        assert_eq!(pace.window(), 1);
        (0..40).for_each(|_| pace.took(4));
        assert_eq!(pace.window(), MAX_WINDOW);
        pace.took(50_000);
        assert!(pace.window() > MAX_WINDOW / 2, "one task says little");
        (0..20).for_each(|_| pace.took(50_000));
        assert_eq!(pace.window(), 1);
        pace.took(4);
        (0..3).for_each(|_| pace.is_long());
        assert_eq!(pace.window(), 1);
    }
}
