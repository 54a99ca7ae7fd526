//! What the worker did lately, for the live exchange: exact totals, and a sample of what filled its slots.
//!
//! Tasks add to it from their own threads, each for the length of one short lock. It holds one message's worth and no
//! more: nobody may be there to read it, and it must never slow a task down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millstream_protocol::graph::OpSpec;
use millstream_protocol::wire::{
    HeartbeatMsg, OpLabel, OpTotal, OutputLine, SpanKind, TaskLog, TransferTotal, WorkMsg, WorkerInfo,
};
use millstream_store::Move;
use millstream_telemetry::{DiskWay, WorkerMetrics};
use millstream_types::{ByteSize, JobId, TaskIdx, WorkerId};

use crate::meters::Meters;

/// Spans of one message: a quarter of a screen's columns, every second.
const MAX_SPANS: usize = 256;
/// Lines of one message.
const MAX_LINES: usize = 32;
/// Longest line, in bytes.
const MAX_LINE: usize = 1_024;
/// Operations in the totals of one message. What others did is not counted.
const MAX_TOTALS: usize = 512;

/// What a task that ended did.
pub(crate) struct TaskEnd<'a> {
    pub(crate) job: JobId,
    pub(crate) task: TaskIdx,
    pub(crate) op: &'a Arc<OpSpec>,
    pub(crate) took: Duration,
    /// Time from when it could start until it did.
    pub(crate) waited: Duration,
    /// Bytes of its output; none if it failed.
    pub(crate) made: Option<ByteSize>,
    pub(crate) log: Option<&'a TaskLog>,
}

/// What was fetched from a peer together.
pub(crate) struct FetchEnd {
    pub(crate) from: WorkerId,
    pub(crate) job: JobId,
    pub(crate) task: TaskIdx,
    pub(crate) took: Duration,
    pub(crate) objects: u32,
    pub(crate) bytes: ByteSize,
}

struct Span {
    kind: SpanKind,
    job: JobId,
    op: Arc<OpSpec>,
    task: TaskIdx,
    ended: Instant,
    took: Duration,
    bytes: ByteSize,
}

struct Total {
    op: Arc<OpSpec>,
    finished: u32,
    failed: u32,
    busy_us: u64,
    bytes: ByteSize,
}

#[derive(Default)]
struct Lately {
    spans: Vec<Span>,
    seen: u32,
    /// By job and the operation's place in memory, which stays taken as long as the row holds it.
    totals: HashMap<(JobId, usize), Total>,
    transfers: HashMap<WorkerId, TransferTotal>,
    lines: Vec<(JobId, TaskIdx, String)>,
    load: Option<HeartbeatMsg>,
    random: u64,
}

/// Shared by everything that works.
pub(crate) struct WorkLog {
    lately: Mutex<Lately>,
    fetch: Arc<OpSpec>,
    spill: Arc<OpSpec>,
    unspill: Arc<OpSpec>,
    metrics: WorkerMetrics,
    meters: Meters,
}

impl WorkLog {
    /// An empty one that also counts into `metrics`.
    pub(crate) fn new(metrics: WorkerMetrics) -> Self {
        let lately = Lately {
            random: 0x9e37_79b9_7f4a_7c15,
            ..Lately::default()
        };
        Self {
            lately: Mutex::new(lately),
            fetch: Arc::new(OpSpec::native("fetch")),
            spill: Arc::new(OpSpec::native("spill")),
            unspill: Arc::new(OpSpec::native("read back")),
            meters: Meters::of(&metrics),
            metrics,
        }
    }

    /// What is shown to Prometheus.
    pub(crate) const fn metrics(&self) -> &WorkerMetrics {
        &self.metrics
    }

    /// A task ended just now.
    pub(crate) fn ended(&self, end: &TaskEnd<'_>) {
        let ended = Instant::now();
        self.meters.count(end);
        let mut lately = self.lock();
        lately.count(end);
        let kind = if end.made.is_some() {
            SpanKind::Run
        } else {
            SpanKind::Failed
        };
        lately.sample(Span {
            kind,
            job: end.job,
            op: Arc::clone(end.op),
            task: end.task,
            ended,
            took: end.took,
            bytes: end.made.unwrap_or_default(),
        });
        if let Some(line) = end.log.and_then(last_line)
            && lately.lines.len() < MAX_LINES
        {
            lately.lines.push((end.job, end.task, line));
        }
    }

    /// A fetch ended just now.
    pub(crate) fn fetched(&self, end: &FetchEnd) {
        let ended = Instant::now();
        self.metrics.fetch_seconds.observe(end.took);
        let mut lately = self.lock();
        let total = lately.transfers.entry(end.from).or_insert(TransferTotal {
            from: end.from,
            objects: 0,
            bytes: ByteSize::default(),
            busy_us: 0,
        });
        total.objects += end.objects;
        total.bytes += end.bytes;
        total.busy_us += micros(end.took);
        lately.sample(Span {
            kind: SpanKind::Fetch,
            job: end.job,
            op: Arc::clone(&self.fetch),
            task: end.task,
            ended,
            took: end.took,
            bytes: end.bytes,
        });
    }

    /// An object went to disk or came back just now.
    pub(crate) fn moved(&self, moved: &Move) {
        let (kind, way, op) = if moved.back {
            (SpanKind::Unspill, DiskWay::Read, &self.unspill)
        } else {
            (SpanKind::Spill, DiskWay::Write, &self.spill)
        };
        self.metrics.spill_seconds.of(way).observe(moved.took);
        self.metrics.spill_bytes.of(way).add(moved.bytes.as_u64());
        self.lock().sample(Span {
            kind,
            job: moved.object.job,
            op: Arc::clone(op),
            task: moved.object.task,
            ended: Instant::now(),
            took: moved.took,
            bytes: moved.bytes,
        });
    }

    /// The worker's load changed.
    pub(crate) fn loaded(&self, load: HeartbeatMsg) {
        self.meters.show(&self.metrics, &load);
        self.lock().load = Some(load);
    }

    /// Everything since the last time, as a message that covers `covers`.
    pub(crate) fn take(&self, info: &WorkerInfo, slots: &mut SlotRows, covers: Duration) -> WorkMsg {
        let now = Instant::now();
        let lately = {
            let mut lately = self.lock();
            let random = lately.random;
            let load = lately.load;
            std::mem::replace(
                &mut *lately,
                Lately {
                    random,
                    load,
                    ..Lately::default()
                },
            )
        };
        Message::of(info, covers).fill(lately, slots, now)
    }

    fn lock(&self) -> MutexGuard<'_, Lately> {
        // What a panicking thread left is still a sample.
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lately {
    fn count(&mut self, end: &TaskEnd<'_>) {
        let key = (end.job, Arc::as_ptr(end.op) as usize);
        if self.totals.len() >= MAX_TOTALS && !self.totals.contains_key(&key) {
            return;
        }
        let total = self.totals.entry(key).or_insert_with(|| Total {
            op: Arc::clone(end.op),
            finished: 0,
            failed: 0,
            busy_us: 0,
            bytes: ByteSize::default(),
        });
        total.busy_us += micros(end.took);
        match end.made {
            Some(bytes) => {
                total.finished += 1;
                total.bytes += bytes;
            }
            None => total.failed += 1,
        }
    }

    /// Keeps every span as likely as any other (Vitter's reservoir).
    fn sample(&mut self, span: Span) {
        self.seen += 1;
        if self.spans.len() < MAX_SPANS {
            self.spans.push(span);
            return;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let at = (self.random % u64::from(self.seen)) as usize;
        if let Some(kept) = self.spans.get_mut(at) {
            *kept = span;
        }
    }
}

/// Which row of the picture each span goes to: the lowest that was free when it began.
#[derive(Debug)]
pub(crate) struct SlotRows {
    free_at: Vec<Option<Instant>>,
}

impl SlotRows {
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            free_at: vec![None; slots.max(1) as usize],
        }
    }

    /// Spans must come in the order of their beginnings.
    fn row_of(&mut self, span: &Span) -> u16 {
        let began = span.ended.checked_sub(span.took).unwrap_or(span.ended);
        let is_free = |at: &Option<Instant>| at.is_none_or(|at| at <= began);
        let row = match self.free_at.iter().position(is_free) {
            Some(row) => row,
            // Clocks were read a little late: the one that is free first.
            None => (0..self.free_at.len())
                .min_by_key(|row| self.free_at[*row])
                .unwrap_or(0),
        };
        self.free_at[row] = Some(span.ended);
        u16::try_from(row).unwrap_or(u16::MAX)
    }
}

/// A message on its way, with the numbers of what its rows name.
struct Message {
    msg: WorkMsg,
    jobs: HashMap<JobId, u16>,
    ops: HashMap<OpLabel, u16>,
}

impl Message {
    fn of(info: &WorkerInfo, covers: Duration) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            msg: WorkMsg {
                worker: info.worker,
                name: info.name.clone(),
                at_us: micros(since),
                covers_us: u32::try_from(micros(covers)).unwrap_or(u32::MAX),
                slots: info.slots,
                memory_limit: info.memory_limit,
                load: None,
                jobs: Vec::new(),
                ops: Vec::new(),
                totals: Vec::new(),
                spans: millstream_protocol::wire::SpanColumns::default(),
                skipped: 0,
                transfers: Vec::new(),
                lines: Vec::new(),
            },
            jobs: HashMap::new(),
            ops: HashMap::new(),
        }
    }

    fn fill(mut self, mut lately: Lately, slots: &mut SlotRows, now: Instant) -> WorkMsg {
        self.msg.load = lately.load;
        self.msg.skipped = lately.seen - u32::try_from(lately.spans.len()).unwrap_or(lately.seen);
        lately
            .spans
            .sort_by_key(|span| span.ended.checked_sub(span.took).unwrap_or(span.ended));
        for span in &lately.spans {
            self.span(span, slots, now);
        }
        for ((job, _), total) in &lately.totals {
            let (job, op) = (self.job(*job), self.op(&total.op));
            self.msg.totals.push(OpTotal {
                job,
                op,
                finished: total.finished,
                failed: total.failed,
                busy_us: total.busy_us,
                bytes: total.bytes,
            });
        }
        self.msg.transfers = lately.transfers.into_values().collect();
        for (job, task, text) in lately.lines {
            let job = self.job(job);
            self.msg.lines.push(OutputLine { job, task, text });
        }
        self.msg
    }

    fn span(&mut self, span: &Span, slots: &mut SlotRows, now: Instant) {
        let (job, op) = (self.job(span.job), self.op(&span.op));
        let slot = if !matches!(span.kind, SpanKind::Run | SpanKind::Failed) {
            // Fetches and spills run beside the slots: drawn with any of them.
            u16::try_from(span.task.0 % self.msg.slots.max(1)).unwrap_or(0)
        } else {
            slots.row_of(span)
        };
        let short = |duration| u32::try_from(micros(duration)).unwrap_or(u32::MAX);
        let columns = &mut self.msg.spans;
        columns.kinds.push(span.kind.code());
        columns.slots.push(slot);
        columns.jobs.push(job);
        columns.ops.push(op);
        columns.tasks.push(span.task.0);
        columns
            .ended_ago_us
            .push(short(now.saturating_duration_since(span.ended)));
        columns.durations_us.push(short(span.took));
        columns.bytes.push(span.bytes.as_u64());
    }

    fn job(&mut self, job: JobId) -> u16 {
        let next = u16::try_from(self.msg.jobs.len()).unwrap_or(u16::MAX);
        *self.jobs.entry(job).or_insert_with(|| {
            self.msg.jobs.push(job);
            next
        })
    }

    fn op(&mut self, op: &OpSpec) -> u16 {
        let label = OpLabel {
            kind: op.kind,
            name: op.name.clone(),
        };
        let next = u16::try_from(self.msg.ops.len()).unwrap_or(u16::MAX);
        *self.ops.entry(label).or_insert_with_key(|label| {
            self.msg.ops.push(label.clone());
            next
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The last line that is not empty, cut to what is shown.
fn last_line(log: &TaskLog) -> Option<String> {
    let text = if log.tail.is_empty() { &log.head } else { &log.tail };
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    let mut end = line.len().min(MAX_LINE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    Some(line[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use millstream_types::{ObjectId, ResourceSet};

    use super::*;

    const JOB: JobId = JobId::from_u128(1);

    fn info() -> WorkerInfo {
        WorkerInfo {
            worker: WorkerId::from_u128(7),
            name: "w".to_owned(),
            host: "h".to_owned(),
            pid: 1,
            data_address: String::new(),
            slots: 2,
            memory_limit: ByteSize::from_mib(1),
            resources: ResourceSet::new(),
            version: String::new(),
        }
    }

    fn end(log: &WorkLog, op: &Arc<OpSpec>, task: u32, took_ms: u64, made: Option<u64>) {
        log.ended(&TaskEnd {
            job: JOB,
            task: TaskIdx(task),
            op,
            took: Duration::from_millis(took_ms),
            waited: Duration::ZERO,
            made: made.map(ByteSize::new),
            log: None,
        });
    }

    fn take(log: &WorkLog) -> WorkMsg {
        log.take(&info(), &mut SlotRows::new(2), Duration::from_secs(1))
    }

    #[test]
    fn totals_are_exact_and_spans_a_sample() {
        let (log, op) = (WorkLog::new(WorkerMetrics::new()), Arc::new(OpSpec::native("f")));
        for task in 0..1_000 {
            end(&log, &op, task, 1, (task % 10 > 0).then_some(3));
        }
        let msg = take(&log);
        assert_eq!(msg.spans.len(), MAX_SPANS);
        assert_eq!(msg.skipped as usize, 1_000 - MAX_SPANS);
        let totals: Vec<_> = msg
            .totals
            .iter()
            .map(|total| (total.finished, total.failed, total.bytes.as_u64()))
            .collect();
        assert_eq!(totals, [(900, 100, 2_700)]);
        assert!(
            msg.spans.tasks.iter().any(|task| *task > 900),
            "late tasks are in the sample too"
        );
        assert!(take(&log).totals.is_empty(), "told once");
    }

    #[test]
    fn tasks_that_run_at_once_get_rows_of_their_own() {
        let (log, op) = (WorkLog::new(WorkerMetrics::new()), Arc::new(OpSpec::native("f")));
        end(&log, &op, 0, 50, Some(1));
        end(&log, &op, 1, 50, Some(1));
        let mut slots = take(&log).spans.slots.to_vec();
        slots.sort_unstable();
        assert_eq!(slots, [0, 1]);
    }

    #[test]
    fn the_last_line_that_a_task_wrote_is_told() {
        let (log, op) = (WorkLog::new(WorkerMetrics::new()), Arc::new(OpSpec::native("f")));
        let wrote = TaskLog {
            head: "first\nlast\n\n".to_owned(),
            ..TaskLog::default()
        };
        log.ended(&TaskEnd {
            job: JOB,
            task: TaskIdx(4),
            op: &op,
            took: Duration::from_millis(1),
            waited: Duration::ZERO,
            made: None,
            log: Some(&wrote),
        });
        let msg = take(&log);
        assert_eq!(msg.lines.first().map(|line| line.text.as_str()), Some("last"));
    }

    #[test]
    fn what_ends_is_counted_by_what_ran_it() {
        let (log, op) = (WorkLog::new(WorkerMetrics::new()), Arc::new(OpSpec::native("f")));
        end(&log, &op, 0, 50, Some(1));
        end(&log, &op, 1, 50, None);
        log.moved(&Move {
            object: ObjectId::new(JOB, TaskIdx(0)),
            back: false,
            bytes: ByteSize::new(9),
            took: Duration::from_millis(1),
        });
        let page = log.metrics().encode();
        for line in [
            "millstream_worker_task_seconds_sum{kind=\"native\"} 0.1",
            "millstream_worker_task_wait_seconds_count{kind=\"native\"} 2",
            "millstream_worker_task_failures_total{kind=\"native\"} 1",
            "millstream_worker_task_failures_total{kind=\"python\"} 0",
            "millstream_worker_spill_bytes_total{way=\"write\"} 9",
            "millstream_worker_spill_seconds_count{way=\"write\"} 1",
        ] {
            assert!(page.lines().any(|found| found == line), "no `{line}` in:\n{page}");
        }
        let spans = take(&log).spans;
        assert_eq!(spans.kinds.to_vec(), [0, 1, SpanKind::Spill.code()]);
    }

    #[test]
    fn fetches_are_summed_up_by_peer() {
        let log = WorkLog::new(WorkerMetrics::new());
        for _ in 0..2 {
            log.fetched(&FetchEnd {
                from: WorkerId::from_u128(9),
                job: JOB,
                task: TaskIdx(0),
                took: Duration::from_millis(2),
                objects: 3,
                bytes: ByteSize::new(10),
            });
        }
        let msg = take(&log);
        let told: Vec<_> = msg
            .transfers
            .iter()
            .map(|told| (told.objects, told.bytes.as_u64(), told.busy_us))
            .collect();
        assert_eq!(told, [(6, 20, 4_000)]);
        assert!(msg.totals.is_empty(), "a fetch is no task");
    }
}
