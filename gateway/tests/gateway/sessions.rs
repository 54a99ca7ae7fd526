//! Sessions of clients, and jobs attached to them.

use millstream_protocol::codec;
use millstream_protocol::wire::ClientSession;
use millstream_state::StateStore as _;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestGateway, body, problem};

fn attached_to(session: Uuid) -> Value {
    json!({
        "tasks": [{"key": "slow", "op": "command", "argv": ["echo", "hi"]}],
        "options": {"session": session}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_attached_only_to_a_session_that_is_open() {
    let gateway = TestGateway::start().await;
    let session = Uuid::new_v4();
    let path = format!("/v1/sessions/{session}");
    let refused = gateway.post("/v1/jobs", &attached_to(session)).await;
    let (status, code, _) = problem(refused).await;
    assert_eq!((status, code.as_str()), (404, "unknown_session"));

    let opened = gateway.request(Method::PUT, &path).send().await.unwrap();
    assert_eq!(opened.status(), 200);
    assert_eq!(body(opened).await, json!({"id": session, "ttl": "60s"}));
    let accepted = gateway.post("/v1/jobs", &attached_to(session)).await;
    assert_eq!(accepted.status(), 202);

    assert_eq!(gateway.delete(&path).await.status(), 204);
    let kept = gateway
        .state
        .session(&session.to_string())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(codec::decode(&kept), Ok(ClientSession::Ended));
    let refused = gateway.post("/v1/jobs", &attached_to(session)).await;
    let (status, code, _) = problem(refused).await;
    assert_eq!((status, code.as_str()), (404, "unknown_session"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_no_uuid_is_refused() {
    let gateway = TestGateway::start().await;
    let refused = gateway
        .request(Method::PUT, "/v1/sessions/notebook")
        .send()
        .await
        .unwrap();
    let (status, code, _) = problem(refused).await;
    assert_eq!((status, code.as_str()), (400, "bad_parameter"));
    gateway.stop().await;
}
