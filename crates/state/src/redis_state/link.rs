//! One connection that opens itself when it is needed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    Arg, AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, Pipeline, RedisError,
    RedisResult,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::{debug, info};

use super::RedisSettings;
use super::fault::{is_transport, translate};
use super::script::ScriptCall;
use crate::StateError;

/// A failed connection attempt answers for this long, so that a crowd of callers makes one attempt.
const FAILURE_STANDS: Duration = Duration::from_millis(100);
/// Slowest link for which big values get enough time.
const SLOWEST_BYTES_PER_SECOND: usize = 20 << 20;

/// A connection to one server. Commands of all callers share it; none of them may block on the server.
pub(super) struct Link {
    client: Client,
    endpoint: String,
    connect_timeout: Duration,
    command_timeout: Duration,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    live: Option<Live>,
    failed: Option<(Instant, StateError)>,
    opened: u64,
}

#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    run_id: Arc<str>,
    number: u64,
}

/// Why an exchange failed, and whether another try on a new connection makes sense.
pub(super) struct Failure {
    pub(super) error: StateError,
    /// The connection broke while the answer was awaited, as all do when a server restarts.
    pub(super) broken: bool,
}

/// Something to send.
#[derive(Clone, Copy)]
enum Request<'a> {
    Command(&'a Cmd),
    Pipeline(&'a Pipeline),
    Script(&'a ScriptCall),
}

impl Request<'_> {
    async fn send<T: FromRedisValue>(self, connection: &mut MultiplexedConnection) -> RedisResult<T> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Pipeline(pipeline) => pipeline.query_async(connection).await,
            Self::Script(call) => call.run(connection).await,
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self { error, broken: false }
    }
}

impl Link {
    pub(super) fn new(client: Client, settings: &RedisSettings) -> Self {
        Self {
            endpoint: endpoint_of(&client),
            client,
            connect_timeout: settings.connect_timeout,
            command_timeout: settings.command_timeout,
            slot: Mutex::default(),
        }
    }

    /// Host and port.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Runs one command, a second time if an idle connection turns out to be broken.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StateError> {
        self.query_of_run(command).await.map(|(answer, _)| answer)
    }

    /// As [`Link::query`], and tells which run of the server answered.
    pub(super) async fn query_of_run<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<(T, Arc<str>), StateError> {
        self.twice(Request::Command(command), self.budget(command)).await
    }

    /// Runs a pipeline whose answer may be long, as [`Link::query`] does.
    pub(super) async fn pipeline<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
        budget: Duration,
    ) -> Result<T, StateError> {
        self.twice(Request::Pipeline(pipeline), budget)
            .await
            .map(|(answer, _)| answer)
    }

    /// Runs a script whose effect may be repeated.
    pub(super) async fn script<T: FromRedisValue>(&self, call: ScriptCall) -> Result<T, StateError> {
        let budget = self.budget(call.command());
        self.twice(Request::Script(&call), budget)
            .await
            .map(|(answer, _)| answer)
    }

    /// Runs a script once, and tells which run of the server applied it.
    pub(super) async fn script_once<T: FromRedisValue>(
        &self,
        call: ScriptCall,
    ) -> Result<(T, Arc<str>), Failure> {
        self.once(Request::Script(&call), self.budget(call.command()))
            .await
    }

    /// The usual wait for an answer.
    pub(super) fn patience(&self) -> Duration {
        self.command_timeout
    }

    fn budget(&self, command: &Cmd) -> Duration {
        let bytes: usize = command
            .args_iter()
            .map(|argument| match argument {
                Arg::Simple(bytes) => bytes.len(),
                _ => 0,
            })
            .sum();
        self.command_timeout + Duration::from_secs((bytes / SLOWEST_BYTES_PER_SECOND) as u64)
    }

    async fn twice<T: FromRedisValue>(
        &self,
        request: Request<'_>,
        budget: Duration,
    ) -> Result<(T, Arc<str>), StateError> {
        let outcome = match self.once(request, budget).await {
            Err(failure) if failure.broken => self.once(request, budget).await,
            outcome => outcome,
        };
        outcome.map_err(|failure| failure.error)
    }

    async fn once<T: FromRedisValue>(
        &self,
        request: Request<'_>,
        budget: Duration,
    ) -> Result<(T, Arc<str>), Failure> {
        let mut live = self.live().await?;
        match timeout(budget, request.send(&mut live.connection)).await {
            Ok(Ok(answer)) => Ok((answer, live.run_id)),
            Ok(Err(error)) => {
                let broken = is_transport(&error);
                if broken {
                    self.drop_live(live.number).await;
                }
                Err(Failure {
                    error: translate(&self.endpoint, &error),
                    broken,
                })
            }
            Err(_) => {
                self.drop_live(live.number).await;
                Err(self.no_answer("no answer", budget).into())
            }
        }
    }

    async fn live(&self) -> Result<Live, StateError> {
        let mut slot = self.slot.lock().await;
        if let Some(live) = &slot.live {
            return Ok(live.clone());
        }
        if let Some((at, error)) = &slot.failed
            && at.elapsed() < FAILURE_STANDS
        {
            return Err(error.clone());
        }
        match self.open().await {
            Ok((connection, run_id)) => {
                slot.opened += 1;
                slot.failed = None;
                let live = Live {
                    connection,
                    run_id: run_id.into(),
                    number: slot.opened,
                };
                info!(endpoint = %self.endpoint, run_id = %live.run_id, "connected to redis");
                slot.live = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                debug!(endpoint = %self.endpoint, %error, "cannot connect to redis");
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn open(&self) -> Result<(MultiplexedConnection, String), StateError> {
        // Both time limits are ours: the client's would also end big transfers.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let opening = async {
            let mut connection = self
                .client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            let server: String = ::redis::cmd("INFO")
                .arg("server")
                .query_async(&mut connection)
                .await?;
            Ok::<_, RedisError>((connection, server))
        };
        let (connection, server) = self.within(self.connect_timeout, opening).await?;
        let run_id = server.lines().find_map(|line| line.strip_prefix("run_id:"));
        let run_id = run_id
            .map(|id| id.trim().to_owned())
            .ok_or_else(|| StateError::Refused {
                endpoint: self.endpoint.clone(),
                code: "PROTOCOL".to_owned(),
                detail: "INFO names no run_id".to_owned(),
            })?;
        Ok((connection, run_id))
    }

    async fn within<T>(
        &self,
        budget: Duration,
        exchange: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StateError> {
        match timeout(budget, exchange).await {
            Ok(outcome) => outcome.map_err(|error| translate(&self.endpoint, &error)),
            Err(_) => Err(self.no_answer("no connection", budget)),
        }
    }

    fn no_answer(&self, what: &str, budget: Duration) -> StateError {
        StateError::Unreachable {
            endpoint: self.endpoint.clone(),
            reason: format!("{what} within {budget:?}"),
        }
    }

    async fn drop_live(&self, number: u64) {
        self.slot.lock().await.live.take_if(|live| live.number == number);
    }
}

fn endpoint_of(client: &Client) -> String {
    match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            format!("{host}:{port}")
        }
        ConnectionAddr::Unix(path) => path.display().to_string(),
        other => other.to_string(),
    }
}
