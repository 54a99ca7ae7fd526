//! Writes what trails: behind the commits it belongs to, and never in the way of anything.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use millstream_scheduler_core::Identity;
use millstream_state::StateStore;
use millstream_telemetry::SchedulerMetrics;
use tokio::sync::{mpsc, watch};
use tracing::{debug, error};

use crate::journal::write_of_note;
use crate::leader::{LeaderActor, Notes, StateNews};
use crate::outbox::{JournalWatch, commit_until_taken, fence_of};

/// How often an idle journal is looked at, so that its loss is noticed without a write.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The task that writes notes.
pub(crate) struct NoteWriter {
    pub(crate) identity: Identity,
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) leader: Addr<LeaderActor>,
    pub(crate) committed: watch::Receiver<u64>,
    /// The number of the last notes that were written.
    pub(crate) noted: watch::Sender<u64>,
    pub(crate) journal: JournalWatch,
    pub(crate) metrics: SchedulerMetrics,
}

impl NoteWriter {
    /// Runs until the leader is gone or fenced.
    pub(crate) async fn run(mut self, mut notes: mpsc::Receiver<Notes>) {
        let fence = fence_of(&self.identity);
        loop {
            let Ok(waited) = tokio::time::timeout(LOOK_EVERY, notes.recv()).await else {
                self.look().await;
                continue;
            };
            let Some(Notes { number, after, notes }) = waited else {
                return;
            };
            if self.committed.wait_for(|number| *number >= after).await.is_err() {
                return;
            }
            let mut writes = Vec::with_capacity(notes.len());
            for note in notes {
                match write_of_note(note) {
                    Ok(write) => writes.push(write),
                    Err(error) => error!(%error, "a note has no encoding"),
                }
            }
            if !writes.is_empty() {
                let journal = (&self.journal, &self.leader);
                let written = commit_until_taken(&*self.state, &fence, &writes, journal, &self.metrics).await;
                if written.is_err() {
                    return;
                }
            }
            self.noted.send_replace(number);
        }
    }

    async fn look(&self) {
        let known = self.journal.known();
        match self.state.journal().await {
            Ok(now) => {
                if self.journal.note(&known, now) {
                    let _ = self.leader.send(StateNews::JournalLost).await;
                }
            }
            Err(error) => debug!(%error, "cannot look at the journal"),
        }
    }
}
