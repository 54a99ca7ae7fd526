//! Everything that is shown, in one place behind one lock. Each part bounds itself.

use std::collections::BTreeMap;

use millstream_protocol::wire::{
    ClusterSnapshot, JobCounts, JobEvent, JobEventKind, JobState, LiveMsg, WorkMsg,
};
use millstream_types::JobId;

use super::history::{FIELDS, History};
use super::lines::{Level, Line, Lines};
use super::ops::Ops;
use super::pauses::Pauses;
use super::pulse::{Alert, Surroundings, alerts};
use super::spans::Spans;
use super::transfers::Transfers;
use super::workers::Workers;

/// Seconds for which a job that ended is still told, so that every page hears of its end.
const LINGER_US: u64 = 30_000_000;
/// Jobs told; more are listed by `/v1/jobs`.
const MAX_JOBS: usize = 1_000;
/// Silence of all workers after which finished tasks are counted from jobs' progress instead of workers' words.
const WORK_SILENCE_US: u64 = 5_000_000;

/// A job as it was last heard of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobRow {
    pub(crate) state: JobState,
    pub(crate) counts: JobCounts,
    ended_us: Option<u64>,
}

impl JobRow {
    fn done(&self) -> u32 {
        self.counts.stored + self.counts.released
    }
}

/// The board.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) workers: Workers,
    pub(crate) jobs: BTreeMap<JobId, JobRow>,
    pub(crate) history: History,
    pub(crate) spans: Spans,
    pub(crate) ops: Ops,
    pub(crate) transfers: Transfers,
    pub(crate) lines: Lines,
    pub(crate) pauses: Pauses,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) surroundings: Surroundings,
    pub(crate) dropped: u64,
    second: Second,
    work_heard_us: u64,
    since_us: u64,
}

/// What was counted in the second that runs.
#[derive(Debug, Default)]
struct Second {
    finished: u64,
    failed: u64,
    progressed: u64,
    moved: u64,
}

impl Board {
    /// Takes a message of the live exchange.
    pub(crate) fn take(&mut self, msg: LiveMsg, now_us: u64) {
        match msg {
            LiveMsg::Job { job, event } => self.event(job, event, now_us),
            LiveMsg::Snapshot(snapshot) => self.snapshot(snapshot, now_us),
            LiveMsg::Work(work) => self.work(&work, now_us),
        }
    }

    /// When the board began, in unix microseconds.
    pub(crate) const fn since_us(&self) -> u64 {
        self.since_us
    }

    fn event(&mut self, job: JobId, event: JobEvent, now_us: u64) {
        match &event.kind {
            JobEventKind::Accepted { tasks } => {
                let counts = JobCounts {
                    total: *tasks,
                    waiting: *tasks,
                    ..JobCounts::default()
                };
                self.job(job, JobState::Running, Some(counts), now_us);
            }
            JobEventKind::Progress { counts } => {
                let state = self.jobs.get(&job).map_or(JobState::Running, |row| row.state);
                self.job(job, state, Some(*counts), now_us);
            }
            JobEventKind::State { state, .. } => self.job(job, *state, None, now_us),
            _ => {}
        }
        if let Some((level, task, worker, text)) = words(&event.kind) {
            let mut line = Line::new(event.at_ms, level, &text);
            (line.job, line.task, line.worker) = (Some(job), task, worker);
            self.lines.push(line);
        }
    }

    fn snapshot(&mut self, snapshot: ClusterSnapshot, now_us: u64) {
        self.workers.snapshot(snapshot.workers, now_us);
        for (id, row) in &mut self.jobs {
            // The leader has forgotten it; what its end was is said by its record.
            if !snapshot.jobs.contains_key(id) && row.ended_us.is_none() {
                row.ended_us = Some(now_us);
            }
        }
        for (job, (state, counts)) in snapshot.jobs.into_iter().take(MAX_JOBS) {
            self.job(job, state, Some(counts), now_us);
        }
    }

    fn work(&mut self, work: &WorkMsg, now_us: u64) {
        self.work_heard_us = now_us;
        self.workers.work(work, now_us);
        let ops = self.ops.add(work);
        self.spans.add(work, &ops);
        self.transfers.add(work);
        for total in &work.totals {
            self.second.finished += u64::from(total.finished);
            self.second.failed += u64::from(total.failed);
        }
        self.second.moved += work.transfers.iter().map(|told| told.bytes.as_u64()).sum::<u64>();
        for told in &work.lines {
            let mut line = Line::new(work.at_us / 1_000, Level::Output, &told.text);
            line.job = work.jobs.get(usize::from(told.job)).copied();
            line.index = Some(told.task.0);
            line.worker = Some(work.name.clone());
            self.lines.push(line);
        }
    }

    fn job(&mut self, job: JobId, state: JobState, counts: Option<JobCounts>, now_us: u64) {
        if self.jobs.len() >= MAX_JOBS && !self.jobs.contains_key(&job) {
            return;
        }
        let row = self.jobs.entry(job).or_insert(JobRow {
            state,
            counts: counts.unwrap_or_default(),
            ended_us: None,
        });
        let before = row.done();
        row.state = state;
        row.counts = counts.unwrap_or(row.counts);
        row.ended_us = state.is_terminal().then_some(now_us);
        self.second.progressed += u64::from(row.done().saturating_sub(before));
    }

    /// Sums up the second that ends now.
    pub(crate) fn close_second(&mut self, now_us: u64, surroundings: Surroundings) {
        if self.since_us == 0 {
            self.since_us = now_us;
        }
        self.surroundings = surroundings;
        self.workers.close_second(now_us);
        let paused = self
            .workers
            .iter()
            .filter(|(_, row)| row.load.is_some_and(|load| load.paused));
        self.pauses
            .close_second(paused.map(|(id, row)| (*id, row.name.as_str())), now_us);
        self.spans.age(now_us);
        let workers = &self.workers;
        self.transfers
            .close_second(|worker| workers.get(worker).is_some());
        self.jobs.retain(|_, row| {
            row.ended_us
                .is_none_or(|ended| now_us.saturating_sub(ended) < LINGER_US)
        });
        let values = self.sum_up(now_us);
        self.history.push(now_us / 1_000, values);
        self.alerts = alerts(self);
    }

    fn sum_up(&mut self, now_us: u64) -> [f64; FIELDS.len()] {
        let second = std::mem::take(&mut self.second);
        let hears_work = now_us.saturating_sub(self.work_heard_us) < WORK_SILENCE_US;
        let finished = if hears_work {
            second.finished
        } else {
            second.progressed
        };
        let rows = || self.workers.iter().map(|(_, row)| row);
        let loads = || rows().filter_map(|row| row.load);
        let fetched: u64 = rows().map(|row| row.fetched_per_s).sum();
        let open = || self.jobs.values().filter(|row| row.ended_us.is_none());
        let sum = |numbers: &mut dyn Iterator<Item = u64>| numbers.sum::<u64>() as f64;
        [
            finished as f64,
            second.failed as f64,
            sum(&mut loads().map(|load| u64::from(load.cpu_milli))) / 1_000.0,
            sum(&mut rows().map(|row| u64::from(row.slots))),
            sum(&mut loads().map(|load| load.stored.as_u64())),
            sum(&mut rows().map(super::workers::WorkerRow::unmanaged)),
            sum(&mut loads().map(|load| load.spilled.as_u64())),
            sum(&mut rows().map(|row| row.memory_limit)),
            second.moved.max(fetched) as f64,
            sum(&mut loads().map(|load| u64::from(load.queued))),
            sum(&mut loads().map(|load| u64::from(load.executing))),
            sum(&mut open().map(|row| u64::from(row.counts.ready))),
            sum(&mut open().map(|row| u64::from(row.counts.waiting))),
            self.workers.len() as f64,
            open().count() as f64,
        ]
    }
}

type Words = (Level, Option<String>, Option<String>, String);

/// An event as a line; counts that only change are none.
fn words(kind: &JobEventKind) -> Option<Words> {
    let of_task = |level, key: &String, text| Some((level, Some(key.clone()), None, text));
    match kind {
        JobEventKind::Accepted { tasks } => {
            Some((Level::Info, None, None, format!("accepted with {tasks} tasks")))
        }
        JobEventKind::Extended { key, added } => of_task(Level::Info, key, format!("added {added} tasks")),
        JobEventKind::Retried { key, error, delay_ms } => of_task(
            Level::Warn,
            key,
            format!("failed and is tried again in {delay_ms} ms: {}", error.message),
        ),
        JobEventKind::TaskFailed { key, error } => {
            of_task(Level::Error, key, format!("failed: {}", error.message))
        }
        JobEventKind::Unschedulable { key, reason } => {
            of_task(Level::Warn, key, format!("no worker can run it: {reason}"))
        }
        JobEventKind::Preparing { key, worker, message } => Some((
            Level::Info,
            Some(key.clone()),
            Some(worker.clone()),
            message.clone(),
        )),
        JobEventKind::WorkerLost {
            worker,
            requeued,
            recomputed,
        } => Some((
            Level::Warn,
            None,
            Some(worker.clone()),
            format!(
                "worker {worker} was lost: {requeued} tasks run again, {recomputed} outputs are made again"
            ),
        )),
        JobEventKind::Recovered { term, message } => Some((
            Level::Info,
            None,
            None,
            format!("leader of term {term} took over: {message}"),
        )),
        JobEventKind::State { state, error } => {
            let level = if *state == JobState::Failed {
                Level::Error
            } else {
                Level::Info
            };
            let why = error.as_ref().map(|error| format!(": {}", error.message));
            Some((
                level,
                None,
                None,
                format!("{}{}", state.name(), why.unwrap_or_default()),
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use millstream_protocol::wire::{HeartbeatMsg, OpTotal, WorkerSnapshot};
    use millstream_types::{ByteSize, Term, WorkerId};

    use super::*;

    const JOB: JobId = JobId::from_u128(3);

    fn progress(done: u32) -> LiveMsg {
        let counts = JobCounts {
            total: 10,
            ready: 10 - done,
            stored: done,
            ..JobCounts::default()
        };
        let kind = JobEventKind::Progress { counts };
        let event = JobEvent { at_ms: 1, kind };
        LiveMsg::Job { job: JOB, event }
    }

    fn load(stored: u64, process: u64) -> HeartbeatMsg {
        HeartbeatMsg {
            stored: ByteSize::new(stored),
            spilled: ByteSize::new(5),
            process: ByteSize::new(process),
            cpu_milli: 1_500,
            paused: false,
            queued: 2,
            executing: 1,
            fetched: ByteSize::default(),
            served: ByteSize::default(),
        }
    }

    fn value(board: &Board, field: &str) -> f64 {
        let at = FIELDS.iter().position(|name| *name == field).unwrap();
        board.history.last().values[at]
    }

    #[test]
    fn tasks_are_counted_from_progress_while_workers_are_silent_about_their_work() {
        let mut board = Board::default();
        board.take(progress(2), 10_000_000);
        board.close_second(10_000_000, Surroundings::default());
        board.take(progress(7), 10_500_000);
        board.close_second(11_000_000, Surroundings::default());
        assert_eq!(value(&board, "tasks_per_s"), 5.0);
        assert_eq!((value(&board, "ready"), value(&board, "jobs")), (3.0, 1.0));
    }

    #[test]
    fn workers_words_count_where_there_are_any() {
        let mut board = Board::default();
        let work = WorkMsg {
            worker: WorkerId::from_u128(1),
            name: "w".to_owned(),
            at_us: 1,
            covers_us: 1_000_000,
            slots: 4,
            memory_limit: ByteSize::new(100),
            load: Some(load(30, 50)),
            jobs: vec![JOB],
            ops: Vec::new(),
            totals: vec![OpTotal {
                finished: 8,
                failed: 2,
                ..OpTotal::default()
            }],
            spans: millstream_protocol::wire::SpanColumns::default(),
            skipped: 0,
            transfers: Vec::new(),
            lines: Vec::new(),
        };
        board.take(progress(5), 20_000_000);
        board.take(LiveMsg::Work(Box::new(work)), 20_000_000);
        board.close_second(20_500_000, Surroundings::default());
        assert_eq!(
            (value(&board, "tasks_per_s"), value(&board, "failures_per_s")),
            (8.0, 2.0)
        );
        assert_eq!(
            (value(&board, "managed"), value(&board, "unmanaged")),
            (30.0, 20.0)
        );
        assert_eq!((value(&board, "cpu_cores"), value(&board, "slots")), (1.5, 4.0));
    }

    #[test]
    fn workers_and_jobs_that_left_are_forgotten() {
        let mut board = Board::default();
        let worker = WorkerSnapshot {
            worker: WorkerId::from_u128(1),
            name: "w".to_owned(),
            state: "active".to_owned(),
            assigned: 0,
            load: Some(load(1, 1)),
            host: String::new(),
            slots: 1,
            memory_limit: ByteSize::new(1),
            executing: 0,
            objects: 0,
        };
        let snapshot = ClusterSnapshot {
            term: Term(1),
            jobs: BTreeMap::from([(JOB, (JobState::Running, JobCounts::default()))]),
            workers: vec![worker],
            ..ClusterSnapshot::default()
        };
        board.take(LiveMsg::Snapshot(snapshot), 1_000_000);
        board.take(LiveMsg::Snapshot(ClusterSnapshot::default()), 2_000_000);
        board.close_second(3_000_000, Surroundings::default());
        assert_eq!((board.workers.len(), board.jobs.len()), (1, 1));
        board.close_second(40_000_000, Surroundings::default());
        assert_eq!((board.workers.len(), board.jobs.len()), (0, 0));
    }
}
