//! Slots, resources, and which ready task takes them next.
//!
//! Ready tasks of all jobs are kept in order of priority, in one queue per distinct request. A task that does not fit
//! bars later ones from the resources it lacks, so that a large request is never starved by small ones.

use std::collections::BTreeSet;

use millstream_types::{Amount, ResourceSet, ResourceShortage};

use super::node::NodeRef;

/// The resource every task takes one of unless it says otherwise.
const CPU: &str = "cpu";
/// The resource counted in bytes.
const MEMORY: &str = "memory";

/// Tasks that ask for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClassRef(u32);

#[derive(Debug)]
struct Class {
    /// Indexes into the supply, and thousandths.
    request: Vec<(usize, u64)>,
    ready: BTreeSet<(u64, NodeRef)>,
}

/// Ready tasks, and what is left of the worker's resources.
#[derive(Debug)]
pub(crate) struct ReadyQueue {
    names: Vec<String>,
    supply: Vec<u64>,
    /// Negative where tasks that had lent their slots have gone on.
    free: Vec<i64>,
    slots: u32,
    taken_slots: u32,
    classes: Vec<Class>,
}

impl ReadyQueue {
    /// All resources free. `cpu` counts slots and `memory` the limit, unless `resources` says otherwise.
    pub(crate) fn new(slots: u32, memory_limit: u64, resources: &ResourceSet) -> Self {
        let has = |name: &str| resources.iter().any(|(other, _)| other == name);
        let mut supply: Vec<(String, u64)> = resources
            .iter()
            .map(|(name, amount)| (name.to_owned(), amount.as_milli()))
            .collect();
        if !has(CPU) {
            supply.push((CPU.to_owned(), Amount::whole(u64::from(slots)).as_milli()));
        }
        if !has(MEMORY) {
            supply.push((MEMORY.to_owned(), Amount::whole(memory_limit).as_milli()));
        }
        let (names, supply): (Vec<_>, Vec<_>) = supply.into_iter().unzip();
        Self {
            names,
            free: supply.iter().map(|amount| signed(*amount)).collect(),
            supply,
            slots: slots.max(1),
            taken_slots: 0,
            classes: Vec::new(),
        }
    }

    /// The class of a request, or what this worker can never give.
    pub(crate) fn class_of(&mut self, resources: &ResourceSet) -> Result<ClassRef, ResourceShortage> {
        let mut request = Vec::new();
        let default_cpu = resources.iter().all(|(name, _)| name != CPU);
        let cpu = default_cpu.then_some((CPU, Amount::whole(1)));
        for (name, wanted) in resources.iter().chain(cpu) {
            let at = self.names.iter().position(|other| other == name);
            let available = Amount::milli(at.map_or(0, |at| self.supply[at]));
            match at {
                Some(at) if wanted <= available => request.push((at, wanted.as_milli())),
                None if wanted == Amount::default() => {}
                _ => {
                    return Err(ResourceShortage {
                        name: name.to_owned(),
                        wanted,
                        available,
                    });
                }
            }
        }
        request.sort_unstable();
        let known = self.classes.iter().position(|class| class.request == request);
        let at = known.unwrap_or_else(|| {
            self.classes.push(Class {
                request,
                ready: BTreeSet::new(),
            });
            self.classes.len() - 1
        });
        Ok(ClassRef(at as u32))
    }

    /// Adds a ready task.
    pub(super) fn insert(&mut self, class: ClassRef, priority: u64, node: NodeRef) {
        self.classes[class.0 as usize].ready.insert((priority, node));
    }

    /// Removes a ready task.
    pub(super) fn remove(&mut self, class: ClassRef, priority: u64, node: NodeRef) {
        self.classes[class.0 as usize].ready.remove(&(priority, node));
    }

    /// Takes a slot and a request's resources.
    pub(super) fn take(&mut self, class: ClassRef) {
        self.taken_slots += 1;
        for (at, amount) in &self.classes[class.0 as usize].request {
            self.free[*at] -= signed(*amount);
        }
    }

    /// Puts back what [`ReadyQueue::take`] took.
    pub(super) fn put_back(&mut self, class: ClassRef) {
        self.taken_slots -= 1;
        for (at, amount) in &self.classes[class.0 as usize].request {
            self.free[*at] += signed(*amount);
        }
    }

    /// Lets others have the slot and the cpu of a task that waits for them. What else it took it keeps: a process that
    /// waits still fills its memory and its device.
    pub(super) fn lend_slot(&mut self, class: ClassRef) {
        self.taken_slots -= 1;
        if let Some((at, amount)) = self.cpu_of(class) {
            self.free[at] += amount;
        }
    }

    /// Takes back what [`ReadyQueue::lend_slot`] lent, whether others have it or not.
    pub(super) fn reclaim_slot(&mut self, class: ClassRef) {
        self.taken_slots += 1;
        if let Some((at, amount)) = self.cpu_of(class) {
            self.free[at] -= amount;
        }
    }

    fn cpu_of(&self, class: ClassRef) -> Option<(usize, i64)> {
        let request = &self.classes[class.0 as usize].request;
        let mut cpu = request.iter().filter(|(at, _)| self.names[*at] == CPU);
        cpu.next().map(|(at, amount)| (*at, signed(*amount)))
    }

    /// The task to start next, if one fits.
    pub(crate) fn next(&self) -> Option<NodeRef> {
        if self.taken_slots >= self.slots {
            return None;
        }
        if let [only] = self.classes.as_slice() {
            let (_, node) = only.ready.first()?;
            return self.fits(&only.request, &[]).then_some(*node);
        }
        let mut heads: Vec<_> = self
            .classes
            .iter()
            .filter_map(|class| {
                class
                    .ready
                    .first()
                    .map(|(priority, node)| (*priority, *node, class))
            })
            .collect();
        heads.sort_unstable_by_key(|(priority, node, _)| (*priority, *node));
        let mut barred = Vec::new();
        for (_, node, class) in heads {
            if self.fits(&class.request, &barred) {
                return Some(node);
            }
            let lacking = class
                .request
                .iter()
                .filter(|(at, amount)| self.free[*at] < signed(*amount));
            barred.extend(lacking.map(|(at, _)| *at));
        }
        None
    }

    /// The ready task of the best priority, whether it fits or not.
    pub(crate) fn best(&self) -> Option<NodeRef> {
        let heads = self.classes.iter().filter_map(|class| class.ready.first());
        heads.min().map(|(_, node)| *node)
    }

    /// The ready task of the best priority that asks for the same.
    pub(crate) fn first_of(&self, class: ClassRef) -> Option<NodeRef> {
        let (_, node) = self.classes[class.0 as usize].ready.first()?;
        Some(*node)
    }

    /// How many tasks that ask for the same are ready for each slot that is free, the one just taken included.
    pub(crate) fn share_of(&self, class: ClassRef) -> usize {
        let free = self.slots.saturating_sub(self.taken_slots);
        self.classes[class.0 as usize].ready.len() / (free as usize + 1)
    }

    /// Whether no task is ready.
    pub(crate) fn is_empty(&self) -> bool {
        self.classes.iter().all(|class| class.ready.is_empty())
    }

    /// Number of ready tasks.
    pub(super) fn len(&self) -> usize {
        self.classes.iter().map(|class| class.ready.len()).sum()
    }

    /// Whether exactly these classes hold slots and resources; those marked have lent their slots.
    pub(super) fn is_taken_by(&self, running: impl Iterator<Item = (ClassRef, bool)>) -> bool {
        let mut free: Vec<_> = self.supply.iter().map(|amount| signed(*amount)).collect();
        let mut slots = 0;
        for (class, lends) in running {
            slots += u32::from(!lends);
            for (at, amount) in &self.classes[class.0 as usize].request {
                if !lends || self.names[*at] != CPU {
                    free[*at] -= signed(*amount);
                }
            }
        }
        // Only what is lent can be short.
        let mut kept = self.names.iter().zip(&free).filter(|(name, _)| *name != CPU);
        free == self.free && slots == self.taken_slots && kept.all(|(_, left)| *left >= 0)
    }

    fn fits(&self, request: &[(usize, u64)], barred: &[usize]) -> bool {
        request
            .iter()
            .all(|(at, amount)| (*amount == 0 || !barred.contains(at)) && self.free[*at] >= signed(*amount))
    }
}

/// Thousandths are bytes times 1000 at most: far from the limit.
fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
