//! What clients and tasks coordinate with: `/v1/cells`, `/v1/queues` and `/v1/semaphores`.

pub(crate) mod cells;
pub(crate) mod queues;
pub(crate) mod semaphores;

use std::time::Duration;

use actix_web::{HttpRequest, web};
use bytes::Bytes;
use millstream_protocol::codec;
use millstream_types::ByteSize;
use rmpv::Value;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use super::params::{Query, path_part};
use crate::body::{self, BodyFormat};
use crate::context::{Context, read_record};
use crate::error::ApiError;
use crate::reply::wants_msgpack;
use crate::values::plain;

/// Longest name, ticket or request id, in bytes.
const MAX_NAME: usize = 300;

/// Largest body: as many items as one request may bring are smaller than this, or are brought by several.
const MAX_BODY: ByteSize = ByteSize::from_mib(2);

fn name_of(request: &HttpRequest) -> Result<String, ApiError> {
    check_name("name", path_part(request, "name"))
}

fn check_name(name: &'static str, value: String) -> Result<String, ApiError> {
    if value.is_empty() || value.len() > MAX_NAME || value.chars().any(char::is_control) {
        return Err(ApiError::BadParameter {
            name,
            value: value.chars().take(100).collect(),
            expected: "name: expected 1 to 300 bytes without control characters",
        });
    }
    Ok(value)
}

async fn read_body<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
    gateway: &Context,
) -> Result<T, ApiError> {
    let format = BodyFormat::of(request)?;
    let body = body::read(request, payload, MAX_BODY, gateway.settings.request_timeout).await?;
    body::decode(format, &body)
}

/// How long to wait, and the right to: requests that wait must leave room for those that do not.
fn wait_of(query: &Query, gateway: &Context) -> Result<(Duration, Option<OwnedSemaphorePermit>), ApiError> {
    let Some(wait) = query.wait(gateway.settings.max_wait)? else {
        return Ok((Duration::ZERO, None));
    };
    let permit = gateway.waits.clone().try_acquire_owned();
    permit
        .map(|permit| (wait, Some(permit)))
        .map_err(|_| ApiError::TooManyWaits)
}

/// A value as it is stored.
fn pack(value: &Value) -> Bytes {
    // Whatever could be decoded can be encoded.
    Bytes::from(codec::encode(value).unwrap_or_default())
}

/// A stored value as the client reads it.
fn unpack(request: &HttpRequest, stored: &[u8]) -> Result<Value, ApiError> {
    let value: Value = read_record("a shared value", stored)?;
    Ok(if wants_msgpack(request) {
        value
    } else {
        plain(value)
    })
}
