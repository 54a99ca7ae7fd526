//! `/v1/queues`: items in order.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use millstream_state::{MAX_PAGE_ITEMS, Push, SharedKind};
use rmpv::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{name_of, pack, read_body, unpack, wait_of};
use crate::context::Context;
use crate::error::ApiError;
use crate::reply::ok;
use crate::routes::params::Query;

/// Items of a look, unless asked otherwise and at most: each may be large.
const LOOK: usize = 20;
const MAX_LOOK: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PushRequest {
    items: Vec<Value>,
    /// Names the request, so that a repeat is recognised.
    id: Option<Uuid>,
    limit: Option<usize>,
    #[serde(default)]
    drop_oldest: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeRequest {
    /// Names the request, so that a repeat is recognised.
    id: Option<Uuid>,
    #[serde(default = "one")]
    count: usize,
}

const fn one() -> usize {
    1
}

#[derive(Debug, Serialize)]
struct Length {
    length: usize,
}

#[derive(Debug, Serialize)]
struct Taken {
    items: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct QueueView {
    name: String,
    length: usize,
    items: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct QueuesPage {
    queues: Vec<String>,
}

/// `GET /v1/queues`
pub(crate) async fn list(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["prefix"])?;
    let prefix = query.text("prefix").unwrap_or_default();
    let queues = gateway.state.shared_names(SharedKind::Queue, prefix).await?;
    Ok(ok(&request, &QueuesPage { queues }))
}

/// `GET /v1/queues/{name}`: looks at items without taking them.
pub(crate) async fn show(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["from", "limit"])?;
    let name = name_of(&request)?;
    let from: u32 = query.parse("from", "number")?.unwrap_or(0);
    let limit: usize = query.parse("limit", "number")?.unwrap_or(LOOK);
    let page = gateway
        .state
        .queue(&name, from as usize, limit.min(MAX_LOOK))
        .await?;
    let items = values(&request, &page.items)?;
    let view = QueueView {
        name,
        length: page.length,
        items,
    };
    Ok(ok(&request, &view))
}

/// `POST /v1/queues/{name}`: adds items, all or nothing.
pub(crate) async fn push(
    request: HttpRequest,
    gateway: web::Data<Context>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["wait"])?;
    let name = name_of(&request)?;
    let body: PushRequest = read_body(&request, payload, &gateway).await?;
    let (wait, _permit) = wait_of(&query, &gateway)?;
    let push = Push {
        id: body.id.unwrap_or_else(Uuid::new_v4).to_string(),
        items: body.items.iter().map(pack).collect(),
        limit: body.limit,
        drop_oldest: body.drop_oldest,
    };
    let length = gateway.state.push(&name, &push, wait).await?;
    Ok(ok(&request, &Length { length }))
}

/// `POST /v1/queues/{name}/take`: takes the oldest items; none if none came in time.
pub(crate) async fn take(
    request: HttpRequest,
    gateway: web::Data<Context>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["wait"])?;
    let name = name_of(&request)?;
    let body: TakeRequest = read_body(&request, payload, &gateway).await?;
    let (wait, _permit) = wait_of(&query, &gateway)?;
    let id = body.id.unwrap_or_else(Uuid::new_v4).to_string();
    let count = body.count.clamp(1, MAX_PAGE_ITEMS);
    let items = gateway.state.take(&name, &id, count, wait).await?;
    let items = values(&request, &items)?;
    Ok(ok(&request, &Taken { items }))
}

/// `DELETE /v1/queues/{name}`
pub(crate) async fn remove(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    gateway.state.remove_queue(&name_of(&request)?).await?;
    Ok(HttpResponse::build(StatusCode::NO_CONTENT).finish())
}

fn values(request: &HttpRequest, items: &[bytes::Bytes]) -> Result<Vec<Value>, ApiError> {
    items.iter().map(|item| unpack(request, item)).collect()
}
