//! Bodies: reads them within size and time, decodes them, and says where they are wrong.

use std::time::Duration;

use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use millstream_protocol::api::{GRAPH_CONTENT_TYPE, MSGPACK_CONTENT_TYPE};
use millstream_types::ByteSize;
use rmp_serde::decode::Error as MsgpackError;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, BodyFault};
use crate::near::nearest;

/// Bytes of a body that is too large which are read all the same, so that its sender reads why.
const MAX_DISCARDED: u64 = 4 << 30;

/// Deepest nesting of a MessagePack body; JSON's own reader stops at 128 too.
const MAX_DEPTH: usize = 128;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    Json,
    Msgpack,
    /// A columnar graph, in MessagePack.
    Graph,
}

impl BodyFormat {
    /// Reads the content type.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let header = request.headers().get(CONTENT_TYPE);
        let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = text
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok(Self::Json),
            MSGPACK_CONTENT_TYPE | "application/msgpack" | "application/x-msgpack" => Ok(Self::Msgpack),
            GRAPH_CONTENT_TYPE => Ok(Self::Graph),
            _ => Err(ApiError::UnsupportedMedia(text.to_owned())),
        }
    }
}

/// Reads a body of at most `limit` bytes that arrives within `timeout`.
pub(crate) async fn read(
    request: &HttpRequest,
    mut payload: web::Payload,
    limit: ByteSize,
    timeout: Duration,
) -> Result<Bytes, ApiError> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit.as_u64()) {
        // A client that is cut off while it writes never reads the refusal.
        let _ = tokio::time::timeout(timeout, discard(payload)).await;
        return Err(ApiError::BodyTooLarge(limit));
    }
    let collect = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| ApiError::BodyBroken(error.to_string()))?;
            if ByteSize::of_len(body.len() + chunk.len()) > limit {
                return Err(ApiError::BodyTooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(timeout, collect)
        .await
        .map_err(|_| ApiError::BodyTimeout)?
}

/// Reads what nobody wants, within reason.
async fn discard(mut payload: web::Payload) {
    let mut left = MAX_DISCARDED;
    while let Some(Ok(chunk)) = payload.next().await {
        left = match left.checked_sub(chunk.len() as u64) {
            Some(left) => left,
            None => return,
        };
    }
}

/// Decodes a body.
pub(crate) fn decode<T: DeserializeOwned>(format: BodyFormat, body: &[u8]) -> Result<T, ApiError> {
    match format {
        BodyFormat::Json => decode_json(body),
        BodyFormat::Msgpack | BodyFormat::Graph => decode_msgpack(body),
    }
    .map_err(ApiError::Body)
}

fn decode_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyFault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(empty());
    }
    let mut decoder = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut decoder).map_err(|error| {
        let path = error.path().to_string();
        json_fault(&error.into_inner(), Some(path))
    })?;
    decoder.end().map_err(|error| json_fault(&error, None))?;
    Ok(value)
}

fn json_fault(error: &serde_json::Error, path: Option<String>) -> BodyFault {
    let text = error.to_string();
    // The position has fields of its own.
    let message = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message)
        .to_owned();
    BodyFault {
        suggestion: suggestion(&message),
        message,
        field: path.filter(|path| path != "."),
        position: Some((error.line(), error.column())),
        is_syntax: !error.is_data(),
    }
}

fn decode_msgpack<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyFault> {
    if body.is_empty() {
        return Err(empty());
    }
    let mut rest = body;
    let mut decoder = rmp_serde::Deserializer::new(&mut rest);
    decoder.set_max_depth(MAX_DEPTH);
    // Ids may be texts, as in JSON, or their 16 bytes.
    let mut decoder = decoder.with_human_readable();
    let value = serde_path_to_error::deserialize(&mut decoder).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let (message, is_syntax) = match &inner {
            MsgpackError::TypeMismatch(marker) => {
                (format!("not of the expected type: found {marker:?}"), false)
            }
            MsgpackError::OutOfRange => ("a number out of range".to_owned(), false),
            MsgpackError::Syntax(_) | MsgpackError::Uncategorized(_) => (inner.to_string(), false),
            _ => (inner.to_string(), true),
        };
        BodyFault {
            suggestion: suggestion(&message),
            is_syntax,
            message,
            field: Some(path).filter(|path| path != "."),
            position: None,
        }
    })?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(BodyFault {
            message: format!("{} bytes after its end", rest.len()),
            is_syntax: true,
            ..BodyFault::default()
        })
    }
}

fn empty() -> BodyFault {
    BodyFault {
        message: "it is empty".to_owned(),
        is_syntax: true,
        ..BodyFault::default()
    }
}

/// The known name nearest to the unknown one, from serde's words: "unknown field `a`, expected one of `b`, `c`".
fn suggestion(message: &str) -> Option<String> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    nearest(unknown, quoted)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use millstream_protocol::api::JobRequest;

    use super::*;

    fn fault(format: BodyFormat, body: &[u8]) -> BodyFault {
        match decode::<JobRequest>(format, body) {
            Err(ApiError::Body(fault)) => fault,
            other => panic!("expected a fault, got {other:?}"),
        }
    }

    #[test]
    fn malformed_json_names_line_and_column() {
        let fault = fault(BodyFormat::Json, b"{\"tasks\": [\n  {\"key\": }\n]}");
        assert!(fault.is_syntax);
        assert_eq!(fault.position, Some((2, 11)));
    }

    #[test]
    fn an_unknown_field_names_the_near_one() {
        let fault = fault(
            BodyFormat::Json,
            br#"{"tasks": [{"key": "a", "op": "command", "agrv": []}]}"#,
        );
        assert!(!fault.is_syntax);
        assert_eq!(fault.suggestion.as_deref(), Some("argv"));
        assert_eq!(fault.field.as_deref(), Some("tasks[0].agrv"));
    }

    #[test]
    fn a_wrong_type_names_its_field() {
        for format in [BodyFormat::Json, BodyFormat::Msgpack] {
            let value = serde_json::json!({"tasks": [{"key": "a", "op": "command", "retries": "many"}]});
            let body = match format {
                BodyFormat::Json => serde_json::to_vec(&value).unwrap(),
                _ => rmp_serde::to_vec(&value).unwrap(),
            };
            let fault = fault(format, &body);
            assert_eq!(
                fault.field.as_deref(),
                Some("tasks[0].retries"),
                "{}",
                fault.message
            );
            assert!(!fault.is_syntax, "{}", fault.message);
        }
    }

    #[test]
    fn truncated_and_trailing_bytes_are_faults() {
        let whole = rmp_serde::to_vec_named(&JobRequest::default()).unwrap();
        assert!(decode::<JobRequest>(BodyFormat::Msgpack, &whole).is_ok());
        assert!(fault(BodyFormat::Msgpack, &whole[..whole.len() - 1]).is_syntax);
        assert!(fault(BodyFormat::Msgpack, &[whole.as_slice(), &[0]].concat()).is_syntax);
        assert!(fault(BodyFormat::Json, b"{\"tasks\": []} x").is_syntax);
        assert!(fault(BodyFormat::Json, b" ").is_syntax);
    }
}
