//! The ready tasks of one job, by class and order. Roots of symbolic layers are not listed: a cursor walks them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Tasks that are placed alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct ReadyClass {
    /// The negated sum of the job's and the task's priority: lower goes first.
    pub(crate) rank: i32,
    /// Index of the options that restrict where the tasks may run, plus one; 0 for none.
    pub(crate) restriction: u16,
}

/// Roots that nothing has come to yet.
#[derive(Debug)]
enum Roots {
    Range {
        next: u32,
        end: u32,
    },
    /// Order and task, by order.
    List {
        tasks: Vec<(u32, u32)>,
        at: usize,
    },
}

#[derive(Debug, Default)]
struct Lane {
    /// Whether the cluster-wide list names the class.
    is_listed: bool,
    roots: VecDeque<Roots>,
    /// `order << 32 | !task`: lower order first, and of equals the later task, which is nearer the end.
    heap: BinaryHeap<Reverse<u64>>,
}

/// A task taken from the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) task: u32,
    /// Whether it came from the roots, so that its state is still waiting.
    pub(crate) is_root: bool,
}

/// The ready tasks of one job. Entries may be stale: whoever takes one looks at the task's state.
#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    lanes: BTreeMap<ReadyClass, Lane>,
}

impl ReadyQueue {
    /// Adds a contiguous range of roots.
    pub(crate) fn push_root_range(&mut self, class: ReadyClass, first: u32, end: u32) {
        if first < end {
            self.lane(class).insert(Roots::Range { next: first, end });
        }
    }

    /// Adds roots as pairs of order and task.
    pub(crate) fn push_roots(&mut self, class: ReadyClass, mut tasks: Vec<(u32, u32)>) {
        tasks.sort_unstable();
        let natural = tasks.iter().all(|(order, task)| order == task);
        let (Some(first), Some(last)) = (tasks.first(), tasks.last()) else {
            return;
        };
        if natural && (last.1 - first.1) as usize == tasks.len() - 1 {
            self.push_root_range(class, first.1, last.1 + 1);
        } else {
            self.lane(class).insert(Roots::List { tasks, at: 0 });
        }
    }

    /// Adds a task whose inputs are stored.
    pub(crate) fn push(&mut self, class: ReadyClass, order: u32, task: u32) {
        let key = (u64::from(order) << 32) | u64::from(!task);
        self.lane(class).heap.push(Reverse(key));
    }

    /// Takes the first task of a class.
    pub(crate) fn take(&mut self, class: ReadyClass, allow_roots: bool) -> Option<Taken> {
        let lane = self.lanes.get_mut(&class)?;
        let root = if allow_roots { lane.peek_root() } else { None };
        let listed = lane.heap.peek().map(|Reverse(key)| (key >> 32) as u32);
        match (root, listed) {
            (None, None) => None,
            (Some((place, task)), listed) if listed.is_none_or(|order| place < order) => {
                lane.advance_root();
                Some(Taken { task, is_root: true })
            }
            _ => lane.heap.pop().map(|Reverse(key)| Taken {
                task: !(key as u32),
                is_root: false,
            }),
        }
    }

    /// Gives back a root that was taken and could not be placed.
    pub(crate) fn put_back_root(&mut self, class: ReadyClass, task: u32) {
        let lane = self.lane(class);
        match lane.roots.front_mut() {
            Some(Roots::Range { next, .. }) if *next == task + 1 => *next = task,
            Some(Roots::List { tasks, at }) if *at > 0 && tasks[*at - 1].1 == task => *at -= 1,
            _ => lane.insert(Roots::Range {
                next: task,
                end: task + 1,
            }),
        }
    }

    /// Whether a class has entries.
    pub(crate) fn has(&self, class: ReadyClass) -> bool {
        self.lanes
            .get(&class)
            .is_some_and(|lane| !lane.heap.is_empty() || !lane.roots.is_empty())
    }

    /// Entries of a class, stale ones included.
    pub(crate) fn len(&self, class: ReadyClass) -> usize {
        self.lanes.get(&class).map_or(0, |lane| {
            let roots: usize = lane.roots.iter().map(Roots::len).sum();
            lane.heap.len() + roots
        })
    }

    /// The classes that have entries.
    pub(crate) fn classes(&self) -> impl Iterator<Item = ReadyClass> + '_ {
        self.lanes.keys().copied().filter(|class| self.has(*class))
    }

    /// Notes that a class is to be in the cluster-wide list. Tells whether it was not.
    pub(crate) fn mark_listed(&mut self, class: ReadyClass) -> bool {
        !std::mem::replace(&mut self.lane(class).is_listed, true)
    }

    /// Notes that a class was taken off the cluster-wide list.
    pub(crate) fn mark_unlisted(&mut self, class: ReadyClass) {
        self.lane(class).is_listed = false;
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.lanes.clear();
    }

    /// Whether `task` is a root that no one has come to, of any class.
    pub(crate) fn has_unvisited_root(&self, task: u32) -> bool {
        self.lanes
            .values()
            .flat_map(|lane| &lane.roots)
            .any(|roots| match roots {
                Roots::Range { next, end } => (*next..*end).contains(&task),
                Roots::List { tasks, at } => tasks[*at..].iter().any(|(_, root)| *root == task),
            })
    }

    fn lane(&mut self, class: ReadyClass) -> &mut Lane {
        self.lanes.entry(class).or_default()
    }
}

impl Lane {
    fn peek_root(&self) -> Option<(u32, u32)> {
        self.roots.front().map(Roots::first)
    }

    /// Keeps the runs of roots sorted by their first.
    fn insert(&mut self, roots: Roots) {
        let place = roots.first().0;
        let at = self.roots.partition_point(|other| other.first().0 < place);
        self.roots.insert(at, roots);
    }

    fn advance_root(&mut self) {
        let Some(front) = self.roots.front_mut() else {
            return;
        };
        match front {
            Roots::Range { next, .. } => *next += 1,
            Roots::List { at, .. } => *at += 1,
        }
        let is_done = front.len() == 0;
        let place = if is_done { u32::MAX } else { front.first().0 };
        let is_first = self.roots.get(1).is_none_or(|second| place < second.first().0);
        if (is_done || !is_first)
            && let Some(front) = self.roots.pop_front()
            && !is_done
        {
            self.insert(front);
        }
    }
}

impl Roots {
    /// Order and task of the first. A run without tasks is never kept.
    fn first(&self) -> (u32, u32) {
        match self {
            Self::Range { next, .. } => (*next, *next),
            Self::List { tasks, at } => tasks[*at],
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Range { next, end } => (end - next) as usize,
            Self::List { tasks, at } => tasks.len() - at,
        }
    }
}
