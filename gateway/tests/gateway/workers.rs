//! Workers that are started on request.

use serde_json::json;

use crate::support::{TestGateway, body};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_fleet_says_where_workers_are_started() {
    let gateway = TestGateway::start().await;
    let response = gateway.post("/v1/workers", &json!({"count": 1})).await;
    assert_eq!(response.status(), 409);
    let problem = body(response).await;
    assert_eq!(problem["code"], "fixed_workers");
    assert!(
        problem["hint"].as_str().unwrap().contains("--scale worker=N"),
        "{problem}"
    );
    let page = body(gateway.get("/openapi.json").await).await;
    assert!(page["paths"]["/v1/workers"].get("post").is_none());
    gateway.stop().await;
}
