//! What is wrong with a tree, and where.

use datafusion::error::DataFusionError;

use crate::error::FrameError;

/// Something wrong at a place that the caller adds.
pub(super) fn invalid(message: String) -> FrameError {
    invalid_at(String::new(), message)
}

pub(super) fn invalid_at(place: String, message: String) -> FrameError {
    FrameError::InvalidTree { place, message }
}

/// What the engine's planner says about a part of a tree.
pub(super) fn from_planner(error: &DataFusionError) -> FrameError {
    match crate::sql::explain(error) {
        FrameError::InvalidQuery { message, .. } => invalid(message),
        other => other,
    }
}

/// The error with its place, unless it has one or needs none.
pub(super) fn located(error: FrameError, place: impl FnOnce() -> String) -> FrameError {
    match error {
        FrameError::InvalidTree {
            place: inner,
            message,
        } if inner.is_empty() => invalid_at(place(), message),
        other => other,
    }
}
