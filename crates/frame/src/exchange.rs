//! The operator that reads what other stages wrote.
//!
//! While a plan is being cut it refers to the objects of a stage; in a task it refers to the task's inputs by
//! index; on the worker it holds their data.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    AcrossPartitions, ConstExpr, EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions,
};
use serde::{Deserialize, Serialize};

use crate::error::FrameError;
use crate::ipc::StageData;
use crate::plan::StageInput;

/// Facts about the rows of a stage that operators above rely on when a plan is rebuilt on a worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowFacts {
    /// Columns with the same value in every row of every partition.
    constants: Vec<usize>,
    /// Orderings of each partition: column, descending, nulls first.
    orderings: Vec<Vec<(usize, bool, bool)>>,
}

impl RowFacts {
    /// What holds for the output of `plan`; orderings only if each of its partitions is read on its own.
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>, keep_orderings: bool) -> Self {
        let properties = plan.equivalence_properties();
        let mut constants: Vec<usize> = properties
            .constants()
            .iter()
            .filter(|constant| matches!(constant.across_partitions, AcrossPartitions::Uniform(_)))
            .filter_map(|constant| column_index(&constant.expr))
            .collect();
        constants.sort_unstable();
        constants.dedup();
        let ordering = |ordering: &datafusion::physical_expr::LexOrdering| {
            let keys = ordering.iter().map_while(|key| {
                let index = column_index(&key.expr)?;
                Some((index, key.options.descending, key.options.nulls_first))
            });
            keys.collect::<Vec<_>>()
        };
        let orderings = if keep_orderings {
            properties
                .oeq_class()
                .iter()
                .map(ordering)
                .filter(|keys| !keys.is_empty())
                .collect()
        } else {
            Vec::new()
        };
        Self { constants, orderings }
    }

    fn properties(&self, schema: &SchemaRef) -> Result<EquivalenceProperties> {
        let column = |index: usize| -> Result<Arc<dyn PhysicalExpr>> {
            match schema.fields().get(index) {
                Some(field) => Ok(Arc::new(Column::new(field.name(), index))),
                None => internal_err!("row facts name column {index} of {}", schema.fields().len()),
            }
        };
        let mut properties = EquivalenceProperties::new(Arc::clone(schema));
        let constants = self
            .constants
            .iter()
            .map(|index| Ok(ConstExpr::new(column(*index)?, AcrossPartitions::Uniform(None))))
            .collect::<Result<Vec<_>>>()?;
        properties.add_constants(constants)?;
        for ordering in &self.orderings {
            let keys = ordering.iter().map(|(index, descending, nulls_first)| {
                let options = SortOptions {
                    descending: *descending,
                    nulls_first: *nulls_first,
                };
                Ok(PhysicalSortExpr::new(column(*index)?, options))
            });
            properties.add_ordering(keys.collect::<Result<Vec<_>>>()?);
        }
        Ok(properties)
    }
}

fn column_index(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    (expr.as_ref() as &dyn std::any::Any)
        .downcast_ref::<Column>()
        .map(Column::index)
}

/// Where a reader's data comes from. The outer lists are partitions, read in order within each.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Objects of a stage that has been planned.
    Stage {
        key: [u8; 32],
        partitions: Vec<Vec<StageInput>>,
    },
    /// Data at hand, with the index of the input that it is.
    Data {
        partitions: Vec<Vec<(usize, StageData)>>,
    },
}

impl Source {
    fn partition_count(&self) -> usize {
        match self {
            Self::Stage { partitions, .. } => partitions.len(),
            Self::Data { partitions } => partitions.len(),
        }
    }
}

/// Reads objects of a stage.
#[derive(Debug)]
pub(crate) struct StageReadExec {
    source: Source,
    facts: RowFacts,
    properties: Arc<PlanProperties>,
}

impl StageReadExec {
    /// A reader with the given partitioning, which must have as many partitions as the source.
    pub(crate) fn try_new(
        source: Source,
        schema: &SchemaRef,
        partitioning: Partitioning,
        facts: RowFacts,
    ) -> Result<Self> {
        if partitioning.partition_count() != source.partition_count() {
            return internal_err!(
                "a reader of {} partitions has {partitioning}",
                source.partition_count()
            );
        }
        let properties = PlanProperties::new(
            facts.properties(schema)?,
            partitioning,
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            source,
            facts,
            properties: Arc::new(properties),
        })
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn facts(&self) -> &RowFacts {
        &self.facts
    }

    /// A reader of one partition only.
    pub(crate) fn restricted(&self, partition: usize) -> Result<Self> {
        let Source::Stage { key, partitions } = &self.source else {
            return internal_err!("a reader of data cannot be restricted");
        };
        let Some(objects) = partitions.get(partition) else {
            return internal_err!("a reader of {} partitions has no {partition}", partitions.len());
        };
        let source = Source::Stage {
            key: *key,
            partitions: vec![objects.clone()],
        };
        Self::try_new(
            source,
            &self.schema(),
            Partitioning::UnknownPartitioning(1),
            self.facts.clone(),
        )
    }
}

impl DisplayAs for StageReadExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StageReadExec: ")?;
        if let Source::Stage { partitions, .. } = &self.source
            && let Some(first) = partitions.iter().flatten().next()
        {
            let objects: usize = partitions.iter().map(Vec::len).sum();
            write!(f, "stage={}, objects={objects}, ", first.stage)?;
        }
        write!(f, "partitioning={}", self.properties.output_partitioning())
    }
}

impl ExecutionPlan for StageReadExec {
    fn name(&self) -> &str {
        "StageReadExec"
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

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Source::Data { partitions } = &self.source else {
            return internal_err!("a reader runs only in a task");
        };
        let Some(inputs) = partitions.get(partition) else {
            return internal_err!("a reader of {} partitions has no {partition}", partitions.len());
        };
        let batches = inputs
            .clone()
            .into_iter()
            .flat_map(|(index, data)| data.into_batches(index));
        let batches = batches.map(|batch| batch.map_err(FrameError::into_engine));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            futures::stream::iter(batches),
        )))
    }
}
