//! The operator that writes a partition's rows to files which nobody sees yet.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::partition;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, ChildrenPropertiesMode, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::file::{PartFile, Style};
use super::hive;
use crate::error::FrameError;
use crate::render::without_views;

/// What a writing task is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriteSpec {
    /// Folder of files that are not published yet.
    pub(super) staging: PathBuf,
    pub(super) style: Style,
    /// Columns that name folders and are not in the files.
    pub(super) partition_by: Vec<String>,
}

/// A file that a task wrote: a row of what [`WriteExec`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Staged {
    /// Its name in the staging folder.
    pub(super) file: String,
    /// The folder below the target that it belongs into; empty for the target itself.
    pub(super) folder: String,
    pub(super) rows: i64,
    pub(super) bytes: i64,
}

/// Writes each partition of its child to files in the staging folder.
#[derive(Debug)]
pub(crate) struct WriteExec {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<WriteSpec>,
    properties: Arc<PlanProperties>,
}

impl WriteExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, spec: WriteSpec) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(staged_schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            input,
            spec: Arc::new(spec),
            properties: Arc::new(properties),
        }
    }

    /// What travels to a worker.
    pub(crate) fn spec(&self) -> &WriteSpec {
        &self.spec
    }
}

impl DisplayAs for WriteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteExec: format={}", self.spec.style.format.name())?;
        if !self.spec.partition_by.is_empty() {
            write!(f, ", partition_by=[{}]", self.spec.partition_by.join(", "))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for WriteExec {
    fn name(&self) -> &str {
        "WriteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, WriteSpec::clone(&self.spec)))),
            _ => internal_err!("WriteExec takes one child"),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let spec = Arc::clone(&self.spec);
        let staged = futures::stream::once(async move {
            let files = write(input, &spec).await?;
            Ok(staged_rows(&files)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), staged)))
    }
}

async fn write(mut input: SendableRecordBatchStream, spec: &WriteSpec) -> Result<Vec<Staged>> {
    let mut parts = Parts::new(spec, &input.schema()).map_err(FrameError::into_engine)?;
    while let Some(batch) = input.try_next().await? {
        parts.write(&batch).map_err(FrameError::into_engine)?;
    }
    parts.finish().map_err(FrameError::into_engine)
}

/// The files of one task, one open at a time.
struct Parts<'a> {
    spec: &'a WriteSpec,
    /// Indices of the columns that name folders, and of those that are written.
    keys: Vec<usize>,
    kept: Vec<usize>,
    /// Columns of the files.
    schema: SchemaRef,
    open: Option<(Staged, PartFile)>,
    done: Vec<Staged>,
}

impl<'a> Parts<'a> {
    fn new(spec: &'a WriteSpec, schema: &SchemaRef) -> Result<Self, FrameError> {
        // Made by the planner: where it is missing, files written here would be found by nobody.
        if !spec.staging.is_dir() {
            return Err(FrameError::NotShared {
                path: spec.staging.parent().unwrap_or(Path::new("/")).to_owned(),
            });
        }
        let keys = spec.partition_by.iter().map(|name| schema.index_of(name));
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(unfit)?;
        let kept: Vec<usize> = (0..schema.fields().len())
            .filter(|index| !keys.contains(index))
            .collect();
        let columns = Arc::new(schema.project(&kept).map_err(unfit)?);
        let (columns, _) = without_views(&columns, &[]).map_err(unfit)?;
        let mut parts = Self {
            spec,
            keys,
            kept,
            schema: columns,
            open: None,
            done: Vec::new(),
        };
        // A partition without rows has a file too: it keeps the columns of a result that has none at all.
        if parts.keys.is_empty() {
            parts.begin(String::new())?;
        }
        Ok(parts)
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), FrameError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = batch.project(&self.kept).map_err(unfit)?;
        if self.keys.is_empty() {
            return self.append(&rows);
        }
        let keys: Vec<ArrayRef> = self
            .keys
            .iter()
            .map(|key| Arc::clone(batch.column(*key)))
            .collect();
        for range in partition(&keys).map_err(unfit)?.ranges() {
            let folder = hive::folder(batch, &self.keys, range.start).map_err(unfit)?;
            if self
                .open
                .as_ref()
                .is_none_or(|(staged, _)| staged.folder != folder)
            {
                self.begin(folder)?;
            }
            self.append(&rows.slice(range.start, range.len()))?;
        }
        Ok(())
    }

    fn append(&mut self, rows: &RecordBatch) -> Result<(), FrameError> {
        let (_, batches) = without_views(&rows.schema(), std::slice::from_ref(rows)).map_err(unfit)?;
        if let Some((_, file)) = &mut self.open {
            for batch in &batches {
                file.write(batch)?;
            }
        }
        Ok(())
    }

    /// Goes on with a new file.
    fn begin(&mut self, folder: String) -> Result<(), FrameError> {
        self.close()?;
        let file = format!("{}.part", unique()?);
        let part = PartFile::create(self.spec.staging.join(&file), &self.schema, &self.spec.style)?;
        let staged = Staged {
            file,
            folder,
            rows: 0,
            bytes: 0,
        };
        self.open = Some((staged, part));
        Ok(())
    }

    fn close(&mut self) -> Result<(), FrameError> {
        if let Some((staged, file)) = self.open.take() {
            let (rows, bytes) = file.finish()?;
            self.done.push(Staged {
                rows,
                bytes,
                ..staged
            });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Staged>, FrameError> {
        self.close()?;
        Ok(self.done)
    }
}

/// A name that no other attempt has.
pub(crate) fn unique() -> Result<String, FrameError> {
    let number = getrandom::u64().map_err(|error| FrameError::Engine {
        message: format!("no random numbers: {error}"),
    })?;
    Ok(format!("{number:016x}"))
}

fn unfit(error: ArrowError) -> FrameError {
    FrameError::Evaluation {
        message: format!("the rows cannot be written: {error}"),
    }
}

fn staged_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("file", DataType::Utf8, false),
        Field::new("folder", DataType::Utf8, false),
        Field::new("rows", DataType::Int64, false),
        Field::new("bytes", DataType::Int64, false),
    ]))
}

fn staged_rows(files: &[Staged]) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(
            files.iter().map(|staged| &staged.file),
        )),
        Arc::new(StringArray::from_iter_values(
            files.iter().map(|staged| &staged.folder),
        )),
        Arc::new(Int64Array::from_iter_values(
            files.iter().map(|staged| staged.rows),
        )),
        Arc::new(Int64Array::from_iter_values(
            files.iter().map(|staged| staged.bytes),
        )),
    ];
    RecordBatch::try_new(staged_schema(), columns)
}
