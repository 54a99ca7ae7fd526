//! Joins whose build side is collected.
//!
//! When every probe task reads the whole build side, a join is right only if no build row is put out on its own:
//! otherwise each task would put out the build rows that *it* has not matched.

use std::sync::Arc;

use datafusion::common::{JoinType, Result};
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::repartition::RepartitionExec;

use super::split::{Gather, Splitter};
use super::subquery::Subqueries;
use super::{Plan, partition_count, rebuild, without_coalesce};

impl Splitter {
    /// Cuts a join with a collected build side; `None` for all other operators.
    pub(super) fn split_join(
        &mut self,
        plan: &Plan,
        subqueries: Option<&Subqueries>,
    ) -> Result<Option<Plan>> {
        if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            return match join.partition_mode() {
                PartitionMode::CollectLeft => self.split_hash_join(plan, join, subqueries).map(Some),
                PartitionMode::Partitioned | PartitionMode::Auto => Ok(None),
            };
        }
        if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            return self.split_nested_loop(plan, join, subqueries).map(Some);
        }
        if let Some(join) = plan.downcast_ref::<CrossJoinExec>() {
            return self
                .broadcast(plan, join.left(), join.right(), subqueries)
                .map(Some);
        }
        Ok(None)
    }

    fn split_hash_join(
        &mut self,
        plan: &Plan,
        join: &HashJoinExec,
        subqueries: Option<&Subqueries>,
    ) -> Result<Plan> {
        let (left, right) = (join.left(), join.right());
        let broadcastable = can_broadcast(*join.join_type());
        if join.null_aware || (!broadcastable && partition_count(right) == 1) {
            return self.in_one_task(plan, left, right, subqueries);
        }
        if broadcastable {
            return self.broadcast(plan, left, right, subqueries);
        }
        let (left_keys, right_keys): (Vec<_>, Vec<_>) = join.on().iter().cloned().unzip();
        let shuffled = |input: &Plan, keys| -> Result<Plan> {
            let partitioning = Partitioning::Hash(keys, self.target);
            Ok(Arc::new(RepartitionExec::try_new(
                without_coalesce(input),
                partitioning,
            )?))
        };
        let inputs = vec![shuffled(left, left_keys)?, shuffled(right, right_keys)?];
        let partitioned = join
            .builder()
            .with_partition_mode(PartitionMode::Partitioned)
            .with_new_children(inputs)?
            .build_exec()?;
        self.split(partitioned, subqueries)
    }

    fn split_nested_loop(
        &mut self,
        plan: &Plan,
        join: &NestedLoopJoinExec,
        subqueries: Option<&Subqueries>,
    ) -> Result<Plan> {
        let (left, right) = (join.left(), join.right());
        let kind = *join.join_type();
        if can_broadcast(kind) {
            return self.broadcast(plan, left, right, subqueries);
        }
        if kind != JoinType::Full && kind.supports_swap() && partition_count(right) > 1 {
            let parallel = rebuild(Arc::clone(plan), vec![without_coalesce(left), Arc::clone(right)])?;
            if let Some(join) = parallel.downcast_ref::<NestedLoopJoinExec>() {
                return self.split(join.swap_inputs()?, subqueries);
            }
        }
        self.in_one_task(plan, left, right, subqueries)
    }

    /// Every probe task reads the whole build side.
    fn broadcast(
        &mut self,
        plan: &Plan,
        build: &Plan,
        probe: &Plan,
        subqueries: Option<&Subqueries>,
    ) -> Result<Plan> {
        let build = self.split(without_coalesce(build), subqueries)?;
        let build = self.read(build, Gather::Together, subqueries)?;
        let probe = self.split(Arc::clone(probe), subqueries)?;
        rebuild(Arc::clone(plan), vec![build, probe])
    }

    /// One task reads both sides whole.
    fn in_one_task(
        &mut self,
        plan: &Plan,
        build: &Plan,
        probe: &Plan,
        subqueries: Option<&Subqueries>,
    ) -> Result<Plan> {
        let build = self.split(without_coalesce(build), subqueries)?;
        let build = self.read(build, Gather::Together, subqueries)?;
        let mut probe = self.split(without_coalesce(probe), subqueries)?;
        if partition_count(&probe) > 1 {
            probe = self.read(probe, Gather::Together, subqueries)?;
        }
        rebuild(Arc::clone(plan), vec![build, probe])
    }
}

/// Whether the join never puts out a row because *no* probe row matched a build row.
fn can_broadcast(kind: JoinType) -> bool {
    matches!(
        kind,
        JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    )
}
