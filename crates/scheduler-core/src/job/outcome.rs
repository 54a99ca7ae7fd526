//! The end of a job, what is kept of it, and when that is let go.

use std::time::Duration;

use bytes::Bytes;
use millstream_protocol::TaskError;
use millstream_protocol::wire::{
    InlineResult, JobAnswer, JobEventKind, JobMeta, JobState, ResultEntry, ToGateway,
};
use millstream_types::{ByteSize, TaskIdx};

use super::{Ending, Job, TaskState, flag};
use crate::shared::Shared;
use crate::timers::Timer;
use crate::{Commit, Effect, Note};

/// Inlined outputs in one answer; the rest is fetched.
const ANSWER_INLINE: usize = 256 << 10;
/// How long the tasks of an ended job without results can still be asked about.
const LINGER: Duration = Duration::from_secs(600);

impl Job {
    /// Looks whether a job that changed has come to its end, and says so.
    pub(crate) fn settle(&mut self, cx: &mut Shared) {
        self.is_touched = false;
        self.prune(cx);
        self.arm_progress(cx);
        if self.is_raw || self.is_over() {
            return;
        }
        let is_done = match self.ending {
            Some(_) => self.cols.counts.assigned == 0,
            None => self.cols.unfinished() == 0,
        };
        // A worker that is still telling what it has may yet tell that a task grew the graph.
        if is_done && !cx.workers.iter().any(|worker| worker.is_telling_of(self.no)) {
            self.end(cx);
        }
    }

    fn end(&mut self, cx: &mut Shared) {
        let (state, error) = match self.ending.clone() {
            Some(Ending::Cancel) => (JobState::Cancelled, None),
            Some(Ending::Fail(error)) => (JobState::Failed, Some(error)),
            None if self.cols.counts.failed > 0 => (JobState::Failed, self.meta.error.clone()),
            None => (JobState::Succeeded, None),
        };
        // A job that makes a lost result again has ended before.
        if self.meta.state != JobState::Recovering {
            match state {
                JobState::Succeeded => cx.counters.succeeded += 1,
                JobState::Cancelled => cx.counters.cancelled += 1,
                _ => cx.counters.failed += 1,
            }
        }
        self.meta.error = error;
        self.meta.ended_ms = Some(cx.clock.unix_ms);
        self.set_state(cx, state);
        self.keep_results(cx);
        let watchers = std::mem::take(&mut self.watchers);
        let answer = self.answer(cx, !watchers.is_empty());
        for queue in watchers {
            cx.effects.push(Effect::ReplyToGateway {
                queue,
                msg: ToGateway::Ended(Box::new(answer.clone())),
            });
        }
        self.forget_at_workers(cx);
        if self.meta.let_go.is_some() {
            cx.unreferenced.push(self.no);
        }
    }

    /// Commits a new state of the job and tells it.
    pub(crate) fn set_state(&mut self, cx: &mut Shared, state: JobState) {
        self.meta.state = state;
        let is_free = !self.holds_results() && self.sharing.dependants.is_empty();
        let expire_after = (state.is_terminal() && is_free).then_some(cx.config.record_ttl);
        self.is_meta_dirty = false;
        cx.commit(Commit::SetMeta {
            meta: Box::new(self.record()),
            expire_after,
        });
        let error = match state {
            JobState::Failed => self.meta.error.clone(),
            _ => None,
        };
        cx.tell(self.id, JobEventKind::State { state, error });
    }

    /// The record with the counts of now.
    pub(crate) fn record(&self) -> JobMeta {
        JobMeta {
            counts: self.cols.counts,
            ..self.meta.clone()
        }
    }

    /// The outputs that are wanted, as the graph names them.
    fn outputs(&self) -> impl Iterator<Item = u32> + '_ {
        let wanted = self.wanted.iter().copied();
        wanted.filter(|task| !self.cols.has(*task, flag::GIVEN_UP))
    }

    /// Whether some wanted output is there.
    pub(crate) fn holds_results(&self) -> bool {
        !self.is_expired
            && self.meta.let_go.is_none()
            && self.outputs().any(|task| {
                let object = self.alias.resolve(task);
                self.cols.state(object) == TaskState::Stored
            })
    }

    /// Whether an output that was lost after the end is made again: not if the job was stopped, by a cancel or as a whole.
    /// A new leader tells that from the record, in which only a job that failed by a task names one.
    pub(crate) fn may_recover(&self) -> bool {
        let has_ended_itself = match self.meta.state {
            JobState::Succeeded => true,
            JobState::Failed => self.meta.failed_task.is_some(),
            _ => false,
        };
        has_ended_itself && self.ending.is_none() && !self.is_expired
    }

    /// Starts the retention of results anew.
    pub(crate) fn keep_results(&mut self, cx: &mut Shared) {
        if !self.is_over() || self.is_expired || self.meta.let_go.is_some() {
            return;
        }
        let ttl = match self.meta.options.result_ttl_s {
            Some(seconds) => Duration::from_secs(seconds),
            None => cx.config.result_ttl,
        };
        let ttl = if self.holds_results() {
            ttl
        } else {
            ttl.min(LINGER)
        };
        let until = cx.clock.now + ttl;
        let is_sooner = until < std::mem::replace(&mut self.retain_until, until);
        if !std::mem::replace(&mut self.is_retention_armed, true) || is_sooner {
            cx.timers
                .arm(self.retain_until, Timer::Retention { job: self.no });
        }
    }

    /// A retention timer fired. Tells whether the time is really over; a read since has moved the end.
    pub(crate) fn is_retention_over(&mut self, cx: &mut Shared) -> bool {
        if cx.clock.now < self.retain_until {
            cx.timers
                .arm(self.retain_until, Timer::Retention { job: self.no });
            return false;
        }
        self.is_retention_armed = false;
        true
    }

    /// Lets all results go.
    pub(crate) fn let_go(&mut self, cx: &mut Shared) {
        self.is_expired = true;
        for task in 0..self.cols.len() {
            if self.cols.state(task) == TaskState::Stored {
                self.release(cx, task);
            }
        }
        self.forget_at_workers(cx);
    }

    /// Tells the workers that hold nothing of this job to forget it.
    fn forget_at_workers(&mut self, cx: &mut Shared) {
        let mut holders = vec![false; cx.workers.len()];
        for task in (0..self.cols.len()).filter(|task| !self.cols.has(*task, flag::IMPORT)) {
            for holder in self.holders(task) {
                holders[holder.index()] = true;
            }
        }
        for no in cx.workers.numbers() {
            let worker = &mut cx.workers[no];
            // What workers were told by an earlier leader is not known here.
            let may_know = worker.jobs.contains(&self.no) || (self.was_recovered && !worker.is_gone());
            // A copy on its way there is kept as well, unless all is let go.
            let gets_copy = !self.is_expired && worker.replicating.iter().any(|(job, _)| *job == self.no);
            if may_know && !holders[no.index()] && !gets_copy {
                worker.forget(self.no, self.id);
                cx.workers.touch(no);
            }
        }
    }

    /// What a gateway is told of the job. With `deliver`, small results travel along and count as delivered.
    pub(crate) fn answer(&mut self, cx: &mut Shared, deliver: bool) -> JobAnswer {
        let mut inline = Vec::new();
        let mut delivered = Vec::new();
        let mut room = ANSWER_INLINE;
        if deliver && self.is_over() {
            for named in self.outputs().collect::<Vec<_>>() {
                let object = self.alias.resolve(named);
                let Some(value) = self.inline.get(&object) else {
                    continue;
                };
                if value.len() + 64 > room {
                    break;
                }
                room -= value.len() + 64;
                inline.push(InlineResult {
                    task: TaskIdx(named),
                    key: self.key_of(named),
                    value: value.clone(),
                });
                delivered.push(object);
            }
            self.deliver(cx, &delivered);
        }
        JobAnswer {
            meta: self.record(),
            counts: self.cols.counts,
            inline,
            outputs: self.outputs().map(TaskIdx).collect(),
        }
    }

    /// Outputs are about to leave the cluster. Where they may come out differently the next time, that is written first.
    pub(crate) fn deliver(&mut self, cx: &mut Shared, objects: &[u32]) {
        let is_new = |object: &u32| !self.cols.has(*object, flag::DELIVERED);
        let newly: Vec<u32> = objects.iter().copied().filter(is_new).collect();
        for object in &newly {
            self.cols.set(*object, flag::DELIVERED);
        }
        if !self.has_indeterminate || newly.is_empty() {
            return;
        }
        for object in &newly {
            self.mark_result(*object);
        }
        cx.commit(Commit::PutPages {
            job: self.id,
            pages: self.cols.pages_of(&newly),
        });
    }

    /// The pages with marks that were committed: of delivered outputs that may come out differently, and of what was
    /// given up.
    pub(crate) fn marked_pages(&self) -> Option<Vec<(u32, Bytes)>> {
        let told = if self.has_indeterminate {
            flag::DELIVERED
        } else {
            0
        };
        let marks = told | flag::GIVEN_UP;
        let marked: Vec<u32> = (0..self.cols.len())
            .filter(|task| self.cols.has(*task, marks))
            .collect();
        (!marked.is_empty()).then(|| self.cols.pages_of(&marked))
    }

    /// Keeps a small wanted output, if there is room.
    pub(crate) fn keep_inline(&mut self, cx: &mut Shared, task: u32, value: Bytes) {
        let len = value.len() as u64;
        let fits = ByteSize::new(len) <= cx.config.inline_limit
            && cx.inline_bytes + len <= cx.config.inline_budget.as_u64();
        if fits && self.cols.has(task, flag::WANTED) {
            self.drop_inline(cx, task);
            // A copy of its own: the slice would keep the whole frame it came in.
            self.inline.insert(task, Bytes::copy_from_slice(&value));
            cx.inline_bytes += len;
            self.mark_result(task);
        }
    }

    /// Where the object of a wanted task is, if it is anywhere.
    pub(crate) fn result_entry(&self, cx: &Shared, named: u32) -> Option<ResultEntry> {
        let object = self.alias.resolve(named);
        let is_let_go = self.meta.let_go.is_some() || self.cols.has(named, flag::GIVEN_UP);
        if self.cols.state(object) != TaskState::Stored || is_let_go {
            return None;
        }
        let holders = self.holders(object).filter_map(|no| cx.workers.get(no));
        Some(ResultEntry {
            task: TaskIdx(object),
            attempt: self.cols.attempt(object),
            bytes: ByteSize::new(self.cols.bytes[object as usize]),
            holders: holders
                .map(|worker| (worker.info.worker, worker.info.data_address.clone()))
                .collect(),
            inline: self.inline.get(&object).cloned(),
            is_untold: self.has_indeterminate && !self.cols.has(object, flag::DELIVERED),
        })
    }

    fn arm_progress(&mut self, cx: &mut Shared) {
        if self.is_progress_armed || self.is_over() || self.is_raw {
            return;
        }
        self.is_progress_armed = true;
        let at = (self.progress_at + cx.config.progress_every).max(cx.clock.now);
        cx.timers.arm(at, Timer::Progress { job: self.no });
    }

    /// Tells counts, at most every so often.
    pub(crate) fn tell_progress(&mut self, cx: &mut Shared) {
        self.is_progress_armed = false;
        if self.is_over() {
            return;
        }
        self.progress_at = cx.clock.now;
        self.is_meta_dirty = true;
        cx.tell(
            self.id,
            JobEventKind::Progress {
                counts: self.cols.counts,
            },
        );
    }

    /// Takes the writes that trail this job.
    pub(crate) fn take_notes(&mut self, cx: &Shared, notes: &mut Vec<Note>) {
        let pages = self.cols.take_pages();
        if !pages.is_empty() {
            notes.push(Note::Pages { job: self.id, pages });
        }
        for named in std::mem::take(&mut self.dirty_results) {
            let task = TaskIdx(named);
            notes.push(match self.result_entry(cx, named) {
                Some(entry) => Note::Result {
                    job: self.id,
                    task,
                    entry: Box::new(entry),
                },
                None => Note::ResultGone { job: self.id, task },
            });
        }
        if std::mem::take(&mut self.is_meta_dirty) {
            notes.push(Note::Meta {
                meta: Box::new(self.record()),
            });
        }
    }

    /// The error that a wanted task's users see.
    pub(crate) fn result_error(&self, named: u32) -> TaskError {
        self.error_of(self.alias.resolve(named))
    }
}
