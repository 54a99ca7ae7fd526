//! Jobs as a worker knows them: operations, options, and which nodes are theirs.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_protocol::graph::{OpSpec, TaskOptions};
use millstream_protocol::wire::OpsMsg;
use millstream_types::{ByteSize, JobId, ResourceShortage};

use super::cost::OpCost;
use super::node::{JobRef, NodeRef};
use super::ready::{ClassRef, ReadyQueue};
use crate::fx::TaskMap;

/// A job some of whose tasks or objects are here.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) label: Arc<str>,
    ops: Vec<Option<Arc<OpSpec>>>,
    options: Vec<Option<JobOptions>>,
    /// What runs of each operation take.
    costs: Vec<OpCost>,
    /// The first node of each task that has any.
    pub(super) nodes: TaskMap<NodeRef>,
    /// Number of nodes.
    pub(super) node_count: u32,
}

/// Options of tasks, and what they mean for this worker.
#[derive(Debug, Clone)]
pub(crate) struct JobOptions {
    pub(crate) options: Arc<TaskOptions>,
    /// Tasks that take the same from the worker share a class; or what the worker lacks.
    pub(crate) class: Result<ClassRef, ResourceShortage>,
}

impl Job {
    /// An operation, if the leader has sent it.
    pub(crate) fn op(&self, index: u16) -> Option<&Arc<OpSpec>> {
        self.ops.get(usize::from(index))?.as_ref()
    }

    /// Options, if the leader has sent them.
    pub(crate) fn options(&self, index: u16) -> Option<&JobOptions> {
        self.options.get(usize::from(index))?.as_ref()
    }

    /// What runs of an operation took here.
    pub(crate) fn cost(&self, op: u16) -> OpCost {
        self.costs.get(usize::from(op)).copied().unwrap_or_default()
    }

    /// All nodes' first ones by task number: for what reaches an effect.
    pub(crate) fn heads_in_order(&self) -> Vec<NodeRef> {
        let mut heads: Vec<_> = self.nodes.iter().map(|(task, node)| (*task, *node)).collect();
        heads.sort_unstable_by_key(|(task, _)| *task);
        heads.into_iter().map(|(_, node)| node).collect()
    }

    /// Whether the leader has sent operations or options, and not forgotten the job since.
    pub(crate) const fn has_tables(&self) -> bool {
        !self.ops.is_empty() || !self.options.is_empty()
    }

    const fn is_unused(&self) -> bool {
        self.node_count == 0 && !self.has_tables()
    }
}

/// All jobs, in slots that are used again.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    slots: Vec<Option<Job>>,
    free: Vec<u32>,
    by_id: HashMap<JobId, JobRef>,
}

impl Jobs {
    /// A job that is known here.
    pub(crate) fn find(&self, id: JobId) -> Option<JobRef> {
        self.by_id.get(&id).copied()
    }

    /// The job in a slot.
    pub(crate) fn get(&self, job: JobRef) -> Option<&Job> {
        self.slots.get(job.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, job: JobRef) -> Option<&mut Job> {
        self.slots.get_mut(job.0 as usize)?.as_mut()
    }

    /// A job by its id, made if it is new.
    pub(crate) fn find_or_add(&mut self, id: JobId) -> JobRef {
        if let Some(known) = self.find(id) {
            return known;
        }
        let job = Job {
            id,
            label: "".into(),
            ops: Vec::new(),
            options: Vec::new(),
            costs: Vec::new(),
            nodes: TaskMap::default(),
            node_count: 0,
        };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[at as usize] = Some(job);
        self.by_id.insert(id, JobRef(at));
        JobRef(at)
    }

    /// Takes over operations and options. What was known under the same index is replaced: a new leader sends them again.
    pub(crate) fn learn(&mut self, msg: OpsMsg, ready: &mut ReadyQueue) {
        let at = self.find_or_add(msg.job);
        let Some(job) = self.get_mut(at) else { return };
        put_from(&mut job.ops, msg.first_op, msg.ops.into_iter().map(Arc::new));
        let options = msg.options.into_iter().map(|options| JobOptions {
            class: ready.class_of(&options.resources),
            options: Arc::new(options),
        });
        put_from(&mut job.options, msg.first_options, options);
        if !msg.label.is_empty() {
            job.label = msg.label.into();
        }
    }

    /// Takes note of what a run took.
    pub(crate) fn learn_cost(&mut self, job: JobRef, op: u16, duration_us: u32, bytes: ByteSize) {
        let Some(job) = self.get_mut(job) else { return };
        let at = usize::from(op);
        if job.costs.len() <= at {
            job.costs.resize(at + 1, OpCost::default());
        }
        job.costs[at].learn(duration_us, bytes);
    }

    /// Forgets a job's operations; the job itself goes with its last node.
    pub(crate) fn unlearn(&mut self, at: JobRef) {
        if let Some(job) = self.get_mut(at) {
            job.ops = Vec::new();
            job.options = Vec::new();
        }
        self.drop_if_unused(at);
    }

    /// Forgets a job of which nothing is here.
    pub(crate) fn drop_if_unused(&mut self, at: JobRef) {
        let unused = self.get(at).filter(|job| job.is_unused()).map(|job| job.id);
        if let Some(id) = unused {
            self.by_id.remove(&id);
            self.slots[at.0 as usize] = None;
            self.free.push(at.0);
        }
    }

    /// All jobs by id: for what reaches an effect.
    pub(crate) fn in_order(&self) -> Vec<JobRef> {
        let mut jobs: Vec<_> = self.by_id.iter().map(|(id, at)| (*id, *at)).collect();
        jobs.sort_unstable();
        jobs.into_iter().map(|(_, at)| at).collect()
    }
}

fn put_from<T>(table: &mut Vec<Option<T>>, first: u16, values: impl Iterator<Item = T>) {
    let first = usize::from(first);
    for (i, value) in values.enumerate() {
        let at = first + i;
        if table.len() <= at {
            table.resize_with(at + 1, || None);
        }
        table[at] = Some(value);
    }
}
