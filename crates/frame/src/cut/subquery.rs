//! Scalar subqueries, whose results expressions of other stages use, and other properties of expressions.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::physical_planning_context::ScalarSubqueryResults;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_plan::scalar_subquery::{ScalarSubqueryExec, ScalarSubqueryLink};

use super::Plan;
use super::split::{Gather, Splitter};
use crate::call::CallExec;

/// Subqueries of one level of the query, already cut: readers of the stages that compute them.
#[derive(Clone)]
pub(super) struct Subqueries {
    links: Vec<ScalarSubqueryLink>,
    results: ScalarSubqueryResults,
}

impl Subqueries {
    /// Gives `plan` the results, if its expressions use them: every stage that does must read them itself.
    pub(super) fn wrap(&self, plan: Plan) -> Plan {
        if uses_results(&plan) {
            Arc::new(ScalarSubqueryExec::new(
                plan,
                self.links.clone(),
                self.results.clone(),
            ))
        } else {
            plan
        }
    }
}

impl Splitter {
    /// Each subquery becomes a stage, and every stage of the main input that uses one reads it.
    pub(super) fn split_subqueries(&mut self, node: &ScalarSubqueryExec) -> Result<Plan> {
        let mut links = Vec::with_capacity(node.subqueries().len());
        for link in node.subqueries() {
            let plan = self.split(Arc::clone(&link.plan), None)?;
            links.push(ScalarSubqueryLink {
                plan: self.read(plan, Gather::Together, None)?,
                index: link.index,
            });
        }
        let subqueries = Subqueries {
            links,
            results: node.results().clone(),
        };
        let input = self.split(Arc::clone(node.input()), Some(&subqueries))?;
        Ok(subqueries.wrap(input))
    }
}

fn uses_results(plan: &Plan) -> bool {
    // A node that provides results is not passed: its expressions use its own.
    !plan.is::<ScalarSubqueryExec>()
        && (any_expression(plan, &|expr| expr.is::<ScalarSubqueryExpr>())
            || plan.children().into_iter().any(uses_results))
}

/// Whether two runs of the plan may give different rows (`random()`, `uuid()`), or do something besides.
pub(crate) fn is_volatile(plan: &Plan) -> bool {
    crate::write::writes(plan)
        || plan
            .downcast_ref::<CallExec>()
            .is_some_and(|calls| !calls.call().pure)
        || any_expression(plan, &|expr| expr.is_volatile_node())
        || plan.children().into_iter().any(is_volatile)
}

fn any_expression(plan: &Plan, test: &dyn Fn(&dyn PhysicalExpr) -> bool) -> bool {
    let mut found = false;
    // The closure never fails, and an operator without expressions has nothing to say.
    let visited = plan.apply_expressions(&mut |expr| {
        found |= contains(expr, test);
        Ok(TreeNodeRecursion::Continue)
    });
    found || visited.is_err()
}

fn contains(expr: &Arc<dyn PhysicalExpr>, test: &dyn Fn(&dyn PhysicalExpr) -> bool) -> bool {
    test(expr.as_ref()) || expr.children().into_iter().any(|child| contains(child, test))
}
