//! The operator whose partitions are calls of a Python function. The engine never runs it: its tasks are Python's.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions,
};

use crate::exchange::{Source, StageReadExec};
use crate::plan::StageInput;

/// A function of Python that takes and gives rows as Arrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonCall {
    /// What it is called where people look.
    pub name: String,
    /// The operation, as the executor of Python takes it.
    pub function: Bytes,
    /// Whether the same rows always give the same rows.
    pub pure: bool,
}

/// Calls of a function: one for each partition of the input, or for each of the arguments.
#[derive(Debug)]
pub(crate) struct CallExec {
    call: PythonCall,
    rows: Option<Arc<dyn ExecutionPlan>>,
    arguments: Vec<Bytes>,
    properties: Arc<PlanProperties>,
}

impl CallExec {
    /// Calls that are given the partitions of a reader.
    pub(crate) fn of_rows(call: PythonCall, rows: Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Self {
        let count = rows.output_partitioning().partition_count();
        Self {
            call,
            rows: Some(rows),
            arguments: Vec::new(),
            properties: properties(schema, count),
        }
    }

    /// Calls that are given arguments.
    pub(crate) fn of_arguments(call: PythonCall, arguments: Vec<Bytes>, schema: SchemaRef) -> Self {
        Self {
            call,
            rows: None,
            properties: properties(schema, arguments.len()),
            arguments,
        }
    }

    pub(crate) const fn call(&self) -> &PythonCall {
        &self.call
    }

    /// The call of one partition only, where there is no input.
    pub(crate) fn restricted(&self, partition: usize) -> Result<Self> {
        let Some(arguments) = self.arguments.get(partition) else {
            return internal_err!("{} calls have no {partition}", self.arguments.len());
        };
        Ok(Self::of_arguments(
            self.call.clone(),
            vec![arguments.clone()],
            self.schema(),
        ))
    }

    /// The arguments of the one call that this is, and the objects that it is given.
    pub(crate) fn task(&self) -> Result<(Bytes, Vec<StageInput>)> {
        let Some(rows) = &self.rows else {
            return Ok((self.arguments.first().cloned().unwrap_or_default(), Vec::new()));
        };
        match rows.downcast_ref::<StageReadExec>().map(StageReadExec::source) {
            Some(Source::Stage { partitions, .. }) => {
                Ok((Bytes::new(), partitions.iter().flatten().copied().collect()))
            }
            _ => internal_err!("a function is given objects of stages"),
        }
    }

    fn with_rows(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Arc<dyn ExecutionPlan> {
        match children.into_iter().next() {
            Some(rows) => Arc::new(Self::of_rows(self.call.clone(), rows, self.schema())),
            None => self,
        }
    }

    /// All that tells what the calls compute, besides their input.
    pub(crate) fn hash(&self, hasher: &mut blake3::Hasher) {
        let texts = [self.call.name.as_bytes(), &self.call.function];
        for text in texts.into_iter().chain(self.arguments.iter().map(AsRef::as_ref)) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        hasher.update(format!("{:?}", self.schema()).as_bytes());
    }
}

fn properties(schema: SchemaRef, count: usize) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(count),
        EmissionType::Final,
        Boundedness::Bounded,
    ))
}

impl DisplayAs for CallExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.properties.output_partitioning().partition_count();
        write!(f, "PythonExec: {}, calls={count}", self.call.name)
    }
}

impl ExecutionPlan for CallExec {
    fn name(&self) -> &str {
        "PythonExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.rows.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.with_rows(children))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.with_rows(children))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        internal_err!("calls of {} are tasks of Python", self.call.name)
    }
}
