//! What each operation of each job took: exact totals, and how run times spread.

use std::collections::{BTreeMap, HashMap, VecDeque};

use millstream_protocol::wire::{OpLabel, SpanKind, WorkMsg};
use millstream_types::JobId;
use serde::Serialize;

/// Most operations that are told apart; the others are counted as one.
const MAX_LABELS: usize = 4_096;
/// Longest name kept, in characters.
const MAX_NAME: usize = 200;
/// Jobs of which totals are kept, the newest.
const MAX_JOBS: usize = 500;
/// Rows of one job.
const MAX_ROWS: usize = 500;
/// Bins of the spread of run times: bin `i` holds runs below two to the power of `i` microseconds, the last all others.
const BINS: usize = 32;

/// The number of an operation on this board.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub(crate) struct OpNo(u16);

/// Operations of one job.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct OpRow {
    /// Runs that made an output.
    pub(crate) finished: u64,
    /// Runs that failed.
    pub(crate) failed: u64,
    /// Microseconds that they took, together.
    pub(crate) busy_us: u64,
    /// Bytes that they made.
    pub(crate) bytes: u64,
    /// The longest run that was told of.
    pub(crate) longest_us: u32,
    /// Its task.
    pub(crate) longest_task: u32,
    /// Runs by their time, of those told one by one.
    pub(crate) spread: [u32; BINS],
}

/// An operation with its totals, as it is sent.
#[derive(Debug, Serialize)]
pub(crate) struct OpView<'a> {
    pub(crate) job: JobId,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    #[serde(flatten)]
    pub(crate) row: &'a OpRow,
}

/// A name as it is sent.
#[derive(Debug, Serialize)]
pub(crate) struct OpName {
    pub(crate) op: OpNo,
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Ops {
    labels: Vec<(String, String)>,
    numbers: HashMap<(String, String), OpNo>,
    jobs: HashMap<JobId, BTreeMap<OpNo, OpRow>>,
    oldest_first: VecDeque<JobId>,
}

impl Ops {
    /// Counts a message; answers the numbers of its operations.
    pub(crate) fn add(&mut self, msg: &WorkMsg) -> Vec<OpNo> {
        let numbers: Vec<OpNo> = msg.ops.iter().map(|label| self.number(label)).collect();
        for total in &msg.totals {
            let op = numbers.get(usize::from(total.op));
            let job = msg.jobs.get(usize::from(total.job));
            let Some(row) = job.zip(op).and_then(|(job, op)| self.row(*job, *op)) else {
                continue;
            };
            row.finished += u64::from(total.finished);
            row.failed += u64::from(total.failed);
            row.busy_us += total.busy_us;
            row.bytes += total.bytes.as_u64();
        }
        self.spread(msg, &numbers);
        numbers
    }

    fn spread(&mut self, msg: &WorkMsg, numbers: &[OpNo]) {
        let spans = &msg.spans;
        for at in 0..spans.len() {
            if !matches!(
                SpanKind::from_code(spans.kinds[at]),
                SpanKind::Run | SpanKind::Failed
            ) {
                continue;
            }
            let op = numbers.get(usize::from(spans.ops[at]));
            let job = msg.jobs.get(usize::from(spans.jobs[at]));
            let Some(row) = job.zip(op).and_then(|(job, op)| self.row(*job, *op)) else {
                continue;
            };
            let duration = spans.durations_us[at];
            let bin = (u32::BITS - duration.leading_zeros()) as usize;
            row.spread[bin.min(BINS - 1)] += 1;
            if duration > row.longest_us {
                (row.longest_us, row.longest_task) = (duration, spans.tasks[at]);
            }
        }
    }

    /// All rows, or those of one job.
    pub(crate) fn views(&self, job: Option<JobId>) -> Vec<OpView<'_>> {
        let of_job = self
            .jobs
            .iter()
            .filter(|(id, _)| job.is_none_or(|job| job == **id));
        of_job
            .flat_map(|(id, rows)| {
                rows.iter().filter_map(move |(op, row)| {
                    let (kind, name) = self.labels.get(usize::from(op.0))?;
                    Some(OpView {
                        job: *id,
                        kind,
                        name,
                        row,
                    })
                })
            })
            .collect()
    }

    /// The names of operations.
    pub(crate) fn names(&self, ops: impl Iterator<Item = OpNo>) -> Vec<OpName> {
        let used: std::collections::BTreeSet<OpNo> = ops.collect();
        used.into_iter()
            .filter_map(|op| {
                let (kind, name) = self.labels.get(usize::from(op.0))?.clone();
                Some(OpName { op, kind, name })
            })
            .collect()
    }

    fn number(&mut self, label: &OpLabel) -> OpNo {
        let name: String = label.name.chars().take(MAX_NAME).collect();
        let key = (label.kind.name().to_owned(), name);
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        if self.labels.len() >= MAX_LABELS {
            return OpNo(u16::try_from(MAX_LABELS - 1).unwrap_or(u16::MAX));
        }
        let number = OpNo(u16::try_from(self.labels.len()).unwrap_or(u16::MAX));
        self.labels.push(key.clone());
        self.numbers.insert(key, number);
        number
    }

    fn row(&mut self, job: JobId, op: OpNo) -> Option<&mut OpRow> {
        if !self.jobs.contains_key(&job) {
            if self.jobs.len() >= MAX_JOBS
                && let Some(oldest) = self.oldest_first.pop_front()
            {
                self.jobs.remove(&oldest);
            }
            self.oldest_first.push_back(job);
        }
        let rows = self.jobs.entry(job).or_default();
        if rows.len() >= MAX_ROWS && !rows.contains_key(&op) {
            return None;
        }
        Some(rows.entry(op).or_default())
    }
}
