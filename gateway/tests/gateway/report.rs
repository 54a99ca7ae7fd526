//! The report of a job: what is on the page, and what is not.

use millstream_protocol::wire::LiveMsg;
use millstream_types::JobId;
use serde_json::json;

use crate::dashboard::work;
use crate::support::{TestGateway, body, problem};

/// Three tasks of one operation, in a job whose name is markup and that does not end.
async fn submit(gateway: &TestGateway) -> JobId {
    let task = |key: &str| json!({"key": key, "op": "native", "function": "demo:f", "args": [1]});
    let request = json!({"name": "<b>three</b>", "tasks": [task("slow"), task("b"), task("c")]});
    let job = body(gateway.post("/v1/jobs", &request).await).await;
    job["id"].as_str().unwrap().parse().unwrap()
}

/// A second in which the worker was short of memory.
fn paused(job: JobId) -> LiveMsg {
    let LiveMsg::Work(mut work) = work(job) else {
        unreachable!("it is what a worker tells")
    };
    work.load.as_mut().unwrap().paused = true;
    LiveMsg::Work(work)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_tells_layers_spans_and_pauses_and_asks_nobody() {
    let gateway = TestGateway::start().await;
    let job = submit(&gateway).await;
    let path = format!("/v1/jobs/{job}/report");
    gateway
        .until("the pause is told", async || {
            gateway.leader().tell(paused(job)).await;
            let page = gateway.get(&path).await.text().await.unwrap();
            page.contains("<li>worker worker-0 was paused for ")
        })
        .await;
    let response = gateway.get(&path).await;
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(
        response.headers()["content-security-policy"],
        "default-src 'none'; style-src 'unsafe-inline'"
    );
    let page = response.text().await.unwrap();
    for part in [
        "<h1>&lt;b&gt;three&lt;/b&gt;</h1>",
        "<td>0 native demo:f</td><td>3</td>",
        "<title>demo:f: 300.0 ms</title>",
        "<td>300.0 ms</td>",
        "worker-0 / 1</text>",
    ] {
        assert!(page.contains(part), "no `{part}` in {page}");
    }
    for part in ["<b>", "<script", "http:", "https:", " src=", " href="] {
        assert!(!page.contains(part), "`{part}` in {page}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_job_of_which_nothing_is_known_there_is_no_report() {
    let gateway = TestGateway::start().await;
    let unknown = JobId::from_u128(77);
    let response = gateway.get(&format!("/v1/jobs/{unknown}/report")).await;
    let (status, code, _) = problem(response).await;
    assert_eq!((status, code.as_str()), (404, "unknown_job"));
    gateway.stop().await;
}
