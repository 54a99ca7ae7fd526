//! Single tasks of a job: released, cancelled, and what their readers hear.

use millstream_protocol::codec;
use millstream_protocol::wire::GatewayRequest;
use millstream_types::JobId;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{TestGateway, body, problem};

/// Submits a job of two tasks, the first of which runs until the job is cancelled; returns its path.
async fn start_slow(gateway: &TestGateway) -> String {
    let job = json!({"tasks": [
        {"key": "slow", "op": "command", "argv": ["echo", "late"]},
        {"key": "dir/b", "op": "command", "argv": ["echo", "later"]}
    ]});
    let view = body(gateway.post("/v1/jobs", &job).await).await;
    let id = view["id"].as_str().unwrap().parse().unwrap();
    gateway
        .until("the leader has the job", async || gateway.leader().knows(id))
        .await;
    format!("/v1/jobs/{id}")
}

async fn ask(gateway: &TestGateway, job: &str, what: &str, keys: &[&str]) -> Response {
    gateway
        .post(&format!("{job}/{what}"), &json!({"keys": keys}))
        .await
}

async fn changed(response: Response) -> Value {
    assert_eq!(response.status(), 200);
    body(response).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_named_by_their_keys_and_those_that_changed_are_counted() {
    let gateway = TestGateway::start().await;
    let job = start_slow(&gateway).await;
    let first = changed(ask(&gateway, &job, "cancel", &["dir/b", "slow"]).await).await;
    assert_eq!(first, json!({"tasks": 2}));
    let again = changed(ask(&gateway, &job, "release", &["slow"]).await).await;
    assert_eq!(again, json!({"tasks": 0}));
    let asked: Vec<_> = gateway
        .leader()
        .asked()
        .into_iter()
        .filter_map(|request| match request {
            GatewayRequest::CancelTasks { tasks, .. } => Some(("cancel", tasks.to_vec())),
            GatewayRequest::ReleaseTasks { tasks, .. } => Some(("release", tasks.to_vec())),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [("cancel", vec![1, 0]), ("release", vec![0])]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_gone_for_its_readers_while_the_job_runs() {
    let gateway = TestGateway::start().await;
    let job = start_slow(&gateway).await;
    assert_eq!(gateway.get(&format!("{job}/results/dir/b")).await.status(), 202);
    changed(ask(&gateway, &job, "release", &["dir/b"]).await).await;
    let (status, code, told) = problem(gateway.get(&format!("{job}/results/dir/b")).await).await;
    assert_eq!((status, code.as_str()), (410, "result_gone"));
    assert!(
        told["detail"]
            .as_str()
            .unwrap()
            .contains("released by its client")
    );
    let states = gateway.get(&format!("{job}/states")).await.bytes().await.unwrap();
    assert_eq!(states.as_ref(), [0, 0], "without the journal's marks");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_over_has_nothing_to_cancel() {
    let gateway = TestGateway::start().await;
    let job = json!({"tasks": [{"key": "a", "op": "command", "argv": ["echo", "hi"]}]});
    let view = body(gateway.post("/v1/jobs?wait=10s", &job).await).await;
    assert_eq!(view["state"], "succeeded");
    let job = view["links"]["self"].as_str().unwrap();
    assert_eq!(
        changed(ask(&gateway, job, "cancel", &["a"]).await).await,
        json!({"tasks": 0})
    );
    assert_eq!(
        changed(ask(&gateway, job, "release", &["a"]).await).await,
        json!({"tasks": 1})
    );
    assert_eq!(gateway.get(&format!("{job}/results/a")).await.status(), 410);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_messagepack_is_answered_in_messagepack() {
    let gateway = TestGateway::start().await;
    let job = start_slow(&gateway).await;
    let request = gateway
        .request(Method::POST, &format!("{job}/release"))
        .header("content-type", "application/vnd.msgpack")
        .header("accept", "application/vnd.msgpack")
        .body(codec::encode_named(&json!({"keys": ["slow"]})).unwrap());
    let answer = request.send().await.unwrap().bytes().await.unwrap();
    assert_eq!(codec::decode::<Value>(&answer).unwrap(), json!({"tasks": 1}));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_task_is_named() {
    let gateway = TestGateway::start().await;
    let job = start_slow(&gateway).await;
    let (status, code, told) = problem(ask(&gateway, &job, "cancel", &["slow", "slwo"]).await).await;
    assert_eq!((status, code.as_str()), (404, "unknown_task"));
    assert_eq!(
        (told["key"].as_str(), told["suggestion"].as_str()),
        (Some("slwo"), Some("slow"))
    );
    let is_asked = |request: &GatewayRequest| matches!(request, GatewayRequest::CancelTasks { .. });
    assert!(!gateway.leader().asked().iter().any(is_asked), "all or nothing");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_name_no_tasks_or_too_many_are_refused() {
    let gateway = TestGateway::start().await;
    let job = start_slow(&gateway).await;
    let many = vec!["slow"; 100_001];
    for keys in [&[][..], &many[..]] {
        let (status, code, told) = problem(ask(&gateway, &job, "release", keys).await).await;
        assert_eq!((status, code.as_str()), (400, "invalid_body"));
        assert_eq!(told["field"], "keys");
    }
    let wrong = gateway
        .post(&format!("{job}/cancel"), &json!({"key": "slow"}))
        .await;
    assert_eq!(problem(wrong).await.1, "unknown_field");
    assert_eq!(gateway.get(&format!("{job}/cancel")).await.status(), 405);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_still_collects_puts_a_cancel_off() {
    let gateway = TestGateway::start().await;
    let job = start_slow(&gateway).await;
    gateway.leader().be_collecting(true);
    let refused = ask(&gateway, &job, "cancel", &["slow"]).await;
    assert!(refused.headers().contains_key("retry-after"));
    let (status, code, _) = problem(refused).await;
    assert_eq!((status, code.as_str()), (503, "not_taken_yet"));
    assert_eq!(
        changed(ask(&gateway, &job, "release", &["slow"]).await).await,
        json!({"tasks": 1})
    );
    gateway.leader().be_collecting(false);
    assert_eq!(
        changed(ask(&gateway, &job, "cancel", &["dir/b"]).await).await,
        json!({"tasks": 1})
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_leader_has_not_taken_yet_is_to_be_asked_for_again() {
    let gateway = TestGateway::start().await;
    let job = start_slow(&gateway).await;
    let id: JobId = job.rsplit('/').next().unwrap().parse().unwrap();
    let _untaken = gateway.leader().forget(id);
    let (status, code, told) = problem(ask(&gateway, &job, "cancel", &["slow"]).await).await;
    assert_eq!((status, code.as_str()), (503, "not_taken_yet"));
    assert_eq!(told["job"], id.to_string());
    let nobody = "/v1/jobs/00000000-0000-0000-0000-000000000001";
    let (status, code, _) = problem(ask(&gateway, nobody, "cancel", &["slow"]).await).await;
    assert_eq!((status, code.as_str()), (404, "unknown_job"));
    gateway.stop().await;
}
