//! How the spill thread is woken, and what it is told.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::SpillError;
use crate::ledger::Charge;

/// Shared by everybody who frees memory or disk, or needs some.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    state: Mutex<State>,
    wake: Condvar,
    /// The spill thread found nothing that it could spill: tell it when something is unpinned.
    starved: AtomicBool,
    /// Memory was last told to be short: tell the spill thread when it may no longer be.
    alert: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    kicked: bool,
    closed: bool,
    unlink: Vec<(PathBuf, Charge)>,
    failure: Option<SpillError>,
}

/// What the spill thread was woken for.
pub(crate) struct Woken {
    pub(crate) closed: bool,
    pub(crate) unlink: Vec<(PathBuf, Charge)>,
}

impl Pressure {
    /// Something changed that the spill thread should look at.
    pub(crate) fn kick(&self) {
        self.state.lock().kicked = true;
        self.wake.notify_one();
    }

    /// An object was unpinned, and perhaps let go.
    pub(crate) fn unpinned(&self) {
        if self.starved.load(Ordering::SeqCst) || self.alert.load(Ordering::SeqCst) {
            self.kick();
        }
    }

    pub(crate) fn set_starved(&self, starved: bool) {
        self.starved.store(starved, Ordering::SeqCst);
    }

    pub(crate) fn set_alert(&self, alert: bool) {
        self.alert.store(alert, Ordering::SeqCst);
    }

    /// Nobody reads this file any more. Room on disk also ends a failure.
    pub(crate) fn unlink(&self, path: PathBuf, charge: Charge) {
        let mut state = self.state.lock();
        state.unlink.push((path, charge));
        state.failure = None;
        state.kicked = true;
        drop(state);
        self.wake.notify_one();
    }

    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_one();
    }

    pub(crate) fn failure(&self) -> Option<SpillError> {
        self.state.lock().failure.clone()
    }

    /// Notes why spilling fails; returns whether that is news.
    pub(crate) fn set_failure(&self, failure: Option<SpillError>) -> bool {
        let mut state = self.state.lock();
        let news = match (&state.failure, &failure) {
            (None, Some(_)) => true,
            (Some(old), Some(new)) => std::mem::discriminant(old) != std::mem::discriminant(new),
            (_, None) => false,
        };
        state.failure = failure;
        news
    }

    /// Waits for a kick, or at most `patience`.
    pub(crate) fn wait(&self, patience: Option<Duration>) -> Woken {
        let mut state = self.state.lock();
        if !state.kicked && !state.closed {
            match patience {
                Some(patience) => {
                    self.wake.wait_for(&mut state, patience);
                }
                None => self.wake.wait(&mut state),
            }
        }
        state.kicked = false;
        Woken {
            closed: state.closed,
            unlink: std::mem::take(&mut state.unlink),
        }
    }
}
