//! The two traits through which every process talks to the others.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::counters::BusCounters;
use crate::error::BusError;
use crate::names::{Address, Names, QueueName};
use crate::queue::{Consumer, QueueSpec};
use crate::returns::Returns;

/// Largest frame in bytes: a batch of 1 MiB and its envelope.
pub const MAX_FRAME: usize = (1 << 20) + (16 << 10);

/// A broker that links can be opened to. Usable from any async executor, single-threaded ones included.
#[async_trait]
pub trait Bus: Send + Sync {
    /// The names of the cluster that this bus serves.
    fn names(&self) -> &Names;

    /// What this bus has counted over all its links.
    fn counters(&self) -> &BusCounters;

    /// Opens a link, trying for ever: pauses grow from 0.1 s to 1 s with jitter. A failure is logged when it
    /// differs from the one before, not at each attempt. `who` names the connection for operators.
    async fn connect(&self, who: &str) -> Arc<dyn Link>;
}

/// One connection epoch. Dropping the last handle closes it.
#[async_trait]
pub trait Link: Send + Sync {
    /// Creates the queue if it is not a shared one and starts to receive from it.
    ///
    /// # Errors
    /// [`BusError::QueueTaken`] if an exclusive queue of this name exists, or why the link ended.
    async fn consume(&self, queue: QueueSpec) -> Result<Consumer, BusError>;

    /// Sends a frame, in the order of calls on this link. Waits only while the link's window is full, and says
    /// nothing about arrival.
    ///
    /// # Errors
    /// [`BusError::FrameTooLarge`], or why the link ended.
    async fn publish(&self, to: &Address, frame: Bytes) -> Result<(), BusError>;

    /// Sends a frame and waits until the broker holds it; on a durable queue it then survives the broker's
    /// restart. Not ordered against [`Link::publish`].
    ///
    /// # Errors
    /// [`BusError::Unroutable`] without such a queue, [`BusError::Refused`] if it is full,
    /// [`BusError::NotConfirmable`] if `to` is no queue, [`BusError::FrameTooLarge`], or why the link ended: then
    /// the frame may or may not have arrived.
    async fn publish_confirmed(&self, to: &Address, frame: Bytes) -> Result<(), BusError>;

    /// Puts a frame that nobody can decode aside for an operator, with where it came from and why, and counts it.
    ///
    /// # Errors
    /// As [`Link::publish`].
    async fn dead_letter(&self, from: &QueueName, frame: Bytes, reason: &str) -> Result<(), BusError>;

    /// The addresses of frames that found no queue, from now on.
    fn returns(&self) -> Returns;

    /// Waits until the link ends and says why.
    async fn wait_closed(&self) -> BusError;

    /// Why the link ended, if it has.
    fn closed(&self) -> Option<BusError>;

    /// Ends the link in good order: what was published before is sent.
    async fn close(&self);
}

/// Refuses a frame that no peer would take.
pub(crate) fn check_size(frame: &Bytes) -> Result<(), BusError> {
    if frame.len() > MAX_FRAME {
        return Err(BusError::FrameTooLarge {
            bytes: frame.len(),
            max: MAX_FRAME,
        });
    }
    Ok(())
}
