//! `/v1/stacks`.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures::future::join_all;
use millstream_protocol::api::{StackView, StacksPage, WorkerView};
use millstream_transfer::TaskStack;
use tokio::time::timeout;

use super::params::Query;
use crate::context::Context;
use crate::error::ApiError;
use crate::reply::ok;

/// How long a worker may take to ask its tasks.
const PATIENCE: Duration = Duration::from_secs(3);

/// `GET /v1/stacks`
pub(crate) async fn list(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let workers = gateway.workers().await?;
    let answers = workers
        .iter()
        .map(|worker| timeout(PATIENCE, gateway.fetcher.stacks(&worker.data_address)));
    let answers = join_all(answers).await;
    let mut page = StacksPage::default();
    for (worker, answer) in workers.into_iter().zip(answers) {
        match answer {
            Ok(Ok(stacks)) => page.stacks.extend(gateway.shown(&worker, stacks).await),
            _ => page.unreachable.push(worker.name),
        }
    }
    Ok(ok(&request, &page))
}

impl Context {
    /// Stacks with the keys of their tasks.
    async fn shown(&self, worker: &WorkerView, stacks: Vec<TaskStack>) -> Vec<StackView> {
        let mut shown = Vec::with_capacity(stacks.len());
        for stack in stacks {
            // A job that is just being removed has no graph any more; its number says enough.
            let graph = self.graph(stack.job).await.ok();
            shown.push(StackView {
                worker: worker.name.clone(),
                job: stack.job,
                task: stack.task.0,
                key: graph.map_or_else(|| stack.task.0.to_string(), |graph| graph.key_of(stack.task)),
                text: stack.text,
            });
        }
        shown
    }
}
