//! Tables: what each node of a tree is to the engine.
//!
//! The plan of each node has columns without qualifiers, under exactly the names that the tree gives them.

use std::collections::BTreeMap;

use datafusion::common::{Column, NullEquality, Result as EngineResult, UnnestOptions};
use datafusion::common::{JoinType, NullHandling};
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::{find_aggregate_exprs, find_window_exprs};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};
use datafusion::prelude::SessionContext;

use super::expr::{Scope, replaced};
use super::format::{
    AggregateNode, DistinctNode, How, JoinNode, LimitNode, Named, Node, NumberNode, ProjectNode, SortKey,
    SortNode, SqlNode, TableNode, UnionNode, UnnestNode,
};
use super::problem::{from_planner, invalid};
use super::window;
use crate::catalog::OpenTable;
use crate::cut::Splitter;
use crate::error::FrameError;
use crate::sql::OpenQuery;

/// Plans nodes one after the other; each may read those before it.
pub(super) struct Planner<'a> {
    context: &'a SessionContext,
    pub(super) splitter: &'a mut Splitter,
    pub(super) state: SessionState,
    tables: BTreeMap<String, OpenTable>,
    statements: BTreeMap<usize, OpenQuery>,
    plans: Vec<LogicalPlan>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        context: &'a SessionContext,
        splitter: &'a mut Splitter,
        tables: BTreeMap<String, OpenTable>,
        statements: BTreeMap<usize, OpenQuery>,
    ) -> Self {
        Self {
            context,
            splitter,
            state: context.state(),
            tables,
            statements,
            plans: Vec::new(),
        }
    }

    /// The plan of the last node.
    pub(super) fn finish(mut self) -> Result<LogicalPlan, FrameError> {
        self.plans
            .pop()
            .ok_or_else(|| invalid("there are no nodes".to_owned()))
    }

    /// Plans one node.
    pub(super) async fn add(&mut self, index: usize, node: &Node) -> Result<(), FrameError> {
        let plan = match node {
            Node::Table(node) => self.table(node),
            Node::Sql(node) => self.sql(index, node).await,
            Node::Project(node) => self.project(node),
            Node::Filter(node) => {
                let input = self.input(node.input)?;
                let condition = self.scope(&input).expr(&node.condition)?;
                let (plan, condition) = with_windows(input.clone(), vec![condition])?;
                filtered(plan, condition, &input)
            }
            Node::Aggregate(node) => self.aggregate(node),
            Node::Join(node) => self.join(node),
            Node::Sort(node) => self.sort(node),
            Node::Limit(LimitNode { input, skip, fetch }) => {
                let input = self.input(*input)?;
                built(LogicalPlanBuilder::from(input).limit(*skip, *fetch))
            }
            Node::Union(node) => self.union(node),
            Node::Distinct(node) => self.distinct(node),
            Node::Number(node) => self.number(node),
            Node::Unnest(node) => self.unnest(node),
            Node::Python(node) => self.python(node).await,
        }?;
        self.plans.push(unqualified(plan)?);
        Ok(())
    }

    pub(super) fn input(&self, index: usize) -> Result<LogicalPlan, FrameError> {
        self.plans.get(index).cloned().ok_or_else(|| {
            let message =
                format!("node {index} is not before this one: nodes refer to earlier ones by index");
            invalid(message)
        })
    }

    pub(super) fn scope<'s>(&'s self, plan: &'s LogicalPlan) -> Scope<'s> {
        Scope::new(&self.state, plan.schema())
    }

    fn table(&self, node: &TableNode) -> Result<LogicalPlan, FrameError> {
        let table = self.tables.get(&node.name);
        let table = table.ok_or_else(|| invalid(format!("table '{}' is not open", node.name)))?;
        let source = provider_as_source(std::sync::Arc::clone(&table.provider));
        let reference = datafusion::common::TableReference::bare(node.name.as_str());
        built(LogicalPlanBuilder::scan(reference, source, None))
    }

    async fn sql(&mut self, index: usize, node: &SqlNode) -> Result<LogicalPlan, FrameError> {
        let inputs = node
            .inputs
            .iter()
            .map(|(name, index)| Ok((name.clone(), self.input(*index)?)));
        let inputs = inputs.collect::<Result<BTreeMap<_, _>, FrameError>>()?;
        let Some(query) = self.statements.remove(&index) else {
            return Err(invalid("the statement is not open".to_owned()));
        };
        Box::pin(query.plan(&node.params, &inputs, self.context)).await
    }

    fn project(&self, node: &ProjectNode) -> Result<LogicalPlan, FrameError> {
        let input = self.input(node.input)?;
        let exprs = self.named(&input, &node.columns)?;
        if exprs.is_empty() {
            return Err(invalid("a table has at least one column".to_owned()));
        }
        let (plan, exprs) = with_windows(input, exprs)?;
        built(LogicalPlanBuilder::from(plan).project(exprs))
    }

    fn aggregate(&self, node: &AggregateNode) -> Result<LogicalPlan, FrameError> {
        let input = self.input(node.input)?;
        let keys = self.named(&input, &node.keys)?;
        let columns = self.named(&input, &node.columns)?;
        if keys.is_empty() && columns.is_empty() {
            return Err(invalid("it has neither `keys` nor `columns`".to_owned()));
        }
        let aggregates = find_aggregate_exprs(&columns);
        let names = node.keys.iter().map(|(name, _)| column(name));
        let result: Vec<Expr> = names
            .chain(columns.into_iter().map(|expr| replaced(expr, &aggregates)))
            .collect();
        let grouped = LogicalPlanBuilder::from(input).aggregate(keys, aggregates);
        built(grouped.and_then(|plan| plan.project(result)))
    }

    fn join(&self, node: &JoinNode) -> Result<LogicalPlan, FrameError> {
        let (left, right) = (self.input(node.left)?, self.input(node.right)?);
        let keys =
            |side: &LogicalPlan,
             of: fn(&(super::format::Expr, super::format::Expr)) -> &super::format::Expr| {
                let scope = self.scope(side);
                let keys = node.on.iter().map(|pair| scope.expr(of(pair)));
                keys.collect::<Result<Vec<Expr>, FrameError>>()
            };
        let left_keys = keys(&left, |pair| &pair.0)?;
        let right_keys = keys(&right, |pair| &pair.1)?;
        let both = engine(left.schema().join(right.schema()))?;
        let condition = node.condition.as_ref();
        let condition = condition.map(|condition| Scope::new(&self.state, &both).expr(condition));
        let condition = condition.transpose()?;
        let Some(kind) = join_type(node.how) else {
            if !node.on.is_empty() {
                return Err(invalid("a cross join has no `on`".to_owned()));
            }
            let crossed = LogicalPlanBuilder::from(left).cross_join(right);
            return built(crossed.and_then(|plan| match condition {
                Some(condition) => plan.filter(condition),
                None => Ok(plan),
            }));
        };
        let builder = LogicalPlanBuilder::from(left);
        if !node.nulls_equal {
            return built(builder.join_with_expr_keys(right, kind, (left_keys, right_keys), condition));
        }
        let keys = (columns_of(left_keys)?, columns_of(right_keys)?);
        built(builder.join_detailed(right, kind, keys, condition, NullEquality::NullEqualsNull))
    }

    fn sort(&self, node: &SortNode) -> Result<LogicalPlan, FrameError> {
        let input = self.input(node.input)?;
        let keys = self.sort_keys(&input, &node.by)?;
        built(LogicalPlanBuilder::from(input).sort_with_limit(keys, node.fetch))
    }

    fn union(&self, node: &UnionNode) -> Result<LogicalPlan, FrameError> {
        let Some((first, rest)) = node.inputs.split_first() else {
            return Err(invalid("a union has at least one input".to_owned()));
        };
        let mut plan = LogicalPlanBuilder::from(self.input(*first)?);
        for index in rest {
            plan = engine(plan.union(self.input(*index)?))?;
        }
        built(Ok(plan))
    }

    fn distinct(&self, node: &DistinctNode) -> Result<LogicalPlan, FrameError> {
        let input = self.input(node.input)?;
        let Some(on) = &node.on else {
            return built(LogicalPlanBuilder::from(input).distinct());
        };
        let scope = self.scope(&input);
        let on = on.iter().map(|expr| scope.expr(expr));
        let on = on.collect::<Result<Vec<_>, _>>()?;
        let by = self.sort_keys(&input, &node.by)?;
        // The engine takes the first of each group only in an order that begins with what groups.
        let grouping = on.iter().map(|expr| expr.clone().sort(true, false));
        let by: Vec<SortExpr> = grouping.chain(by).collect();
        let columns = columns(&input);
        built(LogicalPlanBuilder::from(input).distinct_on(on, columns, Some(by)))
    }

    fn number(&self, node: &NumberNode) -> Result<LogicalPlan, FrameError> {
        let input = self.input(node.input)?;
        // An order that only a number asks for would not be made.
        let number = window::number(&self.state, order_of(&input))?.alias(node.name.as_str());
        let mut exprs = columns(&input);
        exprs.push(number);
        let (plan, exprs) = with_windows(input, exprs)?;
        built(LogicalPlanBuilder::from(plan).project(exprs))
    }

    fn unnest(&self, node: &UnnestNode) -> Result<LogicalPlan, FrameError> {
        let input = self.input(node.input)?;
        self.scope(&input).column(&node.column)?;
        let handling = if node.keep_empty {
            NullHandling::PreserveAndExpandEmpty
        } else {
            NullHandling::Drop
        };
        let options = UnnestOptions::new().with_null_handling(handling);
        let column = Column::new_unqualified(node.column.as_str());
        built(LogicalPlanBuilder::from(input).unnest_columns_with_options(vec![column], options))
    }

    fn named(&self, input: &LogicalPlan, columns: &[Named]) -> Result<Vec<Expr>, FrameError> {
        let scope = self.scope(input);
        let exprs = columns.iter().map(|(name, expr)| {
            let expr = scope.expr(expr).map_err(|error| match error {
                FrameError::InvalidTree { place, message } => FrameError::InvalidTree {
                    place,
                    message: format!("column '{name}': {message}"),
                },
                other => other,
            })?;
            Ok(expr.alias(name.as_str()))
        });
        exprs.collect()
    }

    fn sort_keys(&self, input: &LogicalPlan, keys: &[SortKey]) -> Result<Vec<SortExpr>, FrameError> {
        let scope = self.scope(input);
        keys.iter().map(|key| scope.sort_key(key)).collect()
    }
}

/// The order of a plan's rows where a sort made it, by columns that the plan still has.
fn order_of(plan: &LogicalPlan) -> Vec<SortExpr> {
    match plan {
        LogicalPlan::Sort(sort) => sort.expr.clone(),
        LogicalPlan::Projection(projection) => {
            let projected = |key: &SortExpr| {
                let place = projection.expr.iter().position(|expr| match expr {
                    Expr::Alias(alias) => *alias.expr == key.expr,
                    other => *other == key.expr,
                })?;
                let column = Expr::Column(Column::from(projection.schema.qualified_field(place)));
                Some(column.sort(key.asc, key.nulls_first))
            };
            order_of(&projection.input).iter().map_while(projected).collect()
        }
        LogicalPlan::Filter(filter) => order_of(&filter.input),
        LogicalPlan::Limit(limit) => order_of(&limit.input),
        LogicalPlan::Window(window) => order_of(&window.input),
        _ => Vec::new(),
    }
}

/// `None` is a cross join.
const fn join_type(how: How) -> Option<JoinType> {
    Some(match how {
        How::Inner => JoinType::Inner,
        How::Left => JoinType::Left,
        How::Right => JoinType::Right,
        How::Full => JoinType::Full,
        How::Semi => JoinType::LeftSemi,
        How::Anti => JoinType::LeftAnti,
        How::Cross => return None,
    })
}

fn columns_of(keys: Vec<Expr>) -> Result<Vec<Column>, FrameError> {
    let columns = keys.into_iter().map(|key| match key {
        Expr::Column(column) => Ok(column),
        other => Err(invalid(format!(
            "with `nulls_equal`, what a join compares are columns: make {other} one by a `project` before"
        ))),
    });
    columns.collect()
}

/// The window functions of the expressions computed below them.
fn with_windows(input: LogicalPlan, exprs: Vec<Expr>) -> Result<(LogicalPlan, Vec<Expr>), FrameError> {
    let windows = find_window_exprs(&exprs);
    if windows.is_empty() {
        return Ok((input, exprs));
    }
    let plan = engine(LogicalPlanBuilder::window_plan(input, windows.clone()))?;
    let exprs = exprs.into_iter().map(|expr| replaced(expr, &windows));
    Ok((plan, exprs.collect()))
}

/// The rows of `plan` where the condition is true, with the columns of `input`.
fn filtered(plan: LogicalPlan, condition: Vec<Expr>, input: &LogicalPlan) -> Result<LogicalPlan, FrameError> {
    let mut plan = LogicalPlanBuilder::from(plan);
    for condition in condition {
        plan = engine(plan.filter(condition))?;
    }
    built(plan.project(columns(input)))
}

fn columns(plan: &LogicalPlan) -> Vec<Expr> {
    let columns = plan.schema().columns();
    columns.into_iter().map(Expr::Column).collect()
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The same columns without the names of tables.
fn unqualified(plan: LogicalPlan) -> Result<LogicalPlan, FrameError> {
    let columns = plan.schema().columns();
    if columns.iter().all(|column| column.relation.is_none()) {
        return Ok(plan);
    }
    let columns = columns.into_iter().map(|column| {
        let name = column.name.clone();
        Expr::Column(column).alias(name)
    });
    built(LogicalPlanBuilder::from(plan).project(columns.collect::<Vec<_>>()))
}

pub(super) fn built(builder: EngineResult<LogicalPlanBuilder>) -> Result<LogicalPlan, FrameError> {
    engine(builder.and_then(LogicalPlanBuilder::build))
}

pub(super) fn engine<T>(result: EngineResult<T>) -> Result<T, FrameError> {
    result.map_err(|error| from_planner(&error))
}
