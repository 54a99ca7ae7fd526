//! The end of a link: set once, seen by everybody who waits on the link.

use tokio::sync::watch;

use crate::error::BusError;

/// Why a link ended, or nothing while it is open. The first reason stays.
#[derive(Debug)]
pub(crate) struct Closed(watch::Sender<Option<BusError>>);

impl Closed {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Ends the link. Returns whether this call did it.
    pub(crate) fn set(&self, reason: BusError) -> bool {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason);
            }
            first
        })
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) fn reason(&self) -> Option<BusError> {
        self.0.borrow().clone()
    }

    /// An error when the link has ended.
    pub(crate) fn check(&self) -> Result<(), BusError> {
        self.reason().map_or(Ok(()), Err)
    }

    pub(crate) async fn wait(&self) -> BusError {
        let mut changes = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot fail; were it to, the link would be gone all the same.
        match changes.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(BusError::Closed),
            Err(_) => BusError::Closed,
        }
    }
}
