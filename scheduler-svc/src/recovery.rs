//! Loads what the last leader left.

use std::time::Duration;

use millstream_scheduler_core::RecoveredJob;
use millstream_state::{StateError, StateStore};
use millstream_types::WorkerId;
use tracing::{error, info, warn};

use crate::journal::recovered_job;

const RETRY: Duration = Duration::from_millis(200);

/// Jobs that are not forgotten, and the workers that were registered.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    pub(crate) jobs: Vec<RecoveredJob>,
    pub(crate) workers: Vec<WorkerId>,
}

/// Loads everything, trying until the store answers.
///
/// A job that cannot be read is left alone and named in the log: it must not keep the others from running.
pub(crate) async fn load(state: &dyn StateStore) -> Inheritance {
    loop {
        match try_load(state).await {
            Ok(inheritance) => {
                info!(
                    jobs = inheritance.jobs.len(),
                    workers = inheritance.workers.len(),
                    "loaded the journal"
                );
                return inheritance;
            }
            Err(error) => {
                warn!(%error, "cannot load the journal; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn try_load(state: &dyn StateStore) -> Result<Inheritance, StateError> {
    let mut inheritance = Inheritance::default();
    for job in state.active_jobs().await? {
        let Some(stored) = state.load_job(job).await? else {
            continue;
        };
        match recovered_job(stored) {
            Ok(recovered) => inheritance.jobs.push(recovered),
            Err(error) => error!(%job, %error, "a journaled job cannot be read and is left alone"),
        }
    }
    // The order in which jobs were accepted decides between equal priorities.
    inheritance
        .jobs
        .sort_by_key(|job| (job.meta.accepted_ms, job.meta.job));
    inheritance.workers = state
        .workers()
        .await?
        .into_iter()
        .map(|(worker, _)| worker)
        .collect();
    Ok(inheritance)
}
