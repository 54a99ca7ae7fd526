//! Exit codes.

use millstream::Error;

pub(crate) const OK: u8 = 0;
pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const UNREACHABLE: u8 = 3;
pub(crate) const INTERRUPTED: u8 = 130;

/// The user stopped the command.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// A signal ended the command in good order.
#[derive(Debug, thiserror::Error)]
#[error("ended by signal {0}")]
pub(crate) struct Signalled(pub(crate) i32);

/// Something was found to be wrong that is no wrong usage: a simulation, a check.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failed(pub(crate) String);

/// The exit code that tells this error.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<Interrupted>() {
        return INTERRUPTED;
    }
    if let Some(Signalled(number)) = error.downcast_ref() {
        // As shells tell it.
        return u8::try_from(128 + number).unwrap_or(INTERRUPTED);
    }
    if error.is::<Failed>() {
        return FAILED;
    }
    match error.downcast_ref::<Error>() {
        Some(Error::JobFailed { .. }) => FAILED,
        Some(Error::Refused(problem)) if problem.task_error.is_some() => FAILED,
        Some(Error::Unreachable { .. } | Error::BadAnswer { .. }) => UNREACHABLE,
        Some(Error::Refused(problem)) if matches!(problem.status, 502..=504) => UNREACHABLE,
        _ => USAGE,
    }
}
