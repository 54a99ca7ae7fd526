//! Submissions.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_types::{JobId, ResourceSet};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::{Span, TableSource};
use crate::graph::{Backoff, Rerun};
use crate::wire::JobOptions;

/// A job as users write it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Made by the client, so that a repeated submission is recognised; made by the gateway if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<JobId>,
    /// What it is called in lists; its first key if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The environment of all tasks.
    #[serde(default, skip_serializing_if = "EnvRequest::is_empty")]
    pub env: EnvRequest,
    /// The tasks, in any order.
    pub tasks: Vec<TaskRequest>,
    /// Keys of the tasks whose results are wanted; those that no other task reads if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// Options of the job.
    #[serde(default)]
    pub options: RequestOptions,
}

/// Options of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestOptions {
    /// Higher runs first.
    pub priority: i32,
    /// Time from acceptance until the job fails if it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// How long results are kept after their last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_ttl: Option<Span>,
    /// Whose work it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The client's session that the job is attached to: the job ends with it. Without one it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Uuid>,
}

impl RequestOptions {
    /// The options as the leader takes them.
    pub fn to_job_options(&self, labels: BTreeMap<String, String>) -> JobOptions {
        let default = JobOptions::default();
        JobOptions {
            priority: self.priority,
            deadline_ms: self.deadline.map(Span::as_millis),
            result_ttl_s: self.result_ttl.map(|ttl| ttl.0.as_secs()),
            attached_to: self.session.map(|session| session.to_string()),
            tenant: self.tenant.clone().unwrap_or(default.tenant),
            labels,
        }
    }
}

/// The environment that tasks run in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnvRequest {
    /// Environment variables of command tasks.
    pub env_vars: BTreeMap<String, String>,
}

impl EnvRequest {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.env_vars.is_empty()
    }
}

/// A task as users write it. Which fields belong together is said by `op`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRequest {
    /// The task's name in the job.
    pub key: String,
    /// `command`, `native`, `python` or `sql`.
    pub op: String,
    /// A command's program and arguments; `{"task": "a"}` is the path of a file with that task's output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<Arg>,
    /// A native function's name, such as `pkg:f`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// A function's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Arg>,
    /// The task whose output a command reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<TaskRef>,
    /// Files that a command finds in its scratch folder, by path relative to it: outputs of tasks, or texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files_in: BTreeMap<String, Arg>,
    /// Files that a command leaves in its scratch folder and that are kept, by path relative to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files_out: Vec<String>,
    /// The environment, over the job's.
    #[serde(default, skip_serializing_if = "EnvRequest::is_empty")]
    pub env: EnvRequest,
    /// A query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The query's tables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, TableSource>,
    /// Keys of tasks that must end before this one starts, whatever it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deps: Vec<String>,
    /// What it takes from its worker while it runs.
    #[serde(default, skip_serializing_if = "ResourceSet::is_empty")]
    pub resources: ResourceSet,
    /// How often it is tried again after a failure of its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// The waits between tries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Longest run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Added to the job's priority.
    #[serde(default, skip_serializing_if = "is_neutral")]
    pub priority: i32,
    /// Names of the only workers it may run on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<String>,
    /// `always`, or `never` for side effects that must not happen twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<Rerun>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_neutral(priority: &i32) -> bool {
    *priority == 0
}

/// Names a task of the same job, or of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRef {
    /// The task's key.
    pub task: String,
    /// One of a command's `files_out`; its standard output if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The job whose task it is, if it is another one: its output stays where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

impl TaskRef {
    /// Names the output of the task called `key`.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            task: key.into(),
            file: None,
            job: None,
        }
    }
}

/// An argument: the output of a task, written `{"task": "key"}`, `{"task": "key", "file": "name"}` or, of another job,
/// `{"job": "id", "task": "key"}`; or any other value as it stands.
///
/// `{"literal": …}` is the value inside it, for values that look like a reference.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// The output of a task.
    Task(TaskRef),
    /// A value.
    Literal(rmpv::Value),
}

impl Serialize for Arg {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Task(task) => task.serialize(serializer),
            Self::Literal(value) if looks_like_reference(value) => {
                BTreeMap::from([(LITERAL, value)]).serialize(serializer)
            }
            Self::Literal(value) => value.serialize(serializer),
        }
    }
}

const TASK: &str = "task";
const FILE: &str = "file";
const JOB: &str = "job";
const LITERAL: &str = "literal";

impl<'de> Deserialize<'de> for Arg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = rmpv::Value::deserialize(deserializer)?;
        if let Some((LITERAL, inner)) = single_entry(&value) {
            return Ok(Self::Literal(inner.clone()));
        }
        match task_ref(&value) {
            Some(Ok(task)) => Ok(Self::Task(task)),
            Some(Err(reason)) => Err(D::Error::custom(reason)),
            None => Ok(Self::Literal(value)),
        }
    }
}

/// Reads a map of nothing but `task` and perhaps `file` or `job`; anything else is no reference.
fn task_ref(value: &rmpv::Value) -> Option<Result<TaskRef, &'static str>> {
    let entries = value.as_map()?;
    let entry = |name: &str| {
        entries
            .iter()
            .find(|(key, _)| key.as_str() == Some(name))
            .map(|(_, value)| value)
    };
    let task = entry(TASK)?;
    let (file, job) = (entry(FILE), entry(JOB));
    if entries.len() != 1 + usize::from(file.is_some()) + usize::from(job.is_some()) {
        return None;
    }
    let text = |value: &rmpv::Value| value.as_str().map(str::to_owned);
    let reference = || {
        Some(TaskRef {
            task: text(task)?,
            file: file.map_or(Some(None), |file| text(file).map(Some))?,
            job: job.map_or(Some(None), |job| job_id(job).map(Some))?,
        })
    };
    Some(reference().ok_or(
        "`task` must be the key of a task, `file` the name of a file and `job` the id of a job, all as texts",
    ))
}

/// A job's id: a text, or 16 bytes as MessagePack has it.
fn job_id(value: &rmpv::Value) -> Option<JobId> {
    match value {
        rmpv::Value::Binary(bytes) => Some(Uuid::from_slice(bytes).ok()?.into()),
        value => value.as_str()?.parse().ok(),
    }
}

fn looks_like_reference(value: &rmpv::Value) -> bool {
    matches!(single_entry(value), Some((LITERAL, _))) || task_ref(value).is_some()
}

/// The entry of a map that has one entry.
fn single_entry(value: &rmpv::Value) -> Option<(&str, &rmpv::Value)> {
    match value.as_map()?.as_slice() {
        [(key, inner)] => Some((key.as_str()?, inner)),
        _ => None,
    }
}

/// A submission whose graph is already columnar: body of [`super::GRAPH_CONTENT_TYPE`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphRequest {
    /// Made by the client.
    pub id: JobId,
    /// What it is called in lists.
    #[serde(default)]
    pub name: String,
    /// Its options.
    #[serde(default)]
    pub options: JobOptions,
    /// An encoded [`crate::graph::Graph`].
    pub graph: Bytes,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn the_documented_job_is_read() {
        let job: JobRequest = serde_json::from_str(
            r#"{"labels": {"team": "a"}, "tasks": [
                {"key": "a", "op": "command", "argv": ["echo", "hi"], "timeout": "30s"},
                {"key": "b", "op": "native", "function": "demo:f", "args": [{"task": "a"}, 1, {"x": [2]}]},
                {"key": "c", "op": "command", "argv": ["wc"], "stdin": {"task": "a"}, "retries": 2,
                 "resources": {"cpu": 0.5}}
            ], "outputs": ["b", "c"], "options": {"priority": 1, "deadline": 60}}"#,
        )
        .unwrap();
        assert_eq!(job.tasks[1].args[0], Arg::Task(TaskRef::new("a")));
        assert_eq!(job.tasks[1].args[1], Arg::Literal(1.into()));
        assert_eq!(job.options.to_job_options(job.labels).deadline_ms, Some(60_000));
    }

    #[test]
    fn arguments_that_look_like_references_survive() {
        for text in [
            r#"{"task":"a"}"#,
            r#"{"literal":{"task":"a"}}"#,
            r#"[1,null,"x"]"#,
            r#"{"literal":{"literal":1}}"#,
        ] {
            let arg: Arg = serde_json::from_str(text).unwrap();
            let again: Arg = serde_json::from_str(&serde_json::to_string(&arg).unwrap()).unwrap();
            assert_eq!(arg, again, "{text}");
        }
        let literal: Arg = serde_json::from_str(r#"{"literal":{"task":"a"}}"#).unwrap();
        assert!(matches!(literal, Arg::Literal(_)));
    }

    #[test]
    fn a_request_means_the_same_in_messagepack() {
        let job = JobRequest {
            tasks: vec![TaskRequest {
                key: "a".to_owned(),
                op: "native".to_owned(),
                function: Some("demo:f".to_owned()),
                args: vec![
                    Arg::Task(TaskRef::new("b")),
                    Arg::Literal(rmpv::Value::Binary(vec![1, 2])),
                ],
                ..TaskRequest::default()
            }],
            ..JobRequest::default()
        };
        let encoded = crate::codec::encode_named(&job).unwrap();
        assert_eq!(crate::codec::decode::<JobRequest>(&encoded), Ok(job));
    }
}
