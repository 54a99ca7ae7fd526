//! Opening links: one attempt, and attempts for ever.

use std::sync::Arc;
use std::time::Duration;

use lapin::{Connection, ConnectionProperties, ErrorKind};
use rand::Rng;
use tracing::{info, warn};

use crate::error::BusError;

use super::Shared;
use super::link::{AmqpLink, Connections};
use super::topology;

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: a broker that is back is found within about a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// For one whole attempt: a broker that accepts connections but does not answer must not hold us.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Codes with which RabbitMQ refuses a login and a virtual host.
const ACCESS_REFUSED: u16 = 403;
const NOT_ALLOWED: u16 = 530;
const PRECONDITION_FAILED: u16 = 406;

/// Tries until a link is open. Logs a failure only when it differs from the one before.
pub(super) async fn until_connected(shared: Arc<Shared>, who: String) -> AmqpLink {
    let mut pause = FIRST_PAUSE;
    let mut last_failure: Option<BusError> = None;
    loop {
        match attempt(&shared, &who).await {
            Ok(connections) => {
                shared.counters.count_connected();
                info!(broker = %shared.endpoint, who, "connected to the broker");
                return AmqpLink::start(shared, connections);
            }
            Err(failure) => {
                shared.counters.count_connect_failure();
                if last_failure.as_ref() != Some(&failure) {
                    warn!(error = %failure, who, "no connection to the broker, trying on");
                    last_failure = Some(failure);
                }
            }
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(shared: &Shared, who: &str) -> Result<Connections, BusError> {
    let opened = tokio::time::timeout(ATTEMPT_TIMEOUT, open(shared, who)).await;
    let reason = match opened {
        Ok(Ok(connections)) => return Ok(connections),
        Ok(Err(error)) => advice(&error),
        Err(_) => format!(
            "no answer within {} s; is it overloaded?",
            ATTEMPT_TIMEOUT.as_secs()
        ),
    };
    Err(BusError::Connect {
        endpoint: shared.endpoint.to_string(),
        reason,
    })
}

async fn open(shared: &Shared, who: &str) -> lapin::Result<Connections> {
    let publish = open_one(shared, who, "publish").await?;
    let consume = open_one(shared, who, "consume").await?;
    let channel = publish.create_channel().await?;
    topology::declare(&channel, &shared.names).await?;
    Ok(Connections {
        publish,
        consume,
        channel,
    })
}

async fn open_one(shared: &Shared, who: &str, purpose: &str) -> lapin::Result<Connection> {
    let name = format!("{who} ({purpose})");
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    Connection::connect_uri(shared.endpoint.uri(), properties).await
}

/// Half to all of `pause`, so that a fleet does not return in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// What happened, and what to do where we know it.
fn advice(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::IOError(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connection refused; is RabbitMQ running there?".to_owned()
        }
        ErrorKind::ProtocolError(protocol) => match protocol.get_id() {
            ACCESS_REFUSED => "access refused; check user, password and permissions in the URL".to_owned(),
            NOT_ALLOWED => {
                "not allowed; does the URL's virtual host exist, and may the user enter it?".to_owned()
            }
            PRECONDITION_FAILED => format!(
                "{error}; a queue or exchange of this cluster exists with other settings: delete it or choose another \
                 cluster name"
            ),
            _ => error.to_string(),
        },
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_jittered_below_their_bound() {
        for _ in 0..100 {
            let pause = jittered(LONGEST_PAUSE);
            assert!(pause >= LONGEST_PAUSE / 2 && pause <= LONGEST_PAUSE, "{pause:?}");
        }
    }
}
