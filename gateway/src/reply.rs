//! Answers in the encoding the client accepts.

use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse};
use millstream_protocol::api::MSGPACK_CONTENT_TYPE;
use serde::Serialize;

/// Whether the client asks for MessagePack.
pub(crate) fn wants_msgpack(request: &HttpRequest) -> bool {
    accepts(request).any(|essence| essence == MSGPACK_CONTENT_TYPE || essence == "application/msgpack")
}

/// The content types of the `Accept` header, best first as far as their order tells, without parameters.
pub(crate) fn accepts(request: &HttpRequest) -> impl Iterator<Item = String> {
    let header = request.headers().get(ACCEPT);
    let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(',')
        .map(|item| {
            item.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        })
        .filter(|essence| !essence.is_empty())
        .collect::<Vec<_>>()
        .into_iter()
}

/// Writes `body` as JSON or MessagePack.
pub(crate) fn reply<T: Serialize>(request: &HttpRequest, status: StatusCode, body: &T) -> HttpResponse {
    if wants_msgpack(request)
        && let Ok(encoded) = millstream_protocol::codec::encode_named(body)
    {
        return HttpResponse::build(status)
            .content_type(MSGPACK_CONTENT_TYPE)
            .body(encoded);
    }
    HttpResponse::build(status).json(body)
}

/// [`reply`] with status 200.
pub(crate) fn ok<T: Serialize>(request: &HttpRequest, body: &T) -> HttpResponse {
    reply(request, StatusCode::OK, body)
}
