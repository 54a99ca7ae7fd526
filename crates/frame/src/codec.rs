//! Plans as bytes: the envelope of a task, our own operators on the wire, and the content key of a stage.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result, internal_datafusion_err, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_proto::physical_plan::to_proto::serialize_physical_expr_with_converter;
use datafusion_proto::physical_plan::{
    DeduplicatingProtoConverter, PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalPlanNodeExt,
    PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf;
use parking_lot::Mutex;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::call::CallExec;
use crate::concat::ConcatExec;
use crate::error::{FrameError, from_engine};
use crate::exchange::{RowFacts, Source, StageReadExec};
use crate::files::{FileScanExec, FileScanSpec};
use crate::ipc::StageData;
use crate::plan::StageInput;
use crate::write::{CommitExec, CommitSpec, WriteExec, WriteSpec};

/// What plans are good for: they are not a stable format, so a worker of another version must refuse them.
pub(crate) fn engine_version() -> String {
    format!(
        "millstream-frame {} on datafusion {}",
        env!("CARGO_PKG_VERSION"),
        datafusion::DATAFUSION_VERSION
    )
}

/// A task's plan on the wire.
#[derive(Serialize, Deserialize)]
struct Envelope {
    engine: String,
    /// Whether the plan's root is a repartition that says how the output is divided.
    shuffled: bool,
    plan: ByteBuf,
}

/// A task's plan on a worker.
#[derive(Debug)]
pub(crate) struct DecodedTask {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// How its output is divided; whole if absent.
    pub(crate) shuffle: Option<Partitioning>,
}

/// Encodes a plan of one partition with its output partitioning, and lists the inputs that it refers to.
pub(crate) fn encode_task(
    plan: Arc<dyn ExecutionPlan>,
    shuffle: Option<&Partitioning>,
) -> Result<(Bytes, Vec<StageInput>)> {
    if let Some(calls) = plan.downcast_ref::<CallExec>() {
        return calls.task();
    }
    let codec = Codec::Task {
        inputs: Mutex::default(),
    };
    let plan = encode_plan(with_shuffle(plan, shuffle)?, &codec)?;
    let envelope = Envelope {
        engine: engine_version(),
        shuffled: shuffle.is_some(),
        plan: plan.into(),
    };
    let bytes = rmp_serde::to_vec_named(&envelope).map_err(external)?;
    Ok((bytes.into(), codec.into_inputs()))
}

/// Decodes a task whose inputs are at hand.
pub(crate) fn decode_task(
    bytes: &[u8],
    inputs: Vec<StageData>,
    context: &TaskContext,
) -> Result<DecodedTask, FrameError> {
    let malformed = |message: String| FrameError::MalformedPlan { message };
    let envelope: Envelope = rmp_serde::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    let running = engine_version();
    if envelope.engine != running {
        return Err(FrameError::EngineMismatch {
            planned: envelope.engine,
            running,
        });
    }
    let node = protobuf::PhysicalPlanNode::decode(&envelope.plan[..])
        .map_err(|error| malformed(error.to_string()))?;
    let codec = Codec::Data { inputs };
    let decoding = PhysicalPlanDecodeContext::new(context, &codec);
    let plan = DeduplicatingProtoConverter {}
        .proto_to_execution_plan(&node, &decoding)
        .map_err(|error| match from_engine(&error) {
            FrameError::Engine { message } => malformed(message),
            other => other,
        })?;
    let task = without_shuffle(plan, envelope.shuffled)?;
    match task.plan.output_partitioning().partition_count() {
        1 => Ok(task),
        count => Err(malformed(format!("a task has one partition, not {count}"))),
    }
}

/// Hash of what a stage computes: its plan, how its output is divided, and the keys of the stages that it reads.
/// Files are in it by path, size and modification time.
pub(crate) fn stage_key(plan: &Arc<dyn ExecutionPlan>, shuffle: Option<&Partitioning>) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(engine_version().as_bytes());
    hasher.update(&[u8::from(shuffle.is_some())]);
    if let Some(calls) = plan.downcast_ref::<CallExec>() {
        calls.hash(&mut hasher);
        for rows in calls.children() {
            hasher.update(&encode_plan(Arc::clone(rows), &Codec::Key)?);
        }
        return Ok(*hasher.finalize().as_bytes());
    }
    hasher.update(&encode_plan(
        with_shuffle(Arc::clone(plan), shuffle)?,
        &Codec::Key,
    )?);
    Ok(*hasher.finalize().as_bytes())
}

/// The output partitioning travels as a repartition above the plan: the engine can encode its expressions there.
fn with_shuffle(
    plan: Arc<dyn ExecutionPlan>,
    shuffle: Option<&Partitioning>,
) -> Result<Arc<dyn ExecutionPlan>> {
    match shuffle {
        Some(partitioning) => Ok(Arc::new(RepartitionExec::try_new(plan, partitioning.clone())?)),
        None => Ok(plan),
    }
}

fn without_shuffle(plan: Arc<dyn ExecutionPlan>, shuffled: bool) -> Result<DecodedTask, FrameError> {
    if !shuffled {
        return Ok(DecodedTask { plan, shuffle: None });
    }
    match plan.downcast_ref::<RepartitionExec>() {
        Some(root) => Ok(DecodedTask {
            plan: Arc::clone(root.input()),
            shuffle: Some(root.partitioning().clone()),
        }),
        None => Err(FrameError::MalformedPlan {
            message: "a shuffled task has no partitioning".to_owned(),
        }),
    }
}

fn encode_plan(plan: Arc<dyn ExecutionPlan>, codec: &Codec) -> Result<Vec<u8>> {
    Ok(StableConverter::default()
        .execution_plan_to_proto(&plan, codec)?
        .encode_to_vec())
}

/// Our operators on the wire.
#[derive(Serialize, Deserialize)]
enum NodeMsg {
    StageRead {
        schema: ByteBuf,
        facts: RowFacts,
        partitions: Vec<Vec<u32>>,
    },
    FileScan(FileScanSpec),
    Concat,
    Write(WriteSpec),
    Commit(CommitSpec),
}

/// Encodes and decodes our operators.
enum Codec {
    /// Encodes a task: a reader names its objects by index in the list of the task's inputs.
    Task { inputs: Mutex<Vec<StageInput>> },
    /// Encodes for a content key: a reader is known by the key of its stage.
    Key,
    /// Decodes a task with its data.
    Data { inputs: Vec<StageData> },
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

impl Codec {
    fn into_inputs(self) -> Vec<StageInput> {
        match self {
            Self::Task { inputs } => inputs.into_inner(),
            Self::Key | Self::Data { .. } => Vec::new(),
        }
    }

    fn encode_reader(&self, reader: &StageReadExec, buffer: &mut Vec<u8>) -> Result<()> {
        let Source::Stage { key, partitions } = reader.source() else {
            return internal_err!("a reader with data cannot be sent");
        };
        let schema: protobuf::Schema = reader.schema().as_ref().try_into()?;
        let schema = ByteBuf::from(schema.encode_to_vec());
        let facts = reader.facts().clone();
        let indices = match self {
            Self::Task { inputs } => {
                let mut inputs = inputs.lock();
                let mut index = |input: &StageInput| -> Result<u32> {
                    let position = inputs.iter().position(|known| known == input).unwrap_or_else(|| {
                        inputs.push(*input);
                        inputs.len() - 1
                    });
                    u32::try_from(position).map_err(external)
                };
                let list = |objects: &Vec<StageInput>| objects.iter().map(&mut index).collect();
                partitions.iter().map(list).collect::<Result<Vec<Vec<u32>>>>()?
            }
            Self::Key | Self::Data { .. } => {
                buffer.extend_from_slice(key);
                let object = |input: &StageInput| [input.task, input.part.map_or(0, |part| part + 1)];
                partitions
                    .iter()
                    .map(|objects| objects.iter().flat_map(object).collect())
                    .collect()
            }
        };
        write(
            &NodeMsg::StageRead {
                schema,
                facts,
                partitions: indices,
            },
            buffer,
        )
    }

    fn decode_reader(&self, schema: &[u8], facts: RowFacts, indices: &[Vec<u32>]) -> Result<StageReadExec> {
        let Self::Data { inputs } = self else {
            return internal_err!("only a task can be decoded");
        };
        let schema = protobuf::Schema::decode(schema).map_err(external)?;
        let schema: SchemaRef = Arc::new(Schema::try_from(&schema)?);
        let data = |index: &u32| match inputs.get(*index as usize) {
            Some(data) => Ok((*index as usize, data.clone())),
            None => internal_err!("the plan reads input {index} of {}", inputs.len()),
        };
        let partitions = indices
            .iter()
            .map(|indices| indices.iter().map(data).collect())
            .collect::<Result<Vec<_>>>()?;
        let partitioning = Partitioning::UnknownPartitioning(partitions.len());
        StageReadExec::try_new(Source::Data { partitions }, &schema, partitioning, facts)
    }
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        buffer: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (rmp_serde::from_slice(buffer).map_err(external)?, inputs) {
            (
                NodeMsg::StageRead {
                    schema,
                    facts,
                    partitions,
                },
                [],
            ) => Ok(Arc::new(self.decode_reader(&schema, facts, &partitions)?)),
            (NodeMsg::FileScan(spec), []) => Ok(Arc::new(FileScanExec::try_new(spec)?)),
            (NodeMsg::Concat, [input]) => Ok(Arc::new(ConcatExec::new(Arc::clone(input)))),
            (NodeMsg::Write(spec), [input]) => Ok(Arc::new(WriteExec::new(Arc::clone(input), spec))),
            (NodeMsg::Commit(spec), [input]) => Ok(Arc::new(CommitExec::new(Arc::clone(input), spec))),
            (_, inputs) => internal_err!("an operator has {} inputs", inputs.len()),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(reader) = node.downcast_ref::<StageReadExec>() {
            self.encode_reader(reader, buffer)
        } else if let Some(scan) = node.downcast_ref::<FileScanExec>() {
            write(&NodeMsg::FileScan(scan.spec().clone()), buffer)
        } else if node.is::<ConcatExec>() {
            write(&NodeMsg::Concat, buffer)
        } else if let Some(writing) = node.downcast_ref::<WriteExec>() {
            write(&NodeMsg::Write(writing.spec().clone()), buffer)
        } else if let Some(commit) = node.downcast_ref::<CommitExec>() {
            write(&NodeMsg::Commit(commit.spec().clone()), buffer)
        } else {
            Err(FrameError::UnsupportedPlan {
                operator: node.name().to_owned(),
            }
            .into_engine())
        }
    }
}

/// Encodes shared expressions once, like [`DeduplicatingProtoConverter`], but numbers them by their place in
/// the plan instead of by a counter of the process, so that equal plans have equal bytes.
#[derive(Default)]
struct StableConverter {
    numbers: Mutex<Vec<u64>>,
}

impl PhysicalProtoConverterExtension for StableConverter {
    fn proto_to_execution_plan(
        &self,
        _: &protobuf::PhysicalPlanNode,
        _: &PhysicalPlanDecodeContext<'_>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        internal_err!("this converter only encodes")
    }

    fn execution_plan_to_proto(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> Result<protobuf::PhysicalPlanNode> {
        protobuf::PhysicalPlanNode::try_from_physical_plan_with_converter(Arc::clone(plan), codec, self)
    }

    fn proto_to_physical_expr(
        &self,
        _: &protobuf::PhysicalExprNode,
        _: &Schema,
        _: &PhysicalPlanDecodeContext<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        internal_err!("this converter only encodes")
    }

    fn physical_expr_to_proto(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> Result<protobuf::PhysicalExprNode> {
        let mut node = serialize_physical_expr_with_converter(expr, codec, self)?;
        if let Some(id) = node.expr_id {
            let mut numbers = self.numbers.lock();
            let number = numbers.iter().position(|known| *known == id).unwrap_or_else(|| {
                numbers.push(id);
                numbers.len() - 1
            });
            node.expr_id = Some(number as u64);
        }
        Ok(node)
    }
}

fn write(message: &NodeMsg, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.extend(rmp_serde::to_vec_named(message).map_err(external)?);
    Ok(())
}

fn external(error: impl fmt::Display) -> DataFusionError {
    internal_datafusion_err!("{error}")
}
