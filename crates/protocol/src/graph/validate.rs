//! Checks a graph that came from outside, once, before anything relies on it.

use millstream_types::TaskIdx;

use super::{BlockInput, ExplicitLayer, Graph, ImportSource, KeyRange, Layer, OpKind, TaskRange};

/// How large a graph may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphLimits {
    /// Most tasks of a job, extensions included.
    pub tasks: u32,
    /// Most listed inputs of a job.
    pub deps: u64,
}

impl Default for GraphLimits {
    fn default() -> Self {
        Self {
            tasks: 20_000_000,
            deps: 200_000_000,
        }
    }
}

/// What is wrong with a graph. Tasks are named by the users' keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// No task at all.
    #[error("the graph has no tasks")]
    Empty,
    /// More tasks than the cluster accepts.
    #[error("the graph has {tasks} tasks, the limit is {limit}: submit it in parts")]
    TooManyTasks {
        /// Tasks it has.
        tasks: u64,
        /// Tasks allowed.
        limit: u32,
    },
    /// More inputs than the cluster accepts.
    #[error("the graph has {deps} inputs in all, the limit is {limit}")]
    TooManyDeps {
        /// Inputs it has.
        deps: u64,
        /// Inputs allowed.
        limit: u64,
    },
    /// A task reads a task that does not exist.
    #[error("task `{key}` reads task number {dep}, which does not exist")]
    MissingDep {
        /// The reader.
        key: String,
        /// What it reads.
        dep: u32,
    },
    /// Tasks wait for each other in a circle.
    #[error("tasks wait for each other in a circle: {}", keys.join(" -> "))]
    Cycle {
        /// The circle, its first key repeated at the end.
        keys: Vec<String>,
    },
    /// A task names an operation the graph does not have.
    #[error("task `{key}` names operation number {op}, the graph has {known}")]
    MissingOp {
        /// The task.
        key: String,
        /// The operation's number.
        op: u16,
        /// Operations there are.
        known: usize,
    },
    /// A task names options the graph does not have.
    #[error("task `{key}` names options number {options}, the graph has {known}")]
    MissingOptions {
        /// The task.
        key: String,
        /// The options' number.
        options: u16,
        /// Options there are.
        known: usize,
    },
    /// A wanted output that does not exist.
    #[error("wanted output number {task} is no task of the graph")]
    MissingOutput {
        /// The task's number.
        task: u32,
    },
    /// Two tasks of one name.
    #[error("two tasks are called `{key}`")]
    DuplicateKey {
        /// The name.
        key: String,
    },
    /// An import that cannot be one.
    #[error("task `{key}` is an import, {reason}")]
    BadImport {
        /// The task.
        key: String,
        /// What does not fit.
        reason: String,
    },
    /// Columns that do not fit together.
    #[error("layer {layer} is malformed: {reason}")]
    Malformed {
        /// The layer's position.
        layer: usize,
        /// What does not fit.
        reason: &'static str,
    },
}

impl GraphError {
    /// The stable code users see.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_graph",
            Self::TooManyTasks { .. } | Self::TooManyDeps { .. } => "graph_too_large",
            Self::MissingDep { .. } => "missing_dependency",
            Self::Cycle { .. } => "cycle",
            Self::MissingOp { .. } => "missing_op",
            Self::MissingOptions { .. } => "missing_options",
            Self::MissingOutput { .. } => "missing_output",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::BadImport { .. } => "bad_import",
            Self::Malformed { .. } => "malformed_graph",
        }
    }
}

impl Graph {
    /// Checks that the graph is whole: columns fit, references exist, nothing is circular.
    pub fn validate(&self, limits: &GraphLimits) -> Result<(), GraphError> {
        if self.layers.iter().all(Layer::is_empty) {
            return Err(GraphError::Empty);
        }
        self.validate_extension(&Self::default(), limits)
    }

    /// Checks a rebased fragment against the job it joins. A fragment may be empty.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn validate_extension(&self, job: &Self, limits: &GraphLimits) -> Result<(), GraphError> {
        let base = job.task_count();
        self.check_size(job, limits)?;
        let end = base + self.task_count();
        let check = Check {
            graph: self,
            job,
            base,
            end,
        };
        let mut first = base;
        let mut ordered = true;
        for (number, layer) in self.layers.iter().enumerate() {
            check.columns(number, layer)?;
            ordered &= check.references(first, layer)?;
            first += layer.len();
        }
        self.check_keys(base, end)?;
        if let Some(task) = self.outputs.iter().find(|task| **task >= end) {
            return Err(GraphError::MissingOutput { task: *task });
        }
        check.imported_outputs()?;
        // Every input of a lower number than its reader: no circle is possible.
        if ordered {
            Ok(())
        } else {
            self.check_acyclic(base, end)
        }
    }

    fn check_size(&self, job: &Self, limits: &GraphLimits) -> Result<(), GraphError> {
        let tasks = |graph: &Self| {
            graph
                .layers
                .iter()
                .map(|layer| u64::from(layer.len()))
                .sum::<u64>()
        };
        let total = tasks(job) + tasks(self);
        if total > u64::from(limits.tasks) {
            return Err(GraphError::TooManyTasks {
                tasks: total,
                limit: limits.tasks,
            });
        }
        let listed = |graph: &Self| graph.layers.iter().map(Layer::listed_deps).sum::<u64>();
        let deps = listed(job) + listed(self);
        if deps > limits.deps {
            return Err(GraphError::TooManyDeps {
                deps,
                limit: limits.deps,
            });
        }
        Ok(())
    }

    fn check_keys(&self, base: u32, end: u32) -> Result<(), GraphError> {
        let malformed = |reason| GraphError::Malformed { layer: 0, reason };
        let mut seen = std::collections::HashSet::new();
        for range in &self.keys.0 {
            let (KeyRange::Named { tasks, .. } | KeyRange::Numbered { tasks, .. }) = range;
            if tasks.first.0 < base || u64::from(tasks.first.0) + u64::from(tasks.count) > u64::from(end) {
                return Err(malformed("keys name tasks that do not exist"));
            }
            let KeyRange::Named { tasks, names } = range else {
                continue;
            };
            if !names.is_valid(tasks.count as usize) {
                return Err(malformed("the key column does not fit its range"));
            }
            for i in 0..tasks.count as usize {
                let name = names.get(i);
                if std::str::from_utf8(name).is_err() {
                    return Err(malformed("a key is not UTF-8"));
                }
                if !seen.insert(name) {
                    return Err(GraphError::DuplicateKey {
                        key: String::from_utf8_lossy(name).into_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Kahn's algorithm over the new tasks; what it cannot order holds a circle, which is then walked for the message.
    fn check_acyclic(&self, base: u32, end: u32) -> Result<(), GraphError> {
        let count = (end - base) as usize;
        let mut readers: Vec<Vec<u32>> = vec![Vec::new(); count];
        let mut missing = vec![0_u32; count];
        let mut deps_of: Vec<Vec<u32>> = vec![Vec::new(); count];
        let mut first = base;
        for layer in &self.layers {
            for i in 0..layer.len() {
                let task = first + i;
                layer.for_each_dep(first, i, |dep| {
                    if dep.task.0 >= base {
                        readers[(dep.task.0 - base) as usize].push(task - base);
                        deps_of[(task - base) as usize].push(dep.task.0 - base);
                        missing[(task - base) as usize] += 1;
                    }
                });
            }
            first += layer.len();
        }
        let mut ready: Vec<u32> = (0..count as u32)
            .filter(|task| missing[*task as usize] == 0)
            .collect();
        while let Some(task) = ready.pop() {
            for reader in std::mem::take(&mut readers[task as usize]) {
                missing[reader as usize] -= 1;
                if missing[reader as usize] == 0 {
                    ready.push(reader);
                }
            }
        }
        let Some(stuck) = missing.iter().position(|left| *left > 0) else {
            return Ok(());
        };
        Err(GraphError::Cycle {
            keys: self.walk_cycle(stuck as u32, base, &deps_of, &missing),
        })
    }

    fn walk_cycle(&self, start: u32, base: u32, deps_of: &[Vec<u32>], missing: &[u32]) -> Vec<String> {
        let mut path = vec![start];
        let mut at = start;
        loop {
            let next = deps_of[at as usize]
                .iter()
                .copied()
                .find(|dep| missing[*dep as usize] > 0);
            let Some(next) = next else { break };
            if let Some(begin) = path.iter().position(|task| *task == next) {
                path.drain(..begin);
                path.push(next);
                break;
            }
            path.push(next);
            at = next;
        }
        path.iter()
            .map(|task| self.key_of(TaskIdx(base + task)))
            .collect()
    }
}

impl Layer {
    fn listed_deps(&self) -> u64 {
        match self {
            Self::Explicit(layer) => layer.dep_tasks.len() as u64,
            Self::Blockwise(layer) => layer.inputs.len() as u64,
            Self::TreeReduce(_) | Self::AllToAll(_) => 1,
        }
    }
}

struct Check<'a> {
    graph: &'a Graph,
    job: &'a Graph,
    base: u32,
    end: u32,
}

impl Check<'_> {
    fn columns(&self, number: usize, layer: &Layer) -> Result<(), GraphError> {
        let malformed = |reason| {
            Err(GraphError::Malformed {
                layer: number,
                reason,
            })
        };
        match layer {
            Layer::Explicit(layer) => match explicit_fault(layer) {
                Some(reason) => malformed(reason),
                None => Ok(()),
            },
            Layer::TreeReduce(layer) if layer.fan_in < 2 => malformed("a tree needs a fan-in of at least 2"),
            Layer::TreeReduce(layer) if layer.input.count == 0 => malformed("a tree needs an input"),
            Layer::Blockwise(layer) => {
                let fits = |input: &BlockInput| match input {
                    BlockInput::Aligned(range) => range.count >= layer.count,
                    BlockInput::Broadcast(_) => true,
                };
                if layer.inputs.iter().all(fits) {
                    Ok(())
                } else {
                    malformed("an aligned input is too short")
                }
            }
            Layer::TreeReduce(_) | Layer::AllToAll(_) => Ok(()),
        }
    }

    /// Checks what a layer names. Tells whether all its inputs have lower numbers than their readers.
    fn references(&self, first: u32, layer: &Layer) -> Result<bool, GraphError> {
        let ops = self.job.ops.len() + self.graph.ops.len();
        let options = self.job.options.len() + self.graph.options.len();
        let key = |i: u32| self.graph.key_of(TaskIdx(first + i));
        for i in distinct_rows(layer, |explicit| explicit.ops.len()) {
            let op = layer.op_of(i);
            if usize::from(op) >= ops {
                return Err(GraphError::MissingOp {
                    key: key(i),
                    op,
                    known: ops,
                });
            }
        }
        for i in distinct_rows(layer, |explicit| explicit.options.len()) {
            let number = layer.options_of(i);
            if usize::from(number) >= options {
                return Err(GraphError::MissingOptions {
                    key: key(i),
                    options: number,
                    known: options,
                });
            }
        }
        self.imports(first, layer)?;
        match layer {
            Layer::Explicit(explicit) => self.explicit_references(first, explicit),
            Layer::Blockwise(layer) => {
                let mut ordered = true;
                for input in &layer.inputs {
                    ordered &= match input {
                        BlockInput::Aligned(range) => self.range(first, *range)?,
                        BlockInput::Broadcast(task) => self.range(
                            first,
                            TaskRange {
                                first: *task,
                                count: 1,
                            },
                        )?,
                    };
                }
                Ok(ordered)
            }
            Layer::TreeReduce(layer) => self.range(first, layer.input),
            Layer::AllToAll(layer) => self.range(first, layer.input),
        }
    }

    fn is_import(&self, op: u16) -> bool {
        let (op, known) = (usize::from(op), self.job.ops.len());
        let spec = self.job.ops.get(op).or_else(|| self.graph.ops.get(op - known));
        spec.is_some_and(|spec| spec.kind == OpKind::Import)
    }

    /// An import reads nothing, and says in its own parameters what it stands for.
    fn imports(&self, first: u32, layer: &Layer) -> Result<(), GraphError> {
        let is_plain = |op: &super::OpSpec| op.kind != OpKind::Import;
        if self.job.ops.iter().chain(&self.graph.ops).all(is_plain) {
            return Ok(());
        }
        for i in 0..layer.len() {
            if !self.is_import(layer.op_of(i)) {
                if layer.is_symbolic() {
                    return Ok(());
                }
                continue;
            }
            let reason = if layer.is_symbolic() {
                "which only tasks listed one by one can be".to_owned()
            } else if layer.dep_count(first, i) > 0 {
                "and has inputs of its own".to_owned()
            } else {
                match ImportSource::decode(&layer.params_of(i)) {
                    Ok(_) => continue,
                    Err(error) => format!("whose parameters name no object: {error}"),
                }
            };
            return Err(GraphError::BadImport {
                key: self.graph.key_of(TaskIdx(first + i)),
                reason,
            });
        }
        Ok(())
    }

    /// An import is an output of its own job.
    fn imported_outputs(&self) -> Result<(), GraphError> {
        if !self.graph.has_imports() && !self.job.has_imports() {
            return Ok(());
        }
        for output in self.graph.outputs.iter() {
            let (graph, base) = if *output < self.base {
                (self.job, 0)
            } else {
                (self.graph, self.base)
            };
            let op = graph
                .layer_of(TaskIdx(output - base))
                .map(|(layer, first)| layer.op_of(output - base - first));
            if op.is_some_and(|op| self.is_import(op)) {
                return Err(GraphError::BadImport {
                    key: self.graph.key_of(TaskIdx(*output)),
                    reason: "so it is no output of this job: read it from the job that makes it".to_owned(),
                });
            }
        }
        Ok(())
    }

    fn explicit_references(&self, first: u32, layer: &ExplicitLayer) -> Result<bool, GraphError> {
        let mut ordered = true;
        for i in 0..if layer.dep_offsets.is_empty() {
            0
        } else {
            layer.count
        } {
            for dep in &layer.dep_tasks[layer.dep_range(i)] {
                if *dep >= self.end {
                    return Err(GraphError::MissingDep {
                        key: self.graph.key_of(TaskIdx(first + i)),
                        dep: *dep,
                    });
                }
                ordered &= *dep < first + i;
            }
        }
        Ok(ordered)
    }

    fn range(&self, first: u32, range: TaskRange) -> Result<bool, GraphError> {
        let end = u64::from(range.first.0) + u64::from(range.count);
        if end > u64::from(self.end) {
            let key = self.graph.key_of(TaskIdx(first.max(self.base)));
            return Err(GraphError::MissingDep {
                key,
                dep: range.first.0.max(self.end),
            });
        }
        Ok(end <= u64::from(first))
    }
}

/// The rows whose value can differ: all of a full column, the first of a constant one.
fn distinct_rows(layer: &Layer, column_len: impl Fn(&ExplicitLayer) -> usize) -> std::ops::Range<u32> {
    match layer {
        Layer::Explicit(explicit) if column_len(explicit) != 1 => 0..explicit.count,
        _ => 0..layer.len().min(1),
    }
}

fn explicit_fault(layer: &ExplicitLayer) -> Option<&'static str> {
    let count = layer.count as usize;
    let fits = |len: usize| len == count || len == 1;
    if !fits(layer.ops.len()) {
        return Some("the operation column does not fit");
    }
    if !fits(layer.options.len()) {
        return Some("the options column does not fit");
    }
    let offsets = &layer.dep_offsets;
    let offsets_fit = if offsets.is_empty() {
        layer.dep_tasks.is_empty()
    } else {
        offsets.len() == count + 1
            && offsets.first() == Some(&0)
            && offsets.is_sorted()
            && offsets
                .last()
                .is_some_and(|last| *last as usize == layer.dep_tasks.len())
    };
    if !offsets_fit {
        return Some("the input offsets do not fit");
    }
    if !layer.dep_parts.is_empty() && layer.dep_parts.len() != layer.dep_tasks.len() {
        return Some("the part column does not fit");
    }
    (!layer.params.is_valid(count)).then_some("the parameter column does not fit")
}
