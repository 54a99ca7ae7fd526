//! Copies objects from peers into the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Addr;
use millstream_store::Store;
use millstream_transfer::{FetchError, Fetched, Fetcher, ObjectRequest};
use millstream_types::ByteSize;
use millstream_worker_core::{Fetch, FetchId, FetchObject, FetchOutcome, WorkerEvent};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::actor::{Happened, WorkerActor};
use crate::runner::refused;
use crate::work::{FetchEnd, WorkLog};

/// Fetches under way.
pub(crate) struct Fetches {
    pub(crate) fetcher: Fetcher,
    pub(crate) store: Store,
    pub(crate) worker: Option<Addr<WorkerActor>>,
    pub(crate) running: HashMap<FetchId, CancellationToken>,
    pub(crate) work: Arc<WorkLog>,
}

impl Fetches {
    /// Starts a fetch; it ends in one `FetchEnded`.
    pub(crate) fn start(&mut self, fetch: Fetch) {
        self.running.retain(|_, cancel| !cancel.is_cancelled());
        let Some(worker) = self.worker.clone() else { return };
        let cancel = CancellationToken::new();
        self.running.insert(fetch.id, cancel.clone());
        let (fetcher, store) = (self.fetcher.clone(), self.store.clone());
        let work = Arc::clone(&self.work);
        actix_rt::spawn(async move {
            let began = Instant::now();
            let outcomes = tokio::select! {
                outcomes = copy(&fetcher, &store, &fetch) => outcomes,
                // Nobody needs them; what is missing counts as unreachable.
                () = cancel.cancelled() => Vec::new(),
            };
            // Marks the entry as done for the next sweep.
            cancel.cancel();
            tell(&work, &fetch, &outcomes, began.elapsed());
            let _ = worker
                .send(Happened(vec![WorkerEvent::FetchEnded {
                    id: fetch.id,
                    outcomes,
                }]))
                .await;
        });
    }

    /// Ends a fetch early.
    pub(crate) fn cancel(&mut self, id: FetchId) {
        if let Some(cancel) = self.running.remove(&id) {
            cancel.cancel();
        }
    }
}

/// Tells those who watch.
fn tell(work: &WorkLog, fetch: &Fetch, outcomes: &[FetchOutcome], took: Duration) {
    let sizes = outcomes.iter().filter_map(|outcome| match outcome {
        FetchOutcome::Fetched { bytes } => Some(bytes.as_u64()),
        _ => None,
    });
    let (objects, bytes) = sizes.fold((0, 0), |(objects, sum), bytes| (objects + 1, sum + bytes));
    let is_failure = |outcome: &&FetchOutcome| !matches!(outcome, FetchOutcome::Fetched { .. });
    let failures = outcomes.iter().filter(is_failure).count();
    work.metrics().fetch_failures.add(failures as u64);
    if let Some(first) = fetch.objects.first()
        && objects > 0
    {
        work.fetched(&FetchEnd {
            from: fetch.from.worker,
            job: first.object.job,
            task: first.object.task,
            took,
            objects,
            bytes: ByteSize::new(bytes),
        });
    }
}

async fn copy(fetcher: &Fetcher, store: &Store, fetch: &Fetch) -> Vec<FetchOutcome> {
    let request = |object: &FetchObject| ObjectRequest {
        object: object.object,
        attempt: object.attempt,
        part: object.part,
    };
    let requests: Vec<ObjectRequest> = fetch.objects.iter().map(request).collect();
    let answers = fetcher.fetch_batch(&fetch.from.data_address, &requests).await;
    answers
        .into_iter()
        .zip(&fetch.objects)
        .map(|(answer, object)| match answer {
            Ok(fetched) => keep(store, object, fetched),
            Err(error) => {
                debug!(%error, object = %object.object, peer = %fetch.from.data_address, "a fetch failed");
                outcome_of(&error)
            }
        })
        .collect()
}

fn keep(store: &Store, object: &FetchObject, fetched: Fetched) -> FetchOutcome {
    let fetched = match fetched.into_object() {
        Ok(object) => object,
        Err(error) => {
            warn!(%error, object = %object.object, "an object of this process cannot be read");
            return FetchOutcome::Damaged;
        }
    };
    match store.put_fetched(object.object, object.attempt, object.part, fetched) {
        Ok(bytes) => FetchOutcome::Fetched { bytes },
        Err(error) => {
            warn!(%error, object = %object.object, "a fetched object cannot be stored");
            FetchOutcome::Unstored(refused(&error, "an input").error)
        }
    }
}

const fn outcome_of(error: &FetchError) -> FetchOutcome {
    match error {
        FetchError::Gone { .. } => FetchOutcome::Gone,
        FetchError::Damaged { .. } => FetchOutcome::Damaged,
        _ => FetchOutcome::Unreachable,
    }
}
