//! The operator that reads a table's slices, and how it looks on the wire.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use serde::{Deserialize, Serialize};

use super::Slice;
use super::format::{BatchSink, FileFormat, SliceRead};
use crate::catalog::FolderColumn;
use crate::error::FrameError;

/// Batches that may be read ahead of the operator above.
const READ_AHEAD: usize = 2;

/// Everything that the operator needs; this is what travels to a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FileScanSpec {
    /// Slices of each partition.
    pub(super) slices: Vec<Vec<Slice>>,
    pub(super) format: FileFormat,
    /// Columns whose values are in the names of the folders.
    pub(super) folders: Vec<FolderColumn>,
    /// Indices of the columns wanted: first those of the format, then those of the folders.
    pub(super) projection: Vec<usize>,
    /// Rows after which a partition may stop.
    pub(super) limit: Option<usize>,
    pub(super) estimated_rows: usize,
}

impl FileScanSpec {
    fn schema(&self) -> Result<SchemaRef> {
        let mut fields = self.format.fields();
        fields.extend(self.folders.iter().map(FolderColumn::field));
        Ok(Arc::new(Schema::new(fields).project(&self.projection)?))
    }

    /// Reads one partition; `sink` returns false when it wants no more.
    fn read(
        &self,
        partition: usize,
        batch_size: usize,
        schema: &SchemaRef,
        sink: &mut BatchSink<'_>,
    ) -> Result<(), FrameError> {
        let mut left = self.limit.unwrap_or(usize::MAX);
        let own = self.format.fields();
        let projection: Vec<usize> = self
            .projection
            .iter()
            .copied()
            .filter(|index| *index < own.len())
            .collect();
        let fields: Vec<Field> = projection.iter().map(|index| own[*index].clone()).collect();
        let own_schema = Arc::new(Schema::new(fields));
        for slice in &self.slices[partition] {
            let read = SliceRead {
                slice,
                projection: &projection,
                schema: Arc::clone(&own_schema),
                batch_size: batch_size.min(left.max(1)),
            };
            let (mut open, mut failure) = (true, None);
            self.format.read(&read, &mut |batch| {
                let rows = batch.num_rows().min(left);
                left -= rows;
                open = match self.with_folders(&batch.slice(0, rows), slice, own.len(), schema) {
                    Ok(batch) => sink(batch) && left > 0,
                    Err(error) => {
                        failure = Some(error);
                        false
                    }
                };
                open
            })?;
            if let Some(error) = failure {
                return Err(crate::error::from_engine(&error));
            }
            if !open {
                break;
            }
        }
        Ok(())
    }

    /// The batch with the columns of its file's folders, each at the place that the projection gives it.
    fn with_folders(
        &self,
        batch: &RecordBatch,
        slice: &Slice,
        own: usize,
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let mut read = batch.columns().iter();
        let column = |index: &usize| -> Result<ArrayRef> {
            match index.checked_sub(own) {
                None => match read.next() {
                    Some(column) => Ok(Arc::clone(column)),
                    None => internal_err!("a column was not read"),
                },
                Some(folder) => {
                    let value = slice.file.folders[folder].as_deref();
                    self.folders[folder]
                        .value(value)?
                        .to_array_of_size(batch.num_rows())
                }
            }
        };
        let columns = self.projection.iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(schema),
            columns,
            &options,
        )?)
    }
}

/// Reads slices of files. Unlike the engine's own scans it survives the wire with all options.
#[derive(Debug)]
pub(crate) struct FileScanExec {
    spec: Arc<FileScanSpec>,
    properties: Arc<PlanProperties>,
}

impl FileScanExec {
    pub(crate) fn try_new(spec: FileScanSpec) -> Result<Self> {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(spec.schema()?),
            Partitioning::UnknownPartitioning(spec.slices.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            spec: Arc::new(spec),
            properties: Arc::new(properties),
        })
    }

    /// What travels to a worker.
    pub(crate) fn spec(&self) -> &FileScanSpec {
        &self.spec
    }

    /// A scan of one partition's slices only.
    pub(crate) fn restricted(&self, partition: usize) -> Result<Self> {
        let mut spec = FileScanSpec::clone(&self.spec);
        spec.slices = vec![spec.slices.swap_remove(partition)];
        Self::try_new(spec)
    }
}

impl DisplayAs for FileScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.spec;
        let first = spec
            .slices
            .iter()
            .flatten()
            .next()
            .map(|slice| slice.file.path.display().to_string());
        let files: std::collections::BTreeSet<_> = spec
            .slices
            .iter()
            .flatten()
            .map(|slice| &slice.file.path)
            .collect();
        let schema = self.schema();
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        write!(f, "{}: {}", self.name(), first.unwrap_or_default())?;
        if files.len() > 1 {
            write!(f, " and {} more files", files.len() - 1)?;
        }
        write!(
            f,
            ", partitions={}, columns=[{}]",
            spec.slices.len(),
            names.join(", ")
        )?;
        if let Some(limit) = spec.limit {
            write!(f, ", limit={limit}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for FileScanExec {
    fn name(&self) -> &str {
        self.spec.format.operator()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition >= self.spec.slices.len() {
            return internal_err!("the scan has no partition {partition}");
        }
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema(), READ_AHEAD);
        let (sender, spec, schema) = (builder.tx(), Arc::clone(&self.spec), self.schema());
        let batch_size = context.session_config().batch_size();
        builder.spawn_blocking(move || {
            spec.read(partition, batch_size, &schema, &mut |batch| {
                sender.blocking_send(Ok(batch)).is_ok()
            })
            .map_err(FrameError::into_engine)
        });
        Ok(builder.build())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let parts = if args.partition().is_some() {
            self.spec.slices.len().max(1)
        } else {
            1
        };
        let rows = self
            .spec
            .limit
            .unwrap_or(usize::MAX)
            .min(self.spec.estimated_rows)
            / parts;
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(rows);
        statistics.total_byte_size = Precision::Inexact(rows * self.row_bytes());
        Ok(Arc::new(statistics))
    }
}

impl FileScanExec {
    /// A guess at the memory of a row, for columns without a fixed width too.
    fn row_bytes(&self) -> usize {
        // A text value is a 16-byte view and, in files as people have them, about as many bytes again.
        const TEXT: usize = 32;
        self.schema()
            .fields()
            .iter()
            .map(|field| field.data_type().primitive_width().unwrap_or(TEXT))
            .sum()
    }
}
