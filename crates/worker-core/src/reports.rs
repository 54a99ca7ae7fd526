//! What the leader is still to be told, and what it was told but has not acknowledged.
//!
//! Finished tasks and answers collect in columns until the session has room. Reports that an inventory does not cover
//! are kept until acknowledged and said again in the next session.

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_protocol::codec::MAX_BATCH_BYTES;
use millstream_protocol::columns::{U32s, U64s};
use millstream_protocol::wire::{
    FinishedMsg, FromWorker, JobObjects, ReturnOutcome, ReturnedMsg, TaskLogMsg,
};
use millstream_types::{Attempt, ByteSize, JobId, TaskIdx};

use crate::TaskRun;

/// Rows of one message: at most 24 bytes each, so that a message without values stays well below a batch.
pub(crate) const MAX_ROWS: usize = 16_384;

/// Bytes of values in one message; the rows beside them take the rest of the batch.
const MAX_INLINE_BYTES: usize = MAX_BATCH_BYTES / 2;

/// A report that the next session repeats unless it was acknowledged.
#[derive(Debug)]
struct Unacknowledged {
    /// The last batch that may carry it, once it has left.
    batch: Option<u64>,
    item: FromWorker,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    finished: Vec<Finished>,
    items: Vec<FromWorker>,
    returned: Vec<ReturnedMsg>,
    lost: Vec<JobObjects>,
    replicated: Vec<JobObjects>,
    logs: Vec<TaskLogMsg>,
    once: Vec<FromWorker>,
    unacknowledged: VecDeque<Unacknowledged>,
}

#[derive(Debug)]
struct Finished {
    msg: FinishedMsg,
    inline_bytes: usize,
}

impl Reports {
    /// A task's output is stored.
    pub(crate) fn finished(
        &mut self,
        run: TaskRun,
        bytes: ByteSize,
        duration_us: u32,
        inline: Option<Bytes>,
    ) {
        let more = inline.as_ref().map_or(0, Bytes::len);
        let open = self.finished.iter().rposition(|open| {
            open.msg.job == run.job
                && open.msg.tasks.len() < MAX_ROWS
                && open.inline_bytes + more <= MAX_INLINE_BYTES
        });
        let at = open.unwrap_or_else(|| {
            self.finished.push(Finished {
                msg: empty_finished(run.job),
                inline_bytes: 0,
            });
            self.finished.len() - 1
        });
        let open = &mut self.finished[at];
        if let Some(value) = inline {
            open.inline_bytes += more;
            open.msg.inline.push((open.msg.tasks.len() as u32, value));
        }
        open.msg.tasks.push(run.task.0);
        open.msg.attempts.push(run.attempt.packed());
        open.msg.bytes.push(bytes.as_u64());
        open.msg.durations_us.push(duration_us);
    }

    /// Failed, Extended or Gone.
    pub(crate) fn push(&mut self, item: FromWorker) {
        self.items.push(item);
    }

    /// Something that every session's opening says again by itself.
    pub(crate) fn push_once(&mut self, item: FromWorker) {
        self.once.push(item);
    }

    /// An answer to a retract or cancel, or work given back unasked. Without a run the task is unknown here.
    pub(crate) fn returned(
        &mut self,
        job: JobId,
        task: TaskIdx,
        attempt: Option<Attempt>,
        outcome: ReturnOutcome,
    ) {
        let open = self
            .returned
            .iter()
            .rposition(|open| open.job == job && open.tasks.len() < MAX_ROWS);
        let at = open.unwrap_or_else(|| {
            self.returned.push(ReturnedMsg {
                job,
                tasks: U32s::default(),
                attempts: U64s::default(),
                outcomes: Vec::new(),
            });
            self.returned.len() - 1
        });
        let open = &mut self.returned[at];
        open.tasks.push(task.0);
        open.attempts.push(attempt.map_or(0, Attempt::packed));
        open.outcomes.push(outcome);
    }

    /// An object is no longer here although nobody freed it, or could not be copied here as asked.
    pub(crate) fn lost(&mut self, object: TaskRun) {
        push_object(&mut self.lost, object, ByteSize::ZERO);
    }

    /// A copy that the leader asked for is here.
    pub(crate) fn replicated(&mut self, object: TaskRun, bytes: ByteSize) {
        push_object(&mut self.replicated, object, bytes);
    }

    /// What a task wrote.
    pub(crate) fn log(&mut self, log: TaskLogMsg) {
        self.logs.push(log);
    }

    /// Whether nothing waits to be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.finished.is_empty()
            && self.items.is_empty()
            && self.returned.is_empty()
            && self.lost.is_empty()
            && self.replicated.is_empty()
            && self.logs.is_empty()
            && self.once.is_empty()
    }

    /// Everything that waits, in the order in which the leader can make sense of it: what tasks wrote before their end,
    /// outputs before what follows from them, work given back last. Notes what has to be kept.
    pub(crate) fn take(&mut self) -> Vec<FromWorker> {
        let mut items: Vec<_> = self.logs.drain(..).map(FromWorker::Log).collect();
        let finished = self.finished.drain(..).map(|open| FromWorker::Finished(open.msg));
        items.extend(finished);
        items.extend(self.replicated.drain(..).map(FromWorker::Replicated));
        let kept_from = items.len();
        items.append(&mut self.items);
        items.extend(self.returned.drain(..).map(FromWorker::Returned));
        self.unacknowledged
            .extend(items[kept_from..].iter().map(|item| Unacknowledged {
                batch: None,
                item: item.clone(),
            }));
        items.extend(self.lost.drain(..).map(FromWorker::Lost));
        items.append(&mut self.once);
        items
    }

    /// All that was taken so far has left in batches up to this one.
    pub(crate) fn sent(&mut self, batch: u64) {
        let unsent = self
            .unacknowledged
            .iter_mut()
            .rev()
            .take_while(|report| report.batch.is_none());
        unsent.for_each(|report| report.batch = Some(batch));
    }

    /// Batches up to this one were acknowledged.
    pub(crate) fn acknowledged(&mut self, batch: u64) {
        while let Some(report) = self.unacknowledged.front() {
            if report.batch.is_none_or(|sent| sent > batch) {
                return;
            }
            self.unacknowledged.pop_front();
        }
    }

    /// What a new session repeats, oldest first; it counts as not sent again.
    pub(crate) fn repeat(&mut self) -> Vec<FromWorker> {
        let reports = self.unacknowledged.iter_mut().map(|report| {
            report.batch = None;
            report.item.clone()
        });
        reports.collect()
    }

    /// What is left to say of a job that nobody asks about any more is nothing.
    pub(crate) fn forget(&mut self, job: JobId) {
        self.finished.retain(|open| open.msg.job != job);
        self.replicated.retain(|open| open.job != job);
        self.lost.retain(|open| open.job != job);
        self.unacknowledged
            .retain(|report| job_of(&report.item) != Some(job));
    }
}

fn empty_finished(job: JobId) -> FinishedMsg {
    FinishedMsg {
        job,
        tasks: U32s::default(),
        attempts: U64s::default(),
        bytes: U64s::default(),
        durations_us: U32s::default(),
        inline: Vec::new(),
    }
}

fn push_object(open: &mut Vec<JobObjects>, object: TaskRun, bytes: ByteSize) {
    let known = open
        .iter()
        .rposition(|open| open.job == object.job && open.tasks.len() < MAX_ROWS);
    let at = known.unwrap_or_else(|| {
        open.push(JobObjects {
            job: object.job,
            tasks: U32s::default(),
            attempts: U64s::default(),
            bytes: U64s::default(),
        });
        open.len() - 1
    });
    let open = &mut open[at];
    open.tasks.push(object.task.0);
    open.attempts.push(object.attempt.packed());
    open.bytes.push(bytes.as_u64());
}

fn job_of(item: &FromWorker) -> Option<JobId> {
    match item {
        FromWorker::Failed(msg) => Some(msg.job),
        FromWorker::Extended(msg) => Some(msg.job),
        FromWorker::Gone(msg) => Some(msg.job),
        FromWorker::Returned(msg) => Some(msg.job),
        _ => None,
    }
}
