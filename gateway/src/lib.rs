//! The gateway: the only door for users.
//!
//! HTTP in JSON, MessagePack and Arrow on one side; the message bus, the state store and the data plane on the other.
//! It checks who asks and what is asked, turns jobs into graphs and puts them into the intake queue, and brings states,
//! events and results back. It keeps nothing that matters: any number may run, and each may die at any moment.
//! It decides nothing about tasks, and knows no scheduler or worker but by message.

mod access;
mod assets;
mod body;
mod cluster;
mod context;
mod delivery;
mod error;
mod fleet;
mod graphs;
mod intake;
mod layers;
mod leader;
mod live;
mod near;
mod openapi;
mod problem;
mod reply;
mod report;
mod routes;
mod script;
mod server;
mod signin;
mod values;
mod views;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use millstream_bus::Bus;
use millstream_config::{GatewaySettings, Settings};
use millstream_state::StateStore;
use millstream_telemetry::Metrics;
use millstream_types::GatewayId;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub use fleet::Fleet;

use access::Access;
use cluster::Cluster;
use context::Context;
use leader::Leader;
use live::Live;

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no token: everybody who reaches the port could run programs.
    #[error(
        "the gateway has no token: set `gateway.token_file` or `gateway.token`, or MILLSTREAM_TOKEN for the command line"
    )]
    NoToken,
    /// The address is taken or not ours.
    #[error(
        "cannot listen on {host}:{port}: {source}; choose another with `gateway.host` and `gateway.port`"
    )]
    Bind {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// The system's words.
        source: std::io::Error,
    },
    /// The data plane's client cannot be made.
    #[error(transparent)]
    DataPlane(#[from] millstream_transfer::FetchError),
}

/// A running gateway. Dropping it leaves it running; [`Gateway::stop`] ends it.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    server: actix_web::dev::ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
    access: Arc<Access>,
    /// What runs beside the server: the conversation with the leader, the live exchange, the board's beat.
    beside: [JoinHandle<()>; 3],
}

impl Gateway {
    /// Starts a gateway on the current tokio runtime; it listens when this returns.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        settings: &Settings,
        bus: Arc<dyn Bus>,
        state: Arc<dyn StateStore>,
    ) -> Result<Self, StartError> {
        Self::start_with(settings, bus, state, None).await
    }

    /// The same for a gateway that can start workers.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_with(
        settings: &Settings,
        bus: Arc<dyn Bus>,
        state: Arc<dyn StateStore>,
        fleet: Option<Arc<dyn Fleet>>,
    ) -> Result<Self, StartError> {
        let token = settings.gateway.token.clone().ok_or(StartError::NoToken)?;
        let failed = |source| bind_error(&settings.gateway, source);
        let listener = bind(&settings.gateway)?;
        let address = listener.local_addr().map_err(failed)?;
        let access = Access::new(&settings.gateway, token).with_metrics_token(settings.metrics.token.clone());
        let access = Arc::new(access);
        let metrics = Metrics::new();
        let id = GatewayId::from(Uuid::new_v4());
        let cluster = Arc::new(Cluster::new(metrics.clone()));
        let timeout = settings.gateway.leader_timeout;
        let (leader, conversation) = Leader::start(Arc::clone(&bus), id, timeout, metrics.clone());
        let (live, listening) = Live::start(bus, id, metrics.clone(), Arc::clone(&cluster));
        let mut context = Context::new(settings, state, leader, live, id, metrics, cluster)?;
        context.fleet = fleet;
        let context = Arc::new(context);
        let beat = tokio::spawn(routes::system::beat(Arc::clone(&context)));
        let server = server::serve(listener, context, Arc::clone(&access)).map_err(failed)?;
        let handle = server.handle();
        tracing::info!(%address, gateway = %id, "gateway listens");
        Ok(Self {
            address,
            server: handle,
            serving: tokio::spawn(server),
            access,
            beside: [conversation, listening, beat],
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A link to the dashboard that signs one browser in, once, within an hour.
    pub fn dashboard_link(&self) -> String {
        format!("http://{}/?code={}", self.address, self.access.sign_ins().code())
    }

    /// Stops accepting, lets open requests end for a few seconds, and ends.
    pub async fn stop(self) {
        self.server.stop(true).await;
        self.beside.iter().for_each(JoinHandle::abort);
        // The server has answered that it stopped.
        let _ = self.serving.await;
    }

    /// Waits until the server ends by itself, which it does only on an error.
    ///
    /// # Errors
    /// The server's.
    pub async fn wait(&mut self) -> std::io::Result<()> {
        (&mut self.serving).await.unwrap_or(Ok(()))
    }
}

fn bind(settings: &GatewaySettings) -> Result<TcpListener, StartError> {
    TcpListener::bind((settings.host.as_str(), settings.port)).map_err(|source| bind_error(settings, source))
}

fn bind_error(settings: &GatewaySettings, source: std::io::Error) -> StartError {
    StartError::Bind {
        host: settings.host.clone(),
        port: settings.port,
        source,
    }
}
