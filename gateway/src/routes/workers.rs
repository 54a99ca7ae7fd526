//! `/v1/workers`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use millstream_protocol::api::{WorkerView, WorkersPage};
use millstream_protocol::wire::{GatewayRequest, Response};
use millstream_types::{ByteSize, WorkerId};

use serde::{Deserialize, Serialize};

use super::params::{Query, path_part};
use crate::body::{self, BodyFormat};
use crate::context::Context;
use crate::error::ApiError;
use crate::reply::{ok, reply};

/// Longest body of a request to start workers.
const MAX_BODY: ByteSize = ByteSize::new(4 << 10);

/// Most workers that one request starts.
const MOST_AT_ONCE: u32 = 256;

/// `GET /v1/workers`
pub(crate) async fn list(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let workers = gateway.workers().await?;
    Ok(ok(&request, &WorkersPage { workers }))
}

/// `GET /v1/workers/{worker}`
pub(crate) async fn show(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let worker = gateway.worker(&path_part(&request, "worker")).await?;
    Ok(ok(&request, &worker))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddRequest {
    count: u32,
}

#[derive(Debug, Serialize)]
struct Added {
    /// The names of the new workers.
    workers: Vec<String>,
}

/// `POST /v1/workers`: starts more, where this process can.
pub(crate) async fn add(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let format = BodyFormat::of(&request)?;
    let body = body::read(&request, payload, MAX_BODY, gateway.settings.request_timeout).await?;
    let AddRequest { count } = body::decode(format, &body)?;
    let fleet = gateway.fleet.clone().ok_or(ApiError::NoFleet)?;
    if count == 0 || count > MOST_AT_ONCE {
        return Err(ApiError::BadParameter {
            name: "count",
            value: count.to_string(),
            expected: "number of workers: expected 1 to 256",
        });
    }
    // Off this thread: each begins with folders and sockets.
    let added = web::block(move || fleet.add(count)).await;
    let workers = added
        .map_err(|error| ApiError::Fleet(error.to_string()))?
        .map_err(ApiError::Fleet)?;
    Ok(reply(&request, StatusCode::ACCEPTED, &Added { workers }))
}

/// `POST /v1/workers/{worker}/drain`
pub(crate) async fn drain(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let named = path_part(&request, "worker");
    let worker = gateway.worker(&named).await?.id;
    gateway.leader.ask(GatewayRequest::Drain { worker }).await?;
    let view = gateway.worker(&worker.to_string()).await?;
    Ok(reply(&request, StatusCode::ACCEPTED, &view))
}

impl Context {
    pub(crate) async fn workers(&self) -> Result<Vec<WorkerView>, ApiError> {
        let mut workers: Vec<WorkerView> = match self.leader.ask(GatewayRequest::Workers).await? {
            Response::Workers(workers) => workers.into_iter().map(WorkerView::from).collect(),
            _ => Vec::new(),
        };
        workers.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(workers)
    }

    /// The worker of an id, or of a name that only one has.
    async fn worker(&self, named: &str) -> Result<WorkerView, ApiError> {
        let workers = self.workers().await?;
        let by_id = named.parse::<WorkerId>().ok();
        let mut matching = workers
            .into_iter()
            .filter(|worker| by_id.map_or(worker.name == named, |id| worker.id == id));
        match (matching.next(), matching.next()) {
            (Some(worker), None) => Ok(worker),
            _ => Err(ApiError::UnknownWorker(named.to_owned())),
        }
    }
}
