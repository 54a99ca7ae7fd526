//! The serving end of the data plane: an HTTP server on a thread of its own, so that no user code holds it up.

mod routes;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, rt, web};
use millstream_store::Store;
use millstream_types::ByteSize;
use tokio::sync::oneshot;
use tracing::error;

use crate::error::ServeError;
use crate::local::Registration;
use crate::uploads::UploadShelf;
use crate::wire::TaskStack;

use routes::Service;

/// Two serve as many readers as a worker has; the copying happens in the kernel.
const SERVER_THREADS: usize = 2;

/// Seconds an idle connection stays open: longer than [`crate::Fetcher`] keeps it, so that the reader closes first and
/// never writes into a closing connection.
const KEEP_ALIVE_SECONDS: u64 = 75;

/// Seconds that answers under way get when the server stops.
const STOP_SECONDS: u64 = 3;

/// Tells what the tasks of this worker execute. May wait for them a little.
pub type StackSource = Box<dyn Fn() -> Vec<TaskStack> + Send + Sync>;

/// How objects are served.
#[derive(Clone)]
pub struct DataServerOptions {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Host, or host and port, that peers use; what is listened on if none.
    pub advertise: Option<String>,
    /// The cluster's secret.
    pub secret: String,
}

/// A running data plane server. Dropping it stops it without waiting.
pub struct DataServer {
    address: String,
    served: Arc<AtomicU64>,
    stacks: Arc<OnceLock<StackSource>>,
    uploads: Arc<OnceLock<UploadShelf>>,
    handle: ServerHandle,
    stopped: Option<oneshot::Receiver<()>>,
    _registration: Registration,
}

impl DataServer {
    /// Listens, and serves the objects of `store` until stopped.
    pub fn start(store: Store, options: DataServerOptions) -> Result<Self, ServeError> {
        let served = Arc::new(AtomicU64::new(0));
        let stacks = Arc::new(OnceLock::new());
        let uploads = Arc::new(OnceLock::new());
        let service = web::Data::new(Service {
            store: store.clone(),
            uploads: Arc::clone(&uploads),
            secret: options.secret.clone(),
            served: Arc::clone(&served),
            stacks: Arc::clone(&stacks),
        });
        let (server, port) = listen(service, &options).map_err(|source| ServeError::Bind {
            host: options.host.clone(),
            port: options.port,
            source,
        })?;
        let address = advertised(&options, port);
        let handle = server.handle();
        let (done, stopped) = oneshot::channel();
        let serve = move || {
            if let Err(error) = rt::System::new().block_on(server) {
                error!(%error, "the data plane server ended");
            }
            // Nobody waits if the server was dropped.
            let _ = done.send(());
        };
        thread::Builder::new()
            .name("data-plane".to_owned())
            .spawn(serve)
            .map_err(ServeError::Thread)?;
        Ok(Self {
            _registration: Registration::new(&address, store),
            address,
            served,
            stacks,
            uploads,
            handle,
            stopped: Some(stopped),
        })
    }

    /// Host and port that peers use.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Serves what tasks execute, too; until then there are none. The first source stays.
    pub fn serve_stacks(&self, source: StackSource) {
        let _ = self.stacks.set(source);
    }

    /// Takes uploads, too; until then they are refused. The first shelf stays.
    pub fn serve_uploads(&self, shelf: UploadShelf) {
        let _ = self.uploads.set(shelf);
    }

    /// Bytes of objects served to other processes since the start.
    pub fn served(&self) -> ByteSize {
        ByteSize::new(self.served.load(Ordering::Relaxed))
    }

    /// Stops listening and waits for answers under way, not longer than a few seconds.
    pub async fn stop(mut self) {
        self.handle.stop(true).await;
        if let Some(stopped) = self.stopped.take() {
            // An error means that the thread is gone, which is what we wait for.
            let _ = stopped.await;
        }
    }
}

impl Drop for DataServer {
    fn drop(&mut self) {
        if self.stopped.is_some() {
            // The stop is sent when this is called; its future only waits for the end.
            drop(self.handle.stop(false));
        }
    }
}

fn listen(service: web::Data<Service>, options: &DataServerOptions) -> io::Result<(Server, u16)> {
    let server = HttpServer::new(move || App::new().app_data(service.clone()).configure(routes::configure))
        .workers(SERVER_THREADS)
        .keep_alive(std::time::Duration::from_secs(KEEP_ALIVE_SECONDS))
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals()
        .bind((options.host.as_str(), options.port))?;
    let port = server
        .addrs()
        .first()
        .map_or(options.port, std::net::SocketAddr::port);
    Ok((server.run(), port))
}

/// Host and port for peers: a port given with the advertised host is one that something else forwards.
fn advertised(options: &DataServerOptions, port: u16) -> String {
    let host = options.advertise.as_deref().unwrap_or(&options.host);
    let has_port = host.rsplit_once(':').is_some_and(|(name, port)| {
        port.parse::<u16>().is_ok() && (!name.contains(':') || name.ends_with(']'))
    });
    match host {
        host if has_port => host.to_owned(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advertised_addresses_get_the_port_unless_they_have_one() {
        let address = |host: &str, advertise: Option<&str>| {
            let options = DataServerOptions {
                host: host.to_owned(),
                port: 0,
                advertise: advertise.map(str::to_owned),
                secret: String::new(),
            };
            advertised(&options, 77)
        };
        assert_eq!(address("127.0.0.1", None), "127.0.0.1:77");
        assert_eq!(address("0.0.0.0", Some("worker-3")), "worker-3:77");
        assert_eq!(address("0.0.0.0", Some("example.org:9000")), "example.org:9000");
        assert_eq!(address("::1", None), "[::1]:77");
        assert_eq!(address("::", Some("[fe80::1]:9000")), "[fe80::1]:9000");
    }
}
