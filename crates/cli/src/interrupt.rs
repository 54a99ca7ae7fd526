//! Ctrl-C: the first one stops the work in good order, the second one the process.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use millstream::Running;

use crate::exit::{INTERRUPTED, Interrupted};

/// How long a job may take to confirm that it stops.
const CANCEL_LIMIT: Duration = Duration::from_secs(1);

/// Jobs that stop when this command is interrupted.
static ATTACHED: Mutex<Vec<Running>> = Mutex::new(Vec::new());

/// Stops `job` if the command is interrupted.
pub(crate) fn attach(job: &Running) {
    ATTACHED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(job.clone());
}

/// Runs a command to its end or to the first interrupt.
pub(crate) fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let command = pin!(command);
        tokio::select! {
            result = command => result,
            _ = tokio::signal::ctrl_c() => {
                tokio::spawn(async {
                    let _ = tokio::signal::ctrl_c().await;
                    std::process::exit(i32::from(INTERRUPTED));
                });
                cancel_attached().await;
                Err(Interrupted.into())
            }
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn cancel_attached() {
    let jobs = std::mem::take(&mut *ATTACHED.lock().unwrap_or_else(PoisonError::into_inner));
    let cancel_all = futures_join(jobs.iter().map(Running::cancel));
    let _ = tokio::time::timeout(CANCEL_LIMIT, cancel_all).await;
}

async fn futures_join<F: Future>(futures: impl IntoIterator<Item = F>) {
    for future in futures {
        let _ = future.await;
    }
}
