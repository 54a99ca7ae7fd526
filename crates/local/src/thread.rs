//! A service on a thread of its own, with an actix system of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::LocalError;

/// How often a stopping thread is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Ready when the service should stop.
pub(crate) type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A running service.
#[derive(Debug)]
pub(crate) struct ServiceThread {
    name: String,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<Mutex<Option<String>>>,
}

impl ServiceThread {
    /// Starts a service.
    pub(crate) fn start<F>(
        name: &str,
        service: impl FnOnce(Shutdown) -> F + Send + 'static,
    ) -> Result<Self, LocalError>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let (shutdown, asked) = oneshot::channel::<()>();
        let failure = Arc::new(Mutex::new(None));
        let told = failure.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let asked = Box::pin(async move {
                    let _ = asked.await;
                });
                let ended = actix_rt::System::new().block_on(async move { service(asked).await });
                if let Err(error) = ended {
                    tracing::error!(error = format!("{error:#}"), "a service ended");
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{error:#}"));
                }
            })
            .map_err(|error| LocalError::Service {
                service: name.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            name: name.to_owned(),
            shutdown: Some(shutdown),
            thread: Some(thread),
            failure,
        })
    }

    /// Why the service ended, if it has ended badly.
    pub(crate) fn failure(&self) -> Option<LocalError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone().map(|reason| LocalError::Service {
            service: self.name.clone(),
            reason,
        })
    }

    /// Whether the service has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end of a service that is known to have ended badly.
    pub(crate) async fn failed(mut self) -> LocalError {
        self.join().await;
        self.failure().unwrap_or_else(|| LocalError::Service {
            service: self.name.clone(),
            reason: "it ended without a word".to_owned(),
        })
    }

    /// Asks the service to stop and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.ask();
        self.join().await;
    }

    fn ask(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            let _ = shutdown.send(());
        }
    }

    async fn join(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // A panic has been reported by the thread itself.
        let _ = thread.join();
    }
}

impl Drop for ServiceThread {
    fn drop(&mut self) {
        self.ask();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
