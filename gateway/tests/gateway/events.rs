//! Server-sent events.

use futures::StreamExt as _;
use millstream_protocol::wire::{JobCounts, JobEventKind};
use millstream_types::JobId;
use reqwest::Method;
use serde_json::json;

use crate::support::{LIMIT, TestGateway, body};

async fn start_slow(gateway: &TestGateway) -> (JobId, String) {
    let job = json!({"tasks": [{"key": "slow", "op": "command", "argv": ["x"]}]});
    let view = body(gateway.post("/v1/jobs", &job).await).await;
    let events = view["links"]["events"].as_str().unwrap().to_owned();
    (view["id"].as_str().unwrap().parse().unwrap(), events)
}

/// Reads a stream until it holds `text` or ends.
async fn read_until(response: reqwest::Response, text: &str) -> String {
    let mut stream = response.bytes_stream();
    let mut seen = String::new();
    let reading = async {
        while !seen.contains(text) {
            let Some(chunk) = stream.next().await else { break };
            seen.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    };
    assert!(
        tokio::time::timeout(LIMIT, reading).await.is_ok(),
        "no `{text}` in time"
    );
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_live_and_end_with_the_job() {
    let gateway = TestGateway::start().await;
    let (job, events) = start_slow(&gateway).await;
    let response = gateway.get(&events).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let reading = tokio::spawn(read_until(response, "event: end"));
    let counts = JobCounts {
        total: 1,
        assigned: 1,
        ..JobCounts::default()
    };
    gateway
        .leader()
        .event(job, JobEventKind::Progress { counts })
        .await;
    gateway.leader().finish(job).await;
    let seen = reading.await.unwrap();
    let order: Vec<_> = seen
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(order, ["accepted", "progress", "state", "end"], "{seen}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_resumes_after_the_last_event_it_saw() {
    let gateway = TestGateway::start().await;
    let (job, events) = start_slow(&gateway).await;
    let seen = read_until(gateway.get(&events).await, "event: accepted\ndata: ").await;
    let last = seen
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap()
        .to_owned();
    gateway.leader().finish(job).await;
    let resumed = gateway
        .request(Method::GET, &events)
        .header("last-event-id", &last)
        .send()
        .await
        .unwrap();
    let rest = read_until(resumed, "event: end").await;
    assert!(
        !rest.contains("event: accepted") && rest.contains("event: state"),
        "{rest}"
    );
    let last = rest
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .next_back()
        .unwrap()
        .to_owned();
    let over = gateway
        .request(Method::GET, &events)
        .header("last-event-id", &last)
        .send()
        .await
        .unwrap();
    assert_eq!(over.status(), 204);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_bridged_by_a_snapshot() {
    let gateway = TestGateway::start().await;
    let (job, events) = start_slow(&gateway).await;
    gateway.leader().finish(job).await;
    // An id from before everything that is kept.
    let response = gateway
        .request(Method::GET, &events)
        .header("last-event-id", "0-1")
        .send()
        .await
        .unwrap();
    let seen = read_until(response, "event: end").await;
    assert!(
        seen.contains("event: snapshot") || seen.contains("event: accepted"),
        "{seen}"
    );
    gateway.stop().await;
}
