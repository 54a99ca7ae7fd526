//! Frames that found no queue, told to whoever listens on the link.

use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::names::Address;

/// Returned addresses kept for a slow listener. A listener acts on the fact, not on each frame, so losing some of
/// many does no harm.
const BACKLOG: usize = 256;

/// Addresses of frames that found no queue.
#[derive(Debug)]
pub struct Returns(broadcast::Receiver<Address>);

impl Returns {
    /// The next such address; nothing once the link has ended. A slow reader misses the oldest of many.
    pub async fn next(&mut self) -> Option<Address> {
        loop {
            match self.0.recv().await {
                Ok(address) => return Some(address),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// The link's end of [`Returns`].
#[derive(Debug)]
pub(crate) struct ReturnsSender(Mutex<Option<broadcast::Sender<Address>>>);

impl ReturnsSender {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(broadcast::Sender::new(BACKLOG))))
    }

    pub(crate) fn subscribe(&self) -> Returns {
        // On an ended link the receiver's own sender is dropped here, so it ends at once.
        let receiver = self
            .0
            .lock()
            .as_ref()
            .map_or_else(|| broadcast::Sender::new(1).subscribe(), |s| s.subscribe());
        Returns(receiver)
    }

    pub(crate) fn send(&self, address: Address) {
        if let Some(sender) = self.0.lock().as_ref() {
            // Nobody listening is no failure.
            let _ = sender.send(address);
        }
    }

    pub(crate) fn close(&self) {
        self.0.lock().take();
    }
}
