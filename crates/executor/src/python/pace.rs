//! How far ahead of its process a slot sends tasks.

/// Most tasks that a process is sent ahead.
const MAX_WINDOW: usize = 128;

/// Work that a process is sent ahead, by what its tasks took so far.
const WINDOW_US: f64 = 1000.0;

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
        let us = f64::from(us);
        // A long task counts at once, short ones need a few to be believed.
        self.average_us = us.max(self.average_us + (us - self.average_us) / 4.0);
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
        assert_eq!(pace.window(), 1);
    }
}
