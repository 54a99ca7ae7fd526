//! The only writer of a node's state, and what must hold between states and the sets beside them.

use std::time::Duration;

use millstream_types::Timestamp;

use super::{Body, LocalGraph, NodeRef, NodeState};

impl LocalGraph {
    /// Moves a node to another state and keeps every set that follows from states.
    pub(crate) fn transition(&mut self, at: NodeRef, to: NodeState) {
        let from = std::mem::replace(&mut self.node_mut(at).state, to);
        if let (
            NodeState::Running { since, waits, .. },
            NodeState::Running {
                waits: will_wait,
                stop,
                ..
            },
        ) = (from, to)
        {
            if stop.is_some() {
                self.disarm(at, since);
            }
            if waits != will_wait {
                self.lend_slot(at, will_wait);
            }
            return;
        }
        if let (NodeState::Behind { .. }, NodeState::Behind { .. }) = (from, to) {
            return;
        }
        self.leave(at, from);
        self.enter(at, to);
    }

    /// An input of a queued task was stored: one less is missing.
    pub(crate) fn input_stored(&mut self, task: NodeRef, was_made_here: bool) {
        let NodeState::Waiting { missing, unmade } = self.node(task).state else {
            return;
        };
        let (missing, unmade) = (missing - 1, unmade - u32::from(was_made_here));
        if missing == 0 {
            self.transition(task, NodeState::Ready);
        } else {
            self.transition(task, NodeState::Waiting { missing, unmade });
            // Only what was just made can turn "waits for tasks here" into "waits for copies alone".
            if was_made_here && unmade == 0 {
                self.fetchable.push(task);
            }
        }
    }

    /// Places a new task: what is missing decides.
    pub(crate) fn place(&mut self, task: NodeRef, missing: u32, unmade: u32) {
        if missing == 0 {
            self.transition(task, NodeState::Ready);
            return;
        }
        self.transition(task, NodeState::Waiting { missing, unmade });
        if unmade == 0 {
            self.fetchable.push(task);
        }
    }

    /// Those that were behind a task that has ended execute in its place.
    pub(crate) fn take_over(&mut self, now: Timestamp) {
        while let Some(next) = self.lanes.next_head() {
            let stop = self.node(next).stop();
            self.lanes.took_over(next);
            self.transition(
                next,
                NodeState::Running {
                    since: now,
                    reported: false,
                    waits: false,
                    stop,
                },
            );
        }
    }

    fn leave(&mut self, at: NodeRef, state: NodeState) {
        match state {
            NodeState::Waiting { .. } => self.queued -= 1,
            NodeState::Ready => {
                self.queued -= 1;
                if let Some((class, priority)) = self.class_and_priority(at) {
                    self.ready.remove(class, priority, at);
                }
            }
            NodeState::Behind { .. } => self.lanes.left(at),
            NodeState::Running { since, waits, .. } => {
                if waits {
                    self.lend_slot(at, false);
                }
                self.lanes.head_left(at);
                self.running.retain(|other| *other != at);
                self.executing_changed = true;
                if let Some((class, _)) = self.class_and_priority(at) {
                    self.ready.put_back(class);
                }
                self.disarm(at, since);
            }
            _ => {}
        }
    }

    /// Lets others have the slot of a task that waits for them, or takes it again.
    fn lend_slot(&mut self, at: NodeRef, waits: bool) {
        self.executing_changed = true;
        if let Some((class, _)) = self.class_and_priority(at) {
            if waits {
                self.ready.lend_slot(class);
            } else {
                self.ready.reclaim_slot(class);
            }
        }
    }

    /// A run that ended or was told to stop takes too long no more.
    fn disarm(&mut self, at: NodeRef, since: Timestamp) {
        if let Some(timeout) = self.timeout_of(at) {
            self.timeouts.remove(&(since + timeout, at));
        }
    }

    fn enter(&mut self, at: NodeRef, state: NodeState) {
        match state {
            NodeState::Waiting { .. } => self.queued += 1,
            NodeState::Ready => {
                self.queued += 1;
                if let Some((class, priority)) = self.class_and_priority(at) {
                    self.ready.insert(class, priority, at);
                }
            }
            NodeState::Running { since, stop, .. } => {
                self.running.push(at);
                self.executing_changed = true;
                if let Some((class, _)) = self.class_and_priority(at) {
                    self.ready.take(class);
                }
                // What was told to stop before it began is not told again.
                let timeout = self.timeout_of(at).filter(|_| stop.is_none());
                if let Some(timeout) = timeout {
                    self.timeouts.insert((since + timeout, at));
                }
            }
            _ => {}
        }
    }

    fn class_and_priority(&self, at: NodeRef) -> Option<(super::ClassRef, u64)> {
        self.node(at).work().map(|work| (work.class, work.priority))
    }

    fn timeout_of(&self, at: NodeRef) -> Option<Duration> {
        let work = self.node(at).work()?;
        work.timeout_ms.map(Duration::from_millis)
    }
}

/// See [`LocalGraph::faults`].
pub(super) fn faults(graph: &LocalGraph) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, what: &str, at: Option<NodeRef>| {
        if !holds {
            faults.push(match at {
                Some(at) => format!("{what}: {} {:?}", graph.object_of(at), graph.node(at)),
                None => what.to_owned(),
            });
        }
    };
    let mut pins = vec![0_u32; graph.nodes.len()];
    let (mut queued, mut ready, mut running, mut behind) = (0, 0, 0, 0);
    for at in graph.occupied() {
        let node = graph.node(at);
        queued += u32::from(node.is_queued());
        ready += usize::from(node.state == NodeState::Ready);
        running += usize::from(node.is_running());
        behind += usize::from(matches!(node.state, NodeState::Behind { .. }));
        let is_task = node.is_queued() || node.is_started();
        check(
            is_task == node.work().is_some(),
            "a task's state and body differ",
            Some(at),
        );
        check(
            graph.nodes_of(node.job, node.task).any(|other| other == at),
            "a node is not in its task's chain",
            Some(at),
        );
        let gone = matches!(node.state, NodeState::Stored | NodeState::Leaving);
        check(
            !gone || node.waiters.is_empty(),
            "a stored object is waited for",
            Some(at),
        );
        check(
            node.waiters.len() <= node.pins as usize,
            "more waiters than readers",
            Some(at),
        );
        if let Some(work) = node.work() {
            let (mut missing, mut unmade) = (0, 0);
            for input in &work.inputs {
                pins[input.node.0 as usize] += 1;
                let input = graph.node(input.node);
                let stored = matches!(input.state, NodeState::Stored | NodeState::Leaving);
                missing += u32::from(!stored);
                unmade += u32::from(input.work().is_some());
                check(
                    input.state != NodeState::Vacant,
                    "a task reads a removed node",
                    Some(at),
                );
            }
            let fits = match node.state {
                NodeState::Waiting {
                    missing: m,
                    unmade: u,
                } => m == missing && u == unmade && m > 0,
                _ => missing == 0,
            };
            check(fits, "a task counts its missing inputs wrongly", Some(at));
        }
        let is_copy = matches!(
            node.state,
            NodeState::Remote | NodeState::Claimed { .. } | NodeState::Fetching { .. }
        );
        check(
            !is_copy || matches!(node.body, Body::Copy(_)),
            "a fetched node is no copy",
            Some(at),
        );
        check(
            node.state != NodeState::Leaving || node.pins > 0,
            "an object stays although nobody reads it",
            Some(at),
        );
    }
    for at in graph.occupied() {
        check(
            graph.node(at).pins == pins[at.0 as usize],
            "readers are counted wrongly",
            Some(at),
        );
    }
    check(queued == graph.queued, "queued tasks are counted wrongly", None);
    check(
        ready == graph.ready.len(),
        "the ready queue has the wrong tasks",
        None,
    );
    check(
        running == graph.running.len(),
        "the running list has the wrong tasks",
        None,
    );
    let in_lanes = graph.lanes.all();
    let well_behind = in_lanes.filter(|at| matches!(graph.node(*at).state, NodeState::Behind { .. }));
    check(
        well_behind.count() == behind && graph.lanes.len() == behind,
        "the lanes have the wrong tasks",
        None,
    );
    let classes = graph.running.iter().filter_map(|at| {
        let node = graph.node(*at);
        node.work().map(|work| (work.class, node.is_waiting_for_tasks()))
    });
    check(
        graph.ready.is_taken_by(classes),
        "resources are counted wrongly",
        None,
    );
    check(
        graph
            .timeouts
            .iter()
            .all(|(_, at): &(Timestamp, _)| graph.node(*at).is_running()),
        "a timeout without a run",
        None,
    );
    faults
}
