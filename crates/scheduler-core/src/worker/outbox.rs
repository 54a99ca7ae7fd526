//! What a worker shall be told, collected until its session has room: assignments grow in place while it has none.

use std::collections::{BTreeMap, BTreeSet};

use millstream_protocol::columns::{BytesColumnBuilder, U16s, U32s, U64s};
use millstream_protocol::wire::{AssignJob, AssignMsg, ReplicateMsg, ToWorker};
use millstream_types::{Attempt, JobId, ObjectId};

use crate::ids::JobNo;

/// Estimated bytes of one assignment message; well below a batch, since the estimate is of unpacked columns.
const MESSAGE_BYTES: usize = 600 << 10;

/// One task to assign, ready to be written into columns.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) task: u32,
    pub(crate) attempt: Attempt,
    pub(crate) op: u16,
    pub(crate) options: u16,
    pub(crate) priority: u64,
    /// For a task of a symbolic layer.
    pub(crate) index: Option<u32>,
    pub(crate) params: &'a [u8],
    pub(crate) flags: u16,
}

/// An input of the row that was begun last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input {
    pub(crate) task: u32,
    /// The object, where another job made it.
    pub(crate) foreign: Option<ObjectId>,
    pub(crate) part: u32,
    pub(crate) attempt: Attempt,
    pub(crate) bytes: u64,
}

/// An assignment under construction.
#[derive(Debug)]
pub(crate) struct AssignBuilder {
    pub(crate) job: JobNo,
    symbolic: bool,
    msg: AssignMsg,
    params: BytesColumnBuilder,
    any_flags: bool,
    bytes: usize,
}

impl AssignBuilder {
    fn new(job: JobNo, id: JobId, symbolic: bool) -> Self {
        Self {
            job,
            symbolic,
            msg: AssignMsg {
                job: AssignJob(id),
                ..AssignMsg::default()
            },
            params: BytesColumnBuilder::default(),
            any_flags: false,
            bytes: 0,
        }
    }

    /// Begins a row. Its inputs follow, then [`AssignBuilder::end_row`].
    pub(crate) fn begin_row(&mut self, row: &Row<'_>) {
        let msg = &mut self.msg;
        if msg.dep_offsets.is_empty() {
            msg.dep_offsets.push(0);
            msg.holder_offsets.push(0);
        }
        msg.tasks.push(row.task);
        msg.attempts.push(row.attempt.packed());
        msg.ops.push(row.op);
        msg.options.push(row.options);
        msg.priorities.push(row.priority);
        msg.flags.push(row.flags);
        self.any_flags |= row.flags != 0;
        if let Some(index) = row.index {
            msg.indexes.push(index);
        }
        self.params.push(row.params);
        self.bytes += 40 + row.params.len();
    }

    /// Adds an input and who holds it; nobody means this worker itself.
    pub(crate) fn input(&mut self, input: Input, holders: impl Iterator<Item = u32>) {
        let msg = &mut self.msg;
        if input.foreign.is_some() || !msg.dep_foreign.is_empty() {
            msg.dep_foreign.resize(msg.dep_tasks.len(), 0);
            let row = input
                .foreign
                .map_or(0, |object| foreign_row(&mut msg.foreign, object));
            msg.dep_foreign.push(row);
        }
        msg.dep_tasks.push(input.task);
        msg.dep_parts.push(input.part);
        msg.dep_attempts.push(input.attempt.packed());
        msg.dep_bytes.push(input.bytes);
        msg.holders.extend(holders);
        msg.holder_offsets.push(msg.holders.len() as u32);
        self.bytes += if input.foreign.is_some() { 64 } else { 32 };
    }

    pub(crate) fn end_row(&mut self) {
        self.msg.dep_offsets.push(self.msg.dep_tasks.len() as u32);
    }

    /// The tasks so far.
    pub(crate) fn tasks(&self) -> &[u32] {
        &self.msg.tasks
    }

    /// The message.
    pub(crate) fn finish(mut self) -> AssignMsg {
        if !self.msg.dep_foreign.is_empty() {
            self.msg.dep_foreign.resize(self.msg.dep_tasks.len(), 0);
        }
        if !self.any_flags {
            self.msg.flags = U16s::default();
        }
        self.msg.params = self.params.finish();
        self.msg
    }
}

/// The number of an object among those of other jobs, counted from 1. Readers of one object mostly come in a row.
fn foreign_row(foreign: &mut Vec<ObjectId>, object: ObjectId) -> u32 {
    let recent = foreign.iter().rev().take(64).position(|known| *known == object);
    let at = recent.map_or(foreign.len(), |back| foreign.len() - 1 - back);
    if at == foreign.len() {
        foreign.push(object);
    }
    at as u32 + 1
}

/// Objects to free, by job.
#[derive(Debug, Default)]
struct FreeList {
    tasks: Vec<u32>,
    attempts: Vec<u64>,
}

/// What a worker shall be told.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) settled: bool,
    pub(crate) drain: bool,
    pub(crate) shutdown: bool,
    /// Peers not yet introduced.
    pub(crate) peers: BTreeSet<u32>,
    assigns: Vec<AssignBuilder>,
    frees: BTreeMap<JobId, FreeList>,
    cancels: BTreeMap<JobId, Vec<u32>>,
    retracts: BTreeMap<JobId, Vec<u32>>,
    replicate: Vec<ReplicateMsg>,
    forget: BTreeSet<JobId>,
}

impl Outbox {
    /// The assignment that the next row of a job goes into.
    pub(crate) fn builder(&mut self, job: JobNo, id: JobId, symbolic: bool) -> &mut AssignBuilder {
        let fits = self
            .assigns
            .last()
            .is_some_and(|last| last.job == job && last.symbolic == symbolic && last.bytes < MESSAGE_BYTES);
        if !fits {
            self.assigns.push(AssignBuilder::new(job, id, symbolic));
        }
        let at = self.assigns.len() - 1;
        &mut self.assigns[at]
    }

    pub(crate) fn free(&mut self, job: JobId, task: u32, attempt: Attempt) {
        let list = self.frees.entry(job).or_default();
        list.tasks.push(task);
        list.attempts.push(attempt.packed());
    }

    pub(crate) fn cancel(&mut self, job: JobId, task: u32) {
        self.cancels.entry(job).or_default().push(task);
    }

    pub(crate) fn retract(&mut self, job: JobId, task: u32) {
        self.retracts.entry(job).or_default().push(task);
    }

    pub(crate) fn replicate(&mut self, msg: ReplicateMsg) {
        self.replicate.push(msg);
    }

    /// The job is over here. Sent behind everything else of it.
    pub(crate) fn forget(&mut self, job: JobId) {
        self.forget.insert(job);
    }

    /// Tasks whose assignment has not been sent.
    pub(crate) fn unsent(&self) -> BTreeSet<(JobNo, u32)> {
        let rows = |builder: &AssignBuilder| {
            let job = builder.job;
            builder
                .tasks()
                .iter()
                .map(move |task| (job, *task))
                .collect::<Vec<_>>()
        };
        self.assigns.iter().flat_map(rows).collect()
    }

    /// Withdraws a job's assignments that were not sent; returns their tasks.
    pub(crate) fn withdraw(&mut self, job: JobNo) -> Vec<u32> {
        let mut withdrawn = Vec::new();
        self.assigns.retain(|builder| {
            if builder.job == job {
                withdrawn.extend_from_slice(builder.tasks());
            }
            builder.job != job
        });
        withdrawn
    }

    /// Takes the assignments collected so far.
    pub(crate) fn take_assigns(&mut self) -> Vec<AssignBuilder> {
        std::mem::take(&mut self.assigns)
    }

    /// Whether assignments wait.
    pub(crate) fn has_assigns(&self) -> bool {
        !self.assigns.is_empty()
    }

    /// Takes what a worker must forget before it is given tasks of a job of the same id.
    pub(crate) fn take_forgets_of_assigned(&mut self) -> Vec<ToWorker> {
        let mut items = Vec::new();
        for builder in &self.assigns {
            let AssignJob(job) = builder.msg.job;
            if self.forget.remove(&job) {
                items.push(ToWorker::ForgetJob { job });
            }
        }
        items
    }

    /// Takes retracts and cancels.
    pub(crate) fn take_requests(&mut self) -> Vec<ToWorker> {
        let mut items = Vec::new();
        for (job, tasks) in std::mem::take(&mut self.cancels) {
            items.extend(chunked(&tasks).map(|tasks| ToWorker::Cancel {
                job,
                tasks: U32s(tasks.to_vec()),
            }));
        }
        for (job, tasks) in std::mem::take(&mut self.retracts) {
            items.extend(chunked(&tasks).map(|tasks| ToWorker::Retract {
                job,
                tasks: U32s(tasks.to_vec()),
            }));
        }
        items
    }

    /// Takes what goes behind assignments: copies, frees, forgotten jobs.
    pub(crate) fn take_rest(&mut self) -> Vec<ToWorker> {
        let mut items: Vec<ToWorker> = std::mem::take(&mut self.replicate)
            .into_iter()
            .map(ToWorker::Replicate)
            .collect();
        for (job, list) in std::mem::take(&mut self.frees) {
            let rows = chunked(&list.tasks).zip(chunked(&list.attempts));
            items.extend(rows.map(|(tasks, attempts)| ToWorker::Free {
                job,
                tasks: U32s(tasks.to_vec()),
                attempts: U64s(attempts.to_vec()),
            }));
        }
        let forget = std::mem::take(&mut self.forget);
        items.extend(forget.into_iter().map(|job| ToWorker::ForgetJob { job }));
        items
    }
}

/// Rows of one item: at most 12 bytes each, so that an item stays far below a batch.
fn chunked<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    rows.chunks(32 << 10)
}
