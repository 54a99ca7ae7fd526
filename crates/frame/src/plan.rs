//! Planning: from a query to stages of tasks.
//!
//! The result knows nothing of jobs or workers: stages and tasks are numbered from 0 within the query, and each
//! task lists what it reads in the order in which its plan refers to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result as EngineResult;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, displayable};
use datafusion::prelude::SessionContext;

use crate::call::{CallExec, PythonCall};
use crate::catalog::Catalog;
use crate::codec::{encode_task, stage_key};
use crate::concat::read_in_order;
use crate::cut::{self, Splitter, Stage};
use crate::error::{FrameError, from_engine};
use crate::request::{PlannerOptions, SqlRequest};
use crate::session;
use crate::sql::{OpenQuery, Rows};
use crate::tree::OpenTree;
use crate::write::{self, Target};

/// A query as stages of tasks.
#[derive(Debug, Clone)]
pub struct PlannedQuery {
    /// Columns of the result.
    pub schema: SchemaRef,
    /// Stages in the order of their dependencies. The last one gives the result: the objects of its tasks, read in
    /// order, are the rows in order.
    pub stages: Vec<PlannedStage>,
}

/// Tasks that run the same plan on different partitions.
#[derive(Debug, Clone)]
pub struct PlannedStage {
    /// One task for each partition.
    pub tasks: Vec<PlannedTask>,
    /// Parts that the object of each task has.
    pub parts: u32,
    /// The plan as EXPLAIN shows it.
    pub display: String,
    /// Hash of what the stage computes, with the sizes and times of its files. Stages of equal keys, in whatever
    /// query, have equal objects, task by task, unless they are volatile.
    pub key: [u8; 32],
    /// Whether another run may give other rows, so that the stage must not be shared.
    pub volatile: bool,
    /// The function that the tasks call, if they are Python's and not the engine's.
    pub call: Option<PythonCall>,
}

/// One task of a stage.
#[derive(Debug, Clone)]
pub struct PlannedTask {
    /// The plan for [`run_stage`](crate::run_stage), good for the engine version that made it; of a stage that calls a
    /// function, its arguments.
    pub plan: Bytes,
    /// What the task reads, in the order in which `run_stage` wants it.
    pub inputs: Vec<StageInput>,
}

/// An object of another task, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StageInput {
    /// Index of the stage.
    pub stage: u32,
    /// Index of the task in the stage.
    pub task: u32,
    /// Part of the task's object; all of it if absent.
    pub part: Option<u32>,
}

/// Plans a query: opens its tables, optimizes it and cuts it into stages.
///
/// # Errors
/// All that is wrong with the query, its tables or its files as far as samples of them tell.
pub async fn plan_sql(request: &SqlRequest, options: &PlannerOptions) -> Result<PlannedQuery, FrameError> {
    let planned = Box::pin(plan_one(request, options)).await;
    planned.map_err(|error| crate::sql::name_statement(error, request))
}

async fn plan_one(request: &SqlRequest, options: &PlannerOptions) -> Result<PlannedQuery, FrameError> {
    let wanted = request
        .options
        .partitions
        .map_or(options.target_partitions, |count| count as usize)
        .max(1);
    let catalog = Catalog::new(&request.tables, &request.catalog, options);
    let opening = session::planning(options, wanted);
    let query = Box::pin(Question::open(request, &catalog, &opening)).await?;
    // A round trip per stage would cost more than such a query. What functions cost, bytes do not tell.
    let small = catalog.bytes() < options.small_query_bytes && !query.calls();
    let partitions = if small { 1 } else { wanted };
    let context = if partitions == wanted {
        opening
    } else {
        session::planning(options, partitions)
    };
    let explain = request.options.explain || query.explain();
    let into = match (&request.into, query.rows()) {
        (Some(into), _) => Some(into.clone()),
        (None, Rows::Given) => None,
        (None, Rows::Written(target)) => Some(target.clone()),
        // Nobody but a session knows where its tables are.
        (None, Rows::Kept) => {
            return Err(FrameError::UnsupportedStatement {
                statement: "a table that is made or added to".to_owned(),
            });
        }
    };
    let mut splitter = Splitter::new(partitions);
    let logical = Box::pin(query.plan(request, &context, &mut splitter)).await?;
    let planned = Box::pin(context.state().create_physical_plan(&logical)).await;
    let physical = planned.map_err(|error| crate::sql::explain(&error))?;
    let target =
        match into.map(|into| Target::check(&into, &physical.schema(), options.writable_roots.as_deref())) {
            Some(target) => Some(target?),
            None => None,
        };
    let planned = cut_up(physical, target.as_ref(), splitter, small).map_err(|error| from_engine(&error))?;
    if explain {
        return explain_stages(&planned).map_err(|error| from_engine(&error));
    }
    if let Some(target) = target {
        target.begin()?;
    }
    Ok(planned)
}

/// What is asked, in either form, with its tables open.
enum Question {
    Statement(Box<OpenQuery>),
    Tree(OpenTree),
}

impl Question {
    async fn open(
        request: &SqlRequest,
        catalog: &Catalog<'_>,
        context: &SessionContext,
    ) -> Result<Self, FrameError> {
        match (&request.tree, request.query.is_empty()) {
            (Some(tree), true) => OpenTree::open(tree, catalog, context).await.map(Self::Tree),
            (Some(_), false) => Err(FrameError::QueryAndTree),
            (None, _) => {
                let statement = crate::sql::parse_one(&request.query, request.statement)?;
                let query = OpenQuery::open_statement(statement, &[], catalog, context).await?;
                Ok(Self::Statement(Box::new(query)))
            }
        }
    }

    fn explain(&self) -> bool {
        matches!(self, Self::Statement(query) if query.explain)
    }

    /// Whether functions are called in it.
    fn calls(&self) -> bool {
        matches!(self, Self::Tree(tree) if tree.calls())
    }

    /// Where the statement itself says that its rows go.
    fn rows(&self) -> &Rows {
        match self {
            Self::Statement(query) => &query.rows,
            Self::Tree(_) => &Rows::Given,
        }
    }

    /// The plan; what has to run before it can is in `splitter`.
    async fn plan(
        self,
        request: &SqlRequest,
        context: &SessionContext,
        splitter: &mut Splitter,
    ) -> Result<LogicalPlan, FrameError> {
        match self {
            Self::Statement(query) => query.plan(&request.params, &BTreeMap::new(), context).await,
            Self::Tree(tree) => tree.plan(context, splitter).await,
        }
    }
}

/// The query of a plan, whose rows are written to the target if there is one.
fn cut_up(
    plan: Arc<dyn ExecutionPlan>,
    target: Option<&Target>,
    splitter: Splitter,
    small: bool,
) -> EngineResult<PlannedQuery> {
    let plan = match target {
        Some(target) => write::written(plan, target)?,
        None => plan,
    };
    Ok(PlannedQuery {
        schema: plan.schema(),
        // What is written and what publishes it are tasks of their own, however small they are.
        stages: stages(plan, splitter, small && target.is_none())?,
    })
}

fn stages(plan: Arc<dyn ExecutionPlan>, splitter: Splitter, small: bool) -> EngineResult<Vec<PlannedStage>> {
    let stages = if small && splitter.is_empty() {
        vec![whole(plan)?]
    } else {
        splitter.run(plan)?
    };
    stages.iter().map(planned_stage).collect()
}

/// The plan as one stage of one task.
fn whole(plan: Arc<dyn ExecutionPlan>) -> EngineResult<Stage> {
    let plan = read_in_order(plan)?;
    Ok(Stage {
        key: stage_key(&plan, None)?,
        volatile: cut::is_volatile(&plan),
        shuffle: None,
        plan,
    })
}

fn planned_stage(stage: &Stage) -> EngineResult<PlannedStage> {
    let task = |partition| {
        let (plan, inputs) = encode_task(cut::restrict(&stage.plan, partition)?, stage.shuffle.as_ref())?;
        Ok(PlannedTask { plan, inputs })
    };
    let tasks = 0..stage.plan.output_partitioning().partition_count();
    Ok(PlannedStage {
        tasks: tasks.map(task).collect::<EngineResult<_>>()?,
        parts: u32::try_from(stage.parts()).unwrap_or(u32::MAX),
        display: display(stage),
        key: stage.key,
        volatile: stage.volatile,
        call: stage
            .plan
            .downcast_ref::<CallExec>()
            .map(|call| call.call().clone()),
    })
}

fn display(stage: &Stage) -> String {
    let plan = displayable(stage.plan.as_ref()).indent(false).to_string();
    match &stage.shuffle {
        Some(partitioning) => format!("Shuffle: {partitioning}\n{plan}"),
        None => plan,
    }
}

/// A query whose result is a table of the stages of `query`.
fn explain_stages(query: &PlannedQuery) -> EngineResult<PlannedQuery> {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let stages = &query.stages;
    let columns: [(&str, ArrayRef); 4] = [
        (
            "stage",
            Arc::new(UInt32Array::from_iter_values(0..count(stages.len()))),
        ),
        (
            "tasks",
            Arc::new(UInt32Array::from_iter_values(
                stages.iter().map(|stage| count(stage.tasks.len())),
            )),
        ),
        (
            "parts",
            Arc::new(UInt32Array::from_iter_values(
                stages.iter().map(|stage| stage.parts),
            )),
        ),
        (
            "plan",
            Arc::new(StringArray::from_iter_values(
                stages.iter().map(|stage| stage.display.trim_end()),
            )),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns)?;
    let schema = batch.schema();
    let plan = MemorySourceConfig::try_new_exec(&[vec![batch]], Arc::clone(&schema), None)?;
    Ok(PlannedQuery {
        schema,
        stages: vec![planned_stage(&whole(plan)?)?],
    })
}
