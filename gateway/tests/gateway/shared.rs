//! Cells, queues and semaphores over HTTP.

use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{TestGateway, body, problem};

async fn put(gateway: &TestGateway, path: &str, json: Value) -> Response {
    let request = gateway.request(Method::PUT, path).json(&json);
    request.send().await.unwrap()
}

async fn code_of(response: Response) -> (u16, String) {
    let (status, code, _) = problem(response).await;
    (status, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_is_read_as_it_was_written_in_either_encoding() {
    let gateway = TestGateway::start_with(|_| {}).await;
    let value = json!({"epoch": 3, "names": ["a", null, 1.5]});
    let written = put(&gateway, "/v1/cells/state", json!({"value": value})).await;
    let tag = written.headers()["etag"].to_str().unwrap().to_owned();
    let version = body(written).await["version"].as_u64().unwrap();
    assert_eq!(tag, format!("\"{version}\""));
    let read = body(gateway.get("/v1/cells/state").await).await;
    assert_eq!(read, json!({"name": "state", "version": version, "value": value}));

    let packed = rmp_value(&[("value", rmpv::Value::Binary(vec![0, 255]))]);
    let request = gateway.request(Method::PUT, "/v1/cells/bytes").body(packed);
    let written = request
        .header("content-type", "application/vnd.msgpack")
        .send()
        .await
        .unwrap();
    assert_eq!(written.status(), 200);
    let read = body(gateway.get("/v1/cells/bytes").await).await;
    assert_eq!(read["value"], json!({"base64": "AP8="}));
    let listed = body(gateway.get("/v1/cells?prefix=st").await).await;
    assert_eq!(listed, json!({"cells": ["state"]}));
    gateway.stop().await;
}

fn rmp_value(fields: &[(&str, rmpv::Value)]) -> Vec<u8> {
    let fields = fields
        .iter()
        .map(|(name, value)| (rmpv::Value::from(*name), value.clone()));
    rmp_serde::to_vec(&rmpv::Value::Map(fields.collect())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_may_depend_on_the_version() {
    let gateway = TestGateway::start_with(|_| {}).await;
    let conditional = async |header: &str, tag: &str, method: Method| {
        let request = gateway.request(method, "/v1/cells/state").header(header, tag);
        request.json(&json!({"value": 1})).send().await.unwrap()
    };
    let first = conditional("if-none-match", "*", Method::PUT).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(first.status(), 200);
    let conflict = (412, "version_conflict".to_owned());
    assert_eq!(
        code_of(conditional("if-none-match", "*", Method::PUT).await).await,
        conflict
    );
    assert_eq!(conditional("if-match", &tag, Method::PUT).await.status(), 200);
    assert_eq!(
        code_of(conditional("if-match", &tag, Method::PUT).await).await,
        conflict
    );
    assert_eq!(
        code_of(conditional("if-match", &tag, Method::DELETE).await).await,
        conflict
    );
    for removed in [true, false] {
        let answer = body(gateway.delete("/v1/cells/state").await).await;
        assert_eq!(answer, json!({"removed": removed}));
    }
    assert_eq!(
        code_of(conditional("if-match", "x", Method::PUT).await).await.1,
        "bad_parameter"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_answered_when_the_cell_changes() {
    let gateway = TestGateway::start_with(|_| {}).await;
    let read = async |query: &str| gateway.get(&format!("/v1/cells/state?{query}")).await;
    assert_eq!(read("wait=50ms").await.status(), 204);
    let (read_first, _) = tokio::join!(
        read("wait=20s"),
        put(&gateway, "/v1/cells/state", json!({"value": 1}))
    );
    let version = body(read_first).await["version"].as_u64().unwrap();

    let unchanged = read(&format!("after={version}&wait=50ms")).await;
    assert_eq!(unchanged.status(), 304);
    let after = format!("after={version}&wait=20s");
    let begun = Instant::now();
    let (changed, _) = tokio::join!(
        read(&after),
        put(&gateway, "/v1/cells/state", json!({"value": 2}))
    );
    assert_eq!(body(changed).await["value"], 2);
    assert!(begun.elapsed() < Duration::from_secs(10));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_gives_items_in_order_and_answers_repeats_alike() {
    let gateway = TestGateway::start_with(|_| {}).await;
    let id = uuid::Uuid::new_v4();
    for _ in 0..2 {
        let pushed = gateway
            .post("/v1/queues/q", &json!({"id": id, "items": [1, "two"]}))
            .await;
        assert_eq!(body(pushed).await, json!({"length": 2}));
    }
    let seen = body(gateway.get("/v1/queues/q?limit=1").await).await;
    assert_eq!(seen, json!({"name": "q", "length": 2, "items": [1]}));
    for _ in 0..2 {
        let taken = gateway.post("/v1/queues/q/take", &json!({"id": id})).await;
        assert_eq!(body(taken).await, json!({"items": [1]}));
    }
    let full = json!({"items": [3], "limit": 1});
    let refused = gateway.post("/v1/queues/q?wait=20ms", &full).await;
    assert_eq!(code_of(refused).await, (409, "queue_full".to_owned()));
    let dropping = json!({"items": [3], "limit": 1, "drop_oldest": true});
    assert_eq!(gateway.post("/v1/queues/q", &dropping).await.status(), 200);
    let rest = gateway.post("/v1/queues/q/take", &json!({"count": 10})).await;
    assert_eq!(body(rest).await, json!({"items": [3]}));
    let none = gateway.post("/v1/queues/q/take?wait=20ms", &json!({})).await;
    assert_eq!(body(none).await, json!({"items": []}));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_semaphore_goes_to_the_next_in_line() {
    let gateway = TestGateway::start_with(|_| {}).await;
    let enter = async |ticket: &str, query: &str| {
        let path = format!("/v1/semaphores/s/{ticket}{query}");
        body(put(&gateway, &path, json!({"limit": 1, "ttl": "60s"})).await).await
    };
    assert_eq!(enter("a", "").await, json!({"held": true, "ahead": 0}));
    assert_eq!(enter("b", "?wait=20ms").await, json!({"held": false, "ahead": 1}));
    let view = body(gateway.get("/v1/semaphores/s").await).await;
    assert_eq!(view, json!({"name": "s", "held": 1, "waiting": 1}));
    let (entered, left) = tokio::join!(enter("b", "?wait=20s"), gateway.delete("/v1/semaphores/s/a"));
    assert_eq!(entered, json!({"held": true, "ahead": 0}));
    assert_eq!(left.status(), 204);
    let other = put(&gateway, "/v1/semaphores/s/c", json!({"limit": 2})).await;
    assert_eq!(code_of(other).await, (409, "limit_differs".to_owned()));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_values_and_waits_are_bounded() {
    let gateway = TestGateway::start_with(|settings| settings.max_requests = 2).await;
    let large = json!({"value": "x".repeat(70_000)});
    let refused = put(&gateway, "/v1/cells/large", large).await;
    assert_eq!(code_of(refused).await, (413, "value_too_large".to_owned()));
    let long = format!("/v1/cells/{}", "x".repeat(400));
    assert_eq!(
        code_of(gateway.get(&long).await).await,
        (400, "bad_parameter".to_owned())
    );

    let http = gateway.http.clone();
    let never = format!("{}/v1/cells/never?wait=20s", gateway.url);
    let waiting = tokio::spawn(async move {
        let wait = async || http.get(&never).bearer_auth(crate::support::TOKEN).send().await;
        // A probe of this test may hold the one place just then.
        while wait().await.is_ok_and(|answer| answer.status() == 429) {}
    });
    gateway
        .until("the one place to wait is taken", async || {
            let other = gateway.get("/v1/cells/never?wait=1ms").await;
            other.status() == 429 && other.headers().contains_key("retry-after")
        })
        .await;
    assert_eq!(
        gateway.get("/v1/cells/never").await.status(),
        204,
        "the others are served"
    );
    waiting.abort();
    gateway.stop().await;
}
