//! Runs one task of a stage on a worker.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, UnboundedMemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use crate::codec::decode_task;
use crate::error::{FrameError, from_engine};
use crate::ipc::{StageData, encode_ipc};
use crate::session;
use crate::shuffle::{Part, PartWriter};

/// Limits of a worker for all tasks that it runs at the same time.
#[derive(Debug, Clone)]
pub struct StageLimits {
    /// Rows per record batch.
    pub batch_size: usize,
    /// Memory that operators may hold together; they spill beyond it. Unlimited if absent.
    pub memory: Option<usize>,
    /// Folder for spilled data; without one nothing is spilled, and memory that runs out is an error.
    pub spill_dir: Option<PathBuf>,
    /// Bytes that may be spilled at the same time.
    pub spill: Option<u64>,
}

impl Default for StageLimits {
    fn default() -> Self {
        Self {
            batch_size: 8192,
            memory: None,
            spill_dir: None,
            spill: None,
        }
    }
}

/// What tasks share on a worker: memory pool, spill folder and functions. Cheap to clone.
#[derive(Clone)]
pub struct StageEnv {
    context: SessionContext,
    pool: Arc<dyn MemoryPool>,
}

impl std::fmt::Debug for StageEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StageEnv")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

impl StageEnv {
    /// Sets up the engine within `limits`.
    ///
    /// # Errors
    /// A spill folder that cannot be used.
    pub fn new(limits: &StageLimits) -> Result<Self, FrameError> {
        let pool: Arc<dyn MemoryPool> = match limits.memory {
            Some(bytes) => Arc::new(FairSpillPool::new(bytes)),
            None => Arc::new(UnboundedMemoryPool::default()),
        };
        let mode = match &limits.spill_dir {
            Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
            None => DiskManagerMode::Disabled,
        };
        let mut disk = DiskManagerBuilder::default().with_mode(mode);
        if let Some(bytes) = limits.spill {
            disk = disk.with_max_temp_directory_size(bytes);
        }
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&pool))
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|error| from_engine(&error))?;
        let context = session::running(limits.batch_size, runtime);
        Ok(Self { context, pool })
    }

    /// Memory that operators hold now.
    pub fn reserved(&self) -> usize {
        self.pool.reserved()
    }
}

/// What a task leaves.
#[derive(Debug, Clone)]
pub struct StageOutput {
    /// Columns of every batch.
    pub schema: SchemaRef,
    /// As many parts as the stage has; one if it is not shuffled.
    pub parts: Vec<Part>,
}

/// A task's output as one object of bytes: its parts, each an Arrow IPC stream of its own, one after another.
#[derive(Debug, Clone)]
pub struct EncodedObject {
    /// All parts.
    pub bytes: Bytes,
    /// Where each part lies, so that a reader can fetch it alone.
    pub parts: Vec<PartRange>,
}

/// One part of an encoded object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRange {
    /// Its bytes in the object.
    pub range: Range<usize>,
    /// Its rows.
    pub rows: u64,
}

impl StageOutput {
    /// Encodes all parts for a peer or for spill. An object per part would flood whoever keeps the metadata.
    ///
    /// # Errors
    /// Columns that Arrow IPC cannot hold.
    pub fn encode(&self) -> Result<EncodedObject, FrameError> {
        let mut bytes = Vec::new();
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let start = bytes.len();
            bytes.extend_from_slice(&encode_ipc(&self.schema, &part.batches)?);
            parts.push(PartRange {
                range: start..bytes.len(),
                rows: part.rows,
            });
        }
        Ok(EncodedObject {
            bytes: bytes.into(),
            parts,
        })
    }
}

impl EncodedObject {
    /// The data of one part, as another task reads it.
    pub fn part(&self, index: usize) -> Option<StageData> {
        let part = self.parts.get(index)?;
        Some(StageData::from_ipc(
            self.bytes.slice(part.range.clone()),
            part.rows,
        ))
    }
}

/// Runs a task of [`plan_sql`](crate::plan_sql). `inputs[i]` is the data of the task's `inputs[i]`.
///
/// # Errors
/// A task of another engine version, data that is not what its writer counted, and all that can go wrong in the query.
pub async fn run_stage(
    plan: &[u8],
    inputs: Vec<StageData>,
    env: &StageEnv,
) -> Result<StageOutput, FrameError> {
    let context = env.context.task_ctx();
    let task = decode_task(plan, inputs, &context)?;
    let schema = task.plan.schema();
    let engine = |error| from_engine(&error);
    let mut writer = PartWriter::try_new(&schema, task.shuffle).map_err(engine)?;
    let mut stream = task.plan.execute(0, context).map_err(engine)?;
    while let Some(batch) = stream.try_next().await.map_err(engine)? {
        writer.write(batch).map_err(engine)?;
    }
    Ok(StageOutput {
        schema,
        parts: writer.finish().map_err(engine)?,
    })
}
