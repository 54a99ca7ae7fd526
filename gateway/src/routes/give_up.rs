//! `/v1/jobs/{job}/release` and `/v1/jobs/{job}/cancel`: single tasks of a job that goes on.

use actix_web::{HttpRequest, HttpResponse, web};
use millstream_protocol::api::{ChangedView, KeysRequest};
use millstream_protocol::columns::U32s;
use millstream_protocol::wire::{GatewayRequest, RequestError, Response};
use millstream_types::JobId;

use super::params::{Query, job_of};
use crate::body::{self, BodyFormat};
use crate::context::Context;
use crate::error::{ApiError, BodyFault};
use crate::reply::ok;

/// Most tasks in one request: what a leader does at once without keeping others waiting.
const MAX_KEYS: usize = 100_000;

/// `POST /v1/jobs/{job}/release`: nobody will ask for the outputs of these tasks any more.
pub(crate) async fn release(
    request: HttpRequest,
    gateway: web::Data<Context>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (job, tasks) = asked(&request, &gateway, payload).await?;
    tell(
        &request,
        &gateway,
        job,
        GatewayRequest::ReleaseTasks { job, tasks },
    )
    .await
}

/// `POST /v1/jobs/{job}/cancel`: these tasks are not to run, nor what reads them.
pub(crate) async fn cancel(
    request: HttpRequest,
    gateway: web::Data<Context>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (job, tasks) = asked(&request, &gateway, payload).await?;
    tell(
        &request,
        &gateway,
        job,
        GatewayRequest::CancelTasks { job, tasks },
    )
    .await
}

/// The tasks that a request names.
async fn asked(
    request: &HttpRequest,
    gateway: &Context,
    payload: web::Payload,
) -> Result<(JobId, U32s), ApiError> {
    Query::of(request, &[])?;
    let job = job_of(request)?;
    let format = BodyFormat::of(request)?;
    let settings = &gateway.settings;
    let bytes = body::read(request, payload, settings.body_limit, settings.request_timeout).await?;
    let KeysRequest { keys } = body::decode(format, &bytes)?;
    if keys.is_empty() || keys.len() > MAX_KEYS {
        return Err(ApiError::Body(BodyFault {
            message: format!("{} keys: name between 1 and {MAX_KEYS} tasks", keys.len()),
            field: Some("keys".to_owned()),
            ..BodyFault::default()
        }));
    }
    match gateway.tasks_of(job, &keys).await {
        Ok(tasks) => Ok((job, U32s(tasks))),
        Err(ApiError::Request(RequestError::UnknownJob(_))) if gateway.recent.get(job).is_some() => {
            Err(ApiError::NotTakenYet(job))
        }
        Err(error) => Err(error),
    }
}

async fn tell(
    request: &HttpRequest,
    gateway: &Context,
    job: JobId,
    asked: GatewayRequest,
) -> Result<HttpResponse, ApiError> {
    match gateway.leader.ask(asked).await {
        Ok(Response::Changed { tasks }) => Ok(ok(request, &ChangedView { tasks })),
        // A new leader does not know yet what is done.
        Err(ApiError::Request(RequestError::Overloaded)) => Err(ApiError::NotTakenYet(job)),
        Err(ApiError::Request(RequestError::UnknownJob(_))) => {
            unknown_to_leader(gateway, job).await?;
            Ok(ok(request, &ChangedView { tasks: 0 }))
        }
        Ok(_) => Err(ApiError::LeaderSilent),
        Err(error) => Err(error),
    }
}

/// The leader forgets jobs that are over, of which nothing is left to give up; any other it has yet to take.
async fn unknown_to_leader(gateway: &Context, job: JobId) -> Result<(), ApiError> {
    match gateway.meta(job).await? {
        Some(meta) if meta.state.is_terminal() => Ok(()),
        None if gateway.recent.get(job).is_none() => Err(RequestError::UnknownJob(job).into()),
        _ => Err(ApiError::NotTakenYet(job)),
    }
}
