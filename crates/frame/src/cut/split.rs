//! The walk that cuts. It goes bottom-up, so that stages come out in the order of their dependencies.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{Result, internal_err, not_impl_err};
use datafusion::physical_expr::{Distribution, Partitioning};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::subquery::{Subqueries, is_volatile};
use super::{Plan, Stage, partition_count, rebuild};
use crate::codec::stage_key;
use crate::exchange::{RowFacts, Source, StageReadExec};
use crate::plan::StageInput;

/// Collects the stages of one query.
pub(crate) struct Splitter {
    stages: Vec<Stage>,
    /// Stages by content key: equal sub-plans run once.
    known: HashMap<[u8; 32], usize>,
    pub(super) target: usize,
}

/// How the partitions of a stage are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gather {
    /// Each as a partition of its own.
    Apart,
    /// All as one partition, in order.
    Together,
}

impl Splitter {
    /// Joins that must be repartitioned get `target` partitions.
    pub(crate) fn new(target: usize) -> Self {
        Self {
            stages: Vec::new(),
            known: HashMap::new(),
            target: target.max(1),
        }
    }

    /// Whether no stage was cut yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Cuts `plan` into stages in the order of their dependencies, after those that are there; the last one gives the
    /// result.
    pub(crate) fn run(mut self, plan: Plan) -> Result<Vec<Stage>> {
        let root = self.split(plan, None)?;
        self.push(root, None, None)?;
        Ok(self.stages)
    }

    /// Replaces the exchanges of `plan` by readers of stages. `subqueries` are those whose results its
    /// expressions use.
    pub(super) fn split(&mut self, plan: Plan, subqueries: Option<&Subqueries>) -> Result<Plan> {
        if let Some(node) = plan.downcast_ref::<ScalarSubqueryExec>() {
            return self.split_subqueries(node);
        }
        if let Some(joined) = self.split_join(&plan, subqueries)? {
            return Ok(joined);
        }
        let children = plan
            .children()
            .into_iter()
            .map(|child| self.split(Arc::clone(child), subqueries));
        let mut children = children.collect::<Result<Vec<_>>>()?;
        if let Some(repartition) = plan.downcast_ref::<RepartitionExec>() {
            return self.split_repartition(repartition, take_only(&mut children)?, subqueries);
        }
        if let Some(coalesce) = plan.downcast_ref::<CoalescePartitionsExec>() {
            return self.split_coalesce(coalesce.fetch(), take_only(&mut children)?, subqueries);
        }
        if plan.is::<SortPreservingMergeExec>() {
            let reader = self.read(take_only(&mut children)?, Gather::Apart, subqueries)?;
            return rebuild(plan, vec![reader]);
        }
        self.gather_children(&plan, &mut children, subqueries)?;
        replace_children_if_necessary(plan, children)
    }

    /// A reader of all that `plan` gives, which becomes a stage.
    pub(super) fn read(
        &mut self,
        plan: Plan,
        gather: Gather,
        subqueries: Option<&Subqueries>,
    ) -> Result<Plan> {
        let (count, schema) = (partition_count(&plan), plan.schema());
        let facts = RowFacts::of(&plan, gather == Gather::Apart || count == 1);
        let (stage, key) = self.push(plan, None, subqueries)?;
        let objects = (0..number(count)?).map(|task| StageInput {
            stage,
            task,
            part: None,
        });
        let partitions = match gather {
            Gather::Apart => objects.map(|object| vec![object]).collect::<Vec<_>>(),
            Gather::Together => vec![objects.collect()],
        };
        let partitioning = Partitioning::UnknownPartitioning(partitions.len());
        let source = Source::Stage { key, partitions };
        Ok(Arc::new(StageReadExec::try_new(
            source,
            &schema,
            partitioning,
            facts,
        )?))
    }

    fn split_repartition(
        &mut self,
        repartition: &RepartitionExec,
        child: Plan,
        subqueries: Option<&Subqueries>,
    ) -> Result<Plan> {
        if repartition.preserve_order() {
            return not_impl_err!("a repartition that merges sorted streams");
        }
        match repartition.partitioning() {
            // Even distribution was decided with the files; moving rows for it would cost more than it gives.
            Partitioning::RoundRobinBatch(_) | Partitioning::UnknownPartitioning(_) => Ok(child),
            partitioning @ (Partitioning::Hash(..) | Partitioning::Range(_)) => {
                self.shuffle(child, partitioning.clone(), subqueries)
            }
        }
    }

    /// A reader of `plan`'s rows divided anew: partition `p` is part `p` of every task's object.
    pub(super) fn shuffle(
        &mut self,
        plan: Plan,
        partitioning: Partitioning,
        subqueries: Option<&Subqueries>,
    ) -> Result<Plan> {
        let tasks = number(partition_count(&plan))?;
        let (schema, facts) = (plan.schema(), RowFacts::of(&plan, tasks == 1));
        let (stage, key) = self.push(plan, Some(partitioning.clone()), subqueries)?;
        let part = |part| {
            (0..tasks)
                .map(move |task| StageInput {
                    stage,
                    task,
                    part: Some(part),
                })
                .collect()
        };
        let partitions = (0..number(partitioning.partition_count())?).map(part).collect();
        let source = Source::Stage { key, partitions };
        Ok(Arc::new(StageReadExec::try_new(
            source,
            &schema,
            partitioning,
            facts,
        )?))
    }

    /// With a limit, every task stops at it, and the one that reads them all stops at it again.
    fn split_coalesce(
        &mut self,
        fetch: Option<usize>,
        child: Plan,
        subqueries: Option<&Subqueries>,
    ) -> Result<Plan> {
        let Some(fetch) = fetch else {
            return self.read(child, Gather::Together, subqueries);
        };
        let limited: Plan = Arc::new(LocalLimitExec::new(child, fetch));
        let reader = self.read(limited, Gather::Together, subqueries)?;
        Ok(Arc::new(GlobalLimitExec::new(reader, 0, Some(fetch))))
    }

    /// Children that must have one partition may have more once a round-robin exchange is dropped.
    fn gather_children(
        &mut self,
        plan: &Plan,
        children: &mut [Plan],
        subqueries: Option<&Subqueries>,
    ) -> Result<()> {
        let requirements = plan.input_distribution_requirements();
        for (child, distribution) in children.iter_mut().zip(requirements.per_child_distributions()) {
            if matches!(distribution, Distribution::SinglePartition) && partition_count(child) > 1 {
                *child = self.read(Arc::clone(child), Gather::Together, subqueries)?;
            }
        }
        Ok(())
    }

    /// Adds a stage, unless an equal one is there, and returns its index and key.
    fn push(
        &mut self,
        plan: Plan,
        shuffle: Option<Partitioning>,
        subqueries: Option<&Subqueries>,
    ) -> Result<(u32, [u8; 32])> {
        let plan = match subqueries {
            Some(subqueries) => subqueries.wrap(plan),
            None => plan,
        };
        let key = stage_key(&plan, shuffle.as_ref())?;
        let volatile = is_volatile(&plan) || self.reads_volatile(&plan);
        if let Some(index) = self.known.get(&key)
            && !volatile
        {
            return Ok((number(*index)?, key));
        }
        let index = self.stages.len();
        self.known.insert(key, index);
        self.stages.push(Stage {
            plan,
            shuffle,
            key,
            volatile,
        });
        Ok((number(index)?, key))
    }

    fn reads_volatile(&self, plan: &Plan) -> bool {
        let here = plan
            .downcast_ref::<StageReadExec>()
            .is_some_and(|reader| match reader.source() {
                Source::Stage { partitions, .. } => partitions
                    .iter()
                    .flatten()
                    .any(|input| self.stages[input.stage as usize].volatile),
                Source::Data { .. } => false,
            });
        here || plan
            .children()
            .into_iter()
            .any(|child| self.reads_volatile(child))
    }
}

fn take_only(children: &mut Vec<Plan>) -> Result<Plan> {
    match (children.pop(), children.is_empty()) {
        (Some(child), true) => Ok(child),
        _ => internal_err!("an exchange has one child"),
    }
}

fn number(count: usize) -> Result<u32> {
    u32::try_from(count).map_err(|error| datafusion::common::internal_datafusion_err!("{error}"))
}
