//! `/v1/cells`: values with versions.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use millstream_protocol::api::Span;
use millstream_state::{Expected, SharedKind};
use rmpv::Value;
use serde::{Deserialize, Serialize};

use super::{name_of, pack, read_body, unpack, wait_of};
use crate::context::Context;
use crate::error::ApiError;
use crate::reply::ok;
use crate::routes::params::Query;

/// How long a cell stays after it was written, unless its writer says otherwise, and at most.
const TTL: Duration = Duration::from_secs(7 * 24 * 3600);
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CellRequest {
    value: Value,
    ttl: Option<Span>,
}

#[derive(Debug, Serialize)]
struct CellView {
    name: String,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

#[derive(Debug, Serialize)]
struct RemovedView {
    removed: bool,
}

#[derive(Debug, Serialize)]
struct CellsPage {
    cells: Vec<String>,
}

/// `GET /v1/cells`
pub(crate) async fn list(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["prefix"])?;
    let prefix = query.text("prefix").unwrap_or_default();
    let mut cells = gateway.state.shared_names(SharedKind::Cell, prefix).await?;
    // Those of the gateway itself have names that no user can write.
    cells.retain(|name| !name.chars().any(char::is_control));
    Ok(ok(&request, &CellsPage { cells }))
}

/// `GET /v1/cells/{name}`: 204 if there is no such cell when the wait is over, 304 if it still has the version `after`.
pub(crate) async fn show(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["after", "wait"])?;
    let name = name_of(&request)?;
    let after = query.parse("after", "version: expected a number")?;
    let (wait, _permit) = wait_of(&query, &gateway)?;
    let cell = gateway.state.cell(&name, after, wait).await?;
    let Some(cell) = cell else {
        return Ok(HttpResponse::build(StatusCode::NO_CONTENT).finish());
    };
    if after == Some(cell.version) {
        return Ok(tagged(
            HttpResponse::build(StatusCode::NOT_MODIFIED).finish(),
            cell.version,
        ));
    }
    let view = CellView {
        name,
        version: cell.version,
        value: Some(unpack(&request, &cell.value)?),
    };
    Ok(tagged(ok(&request, &view), cell.version))
}

/// `PUT /v1/cells/{name}`
pub(crate) async fn put(
    request: HttpRequest,
    gateway: web::Data<Context>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let name = name_of(&request)?;
    let expected = expected_by(&request)?;
    let body: CellRequest = read_body(&request, payload, &gateway).await?;
    let ttl = body.ttl.map_or(TTL, |span| span.0);
    // A time to live of nothing would be refused by the store.
    let ttl = ttl.clamp(Duration::from_millis(1), MAX_TTL);
    let version = gateway
        .state
        .put_cell(&name, pack(&body.value), expected, ttl)
        .await?;
    let view = CellView {
        name,
        version,
        value: None,
    };
    Ok(tagged(ok(&request, &view), version))
}

/// `DELETE /v1/cells/{name}`
pub(crate) async fn remove(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let name = name_of(&request)?;
    let expected = expected_by(&request)?;
    let removed = gateway.state.remove_cell(&name, expected).await?;
    Ok(ok(&request, &RemovedView { removed }))
}

/// What `If-Match: "VERSION"` and `If-None-Match: *` ask for.
fn expected_by(request: &HttpRequest) -> Result<Expected, ApiError> {
    let header = |name: HeaderName| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap_or_default().trim().to_owned())
    };
    let bad = |name, value, expected| ApiError::BadParameter {
        name,
        value,
        expected,
    };
    if let Some(tag) = header(IF_MATCH) {
        let version = tag.trim_matches('"').parse();
        return version
            .map(Expected::Version)
            .map_err(|_| bad("If-Match", tag, "version: expected the ETag of an answer"));
    }
    match header(IF_NONE_MATCH) {
        None => Ok(Expected::Any),
        Some(tag) if tag == "*" => Ok(Expected::Absent),
        Some(tag) => Err(bad("If-None-Match", tag, "condition here: expected `*`")),
    }
}

fn tagged(mut response: HttpResponse, version: u64) -> HttpResponse {
    if let Ok(tag) = format!("\"{version}\"").parse() {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
