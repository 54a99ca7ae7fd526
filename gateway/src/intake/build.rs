//! Jobs as users write them, turned into the columnar graph.

use std::collections::HashMap;

use millstream_protocol::api::{Arg, JobRequest, SqlRequest, TaskRef, TaskRequest};
use millstream_protocol::args::{Arg as NativeArg, CommandBytes, CommandSpec, NativeArgs};
use millstream_protocol::codec;
use millstream_protocol::graph::{
    Dep, Graph, GraphBuilder, GraphLimits, ImportSource, OpKind, OpSpec, TaskName, TaskOptions,
};
use millstream_types::{JobId, TaskIdx};

use crate::error::{IntakeError, TaskFault};
use crate::near::nearest;

/// The name of the operation that plans a query.
pub(super) const PLAN: &str = "plan";

/// The name of the operation that answers statements which are no queries.
const STATEMENTS: &str = "statements";

const OPS: [&str; 4] = ["command", "native", "python", "sql"];

/// Distinct operations and options that a graph can number.
const MAX_DISTINCT: usize = u16::MAX as usize;

/// Where a command finds the outputs that its argv names.
const INPUT_FOLDER: &str = "inputs";

/// Characters of a query that name its job.
const NAME_CHARS: usize = 80;

/// A job ready to be submitted.
#[derive(Debug, Clone)]
pub(crate) struct BuiltJob {
    pub(crate) graph: Graph,
    /// What it is called if the user did not name it.
    pub(crate) name: String,
}

/// Builds and checks the graph of a job.
pub(crate) fn build_job(job: &JobRequest, limits: &GraphLimits) -> Result<BuiltJob, IntakeError> {
    let mut tasks = Tasks::index(job)?;
    for task in &job.tasks {
        tasks.add(task).map_err(|fault| IntakeError::Task {
            key: task.key.clone(),
            fault,
        })?;
        if tasks.options.len() > MAX_DISTINCT || tasks.ops.len() > MAX_DISTINCT {
            return Err(IntakeError::TooVaried {
                what: "operations or options",
                limit: MAX_DISTINCT,
            });
        }
    }
    tasks.want(job)?;
    tasks.add_imports()?;
    let graph = tasks.builder.finish();
    graph.validate(limits)?;
    let first = job.tasks.first().map(|task| task.key.clone()).unwrap_or_default();
    Ok(BuiltJob { graph, name: first })
}

/// Builds the graph of a query: one task, which plans it and grows the graph.
pub(crate) fn build_query(query: &SqlRequest) -> Result<BuiltJob, TaskFault> {
    build_one(query, plan_op(query)?)
}

/// Builds the graph of the statements of a text up to its first query: one task.
pub(crate) fn build_statements(query: &SqlRequest) -> Result<BuiltJob, TaskFault> {
    let op = OpSpec {
        name: STATEMENTS.to_owned(),
        // What it makes depends on when it runs.
        determinate: false,
        ..plan_op(query)?
    };
    build_one(query, op)
}

fn build_one(query: &SqlRequest, op: OpSpec) -> Result<BuiltJob, TaskFault> {
    let mut builder = GraphBuilder::new();
    let op = builder.op(op);
    let options = builder.options(TaskOptions::default());
    let task = builder.named_task("result", op, options, &[], &[]);
    builder.want(task);
    Ok(BuiltJob {
        graph: builder.finish(),
        name: query_name(query),
    })
}

/// What a query's job is called: its text, or what it is where it has none.
fn query_name(query: &SqlRequest) -> String {
    if query.tree.is_some() {
        return "data frame".to_owned();
    }
    let words: Vec<&str> = query.query.split_whitespace().collect();
    words.join(" ").chars().take(NAME_CHARS).collect()
}

/// Checks a graph that arrived columnar.
pub(crate) fn check_graph(graph: &Graph, limits: &GraphLimits) -> Result<(), IntakeError> {
    Ok(graph.validate(limits)?)
}

fn plan_op(query: &SqlRequest) -> Result<OpSpec, TaskFault> {
    if query.query.trim().is_empty() && query.tree.is_none() {
        return Err(TaskFault::MissingField {
            op: "sql".to_owned(),
            field: "query",
        });
    }
    let params = codec::encode_named(query).map_err(|error| bad_value("query", error.to_string()))?;
    Ok(OpSpec {
        kind: OpKind::Frame,
        name: PLAN.to_owned(),
        params: params.into(),
        code: None,
        determinate: true,
    })
}

struct Tasks<'a> {
    job: &'a JobRequest,
    by_key: HashMap<&'a str, u32>,
    is_read: Vec<bool>,
    builder: GraphBuilder,
    /// Tasks of other jobs that are read, numbered on from the job's own.
    imports: Vec<ImportSource>,
    ops: HashMap<(OpKind, String), u16>,
    options: HashMap<Vec<u8>, u16>,
}

/// The inputs of one task, each once.
#[derive(Default)]
struct Inputs(Vec<Dep>);

impl Inputs {
    /// The number of an input, added if it is new.
    fn number(&mut self, dep: Dep) -> u32 {
        let known = self.0.iter().position(|other| *other == dep);
        let position = known.unwrap_or_else(|| {
            self.0.push(dep);
            self.0.len() - 1
        });
        u32::try_from(position).unwrap_or(u32::MAX)
    }
}

impl<'a> Tasks<'a> {
    fn index(job: &'a JobRequest) -> Result<Self, IntakeError> {
        let mut by_key = HashMap::with_capacity(job.tasks.len());
        for (index, task) in job.tasks.iter().enumerate() {
            if task.key.is_empty() {
                return Err(IntakeError::EmptyKey { index });
            }
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            if by_key.insert(task.key.as_str(), number).is_some() {
                let key = task.key.clone();
                return Err(millstream_protocol::graph::GraphError::DuplicateKey { key }.into());
            }
        }
        Ok(Self {
            job,
            is_read: vec![false; job.tasks.len()],
            by_key,
            builder: GraphBuilder::new(),
            imports: Vec::new(),
            ops: HashMap::new(),
            options: HashMap::new(),
        })
    }

    fn add(&mut self, task: &TaskRequest) -> Result<(), TaskFault> {
        check_fields(task)?;
        let mut inputs = Inputs::default();
        let (op, params) = match task.op.as_str() {
            "command" => (OpSpec::command(), self.command(task, &mut inputs)?),
            "native" => {
                let function = required(task, "function", task.function.as_deref())?;
                (OpSpec::native(function), self.native(task, &mut inputs)?)
            }
            "sql" => (plan_op(&query_of(task)?)?, Vec::new()),
            "python" => return Err(TaskFault::UnsupportedOp { op: task.op.clone() }),
            other => {
                return Err(TaskFault::UnknownOp {
                    op: other.to_owned(),
                    known: &OPS,
                    suggestion: nearest(other, OPS),
                });
            }
        };
        for key in &task.deps {
            let dep = self.resolve(&TaskRef::new(key))?;
            inputs.number(dep);
        }
        let op = self.op_number(op);
        let options = self.options_number(task_options(task))?;
        self.builder
            .named_task(&task.key, op, options, &params, &inputs.0);
        Ok(())
    }

    fn command(&mut self, task: &TaskRequest, inputs: &mut Inputs) -> Result<Vec<u8>, TaskFault> {
        let mut spec = CommandSpec {
            env: self.job.env.env_vars.clone(),
            files_out: task.files_out.clone(),
            ..CommandSpec::default()
        };
        spec.env.extend(task.env.env_vars.clone());
        for (position, arg) in task.argv.iter().enumerate() {
            let text = match arg {
                Arg::Task(reference) => {
                    let number = inputs.number(self.resolve(reference)?);
                    let path = format!("{INPUT_FOLDER}/{number}");
                    spec.files_in.insert(path.clone(), CommandBytes::Input(number));
                    path
                }
                Arg::Literal(value) => text_of(value).ok_or_else(|| {
                    bad_value(
                        &format!("argv[{position}]"),
                        "must be a text, a number or a task".to_owned(),
                    )
                })?,
            };
            spec.argv.push(text);
        }
        if spec.argv.is_empty() {
            return Err(TaskFault::MissingField {
                op: task.op.clone(),
                field: "argv",
            });
        }
        if let Some(stdin) = &task.stdin {
            spec.stdin = Some(CommandBytes::Input(inputs.number(self.resolve(stdin)?)));
        }
        for (path, arg) in &task.files_in {
            let bytes = match arg {
                Arg::Task(reference) => CommandBytes::Input(inputs.number(self.resolve(reference)?)),
                Arg::Literal(rmpv::Value::Binary(bytes)) => CommandBytes::Literal(bytes.clone().into()),
                Arg::Literal(value) => CommandBytes::Literal(
                    text_of(value)
                        .ok_or_else(|| {
                            bad_value(&format!("files_in.{path}"), "must be a text or a task".to_owned())
                        })?
                        .into_bytes()
                        .into(),
                ),
            };
            spec.files_in.insert(path.clone(), bytes);
        }
        encode(&spec)
    }

    fn native(&mut self, task: &TaskRequest, inputs: &mut Inputs) -> Result<Vec<u8>, TaskFault> {
        let mut args = Vec::with_capacity(task.args.len());
        for (position, arg) in task.args.iter().enumerate() {
            args.push(match arg {
                Arg::Task(reference) => NativeArg::Input(inputs.number(self.resolve(reference)?)),
                Arg::Literal(value) => NativeArg::Literal(
                    codec::encode_named(value)
                        .map_err(|error| bad_value(&format!("args[{position}]"), error.to_string()))?
                        .into(),
                ),
            });
        }
        encode(&NativeArgs(args))
    }

    /// The task that is meant, or which of its files.
    fn resolve(&mut self, reference: &TaskRef) -> Result<Dep, TaskFault> {
        if let Some(job) = reference.job {
            return self.import(job, reference);
        }
        let Some(index) = self.by_key.get(reference.task.as_str()).copied() else {
            return Err(TaskFault::MissingDep {
                dep: reference.task.clone(),
                suggestion: nearest(&reference.task, self.by_key.keys().copied()),
            });
        };
        self.is_read[index as usize] = true;
        let task = TaskIdx(index);
        let Some(file) = &reference.file else {
            return Ok(Dep::whole(task));
        };
        let files = &self.job.tasks[index as usize].files_out;
        let Some(position) = files.iter().position(|other| other == file) else {
            return Err(TaskFault::MissingFile {
                dep: reference.task.clone(),
                file: file.clone(),
                suggestion: nearest(file, files.iter().map(String::as_str)),
            });
        };
        Ok(Dep {
            task,
            part: Some(file_part(position)),
        })
    }

    /// The task that stands for a task of another job.
    fn import(&mut self, job: JobId, reference: &TaskRef) -> Result<Dep, TaskFault> {
        if reference.file.is_some() {
            let reason = "of a task of another job cannot be read: read its whole output".to_owned();
            return Err(bad_value("file", reason));
        }
        let source = ImportSource::Task {
            job,
            task: TaskName::Key(reference.task.clone()),
        };
        let known = self.imports.iter().position(|other| *other == source);
        let position = known.unwrap_or_else(|| {
            self.imports.push(source);
            self.imports.len() - 1
        });
        let number = u32::try_from(self.job.tasks.len() + position).unwrap_or(u32::MAX);
        Ok(Dep::whole(TaskIdx(number)))
    }

    /// Adds what stands for tasks of other jobs, behind the job's own.
    fn add_imports(&mut self) -> Result<(), IntakeError> {
        if self.imports.is_empty() {
            return Ok(());
        }
        let op = self.builder.op(OpSpec::import());
        let options = self.builder.options(TaskOptions::default());
        for source in std::mem::take(&mut self.imports) {
            let ImportSource::Task { job, task } = &source;
            let key = match task {
                TaskName::Key(key) => format!("{job}/{key}"),
                TaskName::Index(index) => format!("{job}/{index}"),
            };
            let params = source.encode().map_err(|error| IntakeError::Task {
                key: key.clone(),
                fault: bad_value("job", error.to_string()),
            })?;
            self.builder.named_task(&key, op, options, &params, &[]);
        }
        Ok(())
    }

    fn op_number(&mut self, op: OpSpec) -> u16 {
        // Queries carry their text in the operation, so they are told apart by the builder.
        if op.kind == OpKind::Frame {
            return self.builder.op(op);
        }
        let key = (op.kind, op.name.clone());
        let builder = &mut self.builder;
        *self.ops.entry(key).or_insert_with(|| builder.op(op))
    }

    fn options_number(&mut self, options: TaskOptions) -> Result<u16, TaskFault> {
        let key = encode(&options)?;
        let builder = &mut self.builder;
        Ok(*self
            .options
            .entry(key)
            .or_insert_with(|| builder.options(options)))
    }

    /// Marks the wanted tasks: those named, else those that nobody reads.
    fn want(&mut self, job: &JobRequest) -> Result<(), IntakeError> {
        for key in &job.outputs {
            let Some(index) = self.by_key.get(key.as_str()) else {
                return Err(IntakeError::UnknownOutput {
                    key: key.clone(),
                    suggestion: nearest(key, self.by_key.keys().copied()),
                });
            };
            self.builder.want(TaskIdx(*index));
        }
        if job.outputs.is_empty() {
            for (index, _) in self.is_read.iter().enumerate().filter(|(_, is_read)| !**is_read) {
                self.builder
                    .want(TaskIdx(u32::try_from(index).unwrap_or(u32::MAX)));
            }
        }
        Ok(())
    }
}

/// The part of a command's object that holds file number `position`: its standard output comes first.
pub(crate) fn file_part(position: usize) -> u32 {
    u32::try_from(position + 1).unwrap_or(u32::MAX)
}

/// Refuses fields that the task's operation does not have: a field that is ignored hides a mistake.
fn check_fields(task: &TaskRequest) -> Result<(), TaskFault> {
    let given: [(&'static str, bool, &[&str]); 9] = [
        ("argv", !task.argv.is_empty(), &["command"]),
        ("function", task.function.is_some(), &["native", "python"]),
        ("args", !task.args.is_empty(), &["native", "python"]),
        ("stdin", task.stdin.is_some(), &["command"]),
        ("files_in", !task.files_in.is_empty(), &["command"]),
        ("files_out", !task.files_out.is_empty(), &["command"]),
        ("env", !task.env.is_empty(), &["command", "python"]),
        ("query", task.query.is_some(), &["sql"]),
        ("tables", !task.tables.is_empty(), &["sql"]),
    ];
    let is_known = OPS.contains(&task.op.as_str());
    match given
        .iter()
        .find(|(_, is_set, ops)| *is_set && !ops.contains(&task.op.as_str()))
    {
        Some((field, ..)) if is_known => Err(TaskFault::ForeignField {
            op: task.op.clone(),
            field,
        }),
        _ => Ok(()),
    }
}

fn query_of(task: &TaskRequest) -> Result<SqlRequest, TaskFault> {
    Ok(SqlRequest {
        query: required(task, "query", task.query.as_deref())?.to_owned(),
        tables: task.tables.clone(),
        ..SqlRequest::default()
    })
}

fn task_options(task: &TaskRequest) -> TaskOptions {
    TaskOptions {
        resources: task.resources.clone(),
        retries: task.retries,
        backoff: task.backoff.unwrap_or_default(),
        timeout_ms: task.timeout.map(millstream_protocol::api::Span::as_millis),
        priority: task.priority,
        workers: task.workers.clone(),
        rerun: task.rerun.unwrap_or_default(),
    }
}

fn required<'t>(
    task: &TaskRequest,
    field: &'static str,
    value: Option<&'t str>,
) -> Result<&'t str, TaskFault> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| TaskFault::MissingField {
            op: task.op.clone(),
            field,
        })
}

fn text_of(value: &rmpv::Value) -> Option<String> {
    match value {
        rmpv::Value::String(text) => text.as_str().map(str::to_owned),
        rmpv::Value::Integer(_) | rmpv::Value::F64(_) | rmpv::Value::Boolean(_) => Some(value.to_string()),
        _ => None,
    }
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, TaskFault> {
    codec::encode_named(value).map_err(|error| bad_value("args", error.to_string()))
}

fn bad_value(field: &str, reason: String) -> TaskFault {
    TaskFault::BadValue {
        field: field.to_owned(),
        reason,
    }
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
