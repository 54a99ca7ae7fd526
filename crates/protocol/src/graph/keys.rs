//! The users' names of tasks: strings live only here, at the edge.

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
        let named = self.0.iter().find_map(|range| match range {
            KeyRange::Named { tasks, names } => (0..tasks.count)
                .find(|i| names.get(*i as usize) == key.as_bytes())
                .map(|offset| tasks.at(offset)),
            KeyRange::Numbered { tasks, prefix } => {
                let number = key.strip_prefix(prefix.as_str())?.strip_prefix('-')?;
                let offset: u32 = number.parse().ok()?;
                (offset < tasks.count && offset.to_string() == number).then(|| tasks.at(offset))
            }
        });
        named.or_else(|| {
            let index: u32 = key.parse().ok()?;
            (index < task_count && self.key_of(TaskIdx(index)) == key).then_some(TaskIdx(index))
        })
    }
}
