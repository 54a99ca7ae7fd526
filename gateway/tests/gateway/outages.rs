//! Broker, state store and leader come and go.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::support::{TestGateway, body, problem};

fn job(key: &str) -> serde_json::Value {
    json!({"tasks": [{"key": key, "op": "command", "argv": ["echo", "hi"]}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_accepted_without_a_leader_and_ends_under_the_next() {
    let mut gateway = TestGateway::start_with(|_| {}).await;
    // The queue exists as soon as anybody has connected.
    let response = gateway.post("/v1/jobs", &job("a")).await;
    assert_eq!(response.status(), 202);
    let path = body(response).await["links"]["self"].as_str().unwrap().to_owned();
    assert_eq!(body(gateway.get(&path).await).await["state"], "accepted");
    gateway.elect(1).await;
    let view = body(gateway.get(&format!("{path}?wait=10s")).await).await;
    assert_eq!(view["state"], "succeeded");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_leader_knows_is_unavailable_without_one() {
    let gateway =
        TestGateway::start_with(|settings| settings.leader_timeout = Duration::from_millis(100)).await;
    let response = gateway.get("/v1/workers").await;
    assert!(response.headers().contains_key("retry-after"));
    let (status, code, _) = problem(response).await;
    assert_eq!((status, code.as_str()), (503, "no_leader"));
    assert_eq!(gateway.get("/readyz").await.status(), 503);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_do_not_tell_what_they_execute_are_named() {
    let gateway = TestGateway::start().await;
    gateway.leader().lose_worker();
    let page = body(gateway.get("/v1/stacks").await).await;
    assert_eq!(page, json!({"stacks": [], "unreachable": ["worker-0"]}));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_asked_again_of_the_next_leader() {
    let mut gateway =
        TestGateway::start_with(|settings| settings.leader_timeout = Duration::from_secs(20)).await;
    gateway.elect(1).await;
    gateway.leader().be_silent(true);
    let (http, url) = (gateway.http.clone(), format!("{}/v1/workers", gateway.url));
    let asking = tokio::spawn(async move {
        http.get(url)
            .bearer_auth(crate::support::TOKEN)
            .send()
            .await
            .unwrap()
    });
    gateway
        .until("the silent leader was asked", async || {
            !gateway.leader().asked().is_empty()
        })
        .await;
    gateway.depose();
    gateway.elect(2).await;
    let workers = body(asking.await.unwrap()).await;
    assert_eq!(workers["workers"][0]["name"], "worker-0");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_survives_a_lost_link() {
    let gateway = Arc::new(TestGateway::start().await);
    let waiting = {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move { body(gateway.post("/v1/jobs?wait=20s", &job("slow")).await).await })
    };
    let mut id = None;
    gateway
        .until("the job runs", async || {
            let page = body(gateway.get("/v1/jobs").await).await;
            id = page["jobs"][0]["id"].as_str().map(|id| id.parse().unwrap());
            id.is_some_and(|id| gateway.leader().knows(id))
        })
        .await;
    assert!(gateway.broker.cut("gateway") > 0);
    gateway.leader().finish(id.unwrap()).await;
    assert_eq!(waiting.await.unwrap()["state"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_store_that_is_away_refuses_reads_but_no_jobs() {
    let gateway = TestGateway::start().await;
    gateway.state.go_down();
    let response = gateway.get("/v1/jobs").await;
    assert!(response.headers().contains_key("retry-after"));
    let (status, code, _) = problem(response).await;
    assert_eq!((status, code.as_str()), (503, "state_unreachable"));
    assert_eq!(gateway.get("/readyz").await.status(), 503);
    assert_eq!(gateway.get("/healthz").await.status(), 200);
    gateway.stop().await;
}
