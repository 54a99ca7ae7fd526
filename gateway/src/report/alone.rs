//! When one run was all that went on.

use std::collections::{BTreeMap, BTreeSet};

/// A run: its beginning and its end, and its task.
pub(super) type Run = (u64, u64, u32);

/// Microseconds in which exactly one run went on, and the task that had most of them.
pub(super) fn alone(runs: &[Run]) -> Option<(u64, u32)> {
    // At one moment ends come before beginnings.
    let mut changes: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * runs.len());
    for (number, (begin, end, _)) in runs.iter().enumerate().filter(|(_, run)| run.0 < run.1) {
        changes.extend([(*begin, true, number), (*end, false, number)]);
    }
    changes.sort_unstable();
    let mut going = BTreeSet::new();
    let mut by_task: BTreeMap<u32, u64> = BTreeMap::new();
    let mut since = 0;
    for (at, begins, number) in changes {
        if let (1, Some(only)) = (going.len(), going.first())
            && at > since
        {
            let (_, _, task) = runs[*only];
            *by_task.entry(task).or_default() += at - since;
        }
        since = at;
        if begins {
            going.insert(number);
        } else {
            going.remove(&number);
        }
    }
    let (task, _) = by_task.iter().max_by_key(|(_, us)| **us)?;
    Some((by_task.values().sum(), *task))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_in_which_one_run_goes_on_and_no_other() {
        // 0..10 alone, 10..20 two, 20..25 alone, nothing, 30..31 alone.
        let runs = [(0, 20, 7), (10, 25, 8), (30, 31, 9)];
        assert_eq!(alone(&runs), Some((16, 7)));
    }

    #[test]
    fn runs_one_after_the_other_are_each_alone_and_add_up_by_task() {
        assert_eq!(alone(&[(5, 9, 1), (0, 5, 2), (9, 12, 1)]), Some((12, 1)));
    }

    #[test]
    fn without_runs_or_time_nobody_is_alone() {
        assert_eq!(alone(&[]), None);
        assert_eq!(alone(&[(3, 3, 1)]), None);
        assert_eq!(alone(&[(0, 4, 1), (0, 4, 2)]), None);
    }
}
