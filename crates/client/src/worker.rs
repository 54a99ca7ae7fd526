//! A worker binary of one's own: a `main` that calls [`main`], with tasks of its own linked in.
//!
//! ```no_run
//! #[millstream::task]
//! fn add(a: i64, b: i64) -> i64 {
//!     a + b
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     millstream::worker::main()
//! }
//! ```

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use millstream_bus::{AmqpBus, Names};
use millstream_config::{Loader, MetricsSettings};
use millstream_telemetry::{LogOptions, MetricsServer, WorkerMetrics};
use millstream_worker_svc::WorkerService;

/// Runs a worker with the settings of the file, of the environment and of `section.key=value` arguments, until it is
/// asked to stop.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing else may be set up yet.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{error:#}\n").as_bytes());
            ExitCode::from(2)
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut loader = Loader::new().environment(std::env::vars());
    for argument in std::env::args().skip(1) {
        let Some((key, value)) = argument.split_once('=') else {
            anyhow::bail!("`{argument}` is no setting: write section.key=value");
        };
        loader = loader.flag(key, key, value);
    }
    let settings = loader.load()?;
    millstream_telemetry::init(&LogOptions {
        level: settings.log.level.clone(),
        ..LogOptions::default()
    })?;
    let names = Names::new(settings.cluster.name.clone());
    let bus = AmqpBus::new(settings.broker.connection_url().expose(), names)?;
    let metrics = WorkerMetrics::new();
    let _server = show_metrics(&settings.metrics, metrics.clone())?;
    let service = WorkerService {
        secret: settings
            .cluster
            .secret
            .as_ref()
            .map(|secret| secret.expose().to_owned())
            .unwrap_or_default(),
        data: settings.data.clone(),
        python: settings.python.clone(),
        all_files: false,
        shares_process: false,
        settings: settings.worker,
        bus,
        metrics,
        on_progress: Arc::new(|| {}),
    };
    actix_rt::System::new().block_on(service.run(stop_signal()))
}

/// Shows the metrics until the server is dropped, where a port is set; then there is a token, too.
fn show_metrics(settings: &MetricsSettings, metrics: WorkerMetrics) -> anyhow::Result<Option<MetricsServer>> {
    let Some(token) = settings.token.clone().filter(|_| settings.port != 0) else {
        return Ok(None);
    };
    let accepts = move |shown: &str| token.matches(shown);
    let server = MetricsServer::start(&settings.host, settings.port, accepts, move || metrics.encode());
    server.map(Some).context("cannot listen on `metrics.port`")
}

/// Ready when the process is asked to end.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
