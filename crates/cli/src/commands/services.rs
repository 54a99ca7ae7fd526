//! The services, each as a process of its own.

use std::future::Future;
use std::sync::Arc;

use anyhow::Context as _;
use millstream_bus::{AmqpBus, Bus, Names};
use millstream_config::Settings;
use millstream_gateway::Gateway;
use millstream_scheduler_svc::SchedulerService;
use millstream_state::{RedisSettings, RedisState, StateStore};
use millstream_telemetry::{Liveness, MetricsServer, SchedulerMetrics, WorkerMetrics};
use millstream_worker_svc::WorkerService;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::args::WorkerArgs;
use crate::settings::Loading;

pub(crate) fn gateway(loading: Loading) -> anyhow::Result<()> {
    let mut settings = loading.service(&[])?;
    if settings.gateway.token.is_none() {
        settings.gateway.token = Some(millstream::ensure_token()?.into());
    }
    let (bus, state) = (bus(&settings)?, state(&settings)?);
    in_system(async move {
        let gateway = Gateway::start(&settings, bus, state).await?;
        info!(address = %gateway.address(), "the gateway listens");
        stop_signal().await;
        gateway.stop().await;
        Ok(())
    })
}

pub(crate) fn scheduler(loading: Loading) -> anyhow::Result<()> {
    let settings = loading.service(&[])?;
    let metrics = SchedulerMetrics::new();
    let shown = metrics.clone();
    let _server = show_metrics(&settings, move || shown.encode())?;
    let service = SchedulerService {
        metrics,
        graph_limit: u32::try_from(settings.gateway.graph_limit).unwrap_or(u32::MAX),
        max_active_jobs: settings.gateway.max_active_jobs as usize,
        bus: bus(&settings)?,
        state: state(&settings)?,
        on_progress: liveness(&settings)?,
        settings: settings.scheduler,
    };
    in_system(async move {
        service.run(stop_signal()).await;
        Ok(())
    })
}

pub(crate) fn worker(args: WorkerArgs, loading: Loading) -> anyhow::Result<()> {
    let text = |value: Option<u32>| value.map(|value| value.to_string());
    let settings = loading.service(&[
        ("worker.name", "--name", args.name),
        ("worker.slots", "--slots", text(args.slots)),
        (
            "worker.memory_limit",
            "--memory-limit",
            args.memory_limit.map(|size| size.as_u64().to_string()),
        ),
        (
            "worker.advertise_address",
            "--advertise-address",
            args.advertise_address,
        ),
        (
            "worker.data_port",
            "--data-port",
            text(args.data_port.map(u32::from)),
        ),
    ])?;
    let metrics = WorkerMetrics::new();
    let shown = metrics.clone();
    let _server = show_metrics(&settings, move || shown.encode())?;
    let service = WorkerService {
        metrics,
        data: settings.data.clone(),
        python: settings.python.clone(),
        all_files: false,
        secret: secret(&settings),
        bus: bus(&settings)?,
        shares_process: false,
        on_progress: liveness(&settings)?,
        settings: settings.worker,
    };
    in_system(service.run(stop_signal()))
}

/// Runs a service on an actix system of its own.
fn in_system(service: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    actix_rt::System::new().block_on(service)
}

fn bus(settings: &Settings) -> anyhow::Result<Arc<dyn Bus>> {
    let names = Names::new(settings.cluster.name.clone());
    let bus = AmqpBus::new(settings.broker.connection_url().expose(), names).context("broker.url")?;
    Ok(bus)
}

fn state(settings: &Settings) -> anyhow::Result<Arc<dyn StateStore>> {
    let redis = RedisSettings::new(
        settings.redis.connection_url().expose(),
        settings.cluster.name.clone(),
    );
    Ok(Arc::new(RedisState::connect(&redis).context("redis.url")?))
}

fn secret(settings: &Settings) -> String {
    settings
        .cluster
        .secret
        .as_ref()
        .map(|secret| secret.expose().to_owned())
        .unwrap_or_default()
}

/// Shows a service's metrics until the server is dropped, where a port is set.
fn show_metrics(
    settings: &Settings,
    page: impl Fn() -> String + Send + 'static,
) -> anyhow::Result<Option<MetricsServer>> {
    let metrics = &settings.metrics;
    let Some(token) = metrics.token.clone().filter(|_| metrics.port != 0) else {
        return Ok(None);
    };
    let accepts = move |shown: &str| token.matches(shown);
    let server = MetricsServer::start(&metrics.host, metrics.port, accepts, page).with_context(|| {
        format!(
            "cannot listen on {}:{}; choose another `metrics.port`",
            metrics.host, metrics.port
        )
    })?;
    info!(address = %server.address(), "metrics are shown");
    Ok(Some(server))
}

/// What a service calls at each sign of progress: touches the liveness file, where one is set.
fn liveness(settings: &Settings) -> anyhow::Result<Arc<dyn Fn() + Send + Sync>> {
    let Some(path) = &settings.health.file else {
        return Ok(Arc::new(|| {}));
    };
    let liveness = Liveness::new(path.clone());
    Ok(Arc::new(move || {
        if let Err(error) = liveness.touch() {
            warn!(%error, "cannot write the liveness file");
        }
    }))
}

/// Ready when the process is asked to end.
pub(crate) async fn stop_signal() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
