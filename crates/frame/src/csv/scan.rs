//! The operator that reads a table's CSV slices, and how it looks on the wire.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
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

use super::dialect::Dialect;
use super::read::{CsvColumn, SliceRead};
use super::split::Slice;
use crate::error::FrameError;

/// Batches that may be read ahead of the operator above.
const READ_AHEAD: usize = 2;

/// Everything that the operator needs; this is what travels to a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CsvScanSpec {
    /// Slices of each partition.
    pub(super) slices: Vec<Vec<Slice>>,
    pub(super) dialect: Dialect,
    pub(super) columns: Vec<CsvColumn>,
    pub(super) projection: Vec<usize>,
    /// Rows after which a partition may stop.
    pub(super) limit: Option<usize>,
    pub(super) estimated_rows: usize,
}

impl CsvScanSpec {
    fn schema(&self) -> SchemaRef {
        let field = |index: &usize| {
            let column = &self.columns[*index];
            Field::new(&column.name, column.kind.data_type(), true)
        };
        Arc::new(Schema::new(self.projection.iter().map(field).collect::<Vec<_>>()))
    }

    /// Reads one partition; `sink` returns false when it wants no more.
    fn read(
        &self,
        partition: usize,
        batch_size: usize,
        schema: &SchemaRef,
        sink: &mut dyn FnMut(RecordBatch) -> bool,
    ) -> Result<(), FrameError> {
        let mut left = self.limit.unwrap_or(usize::MAX);
        for slice in &self.slices[partition] {
            let read = SliceRead {
                slice,
                dialect: &self.dialect,
                columns: &self.columns,
                projection: &self.projection,
                schema: Arc::clone(schema),
                batch_size: batch_size.min(left.max(1)),
            };
            let mut open = true;
            read.run(&mut |batch| {
                let rows = batch.num_rows().min(left);
                left -= rows;
                open = sink(batch.slice(0, rows)) && left > 0;
                open
            })?;
            if !open {
                break;
            }
        }
        Ok(())
    }
}

/// Reads slices of CSV files. Unlike the engine's own scan it survives the wire with all options.
#[derive(Debug)]
pub(crate) struct CsvScanExec {
    spec: Arc<CsvScanSpec>,
    properties: Arc<PlanProperties>,
}

impl CsvScanExec {
    pub(crate) fn new(spec: CsvScanSpec) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(spec.schema()),
            Partitioning::UnknownPartitioning(spec.slices.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            spec: Arc::new(spec),
            properties: Arc::new(properties),
        }
    }

    /// What travels to a worker.
    pub(crate) fn spec(&self) -> &CsvScanSpec {
        &self.spec
    }

    /// A scan of one partition's slices only.
    pub(crate) fn restricted(&self, partition: usize) -> Self {
        let mut spec = CsvScanSpec::clone(&self.spec);
        spec.slices = vec![spec.slices.swap_remove(partition)];
        Self::new(spec)
    }
}

impl DisplayAs for CsvScanExec {
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
        let names: Vec<&str> = spec
            .projection
            .iter()
            .map(|index| spec.columns[*index].name.as_str())
            .collect();
        write!(f, "CsvScanExec: {}", first.unwrap_or_default())?;
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

impl ExecutionPlan for CsvScanExec {
    fn name(&self) -> &str {
        "CsvScanExec"
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
            return internal_err!("CSV scan has no partition {partition}");
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

impl CsvScanExec {
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
