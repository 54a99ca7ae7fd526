//! What Redis and its client report, as this crate's errors.

use ::redis::{ErrorKind, RedisError};

use crate::StateError;

/// Translates an error of the server at `endpoint`.
pub(super) fn translate(endpoint: &str, error: &RedisError) -> StateError {
    let endpoint = endpoint.to_owned();
    let reason = error.to_string();
    if is_transport(error) {
        return StateError::Unreachable { endpoint, reason };
    }
    match error.code().unwrap_or_default() {
        // The server is there but cannot answer yet.
        "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN" => {
            StateError::Unreachable { endpoint, reason }
        }
        "READONLY" | "MISCONF" | "NOREPLICAS" => StateError::ReadOnly { endpoint, reason },
        "OOM" => StateError::OutOfMemory { endpoint },
        "NOAUTH" | "WRONGPASS" | "NOPERM" => StateError::Denied { endpoint, reason },
        _ if error.kind() == ErrorKind::AuthenticationFailed => StateError::Denied { endpoint, reason },
        "" => StateError::Refused {
            endpoint,
            code: "PROTOCOL".to_owned(),
            detail: reason,
        },
        code => StateError::Refused {
            endpoint,
            code: code.to_owned(),
            detail: error.detail().unwrap_or_default().to_owned(),
        },
    }
}

/// Whether the connection, not the server, failed.
pub(super) fn is_transport(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
}
