//! Query operations: how the engine's plans become tasks, and its batches objects.
//!
//! ```text
//!  statements  SQL request ─► what statements up to the first query answer and change, and that query
//!  plan    SQL request ─► graph extension: all stages' tasks, then one `render`, which replaces the plan's output
//!  stage   plan of one partition + inputs ─► record batches, one part for each consumer
//!  render  result batches ─► bytes in the format that was asked for
//! ```

use std::any::Any;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_executor::{Executor, Input, TaskContext, TaskFailure, TaskOutput, TaskResult};
use millstream_frame::arrow::array::RecordBatch;
use millstream_frame::arrow::datatypes::SchemaRef;
use millstream_frame::{
    FrameError, Part, PlannedQuery, PlannerOptions, PythonCall, ResultFormat, SqlRequest, StageData,
    StageEnv, decode_ipc, encode_ipc, plan_sql, render, run_stage, run_statements,
};
use millstream_protocol::graph::{
    Dep, GraphBuilder, GraphExtension, OpKind, OpSpec, TaskOptions, TaskRange, fragment_task,
};
use millstream_protocol::{ErrorKind, codec};
use millstream_store::{Format, Payload, SharedObject};
use millstream_types::TaskIdx;

/// Plans a query and extends the job by its tasks.
const PLAN: &str = "plan";
/// Answers statements that are no queries.
const STATEMENTS: &str = "statements";
/// Runs one partition of one stage.
const STAGE: &str = "stage";
/// The same for a stage whose rows may differ from run to run.
const VOLATILE_STAGE: &str = "volatile_stage";
/// Writes a result in the format that was asked for.
const RENDER: &str = "render";

/// Runs the operations of kind `frame`.
#[derive(Debug, Clone)]
pub(crate) struct FrameExecutor {
    pub(crate) env: StageEnv,
    pub(crate) planner: PlannerOptions,
}

#[async_trait]
impl Executor for FrameExecutor {
    fn kind(&self) -> OpKind {
        OpKind::Frame
    }

    async fn run(&self, task: TaskContext) -> TaskResult {
        let cancel = task.cancel.clone();
        let work = async {
            match task.op.name.as_str() {
                PLAN => self.plan(&task).await,
                STATEMENTS => self.statements(&task).await,
                STAGE | VOLATILE_STAGE => self.stage(&task).await,
                RENDER => render_result(&task),
                other => Err(TaskFailure::new(
                    ErrorKind::UnknownOp,
                    format!(
                        "there is no query operation `{other}`; there are `{PLAN}`, `{STAGE}` and `{RENDER}`"
                    ),
                )),
            }
        };
        tokio::select! {
            result = work => result,
            () = cancel.cancelled() => Err(TaskFailure::new(ErrorKind::Cancelled, "the task was stopped")),
        }
    }
}

impl FrameExecutor {
    async fn plan(&self, task: &TaskContext) -> TaskResult {
        let request = request_of(task)?;
        let planned = Box::pin(plan_sql(&request, &self.planner))
            .await
            .map_err(|error| failure(&error))?;
        let format = request.options.format.unwrap_or(ResultFormat::Json);
        let extension = extension_of(&planned, format, task)
            .map_err(|error| TaskFailure::new(ErrorKind::Internal, error.to_string()))?;
        let mut output = TaskOutput::new(Payload::Bytes(Vec::new()), Format::Raw);
        output.extension = Some(Box::new(extension));
        Ok(output)
    }

    async fn statements(&self, task: &TaskContext) -> TaskResult {
        let request = request_of(task)?;
        let step = Box::pin(run_statements(&request, &self.planner))
            .await
            .map_err(|error| failure(&error))?;
        let bytes = codec::encode_named(&step)
            .map_err(|error| TaskFailure::new(ErrorKind::Internal, error.to_string()))?;
        Ok(TaskOutput::new(Payload::single(Bytes::from(bytes)), Format::Raw))
    }

    async fn stage(&self, task: &TaskContext) -> TaskResult {
        let inputs = task
            .inputs
            .iter()
            .map(stage_data)
            .collect::<Result<_, _>>()
            .map_err(|error| failure(&error))?;
        let output = Box::pin(run_stage(&task.params, inputs, &self.env))
            .await
            .map_err(|error| failure(&error))?;
        let batches = Batches {
            schema: output.schema,
            parts: output.parts,
        };
        Ok(TaskOutput::new(
            Payload::Shared(Arc::new(batches)),
            Format::ArrowIpc,
        ))
    }
}

fn request_of(task: &TaskContext) -> Result<SqlRequest, TaskFailure> {
    let params = if task.params.is_empty() {
        &task.op.params
    } else {
        &task.params
    };
    codec::decode(params).map_err(|error| {
        TaskFailure::new(
            ErrorKind::InvalidQuery,
            format!("the query request cannot be read: {error}"),
        )
    })
}

/// The tasks of a planned query, as an extension of the job that asked for it.
fn extension_of(
    planned: &PlannedQuery,
    format: ResultFormat,
    task: &TaskContext,
) -> Result<GraphExtension, codec::EncodeError> {
    let mut builder = GraphBuilder::fragment();
    let options = builder.options(TaskOptions {
        timeout_ms: None,
        ..(*task.options).clone()
    });
    let mut firsts: Vec<u32> = Vec::with_capacity(planned.stages.len());
    for (number, stage) in planned.stages.iter().enumerate() {
        let op = builder.op(match &stage.call {
            Some(call) => python_op(call),
            None if stage.volatile => frame_op(VOLATILE_STAGE, false),
            None => frame_op(STAGE, true),
        });
        let first = builder.task_count();
        for planned_task in &stage.tasks {
            let deps: Vec<Dep> = planned_task
                .inputs
                .iter()
                .filter_map(|input| {
                    let first = firsts.get(input.stage as usize)?;
                    Some(Dep {
                        task: fragment_task(first + input.task),
                        part: input.part,
                    })
                })
                .collect();
            builder.task(op, options, &planned_task.plan, &deps);
        }
        firsts.push(first);
        let range = TaskRange {
            first: fragment_task(first),
            count: builder.task_count() - first,
        };
        builder.number_keys(range, format!("{}.stage-{number}", task.task));
    }
    let result = firsts.last().copied().unwrap_or_default();
    let deps: Vec<Dep> = (result..builder.task_count())
        .map(|i| Dep::whole(fragment_task(i)))
        .collect();
    let op = builder.op(frame_op(RENDER, true));
    let rendered = builder.task(op, options, &codec::encode(&format)?, &deps);
    builder.number_keys(
        TaskRange {
            first: rendered,
            count: 1,
        },
        format!("{}.result", task.task),
    );
    Ok(GraphExtension {
        fragment: builder.finish(),
        replacement: Some(TaskIdx(rendered.0)),
    })
}

fn frame_op(name: &str, determinate: bool) -> OpSpec {
    OpSpec {
        kind: OpKind::Frame,
        name: name.to_owned(),
        params: Bytes::new(),
        code: None,
        determinate,
    }
}

/// Calls of a function that gives rows.
fn python_op(call: &PythonCall) -> OpSpec {
    OpSpec {
        kind: OpKind::Python,
        name: call.name.clone(),
        params: call.function.clone(),
        code: None,
        determinate: call.pure,
    }
}

fn render_result(task: &TaskContext) -> TaskResult {
    let format: ResultFormat = codec::decode(&task.params)
        .map_err(|error| TaskFailure::new(ErrorKind::Internal, format!("the result's format: {error}")))?;
    let mut schema = None;
    let mut batches = Vec::new();
    for input in &task.inputs {
        let (part_schema, more) = batches_of(input).map_err(|error| failure(&error))?;
        schema.get_or_insert(part_schema);
        batches.extend(more);
    }
    let schema = schema.ok_or_else(|| TaskFailure::new(ErrorKind::Internal, "a result of no partitions"))?;
    let bytes = render(&schema, &batches, format).map_err(|error| failure(&error))?;
    let stored = if format == ResultFormat::Arrow {
        Format::ArrowIpc
    } else {
        Format::Raw
    };
    Ok(TaskOutput::new(Payload::single(bytes), stored))
}

/// An input as the engine reads it: by reference from this process, else decoded as it is read.
fn stage_data(input: &Input) -> Result<StageData, FrameError> {
    if let Some((shared, part)) = input.shared()
        && let Ok(batches) = shared.as_any().downcast::<Batches>()
    {
        return Ok(match part {
            Some(part) => match batches.parts.get(part as usize) {
                Some(part) => StageData::from_batches(part.batches.clone(), part.rows),
                None => return Err(malformed(format!("it has no part {part}"))),
            },
            None => StageData::from_batches(batches.all(), batches.parts.iter().map(|part| part.rows).sum()),
        });
    }
    let object = input.object();
    if object.parts() == 1 {
        let part = object.encode(0).map_err(|error| malformed(error.to_string()))?;
        if let Some(rows) = part.rows {
            return Ok(StageData::from_ipc(part.bytes, rows));
        }
        // A function of Python gave it, or a peer passes on what one gave.
        let (_, batches) = decode_ipc(part.bytes)?;
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        return Ok(StageData::from_batches(batches, rows));
    }
    let (_, batches) = batches_of(input)?;
    let rows = (0..object.parts()).map(|i| object.rows(i)).sum::<Option<u64>>();
    let rows = rows.ok_or_else(|| malformed("its rows were not counted".to_owned()))?;
    Ok(StageData::from_batches(batches, rows))
}

/// All batches of an input, and their columns.
fn batches_of(input: &Input) -> Result<(SchemaRef, Vec<RecordBatch>), FrameError> {
    if let Some((shared, None)) = input.shared()
        && let Ok(batches) = shared.as_any().downcast::<Batches>()
    {
        return Ok((Arc::clone(&batches.schema), batches.all()));
    }
    let object = input.object();
    let mut schema = None;
    let mut all = Vec::new();
    for i in 0..object.parts() {
        let part = object.encode(i).map_err(|error| malformed(error.to_string()))?;
        let (part_schema, batches) = decode_ipc(part.bytes)?;
        schema.get_or_insert(part_schema);
        all.extend(batches);
    }
    schema
        .map(|schema| (schema, all))
        .ok_or_else(|| malformed("it has no parts".to_owned()))
}

fn malformed(message: String) -> FrameError {
    FrameError::MalformedObject { message }
}

/// The output of a stage: batches by part.
#[derive(Clone)]
struct Batches {
    schema: SchemaRef,
    parts: Vec<Part>,
}

impl Batches {
    fn all(&self) -> Vec<RecordBatch> {
        self.parts
            .iter()
            .flat_map(|part| part.batches.iter().cloned())
            .collect()
    }
}

impl SharedObject for Batches {
    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn memory_size(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    fn part_rows(&self, part: usize) -> Option<u64> {
        self.parts.get(part).map(|part| part.rows)
    }

    fn encode_part(&self, part: usize) -> io::Result<Bytes> {
        let batches = self.parts.get(part).map_or(&[][..], |part| &part.batches);
        encode_ipc(&self.schema, batches).map_err(io::Error::other)
    }

    fn select(self: Arc<Self>, part: usize) -> Option<Arc<dyn SharedObject>> {
        Some(Arc::new(Self {
            schema: Arc::clone(&self.schema),
            parts: vec![self.parts.get(part)?.clone()],
        }))
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn format(&self) -> Format {
        Format::ArrowIpc
    }
}

fn failure(error: &FrameError) -> TaskFailure {
    use FrameError as E;
    let kind = match error.cause() {
        E::Syntax { .. }
        | E::InvalidQuery { .. }
        | E::UnknownTable { .. }
        | E::UnknownColumn { .. }
        | E::QueryAndTree
        | E::TreeVersion { .. }
        | E::InvalidTree { .. }
        | E::UnknownFunction { .. }
        | E::UnsupportedStatement { .. }
        | E::NameTaken { .. }
        | E::InvalidTarget { .. }
        | E::TargetExists { .. }
        | E::UnsupportedPlan { .. } => ErrorKind::InvalidQuery,
        E::ResourcesExhausted { .. } => ErrorKind::OutOfMemory,
        E::Evaluation { .. } => ErrorKind::User,
        E::EngineMismatch { .. }
        | E::MalformedPlan { .. }
        | E::RowCount { .. }
        | E::MalformedObject { .. }
        | E::Engine { .. } => ErrorKind::Internal,
        E::FileNotFound { .. } | E::NoFiles { .. } => ErrorKind::FileNotFound,
        E::OutsideRoots { .. } | E::OutsideWritableRoots { .. } => ErrorKind::OutsideRoots,
        _ => ErrorKind::BadFile,
    };
    // The kind says less than the engine's own code in most cases.
    let message = if kind.code() == error.code() {
        error.to_string()
    } else {
        format!("{error} ({})", error.code())
    };
    TaskFailure::new(kind, message)
}
