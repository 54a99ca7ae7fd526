//! `/v1/system`: the services behind the page, and the beat of the live board.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, web};
use millstream_types::GatewayId;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use super::params::Query;
use crate::context::Context;
use crate::error::ApiError;
use crate::live::{BEAT, Surroundings};
use crate::reply::ok;

/// How often the state store is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize)]
struct SystemView {
    gateway: GatewayView,
    #[serde(flatten)]
    surroundings: Surroundings,
    /// Who holds the lease, by the state store.
    lease: Option<LeaseView>,
    live: LiveView,
}

#[derive(Debug, Serialize)]
struct GatewayView {
    id: GatewayId,
    version: &'static str,
    since_ms: u64,
    event_streams: usize,
}

#[derive(Debug, Serialize)]
struct LeaseView {
    term: u32,
    leader: String,
}

#[derive(Debug, Serialize)]
struct LiveView {
    workers: usize,
    spans: usize,
    /// Spans that workers left out, because there were too many.
    spans_skipped: u64,
    oldest_span_ms: Option<u64>,
    /// Messages that could not be read.
    dropped: u64,
}

/// `GET /v1/system`
pub(crate) async fn show(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let lease = gateway.state.lease_holder().await.ok().flatten();
    let view = gateway.live.with(|board| SystemView {
        gateway: GatewayView {
            id: gateway.id,
            version: env!("CARGO_PKG_VERSION"),
            since_ms: board.since_us() / 1_000,
            event_streams: gateway.open_streams(),
        },
        surroundings: board.surroundings.clone(),
        lease: lease.map(|fence| LeaseView {
            term: fence.term.0,
            leader: fence.leader.to_string(),
        }),
        live: LiveView {
            workers: board.workers.len(),
            spans: board.spans.len(),
            spans_skipped: board.spans.skipped(),
            oldest_span_ms: board.spans.oldest_us().map(|us| us / 1_000),
            dropped: board.dropped,
        },
    });
    Ok(ok(&request, &view))
}

/// Sums the board up each second, until aborted.
pub(crate) async fn beat(gateway: Arc<Context>) {
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut pinged: Option<Instant> = None;
    let mut state = (None, None);
    loop {
        beats.tick().await;
        if pinged.is_none_or(|at| at.elapsed() >= PING_EVERY) {
            state = ping(&gateway).await;
            pinged = Some(Instant::now());
        }
        let hello = gateway.leader.hello();
        let (state_us, state_error) = state.clone();
        gateway.live.beat(Surroundings {
            broker: gateway.leader.has_link(),
            term: hello.as_ref().map(|hello| hello.term.0),
            leader: hello.map(|hello| hello.leader.to_string()),
            state_us,
            state_error,
        });
    }
}

/// How long the state store took, or why it did not answer.
async fn ping(gateway: &Context) -> (Option<u64>, Option<String>) {
    let began = Instant::now();
    match tokio::time::timeout(PING_TIMEOUT, gateway.state.ping()).await {
        Ok(Ok(())) => {
            gateway.metrics.state_ping_seconds.observe(began.elapsed());
            (u64::try_from(began.elapsed().as_micros()).ok(), None)
        }
        Ok(Err(error)) => {
            gateway.metrics.state_ping_failures.inc();
            (None, Some(error.to_string()))
        }
        Err(_) => {
            gateway.metrics.state_ping_failures.inc();
            let silence = format!("no answer within {} s", PING_TIMEOUT.as_secs());
            (None, Some(silence))
        }
    }
}
