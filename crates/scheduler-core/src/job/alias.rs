//! Tasks that an extension put another task in the place of.

use std::collections::BTreeMap;

/// Which task stands in for which. Chains are followed when they are made, never when they are read.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    target: BTreeMap<u32, u32>,
    sources: BTreeMap<u32, Vec<u32>>,
}

impl Aliases {
    /// The task whose object is read where `task` is named.
    pub(crate) fn resolve(&self, task: u32) -> u32 {
        if self.target.is_empty() {
            return task;
        }
        self.target.get(&task).copied().unwrap_or(task)
    }

    /// The tasks whose readers read `task` instead.
    pub(crate) fn sources(&self, task: u32) -> &[u32] {
        if self.sources.is_empty() {
            return &[];
        }
        self.sources.get(&task).map_or(&[], Vec::as_slice)
    }

    /// Puts `target` in the place of `task` and of everything that `task` stood in for.
    pub(crate) fn replace(&mut self, task: u32, target: u32) {
        let target = self.resolve(target);
        let mut moved = self.sources.remove(&task).unwrap_or_default();
        moved.push(task);
        for source in &moved {
            self.target.insert(*source, target);
        }
        self.sources.entry(target).or_default().extend(moved);
    }
}
