//! What filled the slots of workers lately, and windows into it at the detail that a screen can show.

use std::collections::{HashMap, VecDeque};

use millstream_protocol::wire::{SpanKind, WorkMsg};
use millstream_types::{JobId, WorkerId};
use serde::Serialize;

use super::ops::OpNo;

/// Spans kept: about 20 MiB when the ring is full, an hour of a cluster that runs eighty tasks a second.
const CAPACITY: usize = 300_000;
/// Age after which a span is forgotten, in microseconds.
const HOUR_US: u64 = 3_600_000_000;
/// Messages come in the order of their making but for this much, in microseconds.
const DISORDER_US: u64 = 5_000_000;
/// Most rectangles in an answer: what a browser draws sixty times a second.
const MAX_BLOCKS: usize = 20_000;

/// One span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start_us: u64,
    pub(crate) duration_us: u32,
    pub(crate) task: u32,
    pub(crate) worker: WorkerId,
    pub(crate) job: JobId,
    pub(crate) bytes: u64,
    pub(crate) op: OpNo,
    pub(crate) slot: u16,
    pub(crate) kind: SpanKind,
}

impl Span {
    pub(crate) fn end_us(&self) -> u64 {
        self.start_us + u64::from(self.duration_us)
    }
}

/// A window.
#[derive(Debug, Clone)]
pub(crate) struct SpanQuery {
    /// Unix microseconds where it begins.
    pub(crate) from_us: u64,
    /// Unix microseconds where it ends.
    pub(crate) to_us: u64,
    /// Columns of the screen; what is shorter than one is merged with its neighbours.
    pub(crate) width: u32,
    /// The workers to show, in the order of the answer.
    pub(crate) workers: Vec<WorkerId>,
    /// Only this job.
    pub(crate) job: Option<JobId>,
}

/// Blocks of a window, in columns. A block is a span, or several neighbours that are too short to tell apart.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Blocks {
    /// Index of the worker in the question.
    pub(crate) worker: Vec<u32>,
    pub(crate) slot: Vec<u16>,
    pub(crate) kind: Vec<u16>,
    pub(crate) op: Vec<OpNo>,
    /// Microseconds after the window's beginning, negative where the block began before it.
    pub(crate) start_us: Vec<i64>,
    pub(crate) duration_us: Vec<u64>,
    /// Spans in the block.
    pub(crate) count: Vec<u32>,
    /// The longest span's task, job and bytes.
    pub(crate) task: Vec<u32>,
    pub(crate) job: Vec<JobId>,
    pub(crate) bytes: Vec<u64>,
    /// Whether blocks were merged for their number.
    pub(crate) coarse: bool,
}

impl Blocks {
    pub(crate) fn ops(&self) -> impl Iterator<Item = OpNo> + '_ {
        self.op.iter().copied()
    }
}

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    ring: VecDeque<Span>,
    skipped: u64,
}

impl Spans {
    /// Adds a message's spans; `ops` are the numbers of its operations.
    pub(crate) fn add(&mut self, msg: &WorkMsg, ops: &[OpNo]) {
        self.skipped += u64::from(msg.skipped);
        let columns = &msg.spans;
        for row in 0..columns.len() {
            let job = msg.jobs.get(usize::from(columns.jobs[row]));
            let op = ops.get(usize::from(columns.ops[row]));
            let (Some(job), Some(op)) = (job, op) else {
                continue;
            };
            let duration_us = columns.durations_us[row];
            let ago = u64::from(columns.ended_ago_us[row]) + u64::from(duration_us);
            if self.ring.len() == CAPACITY {
                self.ring.pop_front();
            }
            self.ring.push_back(Span {
                start_us: msg.at_us.saturating_sub(ago),
                duration_us,
                task: columns.tasks[row],
                worker: msg.worker,
                job: *job,
                bytes: columns.bytes[row],
                op: *op,
                slot: columns.slots[row],
                kind: SpanKind::from_code(columns.kinds[row]),
            });
        }
    }

    /// Forgets what is older than an hour.
    pub(crate) fn age(&mut self, now_us: u64) {
        while self
            .ring
            .front()
            .is_some_and(|span| span.end_us() + HOUR_US < now_us)
        {
            self.ring.pop_front();
        }
    }

    /// Spans that workers did not send because there were too many.
    pub(crate) const fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// When the oldest span began, in unix microseconds.
    pub(crate) fn oldest_us(&self) -> Option<u64> {
        self.ring.front().map(|span| span.start_us)
    }

    /// Every span of a job.
    pub(crate) fn of_job(&self, job: JobId) -> Vec<Span> {
        let of_job = self.ring.iter().filter(|span| span.job == job);
        of_job.copied().collect()
    }

    /// Whether spans may be gone that ended after this moment.
    pub(crate) fn has_forgotten(&self, from_us: u64, now_us: u64) -> bool {
        let is_full = self.ring.len() == CAPACITY;
        from_us + HOUR_US < now_us || (is_full && self.oldest_us().is_some_and(|oldest| oldest > from_us))
    }

    /// What fills the window.
    pub(crate) fn window(&self, query: &SpanQuery) -> Blocks {
        let lanes: HashMap<WorkerId, u32> = query.workers.iter().copied().zip(0..).collect();
        let length = query.to_us.saturating_sub(query.from_us).max(1);
        let mut bucket_us = (length / u64::from(query.width.clamp(1, 8_192))).max(1);
        let mut is_coarse = false;
        loop {
            let mut merge = Merge::new(query, bucket_us);
            let fits = self
                .in_time(query)
                .filter(|span| query.job.is_none_or(|job| job == span.job))
                .filter_map(|span| Some((lanes.get(&span.worker)?, span)))
                .all(|(lane, span)| merge.add(*lane, span));
            // Rows alone may be more than the limit; wider buckets would not make them fewer.
            if fits || bucket_us > length {
                merge.blocks.coarse = is_coarse;
                return merge.blocks;
            }
            bucket_us *= 2;
            is_coarse = true;
        }
    }

    fn in_time(&self, query: &SpanQuery) -> impl Iterator<Item = &Span> {
        let slack = query.from_us.saturating_sub(DISORDER_US);
        let first = self.ring.partition_point(|span| span.end_us() < slack);
        let (from, to) = (query.from_us, query.to_us);
        self.ring
            .range(first..)
            .filter(move |span| span.end_us() >= from && span.start_us <= to)
    }
}

/// Merges what is too short to tell apart.
struct Merge {
    from_us: u64,
    bucket_us: u64,
    /// The block of short spans of a lane's bucket, and its longest span.
    short: HashMap<(u32, u16, u64), (usize, u32)>,
    blocks: Blocks,
}

impl Merge {
    fn new(query: &SpanQuery, bucket_us: u64) -> Self {
        Self {
            from_us: query.from_us,
            bucket_us,
            short: HashMap::new(),
            blocks: Blocks::default(),
        }
    }

    /// Whether there was room.
    fn add(&mut self, lane: u32, span: &Span) -> bool {
        if u64::from(span.duration_us) >= self.bucket_us {
            self.push(lane, span);
            return self.blocks.worker.len() <= MAX_BLOCKS;
        }
        let bucket = span.start_us / self.bucket_us;
        let next = self.blocks.worker.len();
        let (at, longest) = *self
            .short
            .entry((lane, span.slot, bucket))
            .or_insert((next, span.duration_us));
        if at == next {
            self.push(lane, span);
            return self.blocks.worker.len() <= MAX_BLOCKS;
        }
        self.join(at, span, longest);
        if span.duration_us > longest {
            self.short
                .insert((lane, span.slot, bucket), (at, span.duration_us));
        }
        true
    }

    fn push(&mut self, lane: u32, span: &Span) {
        let blocks = &mut self.blocks;
        blocks.worker.push(lane);
        blocks.slot.push(span.slot);
        blocks.kind.push(span.kind.code());
        blocks.op.push(span.op);
        blocks.start_us.push(offset(span.start_us, self.from_us));
        blocks.duration_us.push(u64::from(span.duration_us));
        blocks.count.push(1);
        blocks.task.push(span.task);
        blocks.job.push(span.job);
        blocks.bytes.push(span.bytes);
    }

    /// Widens a block by a span; a failure or a longer span gives the block its looks.
    fn join(&mut self, at: usize, span: &Span, longest: u32) {
        let blocks = &mut self.blocks;
        let start = offset(span.start_us, self.from_us);
        let end =
            (blocks.start_us[at] + blocks.duration_us[at] as i64).max(start + i64::from(span.duration_us));
        blocks.start_us[at] = blocks.start_us[at].min(start);
        blocks.duration_us[at] = end.abs_diff(blocks.start_us[at]);
        blocks.count[at] += 1;
        let is_failure = span.kind == SpanKind::Failed;
        let shows_failure = blocks.kind[at] == SpanKind::Failed.code();
        if is_failure || (span.duration_us > longest && !shows_failure) {
            blocks.kind[at] = span.kind.code();
            blocks.op[at] = span.op;
            blocks.task[at] = span.task;
            blocks.job[at] = span.job;
            blocks.bytes[at] = span.bytes;
        }
    }
}

fn offset(at_us: u64, from_us: u64) -> i64 {
    i64::try_from(at_us).unwrap_or(i64::MAX) - i64::try_from(from_us).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use millstream_protocol::wire::SpanColumns;
    use millstream_types::ByteSize;

    use super::*;

    const WORKER: WorkerId = WorkerId::from_u128(1);

    /// A message at second one with back-to-back spans of `duration_us` on one slot, the last of which ends with it.
    fn message(count: u32, duration_us: u32) -> WorkMsg {
        let rows = count as usize;
        WorkMsg {
            worker: WORKER,
            name: "w".to_owned(),
            at_us: 1_000_000,
            covers_us: 1_000_000,
            slots: 1,
            memory_limit: ByteSize::default(),
            load: None,
            jobs: vec![JobId::from_u128(5)],
            ops: Vec::new(),
            totals: Vec::new(),
            spans: SpanColumns {
                kinds: vec![0; rows].into(),
                slots: vec![0; rows].into(),
                jobs: vec![0; rows].into(),
                ops: vec![0; rows].into(),
                tasks: (0..count).collect(),
                ended_ago_us: (0..count).rev().map(|i| i * duration_us).collect(),
                durations_us: vec![duration_us; rows].into(),
                bytes: vec![8; rows].into(),
            },
            skipped: 3,
            transfers: Vec::new(),
            lines: Vec::new(),
        }
    }

    fn query(from_us: u64, to_us: u64, width: u32) -> SpanQuery {
        SpanQuery {
            from_us,
            to_us,
            width,
            workers: vec![WORKER],
            job: None,
        }
    }

    #[test]
    fn long_spans_are_told_one_by_one() {
        let mut spans = Spans::default();
        spans.add(&message(4, 100_000), &[OpNo::default()]);
        let blocks = spans.window(&query(600_000, 1_000_000, 100));
        assert_eq!(blocks.start_us, [0, 100_000, 200_000, 300_000]);
        assert_eq!(blocks.task, [0, 1, 2, 3]);
        assert!(!blocks.coarse);
        assert_eq!(spans.skipped(), 3);
    }

    #[test]
    fn a_screen_gets_no_more_blocks_than_it_has_columns() {
        let mut spans = Spans::default();
        spans.add(&message(100_000, 5), &[OpNo::default()]);
        let blocks = spans.window(&query(500_000, 1_000_000, 100));
        assert!(blocks.worker.len() <= 101, "{}", blocks.worker.len());
        assert_eq!(blocks.count.iter().sum::<u32>(), 100_000);
        let busy: u64 = blocks.duration_us.iter().sum();
        assert_eq!(busy, 500_000, "merged neighbours leave no gaps");
    }

    #[test]
    fn the_ring_is_bounded_in_number_and_age() {
        let mut spans = Spans::default();
        for _ in 0..4 {
            spans.add(&message(100_000, 5), &[OpNo::default()]);
        }
        assert_eq!(spans.len(), CAPACITY);
        spans.age(1_000_001 + HOUR_US);
        assert_eq!(spans.len(), 0);
    }

    #[test]
    fn a_window_outside_the_ring_is_empty() {
        let mut spans = Spans::default();
        spans.add(&message(4, 100_000), &[OpNo::default()]);
        assert!(spans.window(&query(2_000_000, 3_000_000, 100)).worker.is_empty());
        let other = SpanQuery {
            job: Some(JobId::from_u128(6)),
            ..query(0, 1_000_000, 100)
        };
        assert!(spans.window(&other).worker.is_empty());
    }
}
