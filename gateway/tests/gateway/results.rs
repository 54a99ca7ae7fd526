//! Results, tasks and queries.

use std::sync::Arc;

use millstream_protocol::wire::GatewayRequest;
use millstream_types::JobId;
use reqwest::Method;
use serde_json::json;

use crate::leader::WORKER;
use crate::support::{TestGateway, body};

async fn run(gateway: &TestGateway, key: &str) -> String {
    let job = json!({"tasks": [{"key": key, "op": "native", "function": "demo:f"}]});
    let view = body(gateway.post("/v1/jobs?wait=10s", &job).await).await;
    view["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_json_or_messagepack() {
    let gateway = TestGateway::start().await;
    let id = run(&gateway, "a/b c").await;
    let path = format!("/v1/jobs/{id}/results/a/b%20c");
    let response = gateway.get(&path).await;
    assert_eq!(response.headers()["millstream-job"], id.as_str());
    assert_eq!(body(response).await, 42);
    let request = gateway
        .request(Method::GET, &path)
        .header("accept", "application/vnd.msgpack");
    assert_eq!(
        request.send().await.unwrap().bytes().await.unwrap(),
        [42_u8].as_slice()
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_not_there_yet_is_waited_for() {
    let gateway = Arc::new(TestGateway::start().await);
    let job = json!({"tasks": [{"key": "slow", "op": "command", "argv": ["echo", "late"]}]});
    let view = body(gateway.post("/v1/jobs", &job).await).await;
    let id = view["id"].as_str().unwrap().to_owned();
    let early = gateway.get(&format!("/v1/jobs/{id}/results/slow")).await;
    assert_eq!(early.status(), 202);
    assert!(early.headers().contains_key("retry-after"));

    let waiting = {
        let (gateway, id) = (Arc::clone(&gateway), id.clone());
        tokio::spawn(async move { gateway.get(&format!("/v1/jobs/{id}/results/slow?wait=10s")).await })
    };
    gateway
        .until("somebody watches the job", async || {
            gateway
                .leader()
                .asked()
                .iter()
                .any(|asked| matches!(asked, GatewayRequest::Watch { .. }))
        })
        .await;
    gateway.leader().finish(id.parse().unwrap()).await;
    let late = waiting.await.unwrap();
    assert_eq!(late.status(), 200);
    assert_eq!(late.text().await.unwrap(), "late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_cannot_be_reached_is_reported_and_the_result_recovers() {
    let gateway = TestGateway::start().await;
    let id = run(&gateway, "far").await;
    let response = gateway.get(&format!("/v1/jobs/{id}/results/far")).await;
    assert_eq!(response.status(), 202);
    assert_eq!(body(response).await["state"], "recovering");
    let job: JobId = id.parse().unwrap();
    let reported = gateway.leader().asked().into_iter().any(|asked| {
        matches!(asked, GatewayRequest::Locate { job: of, failed, .. } if of == job && failed == [WORKER])
    });
    assert!(reported);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_paged_and_explained() {
    let gateway = TestGateway::start().await;
    let tasks: Vec<_> = (0..5)
        .map(|i| json!({"key": format!("t{i}"), "op": "native", "function": "demo:f"}))
        .collect();
    let view = body(gateway.post("/v1/jobs?wait=10s", &json!({"tasks": tasks})).await).await;
    let base = view["links"]["tasks"].as_str().unwrap();
    let page = body(gateway.get(&format!("{base}?limit=3")).await).await;
    assert_eq!(
        (page["tasks"].as_array().unwrap().len(), page["next"].as_u64()),
        (3, Some(3))
    );
    let task = body(gateway.get(&format!("{base}/t4")).await).await;
    assert_eq!(task["task"], 4);
    assert_eq!(task["explain"][0], "its output is held by worker-0");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_answers_in_the_accepted_format() {
    let gateway = TestGateway::start().await;
    let response = gateway
        .post("/v1/sql", &json!({"query": "SELECT 1 + 1 AS two"}))
        .await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(body(response).await, json!([{"two": 2}]));
    let request = gateway
        .request(Method::POST, "/v1/sql")
        .header("accept", "text/csv");
    let response = request.json(&json!({"query": "SELECT 1"})).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
    gateway.stop().await;
}
