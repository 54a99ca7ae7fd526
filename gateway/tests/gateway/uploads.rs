//! Values that are left on workers.

use std::io::Read as _;

use reqwest::Method;
use uuid::Uuid;

use crate::leader::WORKER;
use crate::plane::QUOTA;
use crate::support::{TestGateway, body};

fn value(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i as u32).wrapping_mul(2_654_435_761) as u8)
        .collect()
}

fn path(id: Uuid) -> String {
    format!("/v1/uploads/{id}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_reaches_the_worker_whole_and_is_removed() {
    let gateway = TestGateway::start().await;
    let (id, bytes) = (Uuid::from_u128(7), value(3_000_000));
    let response = gateway
        .request(Method::PUT, &path(id))
        .body(bytes.clone())
        .send()
        .await;
    let view = body(response.unwrap()).await;
    assert_eq!(view["length"], 3_000_000);
    assert_eq!(view["crc32"], crc32fast::hash(&bytes));
    assert_eq!(view["workers"], serde_json::json!([WORKER.to_string()]));

    let shelf = &gateway.leader().plane().shelf;
    let (mut file, length) = shelf.open_file(id).unwrap();
    let mut read = Vec::new();
    file.read_to_end(&mut read).unwrap();
    assert_eq!((length, read), (3_000_000, bytes));

    assert_eq!(gateway.delete(&path(id)).await.status(), 204);
    assert!(shelf.open_file(id).is_err());
    // What is not there can be removed again.
    assert_eq!(gateway.delete(&path(id)).await.status(), 204);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let gateway = TestGateway::start().await;
    let id = Uuid::from_u128(8);
    let chunks = [Ok(value(100_000)), Err(std::io::Error::other("the client dies"))];
    let broken = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let sent = gateway.request(Method::PUT, &path(id)).body(broken).send().await;
    assert!(sent.is_err());
    let shelf = &gateway.leader().plane().shelf;
    assert!(shelf.open_file(id).is_err());
    // The room that it took is free again.
    let whole = gateway
        .request(Method::PUT, &path(id))
        .body(value(QUOTA.as_u64() as usize));
    gateway
        .until("there is room", async || {
            whole.try_clone().unwrap().send().await.unwrap().status() == 200
        })
        .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_room_is_refused_with_what_to_do() {
    let gateway = TestGateway::start().await;
    let id = Uuid::from_u128(9);
    let request = gateway
        .request(Method::PUT, &path(id))
        .body(value(QUOTA.as_u64() as usize + 1));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 507);
    let problem = body(response).await;
    assert_eq!(problem["code"], "upload_refused");
    assert!(
        problem["hint"].as_str().unwrap().contains("worker.spill_quota"),
        "{problem}"
    );
    assert!(gateway.leader().plane().shelf.open_file(id).is_err());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_needs_a_uuid_and_a_leader_that_knows_workers() {
    let gateway = TestGateway::start().await;
    let response = gateway
        .request(Method::PUT, "/v1/uploads/mine")
        .body("x")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(body(response).await["code"], "bad_parameter");
    gateway.stop().await;
}
