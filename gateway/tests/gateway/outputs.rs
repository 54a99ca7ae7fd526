//! A whole job at a glance: states and results in columns.

use millstream_protocol::api::OutputsView;
use millstream_protocol::codec;
use millstream_protocol::wire::JobState;
use serde_json::json;

use crate::support::{TestGateway, body};

#[tokio::test(flavor = "multi_thread")]
async fn wanted_results_come_in_columns_with_small_values() {
    let gateway = TestGateway::start().await;
    let job = json!({"tasks": [{"key": "a/b", "op": "native", "function": "demo:f"}]});
    let view = body(gateway.post("/v1/jobs?wait=10s", &job).await).await;
    let id = view["id"].as_str().unwrap();

    let response = gateway.get(&format!("/v1/jobs/{id}/results")).await;
    assert_eq!(response.headers()["millstream-job-state"], "succeeded");
    let outputs: OutputsView = codec::decode(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(outputs.state, JobState::Succeeded);
    assert_eq!(outputs.tasks.as_slice(), [0]);
    assert_eq!(outputs.keys.get(0), b"a/b");
    assert_eq!(outputs.kinds, ["native"]);
    assert_eq!(outputs.kind.as_slice(), [0]);
    assert_eq!(outputs.held.len(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn states_are_told_with_the_jobs() {
    let gateway = TestGateway::start().await;
    let job = json!({"tasks": [{"key": "slow", "op": "command", "argv": ["echo", "late"]}]});
    let view = body(gateway.post("/v1/jobs", &job).await).await;
    let id = view["id"].as_str().unwrap();
    let response = gateway.get(&format!("/v1/jobs/{id}/states")).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers().contains_key("millstream-job-state"));
    // The journal may know less than there are tasks, never more.
    assert!(response.bytes().await.unwrap().len() <= 1);
    gateway.stop().await;
}
