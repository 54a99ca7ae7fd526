//! Results as JSON: what a stored value means, and how bytes that JSON cannot hold are written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_protocol::api::{MSGPACK_CONTENT_TYPE, PICKLE_CONTENT_TYPE, ResultFormat, SqlRequest};
use millstream_protocol::codec;
use millstream_protocol::graph::{Graph, OpKind};
use millstream_types::TaskIdx;
use rmpv::Value;

/// What the bytes of a result are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    /// One MessagePack value: what a native function returned.
    Value,
    /// Whatever a command wrote.
    Raw,
    /// A pickled Python value.
    Pickle,
    /// Rows in a format.
    Rows(ResultFormat),
}

impl ValueKind {
    /// What the task's operation makes.
    pub(crate) fn of(graph: &Graph, task: TaskIdx) -> Self {
        match graph.op_of(task) {
            Some(op) if op.kind == OpKind::Frame => {
                let request = codec::decode::<SqlRequest>(&op.params).ok();
                Self::Rows(
                    request
                        .and_then(|request| request.options.format)
                        .unwrap_or_default(),
                )
            }
            Some(op) if op.kind == OpKind::Command => Self::Raw,
            Some(op) if op.kind == OpKind::Python => Self::Pickle,
            _ => Self::Value,
        }
    }

    /// The content type of the stored bytes.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Value => MSGPACK_CONTENT_TYPE,
            Self::Raw => "application/octet-stream",
            Self::Pickle => PICKLE_CONTENT_TYPE,
            Self::Rows(format) => format.content_type(),
        }
    }

    /// The value of stored bytes.
    pub(crate) fn decode(self, bytes: &[u8]) -> Value {
        let text_or_bytes = || match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(bytes),
        };
        match self {
            Self::Value => codec::decode::<Value>(bytes).unwrap_or_else(|_| Value::from(bytes)),
            Self::Raw => text_or_bytes(),
            // Only Python reads it.
            Self::Pickle => Value::from(bytes),
            Self::Rows(ResultFormat::Json) => {
                serde_json::from_slice(bytes).unwrap_or_else(|_| text_or_bytes())
            }
            Self::Rows(_) => text_or_bytes(),
        }
    }
}

/// The value with everything replaced that JSON cannot hold: bytes by `{"base64": …}`, keys by their text, numbers
/// that are none by their names.
pub(crate) fn plain(value: Value) -> Value {
    match value {
        Value::Binary(bytes) => base64_map(&bytes),
        Value::Ext(_, bytes) => base64_map(&bytes),
        Value::String(text) if !text.is_str() => base64_map(text.as_bytes()),
        Value::F32(number) if !number.is_finite() => Value::from(number.to_string()),
        Value::F64(number) if !number.is_finite() => Value::from(number.to_string()),
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| (plain_key(key), plain(value)))
                .collect(),
        ),
        other => other,
    }
}

fn plain_key(key: Value) -> Value {
    match key {
        Value::String(text) if text.is_str() => Value::String(text),
        other => Value::from(other.to_string()),
    }
}

fn base64_map(bytes: &[u8]) -> Value {
    Value::Map(vec![(Value::from("base64"), Value::from(STANDARD.encode(bytes)))])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_json_form() {
        let value = Value::Map(vec![
            (Value::from(1), Value::from(f64::NAN)),
            (Value::from("b"), Value::Binary(vec![0xff, 0])),
            (Value::from(vec![Value::Nil]), Value::Ext(3, vec![1])),
        ]);
        let text = serde_json::to_string(&plain(value)).unwrap();
        assert_eq!(
            text,
            r#"{"1":"NaN","b":{"base64":"/wA="},"[nil]":{"base64":"AQ=="}}"#
        );
    }

    #[test]
    fn a_commands_text_is_a_text() {
        assert_eq!(ValueKind::Raw.decode(b"hi\n"), Value::from("hi\n"));
        assert_eq!(ValueKind::Raw.decode(&[0xff]), Value::from(&[0xff_u8][..]));
        assert_eq!(ValueKind::Value.decode(&[0x2a]), Value::from(42));
    }
}
