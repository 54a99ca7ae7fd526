//! `/v1/sql`: a query is a job of one task, which plans it on a worker and grows the graph. Texts of several statements, and
//! those that define names, go through [`crate::script`] first.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use millstream_protocol::api::{RequestOptions, ResultFormat, SqlRequest};
use millstream_protocol::wire::JobState;
use millstream_types::{JobId, TaskIdx};

use super::jobs::{encode_graph, new_job_id};
use super::params::Query;
use super::results::pending;
use crate::body::{self, BodyFormat};
use crate::context::Context;
use crate::delivery::{Delivery, Wanted, deliver};
use crate::error::{ApiError, IntakeError, TaskFault};
use crate::intake::{self, BuiltJob, Outcome, Submission};
use crate::reply::accepts;
use crate::script::{self, Names, Scripted};

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
    let mut names = Names::of(&gateway, sql.session.take(), std::mem::take(&mut sql.catalog)).await?;
    let id = QueryId {
        job: client_id.unwrap_or_else(new_job_id),
        is_client_id: client_id.is_some(),
    };
    if sql.tree.is_none() && !script::is_one_query(&sql.query) {
        match Box::pin(script::run(&gateway, &sql, &mut names, id)).await? {
            Scripted::Answered(response) => return Ok(response),
            Scripted::Query(last) => sql = *last,
        }
    }
    sql.catalog = names.catalog().clone();
    match Box::pin(run_query(&gateway, &sql, id, wait)).await? {
        Delivery::Ready(response) => Ok(response),
        Delivery::Pending(state) => pending(&request, &gateway, id.job, state).await,
    }
}

/// The job of a query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryId {
    pub(crate) job: JobId,
    /// Whether the client made the id, so that this can be a repeat.
    pub(crate) is_client_id: bool,
}

/// Plans and runs a query; its rows, if they are there after `wait`.
pub(crate) async fn run_query(
    gateway: &Context,
    sql: &SqlRequest,
    id: QueryId,
    wait: Duration,
) -> Result<Delivery, ApiError> {
    run_job(gateway, intake::build_query(sql), id, wait).await
}

/// Runs the one task of a job, and delivers what it makes.
pub(crate) async fn run_job(
    gateway: &Context,
    built: Result<BuiltJob, TaskFault>,
    id: QueryId,
    wait: Duration,
) -> Result<Delivery, ApiError> {
    let built = built.map_err(|fault| IntakeError::Task {
        key: "result".to_owned(),
        fault,
    })?;
    let encoded = encode_graph(&built.graph)?;
    let graph = Arc::new(built.graph);
    let submission = Submission {
        id: id.job,
        is_client_id: id.is_client_id,
        name: built.name,
        options: RequestOptions::default()
            .to_job_options(std::iter::once(("kind".to_owned(), "sql".to_owned())).collect()),
        graph: Arc::clone(&graph),
        encoded,
    };
    let outcome = intake::submit(gateway, submission, Some(wait)).await?;
    let wanted = Wanted::of(id.job, &graph, TaskIdx(0), true);
    if let Outcome::Accepted = outcome {
        return Ok(Delivery::Pending(JobState::Running));
    }
    check(&wanted, &outcome)?;
    // What has ended is there, but for the note that says where.
    deliver(gateway, &wanted, Some(gateway.settings.leader_timeout)).await
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
