//! `/v1/jobs`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use millstream_protocol::api::{GraphRequest, JobRequest, JobView, JobsPage};
use millstream_protocol::codec;
use millstream_protocol::graph::{Graph, GraphLimits};
use millstream_protocol::wire::{GatewayRequest, JobMeta, RequestError, Response};
use millstream_state::JobCursor;
use millstream_types::JobId;
use uuid::Uuid;

use super::params::{Query, job_of};
use crate::body::{self, BodyFormat};
use crate::context::{Context, read_record};
use crate::error::{ApiError, IntakeError};
use crate::intake::{self, Outcome, Submission};
use crate::reply::{ok, reply, wants_msgpack};
use crate::views::Form;

/// Jobs on a page, unless asked otherwise, and at most.
const PAGE: usize = 50;
const MAX_PAGE: usize = 1_000;

/// How often, and how long apart, a leader is asked to cancel a job that it has yet to take.
const MOST_ASKS: u32 = 40;
const BETWEEN_ASKS: Duration = Duration::from_millis(50);

/// Bodies above this are decoded off the request's thread: a large graph takes longer than a round trip may.
const INLINE_DECODE: usize = 64 << 10;

/// `POST /v1/jobs`
pub(crate) async fn submit(
    request: HttpRequest,
    gateway: web::Data<Context>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["wait"])?;
    let wait = query.wait(gateway.settings.max_wait)?;
    let format = BodyFormat::of(&request)?;
    let settings = &gateway.settings;
    let bytes = body::read(&request, payload, settings.body_limit, settings.request_timeout).await?;
    let limits = gateway.graph_limits();
    let submission = if bytes.len() <= INLINE_DECODE {
        read_submission(format, &bytes, &limits)?
    } else {
        web::block(move || read_submission(format, &bytes, &limits))
            .await
            .map_err(|_| ApiError::TooManyRequests)??
    };
    let id = submission.id;
    let outcome = intake::submit(&gateway, submission, wait).await?;
    respond(&request, &gateway, id, outcome).await
}

/// Writes where a submitted job stands: 202 while it goes on, 200 once it ended.
pub(crate) async fn respond(
    request: &HttpRequest,
    gateway: &Context,
    job: JobId,
    outcome: Outcome,
) -> Result<HttpResponse, ApiError> {
    let status = match outcome {
        Outcome::Accepted => StatusCode::ACCEPTED,
        Outcome::Ended(_) | Outcome::Over(_) => StatusCode::OK,
    };
    let view = gateway.outcome_view(job, outcome, form_of(request)).await?;
    let mut response = reply(request, status, &view);
    if let Ok(location) = view.links.job.parse() {
        response
            .headers_mut()
            .insert(actix_web::http::header::LOCATION, location);
    }
    Ok(response)
}

fn read_submission(format: BodyFormat, body: &Bytes, limits: &GraphLimits) -> Result<Submission, ApiError> {
    if format == BodyFormat::Graph {
        return read_columnar(body, limits);
    }
    let job: JobRequest = body::decode(format, body)?;
    let built = intake::build_job(&job, limits)?;
    let encoded = encode_graph(&built.graph)?;
    Ok(Submission {
        id: job.id.unwrap_or_else(new_job_id),
        is_client_id: job.id.is_some(),
        name: job.name.unwrap_or(built.name),
        options: job.options.to_job_options(job.labels),
        graph: Arc::new(built.graph),
        encoded,
    })
}

fn read_columnar(body: &Bytes, limits: &GraphLimits) -> Result<Submission, ApiError> {
    let request: GraphRequest = body::decode(BodyFormat::Graph, body)?;
    let graph: Graph = codec::decode(&request.graph).map_err(IntakeError::UnreadableGraph)?;
    intake::check_graph(&graph, limits)?;
    let first = || graph.key_of(millstream_types::TaskIdx(0));
    Ok(Submission {
        id: request.id,
        is_client_id: true,
        name: if request.name.is_empty() {
            first()
        } else {
            request.name
        },
        options: request.options,
        graph: Arc::new(graph),
        encoded: request.graph,
    })
}

pub(crate) fn encode_graph(graph: &Graph) -> Result<Bytes, ApiError> {
    codec::encode(graph).map(Bytes::from).map_err(|error| {
        ApiError::Request(RequestError::InvalidGraph {
            code: "malformed_graph".to_owned(),
            message: error.to_string(),
        })
    })
}

pub(crate) fn new_job_id() -> JobId {
    JobId::from(Uuid::now_v7())
}

pub(crate) fn form_of(request: &HttpRequest) -> Form {
    if wants_msgpack(request) {
        Form::Msgpack
    } else {
        Form::Json
    }
}

/// `GET /v1/jobs`
pub(crate) async fn list(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["before", "limit"])?;
    let before: Option<JobCursor> = query.parse("before", "cursor: use the `next` of a page")?;
    let limit = query.parse("limit", "number")?.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let records = gateway.state.list_jobs(before, limit).await?;
    let next = (records.len() == limit).then(|| records.last().map(|record| record.cursor().to_string()));
    let jobs = records
        .iter()
        .map(|record| read_record::<JobMeta>("a job", &record.meta).map(|meta| JobView::from(&meta)))
        .collect::<Result<_, _>>()?;
    Ok(ok(
        &request,
        &JobsPage {
            jobs,
            next: next.flatten(),
        },
    ))
}

/// `GET /v1/jobs/{job}`
pub(crate) async fn show(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["wait"])?;
    let job = job_of(&request)?;
    let wait = query.wait(gateway.settings.max_wait)?;
    let meta = gateway.known_meta(job).await?;
    let outcome = intake::follow(&gateway, job, meta.map(Box::new), wait).await?;
    let view = gateway.outcome_view(job, outcome, form_of(&request)).await?;
    Ok(ok(&request, &view))
}

/// `DELETE /v1/jobs/{job}`: cancels, or with `remove=true` forgets a job that is over.
pub(crate) async fn cancel(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["remove"])?;
    let job = job_of(&request)?;
    let remove = query.flag("remove")?;
    let view = if remove {
        let answer = gateway.leader.ask(GatewayRequest::Remove { job }).await?;
        view_of(&gateway, job, answer).await?
    } else {
        ask_to_cancel(&gateway, job).await?
    };
    if remove {
        gateway.recent.remove(job);
        gateway.graphs.remove(job);
    }
    let status = if view.state.is_terminal() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    Ok(reply(&request, status, &view))
}

/// Asks the leader to cancel a job: again while the job is still on its way to it.
async fn ask_to_cancel(gateway: &Context, job: JobId) -> Result<JobView, ApiError> {
    for _ in 0..MOST_ASKS {
        match gateway.leader.ask(GatewayRequest::Cancel { job }).await {
            Ok(answer) => return view_of(gateway, job, answer).await,
            Err(ApiError::Request(RequestError::UnknownJob(_))) => {}
            Err(error) => return Err(error),
        }
        match gateway.meta(job).await? {
            // The leader forgets jobs that are over; their records stay.
            Some(meta) if meta.state.is_terminal() => return Ok(JobView::from(&meta)),
            None if gateway.recent.get(job).is_none() => return Err(RequestError::UnknownJob(job).into()),
            _ => tokio::time::sleep(BETWEEN_ASKS).await,
        }
    }
    Err(ApiError::NotTakenYet(job))
}

async fn view_of(gateway: &Context, job: JobId, answer: Response) -> Result<JobView, ApiError> {
    match answer {
        Response::Job(answer) => Ok(JobView::of_answer(&answer)),
        _ => gateway.job_view(job).await,
    }
}
