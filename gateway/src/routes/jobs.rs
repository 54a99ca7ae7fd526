//! `/v1/jobs`.

use std::sync::Arc;

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
    let asked = if remove {
        GatewayRequest::Remove { job }
    } else {
        GatewayRequest::Cancel { job }
    };
    let view = match gateway.leader.ask(asked).await {
        Ok(Response::Job(answer)) => JobView::of_answer(&answer),
        Ok(_) => gateway.job_view(job).await?,
        // The leader forgets jobs that are over; their records stay.
        Err(ApiError::Request(RequestError::UnknownJob(_))) if !remove => match gateway.meta(job).await? {
            Some(meta) => JobView::from(&meta),
            None => return Err(RequestError::UnknownJob(job).into()),
        },
        Err(error) => return Err(error),
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
