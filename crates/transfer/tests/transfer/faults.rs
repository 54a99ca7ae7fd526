//! Peers that are strangers, silent, gone, or lie.

use std::time::Duration;

use futures::TryStreamExt;
use millstream_transfer::{DataServer, DataServerOptions, FetchError, FetchOptions, Fetcher, ServeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::*;

#[tokio::test]
async fn another_clusters_secret_is_refused() {
    let (store, server) = served();
    put(&store, 1, vec![data(1, 10)]);
    for secret in ["", "correct horsf", "correct horses"] {
        let options = FetchOptions {
            same_process: false,
            ..FetchOptions::new(secret)
        };
        let fetcher = Fetcher::new(options).unwrap();
        let error = fetcher
            .fetch(server.address(), request(1, None))
            .await
            .unwrap_err();
        assert!(matches!(error, FetchError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("cluster.secret"), "{error}");
    }
}

#[tokio::test]
async fn a_stopped_server_is_unreachable() {
    let (store, server) = served();
    put(&store, 1, vec![data(1, 10)]);
    let address = server.address().to_owned();
    let fetcher = fetcher();
    assert!(fetcher.fetch(&address, request(1, None)).await.is_ok());
    server.stop().await;
    let error = fetcher.fetch(&address, request(1, None)).await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let (store, server) = served();
    let (_, port) = server.address().rsplit_once(':').unwrap();
    let options = DataServerOptions {
        host: "127.0.0.1".to_owned(),
        port: port.parse().unwrap(),
        advertise: None,
        secret: SECRET.to_owned(),
    };
    let error = DataServer::start(store, options).map(|_| ()).unwrap_err();
    assert!(matches!(error, ServeError::Bind { .. }));
    assert!(error.to_string().contains(port), "{error}");
}

/// A peer that answers one request with these bytes and closes, or keeps silent.
async fn liar(answer: Vec<u8>, close: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 4096];
        let _ = socket.read(&mut buffer).await;
        socket.write_all(&answer).await.unwrap();
        if !close {
            std::future::pending::<()>().await;
        }
    });
    address
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n").as_bytes(), body].concat()
}

/// The batch answer for one object of one part, recorded from a real server.
async fn recorded() -> Vec<u8> {
    let (store, server) = served();
    put(&store, 1, vec![data(1, 1000)]);
    let body = rmp_serde::to_vec(&[request(1, None)]).unwrap();
    let url = format!("http://{}/objects", server.address());
    let request = reqwest::Client::new().post(url).bearer_auth(SECRET).body(body);
    request.send().await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn bytes_that_changed_on_the_way_are_damaged() {
    let mut body = recorded().await;
    let middle = body.len() / 2;
    body[middle] ^= 1;
    let address = liar(answer(&format!("content-length: {}", body.len()), &body), true).await;
    let error = fetcher().fetch(&address, request(1, None)).await.unwrap_err();
    assert!(matches!(error, FetchError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn short_answers_never_count_as_whole() {
    let body = recorded().await;
    for length in [0, 3, 20, body.len() - 5, body.len() - 1] {
        let short = &body[..length];
        let honest = answer(&format!("content-length: {length}"), short);
        let broken = answer(&format!("content-length: {}", body.len()), short);
        for response in [honest, broken] {
            let address = liar(response, true).await;
            let error = fetcher().fetch(&address, request(1, None)).await.unwrap_err();
            assert!(
                matches!(error, FetchError::Unreachable { .. }),
                "{length}: {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn garbage_is_an_error_and_allocates_nothing() {
    for body in [b"\xff\xff\xff\xffgarbage".as_slice(), b"\x02\x00\x00\x00\xc1\xc1"] {
        let response = answer(&format!("content-length: {}", body.len()), body);
        let error = fetcher()
            .fetch(&liar(response, true).await, request(1, None))
            .await;
        assert!(matches!(error, Err(FetchError::Damaged { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn silence_ends_a_fetch() {
    let body = recorded().await;
    let half = answer(
        &format!("content-length: {}", body.len()),
        &body[..body.len() / 2],
    );
    let address = liar(half, false).await;
    let options = FetchOptions {
        read_timeout: Duration::from_millis(300),
        ..remote()
    };
    let fetcher = Fetcher::new(options).unwrap();
    let error = fetcher.fetch(&address, request(1, None)).await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_stream_ends_with_an_error_when_its_bytes_are_wrong_or_too_few() {
    let headers = |length| {
        format!(
            "content-type: application/octet-stream\r\ncontent-length: {length}\r\nmillstream-parts: 5:-:{:08x}",
            crc32fast::hash(b"hello")
        )
    };
    for (length, body, whole) in [
        (5, "hello", true),
        (5, "jello", false),
        (3, "hel", false),
        (5, "hel", false),
    ] {
        let address = liar(answer(&headers(length), body.as_bytes()), true).await;
        let stream = fetcher().open(&address, request(1, None)).await.unwrap();
        let read: Result<Vec<_>, _> = stream.chunks.try_collect().await;
        assert_eq!(read.is_ok(), whole, "{body} of {length}: {read:?}");
    }
}
