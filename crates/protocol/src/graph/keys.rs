//! The users' names of tasks: strings live only here, at the edge.

use std::collections::HashMap;

use millstream_types::TaskIdx;
use serde::{Deserialize, Serialize};

use super::TaskRange;
use crate::columns::BytesColumn;

/// How the tasks of a range are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRange {
    /// Each by a name of its own, in UTF-8.
    Named {
        /// The tasks.
        tasks: TaskRange,
        /// Their names.
        names: BytesColumn,
    },
    /// `prefix-0`, `prefix-1`, …
    Numbered {
        /// The tasks.
        tasks: TaskRange,
        /// What stands before the number.
        prefix: String,
    },
}

/// The names of a graph's tasks. A task without one is called by its number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskKeys(pub Vec<KeyRange>);

impl TaskKeys {
    /// The key of `task`.
    pub fn key_of(&self, task: TaskIdx) -> String {
        let named = self.0.iter().find_map(|range| match range {
            KeyRange::Named { tasks, names } if tasks.contains(task) => {
                Some(String::from_utf8_lossy(names.get((task.0 - tasks.first.0) as usize)).into_owned())
            }
            KeyRange::Numbered { tasks, prefix } if tasks.contains(task) => {
                Some(format!("{prefix}-{}", task.0 - tasks.first.0))
            }
            _ => None,
        });
        named.unwrap_or_else(|| task.to_string())
    }

    /// The task called `key` in a graph of `task_count` tasks.
    pub fn task_of(&self, key: &str, task_count: u32) -> Option<TaskIdx> {
        let named = self.named().find(|(name, _)| *name == key.as_bytes());
        named
            .map(|(_, task)| task)
            .or_else(|| self.numbered(key, task_count))
    }

    /// The tasks called by each of many keys. All names are gone through once, not once for each key.
    pub fn tasks_of<S: AsRef<str>>(&self, keys: &[S], task_count: u32) -> Vec<Option<TaskIdx>> {
        let mut found: HashMap<&[u8], Option<TaskIdx>> = HashMap::with_capacity(keys.len());
        found.extend(keys.iter().map(|key| (key.as_ref().as_bytes(), None)));
        for (name, task) in self.named() {
            if let Some(place) = found.get_mut(name) {
                place.get_or_insert(task);
            }
        }
        let task = |key: &S| {
            let named = found.get(key.as_ref().as_bytes()).copied().flatten();
            named.or_else(|| self.numbered(key.as_ref(), task_count))
        };
        keys.iter().map(task).collect()
    }

    /// The tasks that have a name of their own.
    fn named(&self) -> impl Iterator<Item = (&[u8], TaskIdx)> {
        let of_range = |range| match range {
            &KeyRange::Named { tasks, ref names } => Some((tasks, names)),
            KeyRange::Numbered { .. } => None,
        };
        let ranges = self.0.iter().filter_map(of_range);
        ranges.flat_map(|(tasks, names)| (0..tasks.count).map(move |i| (names.get(i as usize), tasks.at(i))))
    }

    /// The task whose key is a number, behind the prefix of its range or alone.
    fn numbered(&self, key: &str, task_count: u32) -> Option<TaskIdx> {
        let numbered = self.0.iter().find_map(|range| match range {
            KeyRange::Named { .. } => None,
            KeyRange::Numbered { tasks, prefix } => {
                let number = key.strip_prefix(prefix.as_str())?.strip_prefix('-')?;
                let offset: u32 = number.parse().ok()?;
                (offset < tasks.count && offset.to_string() == number).then(|| tasks.at(offset))
            }
        });
        numbered.or_else(|| {
            let index: u32 = key.parse().ok()?;
            (index < task_count && self.key_of(TaskIdx(index)) == key).then_some(TaskIdx(index))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::BytesColumnBuilder;

    fn range(first: u32, count: u32) -> TaskRange {
        TaskRange {
            first: TaskIdx(first),
            count,
        }
    }

    #[test]
    fn many_keys_are_found_as_each_alone() {
        let mut names = BytesColumnBuilder::default();
        names.push(b"alpha");
        names.push(b"beta");
        let named = KeyRange::Named {
            tasks: range(1, 2),
            names: names.finish(),
        };
        let numbered = KeyRange::Numbered {
            tasks: range(4, 3),
            prefix: "part".to_owned(),
        };
        let keys = TaskKeys(vec![named, numbered]);
        let asked = ["beta", "part-2", "0", "nobody", "part-3", "alpha", "beta", "1"];
        let found: Vec<Option<u32>> = keys
            .tasks_of(&asked, 8)
            .into_iter()
            .map(|task| task.map(|task| task.0))
            .collect();
        // A task that has a name is not called by its number.
        let expected = [Some(2), Some(6), Some(0), None, None, Some(1), Some(2), None];
        assert_eq!(found, expected);
        for (key, task) in asked.iter().zip(expected) {
            assert_eq!(keys.task_of(key, 8), task.map(TaskIdx), "{key}");
        }
    }
}
