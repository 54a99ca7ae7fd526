//! Cuts a physical plan at its exchanges into stages, and a stage into tasks.
//!
//! A stage is a plan whose partitions run as tasks of their own. The invariant that all of this keeps: a task's
//! plan has exactly its own partition and is run as partition 0. (A task that carried the whole stage would
//! read files of its siblings, and wait for dynamic filters of partitions that run elsewhere.)

mod calls;
mod joins;
mod restrict;
mod split;
mod subquery;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};

pub(crate) use calls::Given;
pub(crate) use restrict::restrict;
pub(crate) use split::Splitter;
pub(crate) use subquery::is_volatile;

type Plan = Arc<dyn ExecutionPlan>;

/// A stage: one task for each partition of its plan.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) plan: Plan,
    /// How each task divides its output; whole if absent.
    pub(crate) shuffle: Option<Partitioning>,
    pub(crate) key: [u8; 32],
    pub(crate) volatile: bool,
}

impl Stage {
    /// Parts that each task's object has.
    pub(crate) fn parts(&self) -> usize {
        self.shuffle.as_ref().map_or(1, Partitioning::partition_count)
    }
}

fn partition_count(plan: &Plan) -> usize {
    plan.output_partitioning().partition_count()
}

fn rebuild(plan: Plan, children: Vec<Plan>) -> Result<Plan> {
    plan.replace_children(
        children,
        ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
    )
}

/// The plan below an operator that only brings partitions together, which an exchange does anyway.
fn without_coalesce(plan: &Plan) -> Plan {
    match plan.downcast_ref::<CoalescePartitionsExec>() {
        Some(coalesce) if coalesce.fetch().is_none() => Arc::clone(coalesce.input()),
        _ => Arc::clone(plan),
    }
}
