//! The local graph: tasks of all jobs, their outputs and the copies they read, and the order in which tasks start.
//!
//! Owns every node. [`LocalGraph::transition`] alone writes a node's state; the other functions here join, find and
//! remove nodes. What a change means for the leader, for peers or for the store is decided by the handlers in `on`.

mod cost;
mod jobs;
mod lanes;
mod node;
mod ready;
mod transition;

use std::collections::BTreeSet;

use millstream_protocol::wire::WorkerInfo;
use millstream_types::{Attempt, ObjectId, TaskIdx, Timestamp};

pub(crate) use jobs::Jobs;
pub(crate) use node::{Body, CopySource, Input, JobRef, Node, NodeRef, NodeState, Stop, WHOLE, Work};
pub(crate) use ready::{ClassRef, ReadyQueue};

use self::lanes::Lanes;
use crate::TaskRun;

/// See the module.
#[derive(Debug)]
pub(crate) struct LocalGraph {
    nodes: Vec<Node>,
    vacant: Vec<NodeRef>,
    pub(crate) jobs: Jobs,
    pub(crate) ready: ReadyQueue,
    pub(crate) lanes: Lanes,
    running: Vec<NodeRef>,
    timeouts: BTreeSet<(Timestamp, NodeRef)>,
    /// Tasks that wait for inputs or a slot.
    queued: u32,
    /// Whether the list of executing tasks differs from what the leader was told.
    executing_changed: bool,
    /// Tasks with a node's worth of input that just became fetchable; the fetch planner takes them.
    fetchable: Vec<NodeRef>,
}

impl LocalGraph {
    /// An empty graph of a worker.
    pub(crate) fn new(info: &WorkerInfo) -> Self {
        Self {
            nodes: Vec::new(),
            vacant: Vec::new(),
            jobs: Jobs::default(),
            ready: ReadyQueue::new(info.slots, info.memory_limit.as_u64(), &info.resources),
            lanes: Lanes::default(),
            running: Vec::new(),
            timeouts: BTreeSet::new(),
            queued: 0,
            executing_changed: false,
            fetchable: Vec::new(),
        }
    }

    /// A node.
    pub(crate) fn node(&self, at: NodeRef) -> &Node {
        &self.nodes[at.0 as usize]
    }

    /// A node, to change what is not its state.
    pub(crate) fn node_mut(&mut self, at: NodeRef) -> &mut Node {
        &mut self.nodes[at.0 as usize]
    }

    /// The run that a node is, or whose output it is.
    pub(crate) fn run_of(&self, at: NodeRef) -> TaskRun {
        let object = self.object_of(at);
        TaskRun {
            job: object.job,
            task: object.task,
            attempt: self.node(at).attempt,
        }
    }

    /// The object that a node is, or will be.
    pub(crate) fn object_of(&self, at: NodeRef) -> ObjectId {
        let node = self.node(at);
        // A node's job lives as long as the node.
        let nobody = millstream_types::JobId::from_u128(0);
        let job = self.jobs.get(node.job).map_or(nobody, |job| job.id);
        ObjectId::new(job, TaskIdx(node.task))
    }

    /// All nodes of a task: other generations and sub-ranges too.
    pub(crate) fn nodes_of(&self, job: JobRef, task: u32) -> impl Iterator<Item = NodeRef> + '_ {
        let first = self.jobs.get(job).and_then(|job| job.nodes.get(&task).copied());
        std::iter::successors(first, |at| self.node(*at).next)
    }

    /// The node of exactly this generation and sub-range.
    pub(crate) fn find(&self, job: JobRef, task: u32, attempt: Attempt, part: u32) -> Option<NodeRef> {
        self.nodes_of(job, task).find(|at| {
            let node = self.node(*at);
            node.attempt == attempt && node.part == part && node.state != NodeState::Leaving
        })
    }

    /// The node of a run.
    pub(crate) fn find_run(&self, run: TaskRun) -> Option<NodeRef> {
        self.find(self.jobs.find(run.job)?, run.task.0, run.attempt, WHOLE)
    }

    /// The unfinished runs of a task.
    pub(crate) fn runs_of(&self, job: JobRef, task: u32) -> Vec<NodeRef> {
        let runs = self.nodes_of(job, task);
        runs.filter(|at| self.node(*at).work().is_some()).collect()
    }

    /// Adds a node that stands nowhere yet.
    pub(crate) fn add(&mut self, job: JobRef, task: u32, attempt: Attempt, part: u32, body: Body) -> NodeRef {
        let mut node = Node {
            job,
            task,
            attempt,
            part,
            bytes: 0,
            state: NodeState::Vacant,
            body,
            pins: 0,
            waiters: Vec::new(),
            next: None,
        };
        let at = self.vacant.pop().unwrap_or(NodeRef(self.nodes.len() as u32));
        if let Some(job) = self.jobs.get_mut(job) {
            node.next = job.nodes.insert(task, at);
            job.node_count += 1;
        }
        match self.nodes.get_mut(at.0 as usize) {
            Some(slot) => *slot = node,
            None => self.nodes.push(node),
        }
        at
    }

    /// Lets a task read a node: pins it, and waits for it if it is not stored. Returns whether it waits.
    pub(crate) fn join(&mut self, reader: NodeRef, input: NodeRef) -> bool {
        let node = self.node_mut(input);
        node.pins += 1;
        let waits = node.state != NodeState::Stored;
        if waits {
            node.waiters.push(reader);
        }
        waits
    }

    /// Undoes [`LocalGraph::join`].
    pub(crate) fn unjoin(&mut self, reader: NodeRef, input: NodeRef) {
        let node = self.node_mut(input);
        node.pins -= 1;
        if let Some(at) = node.waiters.iter().position(|waiter| *waiter == reader) {
            node.waiters.swap_remove(at);
        }
    }

    /// Takes a node out of the graph for good. Nothing may read it any more.
    pub(crate) fn remove(&mut self, at: NodeRef) {
        self.transition(at, NodeState::Vacant);
        let node = self.node_mut(at);
        node.waiters = Vec::new();
        node.body = Body::Output;
        let (job, task, next) = (node.job, node.task, node.next.take());
        self.unchain(job, task, at, next);
        self.vacant.push(at);
        self.jobs.drop_if_unused(job);
    }

    fn unchain(&mut self, job: JobRef, task: u32, at: NodeRef, next: Option<NodeRef>) {
        let Some(entry) = self.jobs.get_mut(job) else {
            return;
        };
        entry.node_count -= 1;
        let Some(first) = entry.nodes.get(&task).copied() else {
            return;
        };
        if first == at {
            match next {
                Some(next) => entry.nodes.insert(task, next),
                None => entry.nodes.remove(&task),
            };
            return;
        }
        let before = self
            .nodes_of(job, task)
            .find(|other| self.node(*other).next == Some(at));
        if let Some(before) = before {
            self.node_mut(before).next = next;
        }
    }

    /// Queued tasks that wait for the output of `at`, directly or not, nearest first.
    pub(crate) fn descendants(&self, at: NodeRef) -> Vec<NodeRef> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = 0;
        let mut from = at;
        loop {
            for waiter in &self.node(from).waiters {
                if seen.insert(*waiter) {
                    found.push(*waiter);
                }
            }
            match found.get(next) {
                Some(found) => from = *found,
                None => return found,
            }
            next += 1;
        }
    }

    /// Queued tasks of the job that read `at`, stored or not.
    pub(crate) fn queued_readers(&self, at: NodeRef) -> Vec<NodeRef> {
        self.queued_in_order()
            .into_iter()
            .filter(|task| {
                let inputs = self.node(*task).work().map(|work| work.inputs.as_slice());
                inputs.unwrap_or_default().iter().any(|input| input.node == at)
            })
            .collect()
    }

    /// What a reader's job calls the producer of one of its inputs.
    pub(crate) fn name_of(&self, reader: NodeRef, input: NodeRef) -> u32 {
        let inputs = self.node(reader).work().map(|work| work.inputs.as_slice());
        let mut inputs = inputs.unwrap_or_default().iter();
        let read = inputs.find(|read| read.node == input);
        read.map_or(self.node(input).task, |read| read.task)
    }

    /// All queued tasks, by job and task.
    pub(crate) fn queued_in_order(&self) -> Vec<NodeRef> {
        self.all_in_order(Node::is_queued)
    }

    /// All nodes of one kind, by job, task and generation.
    pub(crate) fn all_in_order(&self, wanted: impl Fn(&Node) -> bool) -> Vec<NodeRef> {
        let mut found = Vec::new();
        for job in self.jobs.in_order() {
            found.extend(self.job_in_order(job, &wanted));
        }
        found
    }

    /// The nodes of one kind of one job, by task and generation.
    pub(crate) fn job_in_order(&self, job: JobRef, wanted: impl Fn(&Node) -> bool) -> Vec<NodeRef> {
        let mut found = Vec::new();
        let heads = self
            .jobs
            .get(job)
            .map(jobs::Job::heads_in_order)
            .unwrap_or_default();
        for head in heads {
            let from = found.len();
            let chain = std::iter::successors(Some(head), |at| self.node(*at).next);
            found.extend(chain.filter(|at| wanted(self.node(*at))));
            found[from..].sort_unstable_by_key(|at| (self.node(*at).attempt, self.node(*at).part));
        }
        found
    }

    /// Tasks that execute.
    pub(crate) fn running(&self) -> &[NodeRef] {
        &self.running
    }

    /// Number of tasks that wait for inputs or a slot.
    pub(crate) const fn queued_count(&self) -> u32 {
        self.queued
    }

    /// The next run that takes too long, and when it does.
    pub(crate) fn next_timeout(&self) -> Option<(Timestamp, NodeRef)> {
        self.timeouts.first().copied()
    }

    /// Number of tasks that execute and do not wait for others.
    pub(crate) fn computing(&self) -> u32 {
        let computing = self
            .running
            .iter()
            .filter(|at| !self.node(**at).is_waiting_for_tasks());
        computing.count() as u32
    }

    /// Whether the list of executing tasks differs from what the leader was told.
    pub(crate) const fn executing_changed(&self) -> bool {
        self.executing_changed
    }

    /// Since when the oldest task executes that the leader was not told of.
    pub(crate) fn oldest_unreported(&self) -> Option<Timestamp> {
        let unreported = self.running.iter().filter_map(|at| match self.node(*at).state {
            NodeState::Running {
                since,
                reported: false,
                ..
            } => Some(since),
            _ => None,
        });
        unreported.min()
    }

    /// Notes that the leader is told of all that executes now.
    pub(crate) fn executing_reported(&mut self) {
        self.executing_changed = false;
        for i in 0..self.running.len() {
            let at = self.running[i];
            if let NodeState::Running {
                since, waits, stop, ..
            } = self.node(at).state
            {
                self.transition(
                    at,
                    NodeState::Running {
                        since,
                        reported: true,
                        waits,
                        stop,
                    },
                );
            }
        }
    }

    /// Tasks that became fetchable since the last call: only copies are missing.
    pub(crate) fn take_fetchable(&mut self) -> Vec<NodeRef> {
        std::mem::take(&mut self.fetchable)
    }

    /// Slots of nodes that hold one.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = NodeRef> + '_ {
        (0..self.nodes.len() as u32)
            .map(NodeRef)
            .filter(|at| self.node(*at).state != NodeState::Vacant)
    }

    /// Breaks of what must always hold, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        transition::faults(self)
    }
}
