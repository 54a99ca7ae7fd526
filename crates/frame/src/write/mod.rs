//! Results written to files, exactly once.
//!
//! ```text
//!  planner     checks the target and makes its staging folder
//!  WriteExec   one task for each partition: writes rows to files in the staging folder, and gives a row for each file
//!  CommitExec  one task: moves the files that these rows name to their places, and removes the staging folder
//! ```
//!
//! Each attempt of a task writes files of its own, and only those of accepted attempts are named in rows that the commit
//! reads: an attempt that was given up, or ran beside another, leaves nothing in the target. The commit may run twice,
//! since it gives the same names again: what is in place already stays.
//!
//! Nobody but the planner makes the staging folder. A task that does not find it runs on a worker that does not share
//! the target's folder, or comes after the commit; in neither case does it write.

mod asked;
mod commit;
mod file;
mod hive;
mod part;
mod target;

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::common::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

pub use asked::{Compression, WriteFormat, WriteMode, WriteTarget};
pub(crate) use commit::{CommitExec, CommitSpec};
pub(crate) use part::{WriteExec, WriteSpec, unique};
pub(crate) use target::Target;

type Plan = Arc<dyn ExecutionPlan>;

/// A plan that writes the rows of `plan` to the target, and gives their number.
pub(crate) fn written(plan: Plan, target: &Target) -> Result<Plan> {
    let input = if target.is_one_file() {
        together(plan)
    } else {
        grouped(plan, target)?
    };
    let parts = Arc::new(WriteExec::new(input, target.write_spec()));
    // Always an exchange, so that the commit is a task of its own: when it runs again, nothing is written again.
    let published = Arc::new(CoalescePartitionsExec::new(parts));
    Ok(Arc::new(CommitExec::new(published, target.commit_spec())))
}

/// Whether the plan writes files, so that another run of it, or its result, does not stand for this one.
pub(crate) fn writes(plan: &Plan) -> bool {
    plan.is::<WriteExec>() || plan.is::<CommitExec>()
}

fn together(plan: Plan) -> Plan {
    if plan.output_partitioning().partition_count() == 1 {
        return plan;
    }
    Arc::new(CoalescePartitionsExec::new(plan))
}

/// Rows of one folder after each other, so that a task has one file open at a time.
fn grouped(plan: Plan, target: &Target) -> Result<Plan> {
    let schema = plan.schema();
    let key = |name: &String| {
        let column = Column::new_with_schema(name, &schema)?;
        Ok(PhysicalSortExpr::new(Arc::new(column), SortOptions::default()))
    };
    let keys = target
        .partition_by()
        .iter()
        .map(key)
        .collect::<Result<Vec<_>>>()?;
    Ok(match LexOrdering::new(keys) {
        Some(order) => Arc::new(SortExec::new(order, plan).with_preserve_partitioning(true)),
        None => plan,
    })
}
