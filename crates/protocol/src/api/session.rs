//! Sessions of clients.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Span;

/// A client's session: jobs attached to it are cancelled, and their results let go, when it ends or is not renewed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id, made by the client.
    pub id: Uuid,
    /// How long it lasts from now; renewing it in a sixth of that time leaves room for failures.
    pub ttl: Span,
}
