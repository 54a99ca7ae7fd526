//! What both ends of the data plane agree on.

use millstream_types::{Attempt, ObjectId};
use serde::{Deserialize, Serialize};

/// An object, or one part of it, of exactly one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectRequest {
    /// The object.
    pub object: ObjectId,
    /// Its generation.
    pub attempt: Attempt,
    /// The part; all parts if none.
    pub part: Option<u32>,
}
