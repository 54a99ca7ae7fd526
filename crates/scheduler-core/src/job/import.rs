//! Tasks that stand for objects of other jobs, and objects that other jobs' tasks stand for. What touches two jobs at
//! once is in [`crate::imports`].

use std::collections::{BTreeMap, BTreeSet};

use millstream_protocol::graph::ImportSource;
use millstream_protocol::wire::{JobState, LetGo};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::{Attempt, ObjectId, TaskIdx};

use super::{Ending, Job, TaskState, flag};
use crate::Commit;
use crate::ids::{JobNo, WorkerNo};
use crate::shared::Shared;

/// An import of a job: job and task.
pub(crate) type ImportRef = (JobNo, u32);

/// What an import stands for.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) source: ImportSource,
    /// The job and the object, while that is held for this import.
    pub(crate) link: Option<(JobNo, u32)>,
    /// The object as workers know it, once it is there.
    pub(crate) object: Option<ObjectId>,
    /// Whether it comes out the same when it is made again.
    pub(crate) is_determinate: bool,
}

/// A job's share in imports, its own and others'.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    /// Its imports.
    pub(crate) imports: BTreeMap<u32, Import>,
    /// Jobs that it imports from.
    pub(crate) sources: BTreeSet<JobNo>,
    /// Jobs that import from it: its graph stays for them.
    pub(crate) dependants: BTreeSet<JobNo>,
    /// Who stands for its objects, linked now or not.
    pub(crate) importers: BTreeMap<u32, BTreeSet<ImportRef>>,
    /// How many imports hold an object.
    links: BTreeMap<u32, u32>,
}

/// Where the object of an import stands.
#[derive(Debug)]
pub(crate) enum SourceState {
    /// It is held.
    Held {
        object: ObjectId,
        attempt: Attempt,
        bytes: u64,
        holders: Vec<WorkerNo>,
    },
    /// It is made, or made again.
    Pending,
    /// It will not be.
    Lost(TaskError),
}

impl Job {
    /// Lists the imports among the tasks of the layers from `layer` on.
    pub(super) fn index_imports(&mut self, layer: usize) {
        let (graph, cols, sharing) = (&self.graph, &mut self.cols, &mut self.sharing);
        graph.for_each_import(layer, |task, params| {
            // The graph was checked: every import names something.
            if let Ok(source) = ImportSource::decode(params) {
                cols.set(task, flag::IMPORT);
                let import = Import {
                    source,
                    link: None,
                    object: None,
                    is_determinate: true,
                };
                sharing.imports.insert(task, import);
            }
        });
    }

    /// Has the imports from task number `first` on looked after.
    pub(super) fn announce_imports(&self, cx: &mut Shared, first: u32) {
        let imports = self.sharing.imports.range(first..);
        cx.imports.extend(imports.map(|(task, _)| (self.no, *task)));
    }

    /// Has whoever shares a task's object looked after.
    pub(super) fn tell_sharers(&self, cx: &mut Shared, task: u32) {
        if self.cols.has(task, flag::IMPORT) {
            cx.imports.push((self.no, task));
        }
        if self.cols.has(task, flag::EXPORTED) {
            cx.imports.extend(self.importers(task));
        }
    }

    /// The imports that ever were linked to a task's object, of jobs that are still here.
    pub(super) fn importers(&self, task: u32) -> impl Iterator<Item = ImportRef> + '_ {
        self.sharing.importers.get(&task).into_iter().flatten().copied()
    }

    /// Whether the task gives the same output whenever it runs.
    pub(crate) fn is_determinate(&self, task: u32) -> bool {
        match self.sharing.imports.get(&task) {
            Some(import) => import.is_determinate,
            None => self.op_of(task).determinate,
        }
    }

    /// The object of another job that an import stands for.
    pub(crate) fn foreign(&self, task: u32) -> Option<ObjectId> {
        if !self.cols.has(task, flag::IMPORT) {
            return None;
        }
        self.sharing.imports.get(&task)?.object
    }

    /// An import holds a task's object.
    pub(crate) fn hold(&mut self, task: u32, importer: ImportRef) {
        self.cols.set(task, flag::EXPORTED);
        *self.sharing.links.entry(task).or_default() += 1;
        self.sharing.importers.entry(task).or_default().insert(importer);
    }

    /// An import holds a task's object no more. With the last one goes what nobody else needs.
    pub(crate) fn unhold(&mut self, cx: &mut Shared, task: u32) {
        if let Some(links) = self.sharing.links.get_mut(&task) {
            *links -= 1;
            if *links > 0 {
                return;
            }
        }
        self.sharing.links.remove(&task);
        self.cols.clear(task, flag::EXPORTED);
        // A cancelled job kept it for others alone.
        let may_go = !self.is_kept(task) || self.ending == Some(Ending::Cancel);
        if self.is_raw || !may_go {
            return;
        }
        match self.cols.state(task) {
            TaskState::Stored => self.release(cx, task),
            // What nobody ever read runs for its own sake, unless it only runs again.
            _ if self.reader_count(task) == 0 && self.is_first_life(task) => {}
            state if !state.is_done() => {
                self.to_prune.push(task);
                self.touch(cx);
            }
            _ => {}
        }
    }

    /// Whether a task runs because its job does, rather than for somebody who came later.
    fn is_first_life(&self, task: u32) -> bool {
        self.meta.state == JobState::Running && !self.cols.has(task, flag::GIVEN_UP)
    }

    /// The objects that imports of other jobs hold.
    pub(super) fn linked(&self) -> impl Iterator<Item = u32> + '_ {
        self.sharing.links.keys().copied()
    }

    /// Another task takes a task's place: for other jobs as well.
    pub(super) fn move_importers(&mut self, from: u32, to: u32) {
        if let Some(moved) = self.sharing.importers.remove(&from) {
            self.sharing.importers.entry(to).or_default().extend(moved);
        }
        if let Some(links) = self.sharing.links.remove(&from) {
            *self.sharing.links.entry(to).or_default() += links;
            self.cols.clear(from, flag::EXPORTED);
            self.cols.set(to, flag::EXPORTED);
        }
    }

    /// Where a task's object stands for the jobs that import it. One that is nowhere is made again if it can be.
    pub(crate) fn source_state(&mut self, cx: &mut Shared, task: u32) -> SourceState {
        let state = self.cols.state(task);
        match state {
            TaskState::Stored if self.cols.is_held(task) => SourceState::Held {
                object: ObjectId::new(self.id, TaskIdx(task)),
                attempt: self.cols.attempt(task),
                bytes: self.cols.bytes[task as usize],
                holders: self.holders(task).collect(),
            },
            TaskState::Failed => {
                let error = self.error_of(task);
                SourceState::Lost(TaskError {
                    kind: ErrorKind::UpstreamFailed,
                    message: format!(
                        "task `{}` of job {} failed: {}",
                        self.key_of(task),
                        self.id,
                        error.message
                    ),
                    ..error
                })
            }
            TaskState::Stored | TaskState::Released | TaskState::Cancelled => {
                if !self.can_make_again() {
                    return SourceState::Lost(self.lost_error(task));
                }
                if self.is_over() {
                    self.recover_object(cx, task);
                } else {
                    self.require(cx, task);
                }
                // The attempt may have shown that something was delivered which would come out differently.
                if self.can_make_again() {
                    SourceState::Pending
                } else {
                    SourceState::Lost(self.lost_error(task))
                }
            }
            TaskState::Assigned if self.cols.has(task, flag::CANCELLING) => {
                self.require(cx, task);
                SourceState::Pending
            }
            _ => SourceState::Pending,
        }
    }

    /// Whether an object that is nowhere can be made again.
    pub(crate) fn can_make_again(&self) -> bool {
        match self.is_over() {
            true => self.may_recover(),
            false => self.ending.is_none(),
        }
    }

    fn lost_error(&self, task: u32) -> TaskError {
        let why = match (&self.ending, self.meta.state) {
            (Some(Ending::Cancel), _) | (_, JobState::Cancelled | JobState::Cancelling) => "was cancelled",
            (Some(Ending::Fail(_)), _) | (_, JobState::Failed) => "failed as a whole",
            _ => "let its results go",
        };
        let message = format!(
            "the output of task `{}` of job {} is gone, and cannot be made again since that job {why}: run it again",
            self.key_of(task),
            self.id
        );
        TaskError::new(ErrorKind::InputLost, message)
    }

    /// An object that was lost after the job's end is made again. A job that runs again owes all its outputs.
    pub(crate) fn recover_object(&mut self, cx: &mut Shared, object: u32) {
        self.set_state(cx, JobState::Recovering);
        self.require(cx, object);
        for named in self.wanted.clone() {
            let other = self.alias.resolve(named);
            // A new leader takes what a failed job never came to for cancelled.
            let is_nowhere = matches!(self.cols.state(other), TaskState::Released | TaskState::Cancelled);
            if self.cols.has(other, flag::WANTED) && is_nowhere {
                self.require(cx, other);
            }
        }
        self.touch(cx);
    }

    /// An import takes over where its object stands.
    pub(crate) fn follow_source(&mut self, cx: &mut Shared, task: u32, source: SourceState) {
        match source {
            SourceState::Held {
                object,
                attempt,
                bytes,
                holders,
            } => {
                let is_other = self.cols.attempt(task) != attempt;
                if self.cols.state(task) == TaskState::Stored && is_other {
                    self.lose_import(cx, task);
                }
                if let Some(import) = self.sharing.imports.get_mut(&task) {
                    import.object = Some(object);
                }
                match self.cols.state(task) {
                    TaskState::Stored => self.set_holders(task, &holders),
                    TaskState::Waiting => {
                        self.set_holders(task, &holders);
                        self.cols.set_attempt(task, attempt);
                        self.cols.bytes[task as usize] = bytes;
                        self.transition(cx, task, TaskState::Stored);
                        self.offer(cx, task);
                        if !self.is_kept(task) {
                            self.release(cx, task);
                        }
                    }
                    _ => {}
                }
            }
            SourceState::Pending => self.lose_import(cx, task),
            SourceState::Lost(error) => {
                self.lose_import(cx, task);
                if self.cols.state(task) == TaskState::Waiting && self.ending.is_none() {
                    self.fail_with(cx, task, error);
                }
            }
        }
    }

    /// Takes over where an object is, while the counters are not there yet.
    pub(crate) fn follow_source_raw(&mut self, cx: &mut Shared, task: u32, source: SourceState) {
        let SourceState::Held {
            object,
            attempt,
            bytes,
            holders,
        } = source
        else {
            return;
        };
        if !matches!(self.cols.state(task), TaskState::Waiting | TaskState::Stored) {
            return;
        }
        if let Some(import) = self.sharing.imports.get_mut(&task) {
            import.object = Some(object);
        }
        self.set_holders(task, &holders);
        self.cols.set_attempt(task, attempt);
        self.cols.bytes[task as usize] = bytes;
        self.cols.clear(task, flag::TENTATIVE);
        if self.cols.state(task) == TaskState::Waiting {
            self.transition(cx, task, TaskState::Stored);
        }
    }

    fn set_holders(&mut self, task: u32, holders: &[WorkerNo]) {
        self.cols.set_worker(task, holders.first().copied());
        self.replicas.remove(&task);
        if let Some(more) = holders.get(1..).filter(|more| !more.is_empty()) {
            self.replicas.insert(task, more.to_vec());
        }
    }

    /// The object of a stored import is nowhere for now: as if it had been lost here.
    fn lose_import(&mut self, cx: &mut Shared, task: u32) {
        if self.cols.state(task) == TaskState::Stored {
            self.replicas.remove(&task);
            self.lose(cx, task);
        }
    }

    /// A first job begins to import from this one: its record, which may have had an end, stays.
    pub(crate) fn stay(&self, cx: &mut Shared) {
        if self.is_over() && !self.holds_results() {
            cx.commit(Commit::SetMeta {
                meta: Box::new(self.record()),
                expire_after: None,
            });
        }
    }

    /// The outputs of a job that is over are let go, but not the job: others import from it.
    pub(crate) fn leave(&mut self, cx: &mut Shared, why: LetGo) {
        if self.meta.let_go == Some(LetGo::Removed) || self.meta.let_go == Some(why) {
            return;
        }
        self.meta.let_go = Some(why);
        self.unwant_all();
        for task in 0..self.cols.len() {
            if self.cols.state(task) == TaskState::Stored && !self.is_kept(task) {
                self.release(cx, task);
            }
        }
        self.dirty_results.extend(self.wanted.iter().copied());
        cx.commit(Commit::SetMeta {
            meta: Box::new(self.record()),
            expire_after: None,
        });
    }

    /// No output is wanted any more.
    pub(super) fn unwant_all(&mut self) {
        for named in self.wanted.clone() {
            let object = self.alias.resolve(named);
            self.cols.clear(object, flag::WANTED);
        }
    }
}
