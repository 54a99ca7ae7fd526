//! `/v1/semaphores`: who may go on, in the order of arrival.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use millstream_protocol::api::Span;
use millstream_state::Entry;
use serde::{Deserialize, Serialize};

use super::{check_name, name_of, read_body, wait_of};
use crate::context::Context;
use crate::error::ApiError;
use crate::reply::ok;
use crate::routes::params::{Query, path_part};

/// How long a place lasts without being renewed, unless its holder says otherwise.
const TTL: Duration = Duration::from_secs(30);
/// Below this, places would lapse between two looks of a request that waits.
const MIN_TTL: Duration = Duration::from_secs(3);
/// A holder that is dead must not hold for ever.
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnterRequest {
    #[serde(default = "one")]
    limit: usize,
    ttl: Option<Span>,
}

const fn one() -> usize {
    1
}

#[derive(Debug, Serialize)]
struct TicketView {
    held: bool,
    ahead: usize,
}

#[derive(Debug, Serialize)]
struct SemaphoreView {
    name: String,
    held: usize,
    waiting: usize,
}

/// `GET /v1/semaphores/{name}`
pub(crate) async fn show(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let name = name_of(&request)?;
    let view = gateway.state.semaphore(&name).await?;
    let view = SemaphoreView {
        name,
        held: view.held,
        waiting: view.tickets - view.held,
    };
    Ok(ok(&request, &view))
}

/// `PUT /v1/semaphores/{name}/{ticket}`: joins the line, or renews a place in it.
pub(crate) async fn enter(
    request: HttpRequest,
    gateway: web::Data<Context>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["wait"])?;
    let name = name_of(&request)?;
    let ticket = ticket_of(&request)?;
    let body: EnterRequest = read_body(&request, payload, &gateway).await?;
    let (wait, _permit) = wait_of(&query, &gateway)?;
    let entry = Entry {
        ticket,
        limit: body.limit.max(1),
        ttl: body.ttl.map_or(TTL, |span| span.0).clamp(MIN_TTL, MAX_TTL),
    };
    let ahead = gateway.state.enter(&name, &entry, wait).await?;
    let held = ahead == 0;
    Ok(ok(&request, &TicketView { held, ahead }))
}

/// `DELETE /v1/semaphores/{name}/{ticket}`: gives the place up, if there is one.
pub(crate) async fn leave(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let name = name_of(&request)?;
    gateway.state.leave(&name, &ticket_of(&request)?).await?;
    Ok(HttpResponse::build(StatusCode::NO_CONTENT).finish())
}

fn ticket_of(request: &HttpRequest) -> Result<String, ApiError> {
    check_name("ticket", path_part(request, "ticket"))
}
