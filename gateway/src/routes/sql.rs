//! `/v1/sql`: a query is a job of one task, which plans it on a worker and grows the graph.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use millstream_protocol::api::{RequestOptions, ResultFormat, SqlRequest};
use millstream_protocol::wire::JobState;
use millstream_types::TaskIdx;

use super::jobs::{encode_graph, new_job_id};
use super::params::Query;
use super::results::pending;
use crate::body::{self, BodyFormat};
use crate::context::Context;
use crate::delivery::{Delivery, Wanted, deliver};
use crate::error::{ApiError, IntakeError};
use crate::intake::{self, Outcome, Submission};
use crate::reply::accepts;

/// `POST /v1/sql`: streams the rows, or after `wait` answers 202 with the job that makes them.
pub(crate) async fn run(
    request: HttpRequest,
    gateway: web::Data<Context>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["wait", "id"])?;
    let settings = &gateway.settings;
    let wait = query.wait(settings.max_wait)?.unwrap_or(settings.max_wait);
    let client_id = query.parse("id", "job id: expected a UUID")?;
    let body_format = BodyFormat::of(&request)?;
    let bytes = body::read(&request, payload, settings.body_limit, settings.request_timeout).await?;
    let mut sql: SqlRequest = body::decode(body_format, &bytes)?;
    sql.options.format = Some(format_of(&request, sql.options.format)?);

    let built = intake::build_query(&sql).map_err(|fault| IntakeError::Task {
        key: "result".to_owned(),
        fault,
    })?;
    let encoded = encode_graph(&built.graph)?;
    let graph = Arc::new(built.graph);
    let job = client_id.unwrap_or_else(new_job_id);
    let submission = Submission {
        id: job,
        is_client_id: client_id.is_some(),
        name: built.name,
        options: RequestOptions::default()
            .to_job_options(std::iter::once(("kind".to_owned(), "sql".to_owned())).collect()),
        graph: Arc::clone(&graph),
        encoded,
    };
    let outcome = intake::submit(&gateway, submission, Some(wait)).await?;
    let wanted = Wanted::of(job, &graph, TaskIdx(0), true);
    if let Outcome::Accepted = outcome {
        return pending(&request, &gateway, job, JobState::Running).await;
    }
    check(&wanted, &outcome)?;
    // What has ended is there, but for the note that says where.
    match deliver(&gateway, &wanted, Some(settings.leader_timeout)).await? {
        Delivery::Ready(response) => Ok(response),
        Delivery::Pending(state) => pending(&request, &gateway, job, state).await,
    }
}

/// Turns a failed or cancelled query into its error.
fn check(wanted: &Wanted, outcome: &Outcome) -> Result<(), ApiError> {
    let meta = match outcome {
        Outcome::Ended(answer) => &answer.meta,
        Outcome::Over(meta) => meta.as_ref(),
        Outcome::Accepted => return Ok(()),
    };
    match (meta.state, &meta.error) {
        (JobState::Failed, Some(error)) => Err(ApiError::TaskFailed {
            job: meta.job,
            key: wanted.key.clone(),
            error: Box::new(error.clone()),
        }),
        (JobState::Failed | JobState::Cancelled, _) => Err(ApiError::JobOver {
            job: meta.job,
            state: meta.state,
        }),
        _ => Ok(()),
    }
}

/// The format that the `Accept` header names, else the body's, else JSON.
fn format_of(request: &HttpRequest, in_body: Option<ResultFormat>) -> Result<ResultFormat, ApiError> {
    let mut refused = None;
    for accepted in accepts(request) {
        if accepted == "*/*" || accepted == "application/*" {
            return Ok(in_body.unwrap_or_default());
        }
        match ResultFormat::of_content_type(&accepted) {
            Some(format) => return Ok(format),
            None => refused = Some(accepted),
        }
    }
    match refused {
        Some(content_type) => Err(ApiError::NotAcceptable(content_type)),
        None => Ok(in_body.unwrap_or_default()),
    }
}
