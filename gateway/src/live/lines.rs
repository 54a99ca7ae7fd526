//! Lines to read: what happened to jobs, and the ends of what tasks wrote.

use std::collections::VecDeque;

use millstream_types::JobId;
use serde::Serialize;

/// Lines kept.
const MAX_LINES: usize = 20_000;
/// Bytes kept of all lines.
const MAX_BYTES: usize = 8 << 20;
/// Longest line, in bytes.
const MAX_LINE: usize = 2_048;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// What a task wrote.
    Output,
    /// What goes as it should.
    Info,
    /// What was mended.
    Warn,
    /// What was not.
    Error,
}

impl Level {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "output" => Some(Self::Output),
            "info" => Some(Self::Info),
            "warn" => Some(Self::Warn),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

/// A line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) at_ms: u64,
    pub(crate) level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
    /// The task's number, where its key is not known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) worker: Option<String>,
    pub(crate) text: String,
}

impl Line {
    /// A line without a number yet.
    pub(crate) fn new(at_ms: u64, level: Level, text: &str) -> Self {
        let mut end = text.len().min(MAX_LINE);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            seq: 0,
            at_ms,
            level,
            job: None,
            task: None,
            index: None,
            worker: None,
            text: text[..end].to_owned(),
        }
    }

    fn size(&self) -> usize {
        let texts = [self.task.as_deref(), self.worker.as_deref(), Some(&*self.text)];
        texts.into_iter().flatten().map(str::len).sum()
    }
}

/// Which lines are wanted.
#[derive(Debug, Default)]
pub(crate) struct LineQuery {
    /// Only lines after this one.
    pub(crate) after: u64,
    /// Only lines that contain this, whatever its case.
    pub(crate) text: Option<String>,
    /// Only lines of this job.
    pub(crate) job: Option<JobId>,
    /// Only lines of tasks called so.
    pub(crate) task: Option<String>,
    /// Only lines of the worker called so.
    pub(crate) worker: Option<String>,
    /// Only lines that matter at least as much.
    pub(crate) level: Option<Level>,
    /// Most lines, the newest.
    pub(crate) limit: usize,
}

impl LineQuery {
    fn fits(&self, line: &Line, needle: Option<&str>) -> bool {
        let same = |asked: &Option<String>, told: &Option<String>| asked.is_none() || asked == told;
        self.job.is_none_or(|job| line.job == Some(job))
            && same(&self.task, &line.task)
            && same(&self.worker, &line.worker)
            && self.level.is_none_or(|level| line.level >= level)
            && needle.is_none_or(|needle| line.text.to_lowercase().contains(needle))
    }
}

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    ring: VecDeque<Line>,
    bytes: usize,
    seq: u64,
}

impl Lines {
    pub(crate) fn push(&mut self, mut line: Line) {
        self.seq += 1;
        line.seq = self.seq;
        self.bytes += line.size();
        self.ring.push_back(line);
        while self.ring.len() > MAX_LINES || self.bytes > MAX_BYTES {
            match self.ring.pop_front() {
                Some(oldest) => self.bytes -= oldest.size(),
                None => return,
            }
        }
    }

    /// The newest lines that fit, oldest first.
    pub(crate) fn find(&self, query: &LineQuery) -> Vec<&Line> {
        let needle = query.text.as_ref().map(|text| text.to_lowercase());
        let newer = self.ring.iter().rev().take_while(|line| line.seq > query.after);
        let mut found: Vec<&Line> = newer
            .filter(|line| query.fits(line, needle.as_deref()))
            .take(query.limit)
            .collect();
        found.reverse();
        found
    }

    /// The number of the newest line.
    pub(crate) const fn seq(&self) -> u64 {
        self.seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u64) -> Lines {
        let mut lines = Lines::default();
        for n in 0..count {
            let level = if n % 10 == 0 { Level::Error } else { Level::Info };
            lines.push(Line::new(n, level, &format!("Line {n}")));
        }
        lines
    }

    #[test]
    fn the_newest_lines_that_fit_are_found_whatever_their_case() {
        let lines = filled(100);
        let query = LineQuery {
            text: Some("LINE 9".to_owned()),
            limit: 3,
            ..LineQuery::default()
        };
        let found: Vec<&str> = lines.find(&query).iter().map(|line| line.text.as_str()).collect();
        assert_eq!(found, ["Line 97", "Line 98", "Line 99"]);
        let errors = LineQuery {
            level: Some(Level::Error),
            after: 50,
            limit: 100,
            ..LineQuery::default()
        };
        assert_eq!(lines.find(&errors).len(), 5);
    }

    #[test]
    fn lines_are_bounded_in_number_and_bytes() {
        assert_eq!(filled(30_000).ring.len(), MAX_LINES);
        let mut lines = Lines::default();
        for _ in 0..10_000 {
            lines.push(Line::new(0, Level::Output, &"é".repeat(2_000)));
        }
        assert!(lines.bytes <= MAX_BYTES);
        assert!(lines.ring.iter().all(|line| line.text.len() <= MAX_LINE));
    }
}
