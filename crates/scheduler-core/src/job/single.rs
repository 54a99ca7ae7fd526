//! Outputs that a client gives up and tasks that it cancels, one by one, while the job goes on.
//!
//! Both only take outputs out of what is wanted; what nothing needs then is released or pruned as ever. A task that is
//! cancelled takes along what reads it, since that could never run. What another job imports stays, and what that reads.
//! The marks are in the journal's pages: they are committed before the client is answered.

use std::collections::BTreeSet;

use millstream_protocol::{ErrorKind, TaskError};

use super::{Job, TaskState, flag};
use crate::Commit;
use crate::shared::Shared;

impl Job {
    /// The client needs these outputs no more. Returns how many of them it had not given up before.
    pub(crate) fn give_up(&mut self, cx: &mut Shared, tasks: impl IntoIterator<Item = u32>) -> u32 {
        if self.meta.let_go.is_some() || self.is_expired {
            return 0;
        }
        let mut newly = Vec::new();
        for named in tasks {
            if !self.cols.has(named, flag::GIVEN_UP) {
                self.mark_given_up(named);
                newly.push(named);
            }
        }
        self.commit_marks(cx, &newly);
        for named in &newly {
            self.unwant(cx, self.alias.resolve(*named));
        }
        if !newly.is_empty() && !self.is_raw {
            self.keep_results(cx);
        }
        u32::try_from(newly.len()).unwrap_or(u32::MAX)
    }

    /// These tasks are not to run, nor what reads them. What is done stays as it is. Returns how many tasks it changed.
    pub(crate) fn call_off(&mut self, cx: &mut Shared, tasks: &[u32]) -> u32 {
        if self.is_over() || self.ending.is_some() {
            return 0;
        }
        let mut doomed = self.doomed_by(tasks);
        let spared = self.read_elsewhere(&doomed);
        doomed.retain(|task| !spared.contains(task));
        let mut marked = Vec::new();
        for object in &doomed {
            self.cols.set(*object, flag::CALLED_OFF);
            self.cols.clear(*object, flag::WANTED);
            marked.extend_from_slice(self.alias.sources(*object));
            marked.push(*object);
        }
        for named in &marked {
            self.mark_given_up(*named);
        }
        self.commit_marks(cx, &marked);
        let changed = u32::try_from(doomed.len()).unwrap_or(u32::MAX);
        self.to_prune.extend(doomed);
        self.touch(cx);
        let is_spared = |task: &u32| spared.contains(&self.alias.resolve(*task));
        let spared: Vec<u32> = tasks.iter().copied().filter(is_spared).collect();
        changed + self.give_up(cx, spared)
    }

    /// Whether the task was cancelled by itself, and nobody has had it made since.
    pub(crate) fn is_called_off(&self, task: u32) -> bool {
        self.cols.has(task, flag::CALLED_OFF) && self.cols.state(task) != TaskState::Stored
    }

    /// What readers of a cancelled output are told.
    pub(crate) fn called_off_error(&self, named: u32) -> TaskError {
        let message = format!(
            "task `{}` was cancelled, by itself or with a task that it reads: submit it again",
            self.key_of(named)
        );
        TaskError::new(ErrorKind::Cancelled, message)
    }

    /// A new leader has read the marks: what was given up is wanted no more, and its index entry has to go.
    pub(super) fn recover_given_up(&mut self, results: impl Iterator<Item = u32>) {
        for named in 0..self.cols.len() {
            let object = self.alias.resolve(named);
            if self.cols.has(named, flag::GIVEN_UP) && !self.is_named(object) {
                self.cols.clear(object, flag::WANTED);
            }
        }
        let is_stale = |named: &u32| *named < self.cols.len() && self.cols.has(*named, flag::GIVEN_UP);
        self.dirty_results.extend(results.filter(is_stale));
    }

    /// A new leader knows all counters: what was given up and is not needed does not run.
    pub(super) fn prune_given_up(&mut self) {
        for named in 0..self.cols.len() {
            if self.cols.has(named, flag::GIVEN_UP) {
                self.to_prune.push(self.alias.resolve(named));
            }
        }
    }

    fn mark_given_up(&mut self, named: u32) {
        self.cols.set(named, flag::GIVEN_UP);
        if self.cols.has(named, flag::NAMED) {
            self.dirty_results.insert(named);
        }
    }

    fn commit_marks(&self, cx: &mut Shared, marked: &[u32]) {
        if !marked.is_empty() {
            cx.commit(Commit::PutPages {
                job: self.id,
                pages: self.cols.pages_of(marked),
            });
        }
    }

    /// Whether the client still wants an object, under any of its names.
    fn is_named(&self, object: u32) -> bool {
        let mut names = std::iter::once(object).chain(self.alias.sources(object).iter().copied());
        names.any(|name| self.cols.has(name, flag::NAMED) && !self.cols.has(name, flag::GIVEN_UP))
    }

    /// One of an object's names was given up: with the last one goes what nothing else needs.
    fn unwant(&mut self, cx: &mut Shared, object: u32) {
        if self.is_named(object) {
            return;
        }
        self.cols.clear(object, flag::WANTED);
        if self.is_raw {
            return;
        }
        // A job that is stopped counts no readers any more; none of them will run.
        let is_kept = match self.ending {
            Some(_) => self.cols.has(object, flag::EXPORTED),
            None => self.is_kept(object),
        };
        match self.cols.state(object) {
            TaskState::Stored if !is_kept => self.release(cx, object),
            state if !state.is_done() => {
                self.to_prune.push(object);
                self.touch(cx);
            }
            _ => {}
        }
    }

    /// These tasks and everything that reads them, as far as it is not done.
    fn doomed_by(&self, tasks: &[u32]) -> BTreeSet<u32> {
        let is_open =
            |task: &u32| !self.cols.state(*task).is_done() && !self.cols.has(*task, flag::CALLED_OFF);
        let mut doomed = BTreeSet::new();
        let named = tasks.iter().map(|task| self.alias.resolve(*task));
        let mut stack: Vec<u32> = named.filter(is_open).collect();
        while let Some(task) = stack.pop() {
            if doomed.insert(task) {
                self.for_each_reader(task, |reader| stack.extend(Some(reader).filter(is_open)));
            }
        }
        doomed
    }

    /// Those of the tasks that another job imports, and what these read.
    fn read_elsewhere(&self, tasks: &BTreeSet<u32>) -> BTreeSet<u32> {
        let is_exported = |task: &u32| self.cols.has(*task, flag::EXPORTED);
        let mut read = BTreeSet::new();
        let mut stack: Vec<u32> = tasks.iter().copied().filter(is_exported).collect();
        while let Some(task) = stack.pop() {
            if read.insert(task) {
                self.for_each_input(task, |input| {
                    stack.extend(Some(input).filter(|input| tasks.contains(input)))
                });
            }
        }
        read
    }
}
