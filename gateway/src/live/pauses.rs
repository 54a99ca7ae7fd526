//! When workers started no task for lack of memory, in the last hour.

use std::collections::{BTreeMap, VecDeque};

use millstream_types::WorkerId;

/// Pauses kept; a worker at the edge of its memory may pause every few seconds.
const MAX_PAUSES: usize = 10_000;
/// Age after which a pause is forgotten, in microseconds.
const HOUR_US: u64 = 3_600_000_000;

/// A worker's pause, in unix microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) worker: String,
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
}

/// The list.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    /// Those that last, with their workers' names.
    lasting: BTreeMap<WorkerId, Pause>,
    over: VecDeque<Pause>,
}

impl Pauses {
    /// Ends a second in which these workers were paused.
    pub(crate) fn close_second<'a>(
        &mut self,
        paused: impl Iterator<Item = (WorkerId, &'a str)>,
        now_us: u64,
    ) {
        let mut before = std::mem::take(&mut self.lasting);
        for (worker, name) in paused {
            let mut pause = before.remove(&worker).unwrap_or_else(|| Pause {
                worker: name.to_owned(),
                from_us: now_us,
                to_us: now_us,
            });
            pause.to_us = now_us;
            self.lasting.insert(worker, pause);
        }
        for (_, mut pause) in before {
            pause.to_us = now_us;
            self.over.push_back(pause);
        }
        let is_old = |pause: &Pause| pause.to_us + HOUR_US < now_us;
        while self.over.len() > MAX_PAUSES || self.over.front().is_some_and(is_old) {
            self.over.pop_front();
        }
    }

    /// The parts of pauses between two moments.
    pub(crate) fn between(&self, from_us: u64, to_us: u64) -> Vec<Pause> {
        let cut = |pause: &Pause| Pause {
            from_us: pause.from_us.max(from_us),
            to_us: pause.to_us.min(to_us),
            ..pause.clone()
        };
        let all = self.over.iter().chain(self.lasting.values()).map(cut);
        all.filter(|pause| pause.from_us < pause.to_us).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WorkerId = WorkerId::from_u128(1);
    const OTHER: WorkerId = WorkerId::from_u128(2);

    #[test]
    fn a_pause_lasts_from_the_second_that_saw_it_to_the_one_that_did_not() {
        let mut pauses = Pauses::default();
        let seconds: [&[(WorkerId, &str)]; 4] = [
            &[(ONE, "a")],
            &[(ONE, "a"), (OTHER, "b")],
            &[(OTHER, "b")],
            &[(OTHER, "b")],
        ];
        for (second, paused) in (10..).zip(seconds) {
            pauses.close_second(paused.iter().copied(), second * 1_000_000);
        }
        let pause = |worker: &str, from: u64, to: u64| Pause {
            worker: worker.to_owned(),
            from_us: from * 1_000_000,
            to_us: to * 1_000_000,
        };
        assert_eq!(
            pauses.between(0, u64::MAX),
            [pause("a", 10, 12), pause("b", 11, 13)]
        );
        assert_eq!(
            pauses.between(12_000_000, 12_500_000).len(),
            1,
            "cut to what was asked"
        );
        pauses.close_second(std::iter::empty(), HOUR_US + 13_000_000);
        pauses.close_second(std::iter::empty(), HOUR_US + 13_500_000);
        assert_eq!(pauses.between(0, u64::MAX).len(), 1, "the first is too old");
    }
}
