//! The thread that spills: one per store, so that writing never holds up a task.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::file::{Disk, SpillFile, WriteError};
use super::folder::SpillFolder;
use crate::pinned::Resident;
use crate::store::{Shared, StoreEvent};
use crate::table::{Key, Victim};

/// Wait after a failed write: others may free the disk, and nobody tells us.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Spills whenever more is stored than should be, until the store is closed.
pub(crate) fn run(shared: &Shared) {
    let mut retry_at: Option<Instant> = None;
    loop {
        let patience = retry_at.map(|at| at.saturating_duration_since(Instant::now()));
        let woken = shared.pressure.wait(patience);
        if woken.closed {
            return;
        }
        if !woken.unlink.is_empty() {
            retry_at = None;
        }
        for (path, charge) in woken.unlink {
            if let Err(error) = fs::remove_file(&path) {
                debug!(path = %path.display(), %error, "spill file not removed");
            }
            drop(charge);
        }
        if retry_at.is_none_or(|at| at <= Instant::now()) {
            retry_at = relieve(shared).err().map(|Failed| Instant::now() + RETRY_AFTER);
        }
        shared.publish_level();
    }
}

struct Failed;

/// Frees memory until little enough is stored or nothing more can be spilled.
fn relieve(shared: &Shared) -> Result<(), Failed> {
    let Some(folder) = &shared.folder else {
        return Ok(());
    };
    shared.pressure.set_starved(false);
    while shared.is_over_goal() {
        // Set before looking: an unpin after the look then kicks us again.
        shared.pressure.set_starved(true);
        let victim = shared.table.lock().victim();
        match victim {
            None => return Ok(()),
            Some(Victim::Evicted) => {}
            Some(Victim::Write(key, resident)) => spill(shared, folder, key, &resident)?,
        }
        shared.publish_level();
    }
    shared.pressure.set_starved(false);
    Ok(())
}

fn spill(shared: &Shared, folder: &SpillFolder, key: Key, resident: &Arc<Resident>) -> Result<(), Failed> {
    let disk = Disk {
        ledger: &shared.ledger,
        pressure: &shared.pressure,
        folder: folder.path(),
        quota: shared.quota(),
    };
    let began = Instant::now();
    match SpillFile::write(resident.object(), folder.new_file(key), &disk) {
        Ok(file) => {
            shared.moved(key, false, file.object_bytes(), began);
            shared.table.lock().written(key, resident, file);
            shared.pressure.set_failure(None);
            Ok(())
        }
        Err(WriteError::Encode(error)) => {
            warn!(object = %key.object, %error, "an object cannot be encoded and stays in memory");
            shared.table.lock().not_written(key, resident, false);
            Ok(())
        }
        Err(WriteError::Spill(error)) => {
            let mut table = shared.table.lock();
            table.not_written(key, resident, true);
            let spare = table.drop_spare_files();
            drop(table);
            if !spare && shared.pressure.set_failure(Some(error.clone())) {
                warn!(%error, "cannot spill");
                shared.tell(StoreEvent::SpillFailed(error));
            }
            Err(Failed)
        }
    }
}
