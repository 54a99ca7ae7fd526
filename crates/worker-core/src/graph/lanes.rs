//! Lanes: short tasks that were handed to a slot together, to run one right after the other without a question back.
//!
//! The head of a lane executes and holds the slot and its resources. Those behind it hold nothing; when the head ends,
//! the first of them takes over. A lane only ever has tasks of one resource class, so what the head held is enough.

use std::collections::VecDeque;

use super::node::NodeRef;

#[derive(Debug)]
struct Lane {
    /// Who executes; none between the end of one and the takeover of the next.
    head: Option<NodeRef>,
    behind: VecDeque<NodeRef>,
    /// Whether those behind were asked back.
    recalled: bool,
}

/// All lanes that have somebody behind their head: at most one for each slot.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
}

impl Lanes {
    /// Notes which tasks were handed out behind `head`, in order.
    pub(crate) fn open(&mut self, head: NodeRef, behind: VecDeque<NodeRef>) {
        if !behind.is_empty() {
            self.lanes.push(Lane {
                head: Some(head),
                behind,
                recalled: false,
            });
        }
    }

    /// The head of a lane, if `at` is one, executes no more.
    pub(super) fn head_left(&mut self, at: NodeRef) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.head == Some(at)) {
            lane.head = None;
        }
    }

    /// A task is behind nobody any more.
    pub(super) fn left(&mut self, at: NodeRef) {
        for i in 0..self.lanes.len() {
            let behind = &mut self.lanes[i].behind;
            // Nearly always the first: results come in the order of the lane.
            let Some(place) = behind.iter().position(|other| *other == at) else {
                continue;
            };
            behind.remove(place);
            if behind.is_empty() {
                self.lanes.swap_remove(i);
            }
            return;
        }
    }

    /// The first task behind a head that has left.
    pub(crate) fn next_head(&self) -> Option<NodeRef> {
        let lane = self.lanes.iter().find(|lane| lane.head.is_none())?;
        lane.behind.front().copied()
    }

    /// Makes the task that [`Lanes::next_head`] named the head of its lane.
    pub(super) fn took_over(&mut self, at: NodeRef) {
        let vacant = |lane: &Lane| lane.head.is_none() && lane.behind.front() == Some(&at);
        let Some(i) = self.lanes.iter().position(vacant) else {
            return;
        };
        let lane = &mut self.lanes[i];
        lane.behind.pop_front();
        lane.head = Some(at);
        if lane.behind.is_empty() {
            self.lanes.swap_remove(i);
        }
    }

    /// Heads behind which tasks wait that were not asked back.
    pub(crate) fn heads(&self) -> impl Iterator<Item = NodeRef> + '_ {
        let open = self.lanes.iter().filter(|lane| !lane.recalled);
        open.filter_map(|lane| lane.head)
    }

    /// The tasks behind `head`, which are asked back.
    pub(crate) fn recall(&mut self, head: NodeRef) -> Vec<NodeRef> {
        let lane = self.lanes.iter_mut().find(|lane| lane.head == Some(head));
        lane.map_or_else(Vec::new, |lane| {
            lane.recalled = true;
            lane.behind.iter().copied().collect()
        })
    }

    /// All tasks behind others.
    pub(super) fn all(&self) -> impl Iterator<Item = NodeRef> + '_ {
        self.lanes.iter().flat_map(|lane| lane.behind.iter().copied())
    }

    /// Number of tasks behind others.
    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.behind.len()).sum()
    }
}
