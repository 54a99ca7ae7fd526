//! Submitting, waiting, cancelling, removing.

use std::time::Duration;

use millstream_protocol::api::{GRAPH_CONTENT_TYPE, GraphRequest, JobView, MSGPACK_CONTENT_TYPE};
use millstream_protocol::codec;
use millstream_protocol::graph::{GraphBuilder, OpSpec, TaskOptions};
use millstream_protocol::wire::{GatewayRequest, JobOptions, JobState};
use millstream_types::JobId;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{TestGateway, body, problem};

fn echo(key: &str) -> serde_json::Value {
    json!({"tasks": [{"key": key, "op": "command", "argv": ["echo", "hi"]}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_accepted_and_found_at_once() {
    let gateway = TestGateway::start().await;
    let response = gateway.post("/v1/jobs", &echo("slow")).await;
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let job = body(response).await;
    assert_eq!(location, format!("/v1/jobs/{}", job["id"].as_str().unwrap()));
    let shown = body(gateway.get(&location).await).await;
    assert_eq!(
        (shown["state"].as_str(), shown["name"].as_str()),
        (Some("running"), Some("slow"))
    );
    let listed = body(gateway.get("/v1/jobs").await).await;
    assert_eq!(listed["jobs"][0]["id"], job["id"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_answers_with_small_results() {
    let gateway = TestGateway::start().await;
    let job = json!({"tasks": [
        {"key": "a", "op": "command", "argv": ["echo", "hi"]},
        {"key": "n", "op": "native", "function": "demo:f", "args": [{"task": "a"}]},
    ], "outputs": ["a", "n"]});
    let response = gateway.post("/v1/jobs?wait=10s", &job).await;
    assert_eq!(response.status(), 200);
    let view = body(response).await;
    assert_eq!(view["state"], "succeeded");
    assert_eq!(view["results"][0]["value"], "hi");
    assert_eq!(view["results"][1]["value"], 42);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_and_body_are_the_same_job() {
    let gateway = TestGateway::start().await;
    let mut job = echo("a");
    job["id"] = json!(Uuid::new_v4());
    let first = body(gateway.post("/v1/jobs?wait=10s", &job).await).await;
    let again = gateway.post("/v1/jobs?wait=10s", &job).await;
    assert_eq!(again.status(), 200);
    assert_eq!(body(again).await["results"], first["results"]);
    job["tasks"][0]["argv"] = json!(["echo", "other"]);
    let (status, code, _) = problem(gateway.post("/v1/jobs", &job).await).await;
    assert_eq!((status, code.as_str()), (409, "id_conflict"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_and_messagepack_mean_the_same_job() {
    let gateway = TestGateway::start().await;
    let mut job = echo("a");
    job["id"] = json!(Uuid::new_v4());
    assert_eq!(gateway.post("/v1/jobs?wait=10s", &job).await.status(), 200);
    let encoded = rmp_serde::to_vec_named(&job).unwrap();
    let request = gateway.request(Method::POST, "/v1/jobs?wait=10s");
    let request = request
        .header("content-type", MSGPACK_CONTENT_TYPE)
        .header("accept", MSGPACK_CONTENT_TYPE);
    let response = request.body(encoded).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let view: JobView = codec::decode(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(view.results[0].raw.as_deref(), Some(&b"hi"[..]));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_columnar_graph_above_the_message_limit_arrives_as_a_blob() {
    let gateway = TestGateway::start().await;
    let mut builder = GraphBuilder::new();
    let op = builder.op(OpSpec::native("demo:f"));
    let options = builder.options(TaskOptions::default());
    let task = builder.task(op, options, &vec![7; 2 << 20], &[]);
    builder.want(task);
    let id = JobId::from(Uuid::new_v4());
    let graph = codec::encode(&builder.finish()).unwrap().into();
    let request = GraphRequest {
        id,
        name: "big".to_owned(),
        options: JobOptions::default(),
        graph,
    };
    let response = gateway
        .request(Method::POST, "/v1/jobs?wait=10s")
        .header("content-type", GRAPH_CONTENT_TYPE)
        .header("accept", MSGPACK_CONTENT_TYPE)
        .body(codec::encode_named(&request).unwrap())
        .send()
        .await
        .unwrap();
    let view: JobView = codec::decode(&response.bytes().await.unwrap()).unwrap();
    assert_eq!((view.state, view.tasks.total), (JobState::Succeeded, 1));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_is_over_and_can_be_removed() {
    let gateway = TestGateway::start().await;
    let job = body(gateway.post("/v1/jobs", &echo("slow")).await).await;
    let path = job["links"]["self"].as_str().unwrap();
    let cancelled = body(gateway.delete(path).await).await;
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(gateway.delete(&format!("{path}?remove=true")).await.status(), 200);
    let (status, code, _) = problem(gateway.get(path).await).await;
    assert_eq!((status, code.as_str()), (404, "unknown_job"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_leader_takes_late_is_cancelled_all_the_same() {
    let gateway = TestGateway::start().await;
    let job = body(gateway.post("/v1/jobs", &echo("slow")).await).await;
    let path = job["links"]["self"].as_str().unwrap();
    let take = gateway
        .leader()
        .forget(job["id"].as_str().unwrap().parse().unwrap());
    let take_once_asked = async {
        let is_cancel = |request: &GatewayRequest| matches!(request, GatewayRequest::Cancel { .. });
        while !gateway.leader().asked().iter().any(is_cancel) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        take();
    };
    let (cancelled, ()) = tokio::join!(gateway.delete(path), take_once_asked);
    assert_eq!(body(cancelled).await["state"], "cancelled");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_leader_does_not_take_is_not_said_to_be_cancelled() {
    let gateway = TestGateway::start().await;
    let job = body(gateway.post("/v1/jobs", &echo("slow")).await).await;
    let path = job["links"]["self"].as_str().unwrap();
    let _untaken = gateway
        .leader()
        .forget(job["id"].as_str().unwrap().parse().unwrap());
    let (status, code, _) = problem(gateway.delete(path).await).await;
    assert_eq!((status, code.as_str()), (503, "not_taken_yet"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_names_its_task() {
    let gateway = TestGateway::start().await;
    let view = body(gateway.post("/v1/jobs?wait=10s", &echo("fail")).await).await;
    assert_eq!(
        (view["state"].as_str(), view["failed_task"].as_str()),
        (Some("failed"), Some("fail"))
    );
    assert_eq!(view["error"]["kind"], "command_failed");
    let (status, code, problem) = problem(
        gateway
            .get(&format!("/v1/jobs/{}/results/fail", view["id"].as_str().unwrap()))
            .await,
    )
    .await;
    assert_eq!((status, code.as_str()), (422, "command_failed"));
    assert_eq!(problem["key"], "fail");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_leader_is_the_answer() {
    let gateway = TestGateway::start().await;
    let mut job = echo("a");
    job["name"] = json!("refused");
    let response = gateway.post("/v1/jobs", &job).await;
    assert!(response.headers().contains_key("retry-after"));
    let (status, code, _) = problem(response).await;
    assert_eq!((status, code.as_str()), (429, "too_many_jobs"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_unfinished_jobs_than_accepted_are_refused() {
    let mut gateway = TestGateway::start_with(|settings| settings.max_active_jobs = 1).await;
    gateway.elect(1).await;
    assert_eq!(gateway.post("/v1/jobs", &echo("slow")).await.status(), 202);
    // The count is taken once a second.
    gateway
        .until("the second job is refused", async || {
            gateway.post("/v1/jobs", &echo("slow")).await.status() == 429
        })
        .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_newest_first() {
    let gateway = TestGateway::start().await;
    for key in ["a", "b", "c"] {
        gateway.post("/v1/jobs?wait=10s", &echo(key)).await;
    }
    let first = body(gateway.get("/v1/jobs?limit=2").await).await;
    let next = first["next"].as_str().unwrap();
    let rest = body(gateway.get(&format!("/v1/jobs?limit=2&before={next}")).await).await;
    assert_eq!(
        first["jobs"].as_array().unwrap().len() + rest["jobs"].as_array().unwrap().len(),
        3
    );
    assert!(rest.get("next").is_none());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_with_signs_of_paths_are_found() {
    let gateway = TestGateway::start().await;
    for (key, coded) in [
        ("a/b", "a%2Fb"),
        ("a/b", "a/b"),
        ("1+1", "1%2B1"),
        ("50%", "50%25"),
        ("a%2Fb", "a%252Fb"),
        ("ü ?#", "%C3%BC%20%3F%23"),
    ] {
        let job = body(gateway.post("/v1/jobs?wait=10s", &echo(key)).await).await;
        let id = job["id"].as_str().unwrap();
        for path in ["tasks", "results"] {
            let answer = gateway.get(&format!("/v1/jobs/{id}/{path}/{coded}")).await;
            assert_eq!(answer.status(), 200, "{path}/{coded}");
        }
    }
    gateway.stop().await;
}
