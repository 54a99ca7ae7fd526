//! Which threads of the process belong to a pool, so that what they use can be told from what others use.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The threads of a pool, by the kernel's numbers. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Threads(pub(crate) Arc<Mutex<BTreeSet<u32>>>);

impl Threads {
    /// Adds the calling thread. Where the system does not tell its number, it is not counted.
    pub fn join(&self) {
        if let Some(thread) = this_thread() {
            self.lock().insert(thread);
        }
    }

    /// Removes the calling thread, which ends.
    pub fn leave(&self) {
        if let Some(thread) = this_thread() {
            self.lock().remove(&thread);
        }
    }

    /// Those that joined and have not left.
    pub fn numbers(&self) -> Vec<u32> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the calling thread: the end of a link such as `217/task/219`.
fn this_thread() -> Option<u32> {
    let link = fs::read_link("/proc/thread-self").ok()?;
    link.file_name()?.to_str()?.parse().ok()
}
