//! The cluster's numbers over time: the last hour second by second, the last day minute by minute.

use std::collections::VecDeque;

use serde::Serialize;

/// Seconds kept one by one.
const FINE: usize = 3_600;
/// Minutes kept after that.
const COARSE: usize = 1_440;
/// Seconds of which a minute's mean is made.
const SECONDS_PER_MINUTE: u64 = 60;

/// The names of a point's numbers, in order. Bytes, counts, and cores.
pub(crate) const FIELDS: [&str; 15] = [
    "tasks_per_s",
    "failures_per_s",
    "cpu_cores",
    "slots",
    "managed",
    "unmanaged",
    "spilled",
    "memory_limit",
    "moved_per_s",
    "queued",
    "executing",
    "ready",
    "waiting",
    "workers",
    "jobs",
];

/// One moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Point {
    /// Counts the seconds of this gateway.
    pub(crate) seq: u64,
    /// Unix milliseconds.
    pub(crate) at_ms: u64,
    /// The numbers that [`FIELDS`] names.
    pub(crate) values: [f64; FIELDS.len()],
}

impl Point {
    /// One of the numbers that [`FIELDS`] names.
    pub(crate) fn value(&self, field: &str) -> f64 {
        let at = FIELDS.iter().position(|name| *name == field);
        at.map_or(0.0, |at| self.values[at])
    }
}

/// How fine a history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// A point a second.
    Hour,
    /// A point a minute.
    Day,
}

/// A history as it is sent.
#[derive(Debug, Serialize)]
pub(crate) struct HistoryView {
    step_ms: u64,
    fields: [&'static str; FIELDS.len()],
    points: Vec<Point>,
}

/// Both rings. They hold 700 KiB when they are full.
#[derive(Debug, Default)]
pub(crate) struct History {
    fine: VecDeque<Point>,
    coarse: VecDeque<Point>,
    minute: [f64; FIELDS.len()],
    seconds: u64,
    seq: u64,
}

impl History {
    /// Adds a second.
    pub(crate) fn push(&mut self, at_ms: u64, values: [f64; FIELDS.len()]) {
        self.seq += 1;
        let point = Point {
            seq: self.seq,
            at_ms,
            values,
        };
        push(&mut self.fine, FINE, point);
        for (sum, value) in self.minute.iter_mut().zip(values) {
            *sum += value;
        }
        self.seconds += 1;
        if self.seconds == SECONDS_PER_MINUTE {
            let mean = std::mem::take(&mut self.minute).map(|sum| sum / self.seconds as f64);
            self.seconds = 0;
            push(
                &mut self.coarse,
                COARSE,
                Point {
                    values: mean,
                    ..point
                },
            );
        }
    }

    /// The last second.
    pub(crate) fn last(&self) -> Point {
        self.fine.back().copied().unwrap_or_default()
    }

    /// The seconds after number `seq`, the last `most` of them.
    pub(crate) fn after(&self, seq: u64, most: usize) -> HistoryView {
        let missed = self.fine.iter().filter(|point| point.seq > seq).count();
        let skip = self.fine.len() - missed.min(most);
        Self::view(1_000, self.fine.iter().skip(skip))
    }

    /// The points between two moments, by the second where those are still kept.
    pub(crate) fn between(&self, from_ms: u64, to_ms: u64) -> Vec<Point> {
        let is_kept = self.fine.len() < FINE || self.fine.front().is_some_and(|first| first.at_ms <= from_ms);
        let ring = if is_kept { &self.fine } else { &self.coarse };
        let between = ring
            .iter()
            .filter(|point| (from_ms..=to_ms).contains(&point.at_ms));
        between.copied().collect()
    }

    /// Everything at one resolution.
    pub(crate) fn all(&self, resolution: Resolution) -> HistoryView {
        match resolution {
            Resolution::Hour => Self::view(1_000, self.fine.iter()),
            Resolution::Day => Self::view(SECONDS_PER_MINUTE * 1_000, self.coarse.iter()),
        }
    }

    fn view<'a>(step_ms: u64, points: impl Iterator<Item = &'a Point>) -> HistoryView {
        HistoryView {
            step_ms,
            fields: FIELDS,
            points: points.copied().collect(),
        }
    }
}

fn push(ring: &mut VecDeque<Point>, capacity: usize, point: Point) {
    if ring.len() == capacity {
        ring.pop_front();
    }
    ring.push_back(point);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_by_the_second_and_a_day_by_the_minute() {
        let mut history = History::default();
        for second in 0..2 * 86_400_u64 {
            history.push(second * 1_000, [second as f64; FIELDS.len()]);
        }
        assert_eq!((history.fine.len(), history.coarse.len()), (FINE, COARSE));
        let minute = history.coarse.back().map(|point| point.values[0]);
        // The mean of the last sixty seconds, 172740 to 172799.
        assert_eq!(minute, Some(172_769.5));
    }

    #[test]
    fn a_time_is_told_by_the_second_as_long_as_it_is_kept_so() {
        let mut history = History::default();
        for second in 0..7_200_u64 {
            let mut values = [0.0; FIELDS.len()];
            values[4] = second as f64;
            history.push(second * 1_000, values);
        }
        let managed = |from: u64, to: u64| -> Vec<f64> {
            let points = history.between(from * 1_000, to * 1_000);
            points.iter().map(|point| point.value("managed")).collect()
        };
        assert_eq!(managed(7_000, 7_002), [7_000.0, 7_001.0, 7_002.0]);
        // Minutes are kept at their ends; the second and the third end at 119 and 179 s.
        assert_eq!(managed(100, 200), [89.5, 149.5]);
    }

    #[test]
    fn a_reader_that_comes_back_gets_what_it_missed() {
        let mut history = History::default();
        for second in 0..10 {
            history.push(second, [0.0; FIELDS.len()]);
        }
        let seqs = |view: HistoryView| view.points.iter().map(|point| point.seq).collect::<Vec<_>>();
        assert_eq!(seqs(history.after(7, 100)), [8, 9, 10]);
        assert_eq!(seqs(history.after(0, 2)), [9, 10]);
        assert!(seqs(history.after(10, 100)).is_empty());
    }
}
