//! `/openapi.json`: what this gateway answers to, with examples that run as they stand.
//!
//! Written by hand, because it is the contract and not a picture of the code; tests run the first example of every
//! operation, one after the other as the page has them, against a gateway and against a cluster.

mod dashboard;
mod give_up;
mod operations;
mod schemas;
mod shared;

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::context::Context;

/// The job that the examples submit, ask for and remove.
const EXAMPLE_JOB: &str = "0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10";

/// The session that the examples open and end.
const EXAMPLE_SESSION: &str = "5a3c0d7e-2b64-4c1f-9d0a-8e7f6b5a4c3d";

/// The upload that the examples leave and remove.
const EXAMPLE_UPLOAD: &str = "3f6d2c1b-0a9e-4d8c-b7f6-5e4d3c2b1a09";

/// Stands for a worker while none is known.
const NO_WORKER: &str = "worker-0";

/// `GET /openapi.json`
pub(crate) async fn page(gateway: web::Data<Context>) -> HttpResponse {
    // A worker's id is not known beforehand, so the example names one that is there.
    let workers = gateway.workers().await.unwrap_or_default();
    let worker = workers
        .first()
        .map_or_else(|| NO_WORKER.to_owned(), |worker| worker.id.to_string());
    HttpResponse::Ok().json(document(&worker, gateway.fleet.is_some()))
}

fn document(worker: &str, has_fleet: bool) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Millstream",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Submit task graphs and queries, follow them, and fetch their results. Every body and \
                answer is JSON, or the same in MessagePack with `application/vnd.msgpack`. Errors are \
                `application/problem+json` with a stable `code`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths(worker, has_fleet),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer",
                "description": "`millstream token` prints it."}},
            "schemas": schemas::schemas(),
            "responses": {"Problem": {
                "description": "What went wrong, to what, and what to do.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
            }}
        }
    })
}

fn paths(worker: &str, has_fleet: bool) -> Value {
    let mut paths = operations::paths(worker);
    if has_fleet {
        paths["/v1/workers"]["post"] = operations::add_workers();
    }
    give_up::add(&mut paths);
    dashboard::add(&mut paths);
    if let Some(paths) = paths.as_object_mut() {
        paths.extend(shared::paths());
    }
    paths
}
