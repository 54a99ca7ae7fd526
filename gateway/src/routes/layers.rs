//! `/v1/jobs/{job}/layers` and `/v1/jobs/{job}/graph`: a job's graph from afar and from near.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{GatewayRequest, Response};
use millstream_types::{JobId, TaskIdx};
use serde::Serialize;

use super::params::{Query, job_of};
use crate::context::Context;
use crate::error::ApiError;
use crate::layers::{LayersView, Outline, label_of};
use crate::reply::ok;

/// Tasks drawn one by one, unless asked otherwise, and at most.
const PAGE: u32 = 200;
const MAX_PAGE: u32 = 2_000;
/// Inputs drawn of one task.
const MAX_INPUTS: usize = 100;

/// State bytes read at once.
const NOTES: u32 = 256;

#[derive(Debug, Serialize)]
struct GraphPage {
    total: u32,
    tasks: Vec<NodeView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

#[derive(Debug, Serialize)]
struct NodeView {
    task: u32,
    key: String,
    op: String,
    deps: Vec<u32>,
    /// Inputs beyond those.
    more_deps: usize,
}

/// `GET /v1/jobs/{job}/layers`
pub(crate) async fn show(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let job = job_of(&request)?;
    let view = gateway.layers_of(job).await?;
    Ok(ok(&request, &*view))
}

/// `GET /v1/jobs/{job}/graph`
pub(crate) async fn tasks(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["from", "limit"])?;
    let graph = gateway.graph(job_of(&request)?).await?;
    let from: u32 = query.parse("from", "task number")?.unwrap_or(0);
    let limit = query.parse("limit", "number")?.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let total = graph.task_count();
    let end = from.saturating_add(limit).min(total);
    let page = GraphPage {
        total,
        tasks: (from..end).map(|task| node(&graph, TaskIdx(task))).collect(),
        next: (end < total).then_some(end),
    };
    Ok(ok(&request, &page))
}

fn node(graph: &Graph, task: TaskIdx) -> NodeView {
    let mut deps = Vec::new();
    let mut more_deps = 0;
    graph.for_each_dep(task, |dep| {
        if deps.len() < MAX_INPUTS {
            deps.push(dep.task.0);
        } else {
            more_deps += 1;
        }
    });
    NodeView {
        task: task.0,
        key: graph.key_of(task),
        op: graph.op_of(task).map(label_of).unwrap_or_default(),
        deps,
        more_deps,
    }
}

impl Context {
    /// The leader's counts, or those of the last notes where no leader knows the job.
    pub(crate) async fn layers_of(&self, job: JobId) -> Result<Arc<LayersView>, ApiError> {
        if let Some(view) = self.layers.fresh(job) {
            return Ok(view);
        }
        let answer = match self.leader.ask(GatewayRequest::Layers { job }).await {
            Ok(Response::Layers(answer)) => Some(*answer),
            _ => None,
        };
        let counted: Option<u32> = answer
            .as_ref()
            .map(|answer| answer.layers.iter().map(|layer| layer.counts.total).sum());
        let mut graph = self.graph(job).await?;
        if counted.is_some_and(|tasks| tasks != graph.task_count()) {
            // It has grown since it was cached.
            graph = self.load_graph(job).await?;
        }
        let outline = self.outline(job, &graph).await?;
        let exact = answer.and_then(|answer| outline.with_counts(answer));
        let view = Arc::new(match exact {
            Some(view) => view,
            None => {
                let pages = graph.task_count().div_ceil(NOTES);
                let notes = self.state.pages(job, 0, pages).await?;
                outline.with_notes(&graph, &notes)
            }
        });
        self.layers.keep(job, outline, Some(Arc::clone(&view)));
        Ok(view)
    }

    /// Nodes and edges of a job's graph.
    pub(crate) async fn outline(&self, job: JobId, graph: &Arc<Graph>) -> Result<Arc<Outline>, ApiError> {
        if let Some(outline) = self.layers.outline(job, graph.task_count()) {
            return Ok(outline);
        }
        // Off the request's thread: a million tasks take some tens of milliseconds.
        let read = Arc::clone(graph);
        let outline = web::block(move || Outline::of(&read))
            .await
            .map_err(|_| ApiError::TooManyRequests)?;
        Ok(Arc::new(outline))
    }
}
