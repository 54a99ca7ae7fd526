//! `/v1/jobs/{job}/results/{key}`.

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpRequest, HttpResponse, web};
use millstream_protocol::api::JobView;
use millstream_protocol::args::CommandSpec;
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{JobState, RequestError};
use millstream_types::JobId;

use super::params::{Query, job_of, path_part};
use crate::context::Context;
use crate::delivery::{Delivery, Wanted, deliver};
use crate::error::ApiError;
use crate::intake::file_part;
use crate::near::nearest;
use crate::reply::{reply, wants_msgpack};

/// Seconds after which a result that is not there yet may be asked for again.
const RETRY_SECONDS: u16 = 1;

/// `GET /v1/jobs/{job}/results/{key}`
pub(crate) async fn fetch(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["wait", "file"])?;
    let job = job_of(&request)?;
    let key = path_part(&request, "key");
    let wait = query.wait(gateway.settings.max_wait)?;
    let (graph, task) = match gateway.task_of(job, &key).await {
        // It is accepted, but its leader has not committed it yet.
        Err(ApiError::Request(RequestError::UnknownJob(_))) if gateway.recent.get(job).is_some() => {
            return pending(&request, &gateway, job, JobState::Accepted).await;
        }
        found => found?,
    };
    if !graph.outputs.contains(&task.0) {
        return Err(ApiError::NotAnOutput { job, key });
    }
    let mut wanted = Wanted::of(job, &graph, task, wants_msgpack(&request));
    if let Some(file) = query.text("file") {
        wanted.part = Some(part_of(&graph, &wanted, file)?);
    }
    match deliver(&gateway, &wanted, wait).await? {
        Delivery::Ready(response) => Ok(response),
        Delivery::Pending(state) => pending(&request, &gateway, job, state).await,
    }
}

/// Says that a result is on its way.
pub(crate) async fn pending(
    request: &HttpRequest,
    gateway: &Context,
    job: JobId,
    state: JobState,
) -> Result<HttpResponse, ApiError> {
    let mut view = gateway
        .job_view(job)
        .await
        .unwrap_or_else(|_| JobView::accepted(job, ""));
    view.state = state;
    let mut response = reply(request, StatusCode::ACCEPTED, &view);
    response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS.into());
    Ok(response)
}

/// The part of a command's object that holds one of its files.
fn part_of(graph: &Graph, wanted: &Wanted, file: &str) -> Result<u32, ApiError> {
    let files = CommandSpec::from_params(&graph.params_of(wanted.task))
        .map(|spec| spec.files_out)
        .unwrap_or_default();
    let position = files.iter().position(|other| other == file);
    position.map(file_part).ok_or_else(|| ApiError::UnknownFile {
        job: wanted.job,
        key: wanted.key.clone(),
        file: file.to_owned(),
        suggestion: nearest(file, files.iter().map(String::as_str)),
    })
}
