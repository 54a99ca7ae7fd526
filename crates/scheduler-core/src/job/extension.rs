//! Graphs that grow: a finished task's extension is joined to its job, once.

use millstream_protocol::graph::{Graph, GraphExtension, OpKind, TaskKeys};
use millstream_protocol::wire::{ExtensionRecord, JobEventKind};
use millstream_protocol::{ErrorKind, TaskError, codec};
use millstream_types::{TaskIdx, Term};

use super::{Job, TaskState, flag};
use crate::Commit;
use crate::shared::Shared;

/// The lengths of a graph's tables at some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GraphMark {
    pub(crate) layers: usize,
    pub(crate) ops: usize,
    pub(crate) options: usize,
    pub(crate) keys: usize,
    pub(crate) outputs: usize,
}

impl GraphMark {
    pub(crate) fn of(graph: &Graph) -> Self {
        Self {
            layers: graph.layers.len(),
            ops: graph.ops.len(),
            options: graph.options.len(),
            keys: graph.keys.0.len(),
            outputs: graph.outputs.len(),
        }
    }
}

/// The submitted graph, or an extension of it.
#[derive(Debug)]
pub(crate) struct GraphPart {
    /// The task that returned it; none of the submitted graph.
    pub(crate) extender: Option<TaskIdx>,
    /// The task that takes the extender's place.
    pub(crate) replacement: Option<TaskIdx>,
    /// The first of its tasks.
    pub(crate) first: u32,
    /// The term in which these tasks got their numbers: no run of an earlier one is of them. 0 if that is not known.
    pub(crate) term: Term,
    /// Where it ends.
    pub(crate) end: GraphMark,
}

/// The part of a graph between two marks.
pub(crate) fn graph_part(graph: &Graph, from: GraphMark, to: GraphMark) -> Graph {
    Graph {
        ops: graph.ops[from.ops..to.ops].to_vec(),
        options: graph.options[from.options..to.options].to_vec(),
        layers: graph.layers[from.layers..to.layers].to_vec(),
        keys: TaskKeys(graph.keys.0[from.keys..to.keys].to_vec()),
        outputs: graph.outputs[from.outputs..to.outputs].to_vec().into(),
    }
}

impl Job {
    /// Checks, commits and joins the extension that `task` returned. The task is off its worker, and not done yet.
    /// Tells whether the task's own output still counts.
    ///
    /// # Errors
    /// What is wrong with the extension; nothing has changed then.
    pub(crate) fn extend(
        &mut self,
        cx: &mut Shared,
        task: u32,
        extension: GraphExtension,
    ) -> Result<bool, TaskError> {
        let refused = |message: String| {
            TaskError::new(
                ErrorKind::BadInput,
                format!("the tasks it added are not usable: {message}"),
            )
        };
        let rebased = extension
            .rebase(&self.graph, TaskIdx(task), &cx.config.graph)
            .map_err(|error| refused(error.to_string()))?;
        if let Some(target) = rebased.replacement
            && self.would_read(&rebased.fragment, target.0, task)
        {
            return Err(refused(
                "the task that replaces its output would wait for it".to_owned(),
            ));
        }
        if let Some(target) = rebased.replacement
            && self.is_import(&rebased.fragment, target.0)
        {
            return Err(refused(
                "the task that replaces its output stands for an object of another job".to_owned(),
            ));
        }
        let replacement = rebased.replacement;
        let record = ExtensionRecord::new(rebased, cx.identity.term);
        let encoded = codec::encode_named(&record).map_err(|error| refused(error.to_string()))?;
        cx.commit(Commit::PutExtension {
            job: self.id,
            task: TaskIdx(task),
            extension: encoded.into(),
        });
        let (before, first) = (GraphMark::of(&self.graph), self.cols.len());
        self.join(cx, task, record);
        let kind = JobEventKind::Extended {
            key: self.key_of(task),
            added: self.cols.len() - first,
        };
        cx.tell(self.id, kind);
        if let Some(target) = replacement {
            self.replace(cx, task, target.0);
        }
        self.start_tasks(cx, first, before.layers);
        Ok(replacement.is_none())
    }

    /// Appends a numbered extension to graph, index and columns.
    pub(crate) fn join(&mut self, cx: &mut Shared, task: u32, record: ExtensionRecord) {
        let (before, first) = (GraphMark::of(&self.graph), self.cols.len());
        self.graph.append(record.fragment);
        self.index_from(cx, before.layers, before.ops, before.options);
        self.want_from(before.outputs);
        self.cols.set(task, flag::EXTENDED);
        self.parts.push(GraphPart {
            extender: Some(TaskIdx(task)),
            replacement: record.replacement,
            first,
            term: record.term,
            end: GraphMark::of(&self.graph),
        });
    }

    /// Puts `target` in the place of `task`: readers and wanted-ness move.
    fn replace(&mut self, cx: &mut Shared, task: u32, target: u32) {
        let target = self.alias.resolve(target);
        let is_wanted = self.cols.has(task, flag::WANTED);
        // Readers that are done have been counted where they now read.
        let consumed = std::mem::take(&mut self.cols.consumed[task as usize]);
        self.cols.consumed[target as usize] += consumed;
        let mut moved = self.alias.sources(task).to_vec();
        moved.push(task);
        self.recall_readers(cx, &moved);
        self.alias.replace(task, target);
        self.move_importers(task, target);
        self.transition(cx, task, TaskState::Replaced);
        if is_wanted {
            self.cols.clear(task, flag::WANTED);
            self.cols.set(target, flag::WANTED);
            self.mark_result(target);
        }
        self.consume_inputs(cx, task);
        match self.cols.state(target) {
            TaskState::Stored if self.cols.is_held(target) => self.offer_to_readers_of(cx, &moved),
            TaskState::Failed => self.fail_readers(cx, target),
            TaskState::Stored | TaskState::Released | TaskState::Cancelled if self.is_needed(target) => {
                self.require(cx, target);
            }
            TaskState::Assigned if self.cols.has(target, flag::CANCELLING) => self.require(cx, target),
            _ => {}
        }
    }

    /// Readers that were sent ahead wait for an object that will never be: they come back.
    fn recall_readers(&mut self, cx: &mut Shared, replaced: &[u32]) {
        let mut readers = Vec::new();
        for task in replaced {
            self.index
                .for_each_reader(&self.graph, *task, |reader| readers.push(reader));
        }
        for reader in readers {
            if self.cols.state(reader) == TaskState::Assigned {
                self.ask_cancel(cx, reader, true);
            }
        }
    }

    /// Counts the inputs of the tasks from `first` on, and queues what can run.
    pub(crate) fn start_tasks(&mut self, cx: &mut Shared, first: u32, layer: usize) {
        let mut again = Vec::new();
        let mut dead = Vec::new();
        for task in first..self.cols.len() {
            if self.cols.state(task) != TaskState::Waiting || self.index.dep_count(&self.graph, task) == 0 {
                continue;
            }
            let mut available = 0;
            self.for_each_input(task, |input| match self.cols.state(input) {
                TaskState::Stored if self.cols.is_held(input) => available += 1,
                TaskState::Stored | TaskState::Released | TaskState::Cancelled => again.push(input),
                TaskState::Failed => dead.push(input),
                TaskState::Assigned if self.cols.has(input, flag::CANCELLING) => again.push(input),
                _ => {}
            });
            self.cols.available[task as usize] = available;
            if self.is_complete(task) {
                self.make_ready(cx, task);
            }
        }
        for input in again {
            self.require(cx, input);
        }
        for input in dead {
            self.fail_readers(cx, input);
        }
        self.queue_roots(cx, layer);
    }

    /// Whether an old or a new task is an import.
    fn is_import(&self, fragment: &Graph, task: u32) -> bool {
        let base = self.cols.len();
        if task < base {
            return self.cols.has(task, flag::IMPORT);
        }
        let row = fragment.layer_of(TaskIdx(task - base));
        let op = row.map(|(layer, first)| usize::from(layer.op_of(task - base - first)));
        let known = self.graph.ops.len();
        let spec = op.and_then(|op| self.graph.ops.get(op).or_else(|| fragment.ops.get(op - known)));
        spec.is_some_and(|spec| spec.kind == OpKind::Import)
    }

    /// Whether `from`, an old or a new task, reads `task` through tasks that have not run.
    fn would_read(&self, fragment: &Graph, from: u32, task: u32) -> bool {
        let base = self.cols.len();
        let mut seen = std::collections::BTreeSet::new();
        let mut stack = vec![self.alias.resolve(from)];
        while let Some(at) = stack.pop() {
            if at == task {
                return true;
            }
            if !seen.insert(at) {
                continue;
            }
            if at >= base {
                fragment_deps(fragment, base, at, |dep| stack.push(self.alias.resolve(dep)));
            } else if !self.cols.state(at).is_done() {
                self.for_each_input(at, |input| stack.push(input));
            }
        }
        false
    }
}

/// The inputs of a task of a rebased fragment, whose own numbering begins at `base`.
fn fragment_deps(fragment: &Graph, base: u32, task: u32, mut visit: impl FnMut(u32)) {
    let mut first = base;
    for layer in &fragment.layers {
        if task < first + layer.len() {
            layer.for_each_dep(first, task - first, |dep| visit(dep.task.0));
            return;
        }
        first += layer.len();
    }
}
