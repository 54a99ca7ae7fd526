//! The rows of the list of jobs.

use std::cmp::Ordering;

use millstream::api::JobView;
use millstream::{JobCounts, JobId, JobState, LiveJob};

use crate::list::{Column, Row, Tone, Width};
use crate::{text, units};

/// Columns of a name that are kept; a screen shows fewer.
const NAME: usize = 200;

/// A job.
#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) state: JobState,
    pub(crate) tasks: JobCounts,
    pub(crate) accepted_ms: Option<u64>,
    pub(crate) ended_ms: Option<u64>,
}

impl JobRow {
    /// A job as the list of the gateway has it.
    pub(crate) fn of(view: &JobView) -> Self {
        Self {
            id: view.id,
            name: text::clean(&view.name, NAME),
            state: view.state,
            tasks: view.tasks,
            accepted_ms: view.accepted_ms,
            ended_ms: view.ended_ms,
        }
    }

    /// A job of which only its progress is known, because many newer ones are listed.
    pub(crate) fn of_live(id: JobId, live: LiveJob) -> Self {
        Self {
            id,
            name: String::new(),
            state: live.state,
            tasks: live.tasks,
            accepted_ms: None,
            ended_ms: None,
        }
    }

    /// Takes over what the last second told, unless the list knows of the end already.
    pub(crate) fn hear(&mut self, live: LiveJob) {
        if !self.state.is_terminal() || self.state == live.state {
            self.state = live.state;
            self.tasks = live.tasks;
        }
    }

    fn share(&self) -> f64 {
        let total = self.tasks.total.max(1);
        f64::from(done(&self.tasks)) / f64::from(total)
    }

    /// Milliseconds since its submission.
    fn age(&self, now_ms: u64) -> Option<u64> {
        self.accepted_ms.map(|began| now_ms.saturating_sub(began))
    }

    /// Milliseconds that it took, or has taken so far.
    pub(crate) fn took(&self, now_ms: u64) -> Option<u64> {
        let end = match self.ended_ms {
            Some(ended) => ended,
            None if self.state.is_terminal() => return None,
            None => now_ms,
        };
        self.accepted_ms.map(|began| end.saturating_sub(began))
    }
}

/// Tasks that are done.
pub(crate) fn done(tasks: &JobCounts) -> u32 {
    tasks.stored.saturating_add(tasks.released)
}

/// How a state stands out.
pub(crate) fn tone(state: JobState) -> Tone {
    match state {
        JobState::Accepted => Tone::Plain,
        JobState::Running => Tone::Busy,
        JobState::Succeeded => Tone::Good,
        JobState::Recovering | JobState::Cancelling | JobState::Cancelled => Tone::Warn,
        JobState::Failed => Tone::Bad,
    }
}

/// What still goes on first, then what went wrong.
fn rank(state: JobState) -> u8 {
    match state {
        JobState::Running => 0,
        JobState::Recovering => 1,
        JobState::Cancelling => 2,
        JobState::Accepted => 3,
        JobState::Failed => 4,
        JobState::Cancelled => 5,
        JobState::Succeeded => 6,
    }
}

fn time(ms: Option<u64>) -> String {
    ms.map(units::duration).unwrap_or_default()
}

/// The list's first order: the newest on top. Ids begin with their time, where none is known.
pub(crate) const BY_AGE: usize = 6;

impl Row for JobRow {
    type Id = JobId;

    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            title: "ID",
            width: Width::End { narrow: 8, wide: 36 },
            is_number: false,
            largest_first: false,
            compare: |a, b| a.id.cmp(&b.id),
            text: |row, _| row.id.to_string(),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "STATE",
            width: Width::Fixed(10),
            is_number: false,
            largest_first: false,
            compare: |a, b| rank(a.state).cmp(&rank(b.state)),
            text: |row, _| row.state.name().to_owned(),
            tone: |row| tone(row.state),
        },
        Column {
            title: "DONE",
            width: Width::Fixed(5),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.share().total_cmp(&b.share()),
            text: |row, _| units::percent(row.share(), 1.0),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "TASKS",
            width: Width::Fixed(8),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.tasks.total.cmp(&b.tasks.total),
            text: |row, _| row.tasks.total.to_string(),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "RUNNING",
            width: Width::Fixed(7),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.tasks.assigned.cmp(&b.tasks.assigned),
            text: |row, _| row.tasks.assigned.to_string(),
            tone: |row| {
                if row.tasks.assigned > 0 {
                    Tone::Busy
                } else {
                    Tone::Plain
                }
            },
        },
        Column {
            title: "FAILED",
            width: Width::Fixed(7),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.tasks.failed.cmp(&b.tasks.failed),
            text: |row, _| row.tasks.failed.to_string(),
            tone: |row| {
                if row.tasks.failed > 0 {
                    Tone::Bad
                } else {
                    Tone::Plain
                }
            },
        },
        Column {
            title: "AGE",
            width: Width::Wide(7),
            is_number: true,
            // The largest time of submission is the youngest job.
            largest_first: true,
            compare: |a, b| a.accepted_ms.cmp(&b.accepted_ms),
            text: |row, now_ms| time(row.age(now_ms)),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "TIME",
            width: Width::Fixed(7),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.took(END_OF_TIME).cmp(&b.took(END_OF_TIME)),
            text: |row, now_ms| time(row.took(now_ms)),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "NAME",
            width: Width::Rest,
            is_number: false,
            largest_first: false,
            compare: |a, b| a.name.cmp(&b.name),
            text: |row, _| row.name.clone(),
            tone: |_| Tone::Plain,
        },
    ];

    fn id(&self) -> JobId {
        self.id
    }

    fn matches(&self, filter: &str) -> bool {
        self.name.to_lowercase().contains(filter)
            || self.id.to_string().contains(filter)
            || self.state.name().contains(filter)
    }

    fn tie(&self, other: &Self) -> Ordering {
        (other.accepted_ms, other.id).cmp(&(self.accepted_ms, self.id))
    }
}

/// A time after all others: among jobs that go on, the one that began first has taken longest at any time.
const END_OF_TIME: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_that_the_list_knows_is_not_taken_back() {
        let running = LiveJob {
            state: JobState::Running,
            tasks: JobCounts::default(),
        };
        let mut row = JobRow::of_live(JobId::from_u128(1), running);
        row.hear(LiveJob {
            state: JobState::Cancelling,
            ..running
        });
        assert_eq!(row.state, JobState::Cancelling);
        row.state = JobState::Cancelled;
        row.hear(running);
        assert_eq!(row.state, JobState::Cancelled);
    }

    #[test]
    fn the_column_of_the_first_order_is_the_age() {
        assert_eq!(JobRow::COLUMNS[BY_AGE].title, "AGE");
    }
}
