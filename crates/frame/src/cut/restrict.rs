//! From a stage's plan to the plan of one of its tasks.

use std::any::Any;
use std::sync::Arc;

use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSource;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::replace_children_if_necessary;
use datafusion::physical_plan::union::{InterleaveExec, UnionExec};

use super::{Plan, partition_count};
use crate::call::CallExec;
use crate::concat::ConcatExec;
use crate::error::FrameError;
use crate::exchange::StageReadExec;
use crate::files::FileScanExec;

/// A plan of one partition that gives what `plan` gives as `partition`.
pub(crate) fn restrict(plan: &Plan, partition: usize) -> Result<Plan> {
    // What has one partition belongs whole to each task: a broadcast build side, a merge of all inputs.
    if partition_count(plan) == 1 {
        return Ok(Arc::clone(plan));
    }
    let restricted = if plan.children().is_empty() {
        restrict_leaf(plan, partition)?
    } else if plan.is::<UnionExec>() {
        restrict_union(plan, partition)?
    } else {
        let children = plan
            .children()
            .into_iter()
            .map(|child| restrict(child, partition));
        let children = children.collect::<Result<Vec<_>>>()?;
        if plan.is::<InterleaveExec>() {
            Arc::new(ConcatExec::new(UnionExec::try_new(children)?))
        } else {
            replace_children_if_necessary(Arc::clone(plan), children)?
        }
    };
    match partition_count(&restricted) {
        1 => Ok(restricted),
        count => internal_err!("{} has {count} partitions in a task", restricted.name()),
    }
}

fn restrict_leaf(plan: &Plan, partition: usize) -> Result<Plan> {
    if let Some(reader) = plan.downcast_ref::<StageReadExec>() {
        return Ok(Arc::new(reader.restricted(partition)?));
    }
    if let Some(calls) = plan.downcast_ref::<CallExec>() {
        return Ok(Arc::new(calls.restricted(partition)?));
    }
    if let Some(scan) = plan.downcast_ref::<FileScanExec>() {
        return Ok(Arc::new(scan.restricted(partition)?));
    }
    if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
        let source: &dyn Any = source.data_source().as_ref();
        if let Some(files) = source.downcast_ref::<FileScanConfig>() {
            let config = FileScanConfigBuilder::from(files.clone())
                .with_file_groups(vec![files.file_groups[partition].clone()])
                .with_output_partitioning(None)
                .build();
            return Ok(DataSourceExec::from_data_source(config));
        }
        if let Some(memory) = source.downcast_ref::<MemorySourceConfig>() {
            return Ok(DataSourceExec::from_data_source(restrict_memory(
                memory, partition,
            )?));
        }
    }
    Err(FrameError::UnsupportedPlan {
        operator: plan.name().to_owned(),
    }
    .into_engine())
}

/// One partition of rows at hand, without the columns that are not read: all of it is sent with the task.
fn restrict_memory(memory: &MemorySourceConfig, partition: usize) -> Result<MemorySourceConfig> {
    let batches = memory.partitions()[partition].clone();
    let Some(columns) = memory.projection() else {
        let config = MemorySourceConfig::try_new(&[batches], memory.original_schema(), None)?;
        return Ok(config.with_limit(memory.fetch()));
    };
    let schema = Arc::new(memory.original_schema().project(columns)?);
    let batches = batches.iter().map(|batch| batch.project(columns));
    let batches = batches.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(MemorySourceConfig::try_new(&[batches], schema, None)?.with_limit(memory.fetch()))
}

/// The child that the partition falls to, with the union's column names.
fn restrict_union(plan: &Plan, partition: usize) -> Result<Plan> {
    let mut index = partition;
    for child in plan.children() {
        let count = partition_count(child);
        if index >= count {
            index -= count;
            continue;
        }
        let child = restrict(child, index)?;
        let (names, schema) = (plan.schema(), child.schema());
        let columns = schema
            .fields()
            .iter()
            .zip(names.fields())
            .enumerate()
            .map(|(index, (field, name))| {
                let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
                (column, name.name().clone())
            });
        return Ok(Arc::new(ProjectionExec::try_new(
            columns.collect::<Vec<_>>(),
            child,
        )?));
    }
    internal_err!("the union has no partition {partition}")
}
