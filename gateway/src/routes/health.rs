//! Probes and metrics.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use millstream_telemetry::Metrics;
use serde::Serialize;

use crate::context::Context;

/// What a gateway needs to be of use.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    broker: bool,
    state: bool,
    leader: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_error: Option<String>,
}

/// `GET /healthz`: the process answers.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"alive": true}))
}

/// `GET /readyz`: broker, state store and a leader can be reached.
pub(crate) async fn ready(gateway: web::Data<Context>) -> HttpResponse {
    let state_error = gateway.state.ping().await.err().map(|error| error.to_string());
    let hello = gateway.leader.hello();
    let broker = gateway.leader.has_link();
    let readiness = Readiness {
        ready: broker && state_error.is_none() && hello.is_some(),
        broker,
        state: state_error.is_none(),
        leader: hello.is_some(),
        term: hello.map(|hello| hello.term.0),
        state_error,
    };
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    HttpResponse::build(status).json(readiness)
}

/// `GET /metrics`, for Prometheus.
pub(crate) async fn metrics(gateway: web::Data<Context>) -> HttpResponse {
    let hears_leader = gateway.leader.has_link() && gateway.leader.hello().is_some();
    gateway.cluster.show(hears_leader, Instant::now());
    HttpResponse::Ok()
        .content_type(Metrics::CONTENT_TYPE)
        .body(gateway.metrics.encode())
}
