//! One job: its graph, its tasks' columns, what is ready, and what the journal knows.

mod alias;
mod binding;
mod cancel;
mod columns;
mod extension;
mod failure;
mod import;
mod index;
mod lineage;
mod order;
mod outcome;
mod ready;
mod rebuild;
mod rollback;
mod single;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use millstream_protocol::TaskError;
use millstream_protocol::graph::{Graph, OpSpec, TaskOptions};
use millstream_protocol::wire::{FailureRecord, JobMeta, JobState};
use millstream_types::{Attempt, JobId, ResourceSet, TaskIdx, Timestamp};

use self::alias::Aliases;
pub(crate) use self::columns::{TaskColumns, TaskState, flag};
pub(crate) use self::extension::{GraphMark, GraphPart, graph_part};
pub(crate) use self::import::ImportRef;
use self::import::Sharing;
use self::index::GraphIndex;
use self::ready::ReadyQueue;
pub(crate) use self::ready::{ReadyClass, Taken};
use crate::ids::{JobNo, WorkerNo};
use crate::shared::Shared;
use crate::stats::StatNo;

/// How a job that is told to stop will end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    /// As cancelled.
    Cancel,
    /// As failed.
    Fail(TaskError),
}

/// One job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) no: JobNo,
    pub(crate) id: JobId,
    /// Submission order.
    pub(crate) seq: u32,
    pub(crate) meta: JobMeta,
    pub(crate) graph: Graph,
    pub(crate) index: GraphIndex,
    pub(crate) cols: TaskColumns,
    pub(crate) ready: ReadyQueue,
    pub(crate) alias: Aliases,
    /// Ready class by options index.
    classes: Vec<ReadyClass>,
    /// Row of the operation statistics by op index.
    stats: Vec<StatNo>,
    /// The submitted graph and its extensions, in the order of `graph`.
    pub(crate) parts: Vec<GraphPart>,
    /// The latest run of tasks of which an earlier one's object was adopted: numbers of runs are never given twice.
    pub(crate) latest: BTreeMap<u32, Attempt>,
    /// Wanted tasks as the graph names them; an extension may have put others in their place.
    pub(crate) wanted: Vec<u32>,
    /// Holders beyond the first.
    pub(crate) replicas: BTreeMap<u32, Vec<WorkerNo>>,
    /// Small wanted outputs.
    pub(crate) inline: BTreeMap<u32, Bytes>,
    pub(crate) failures: BTreeMap<u32, FailureRecord>,
    /// How often a task's inputs could not be reached.
    pub(crate) unreached: BTreeMap<u32, u32>,
    /// Gateways that wait for the end.
    pub(crate) watchers: Vec<String>,
    pub(crate) dirty_results: BTreeSet<u32>,
    pub(crate) is_meta_dirty: bool,
    pub(crate) is_progress_armed: bool,
    pub(crate) progress_at: Timestamp,
    pub(crate) is_touched: bool,
    /// Told to stop: nothing runs again, counters of edges are no longer kept.
    pub(crate) ending: Option<Ending>,
    /// Found in the journal: workers may know it from an earlier leader.
    pub(crate) was_recovered: bool,
    /// Recovered, and not yet settled from inventories: counters of edges are not there yet.
    pub(crate) is_raw: bool,
    /// The journal has a part of it that does not fit the rest.
    pub(crate) is_journal_torn: bool,
    /// When results are let go, once the job is over.
    pub(crate) retain_until: Timestamp,
    /// Results were let go.
    pub(crate) is_expired: bool,
    is_retention_armed: bool,
    pub(crate) accepted_at: Timestamp,
    /// Some operation may give another output when it runs again.
    pub(crate) has_indeterminate: bool,
    /// Its imports, and other jobs' imports of its objects.
    pub(crate) sharing: Sharing,
    /// Since when a class of tasks had no worker that could ever run it.
    pub(crate) unschedulable: BTreeMap<ReadyClass, Timestamp>,
    newly_ready: Vec<u32>,
    to_release: Vec<u32>,
    to_prune: Vec<u32>,
}

impl Job {
    /// A job whose graph has been checked. Nothing is ready yet.
    pub(crate) fn new(cx: &mut Shared, no: JobNo, seq: u32, meta: JobMeta, graph: Graph) -> Self {
        let mut job = Self {
            no,
            id: meta.job,
            seq,
            graph,
            index: GraphIndex::default(),
            cols: TaskColumns::default(),
            ready: ReadyQueue::default(),
            alias: Aliases::default(),
            classes: Vec::new(),
            stats: Vec::new(),
            parts: Vec::new(),
            latest: BTreeMap::new(),
            wanted: Vec::new(),
            replicas: BTreeMap::new(),
            inline: BTreeMap::new(),
            failures: BTreeMap::new(),
            unreached: BTreeMap::new(),
            watchers: Vec::new(),
            dirty_results: BTreeSet::new(),
            is_meta_dirty: false,
            is_progress_armed: false,
            progress_at: Timestamp::ZERO,
            is_touched: false,
            ending: None,
            was_recovered: false,
            is_raw: false,
            is_journal_torn: false,
            retain_until: Timestamp::ZERO,
            is_expired: false,
            is_retention_armed: false,
            accepted_at: cx.clock.now,
            has_indeterminate: false,
            sharing: Sharing::default(),
            unschedulable: BTreeMap::new(),
            newly_ready: Vec::new(),
            to_release: Vec::new(),
            to_prune: Vec::new(),
            meta,
        };
        job.index_from(cx, 0, 0, 0);
        job.want_from(0);
        job.parts.push(GraphPart {
            extender: None,
            replacement: None,
            first: 0,
            term: job.meta.accepted_in,
            end: GraphMark::of(&job.graph),
        });
        job
    }

    /// Indexes what was appended to the graph behind the given positions.
    fn index_from(&mut self, cx: &mut Shared, layer: usize, op: usize, options: usize) {
        self.index.extend(&self.graph, layer);
        let tasks = self.graph.task_count();
        self.cols.grow(tasks as usize);
        self.index_imports(layer);
        for spec in &self.graph.ops[op..] {
            self.stats.push(cx.stats.row_of(spec));
            self.has_indeterminate |= !spec.determinate;
        }
        for (at, options) in self.graph.options.iter().enumerate().skip(options) {
            let rank = self.meta.options.priority.saturating_add(options.priority);
            let is_restricted = !options.resources.is_empty() || !options.workers.is_empty();
            self.classes.push(ReadyClass {
                rank: rank.saturating_neg(),
                restriction: if is_restricted { at as u16 + 1 } else { 0 },
            });
        }
    }

    /// Marks the outputs behind a position as wanted.
    fn want_from(&mut self, position: usize) {
        for task in &self.graph.outputs[position..] {
            if !self.cols.has(*task, flag::NAMED) {
                self.cols.set(*task, flag::NAMED);
                self.wanted.push(*task);
            }
            if !self.cols.has(*task, flag::GIVEN_UP) {
                self.cols.set(self.alias.resolve(*task), flag::WANTED);
            }
        }
    }

    /// Queues the roots of the layers from `layer` on.
    pub(crate) fn queue_roots(&mut self, cx: &mut Shared, from_layer: usize) {
        let mut first = self.graph.layers[..from_layer]
            .iter()
            .map(|layer| layer.len())
            .sum::<u32>();
        self.announce_imports(cx, first);
        let mut listed: BTreeMap<ReadyClass, Vec<(u32, u32)>> = BTreeMap::new();
        for layer in &self.graph.layers[from_layer..] {
            let end = first + layer.len();
            if layer.is_symbolic() {
                if !layer.is_empty() && layer.dep_count(first, 0) == 0 {
                    let class = self.class_at(layer.options_of(0));
                    self.ready.push_root_range(class, first, end);
                }
            } else {
                let is_root = |task: &u32| {
                    layer.dep_count(first, task - first) == 0 && !self.cols.has(*task, flag::IMPORT)
                };
                for task in (first..end).filter(is_root) {
                    let class = self.class_at(layer.options_of(task - first));
                    listed
                        .entry(class)
                        .or_default()
                        .push((self.index.order(&self.graph, task), task));
                }
            }
            first = end;
        }
        for (class, tasks) in listed {
            self.ready.push_roots(class, tasks);
        }
        for class in self.ready.classes().collect::<Vec<_>>() {
            self.list(cx, class);
        }
    }

    fn class_at(&self, options: u16) -> ReadyClass {
        self.classes
            .get(usize::from(options))
            .copied()
            .unwrap_or_default()
    }

    /// The rank of tasks with these options.
    pub(crate) fn class_rank(&self, options: u16) -> i32 {
        self.class_at(options).rank
    }

    /// The ready class of a task.
    pub(crate) fn class_of(&self, task: u32) -> ReadyClass {
        let (at, first) = self.index.locate(task);
        self.class_at(self.graph.layers[at].options_of(task - first))
    }

    /// Operation and options indexes of a task.
    pub(crate) fn row_of(&self, task: u32) -> (u16, u16) {
        let (at, first) = self.index.locate(task);
        let layer = &self.graph.layers[at];
        (layer.op_of(task - first), layer.options_of(task - first))
    }

    pub(crate) fn op_of(&self, task: u32) -> &OpSpec {
        // The graph was checked: every task's op exists.
        &self.graph.ops[usize::from(self.row_of(task).0)]
    }

    pub(crate) fn options_of(&self, task: u32) -> &TaskOptions {
        &self.graph.options[usize::from(self.row_of(task).1)]
    }

    pub(crate) fn stat_of(&self, op: u16) -> StatNo {
        self.stats[usize::from(op)]
    }

    /// What a restricted task takes of its worker; nothing for the others, which only take a slot.
    pub(crate) fn resources_of(&self, task: u32) -> Option<&ResourceSet> {
        let resources = &self.options_of(task).resources;
        (!resources.is_empty()).then_some(resources)
    }

    pub(crate) fn key_of(&self, task: u32) -> String {
        self.graph.key_of(TaskIdx(task))
    }

    /// Calls `visit` for each task that reads `task`'s object, once per edge.
    pub(crate) fn for_each_reader(&self, task: u32, mut visit: impl FnMut(u32)) {
        self.index.for_each_reader(&self.graph, task, &mut visit);
        for source in self.alias.sources(task) {
            self.index.for_each_reader(&self.graph, *source, &mut visit);
        }
    }

    /// Number of edges that read `task`'s object.
    pub(crate) fn reader_count(&self, task: u32) -> u32 {
        let own = self.index.reader_count(&self.graph, task);
        let moved: u32 = self
            .alias
            .sources(task)
            .iter()
            .map(|source| self.index.reader_count(&self.graph, *source))
            .sum();
        own + moved
    }

    /// Calls `visit` for the producer of each of `task`'s inputs, once per edge.
    pub(crate) fn for_each_input(&self, task: u32, mut visit: impl FnMut(u32)) {
        self.index
            .for_each_dep(&self.graph, task, |dep| visit(self.alias.resolve(dep.task.0)));
    }

    /// Whether every input is stored.
    pub(crate) fn is_complete(&self, task: u32) -> bool {
        self.cols.available[task as usize] >= self.index.dep_count(&self.graph, task)
    }

    /// Whether some reader still needs the task's object, here or in another job, or it is wanted, while the job runs.
    pub(crate) fn is_needed(&self, task: u32) -> bool {
        let is_wanted = self.cols.has(task, flag::WANTED) && !self.meta.state.is_terminal();
        is_wanted || self.is_read(task)
    }

    /// Whether some reader is not done, here or in another job.
    pub(crate) fn is_read(&self, task: u32) -> bool {
        let is_exported = self.cols.has(task, flag::EXPORTED) && !self.meta.state.is_terminal();
        is_exported || self.cols.consumed[task as usize] < self.reader_count(task)
    }

    /// Whether the object must stay: somebody needs it, or it is retained.
    pub(crate) fn is_kept(&self, task: u32) -> bool {
        let is_held_for = flag::WANTED | flag::EXPORTED;
        self.cols.has(task, is_held_for) || self.cols.consumed[task as usize] < self.reader_count(task)
    }

    /// Holders of a task's object, the first one first.
    pub(crate) fn holders(&self, task: u32) -> impl Iterator<Item = WorkerNo> + '_ {
        let first = if self.cols.is_held(task) {
            self.cols.worker(task)
        } else {
            None
        };
        let more = if self.replicas.is_empty() {
            None
        } else {
            self.replicas.get(&task)
        };
        first
            .into_iter()
            .chain(more.into_iter().flat_map(|list| list.iter().copied()))
    }

    /// The only way a task's state changes: column, story, and the job is looked at in the next poll.
    pub(crate) fn transition(&mut self, cx: &mut Shared, task: u32, to: TaskState) {
        self.cols.set_state(task, to);
        let worker = match to {
            TaskState::Assigned | TaskState::Stored => self.cols.worker(task),
            _ => None,
        };
        cx.story.push(cx.clock.now, self.no, task, to, worker);
        self.tell_sharers(cx, task);
        self.touch(cx);
    }

    pub(crate) fn touch(&mut self, cx: &mut Shared) {
        if !self.is_touched {
            self.is_touched = true;
            cx.touched.push(self.no);
        }
    }

    /// Puts a task whose inputs are stored into the ready queue.
    pub(crate) fn make_ready(&mut self, cx: &mut Shared, task: u32) {
        self.transition(cx, task, TaskState::Ready);
        self.requeue_ready(cx, task);
    }

    /// Puts a class of tasks into the cluster-wide ready list.
    fn list(&mut self, cx: &mut Shared, class: ReadyClass) {
        if self.ready.mark_listed(class) {
            cx.list_ready(self.no, self.seq, class);
        }
    }

    /// Lists a ready task again.
    pub(crate) fn requeue_ready(&mut self, cx: &mut Shared, task: u32) {
        let class = self.class_of(task);
        self.list(cx, class);
        let order = self.index.order(&self.graph, task);
        self.ready.push(class, order, task);
    }

    /// Marks what users see of a wanted object as changed.
    pub(crate) fn mark_result(&mut self, task: u32) {
        if !self.cols.has(task, flag::WANTED) {
            return;
        }
        if self.cols.has(task, flag::NAMED) {
            self.dirty_results.insert(task);
        }
        for source in self.alias.sources(task) {
            if self.cols.has(*source, flag::NAMED) {
                self.dirty_results.insert(*source);
            }
        }
    }

    /// Whether nothing more runs.
    pub(crate) const fn is_over(&self) -> bool {
        self.meta.state.is_terminal()
    }

    /// Whether new work of this job may be placed.
    pub(crate) const fn runs(&self) -> bool {
        matches!(self.meta.state, JobState::Running | JobState::Recovering)
            && self.ending.is_none()
            && !self.is_raw
    }

    /// Heap bytes per task table, for reports.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.cols.heap_bytes() + self.index.heap_bytes()
    }
}
