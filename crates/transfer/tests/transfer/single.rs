//! One object by its address, as curl and the gateway read it.

use futures::TryStreamExt;
use millstream_store::Format;
use millstream_transfer::{FetchError, FetchOptions, Fetcher, ObjectRequest, TaskStack};
use millstream_types::{JobId, TaskIdx};

use crate::harness::*;

async fn get(address: &str, path: &str, secret: &str) -> reqwest::Response {
    let url = format!("http://{address}{path}");
    let request = reqwest::Client::new().get(url).bearer_auth(secret);
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_plain_client_reads_plain_bytes() {
    let (store, server) = served();
    put(&store, 1, vec![data(1, 700_000)]);
    let answer = get(server.address(), &request(1, None).path(), SECRET).await;
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/octet-stream");
    assert_eq!(header("content-length"), "700000");
    let crc = crc32fast::hash(&data(1, 700_000));
    assert_eq!(header("millstream-parts"), format!("700000:-:{crc:08x}"));
    assert_eq!(answer.bytes().await.unwrap(), data(1, 700_000));
}

#[tokio::test]
async fn what_is_refused_is_a_problem_document() {
    let (store, server) = served();
    put(&store, 1, vec![data(1, 10)]);
    let cases = [
        (request(1, None).path(), "wrong", 401, "wrong_secret"),
        (request(2, None).path(), SECRET, 410, "object_gone"),
        (request(1, Some(1)).path(), SECRET, 410, "object_gone"),
        ("/objects/x/1/1.1".to_owned(), SECRET, 400, "bad_object_name"),
        ("/elsewhere".to_owned(), SECRET, 404, "not_found"),
    ];
    for (path, secret, status, code) in cases {
        let answer = get(server.address(), &path, secret).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(problem["code"], code, "{path}");
    }
}

async fn read(fetcher: &Fetcher, address: &str, request: ObjectRequest) -> Result<Vec<u8>, FetchError> {
    let stream = fetcher.open(address, request).await?;
    assert_eq!(stream.format, Format::Raw);
    let length = stream.length;
    let chunks: Vec<_> = stream.chunks.try_collect().await?;
    assert_eq!(length, chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>());
    Ok(chunks.concat())
}

#[tokio::test]
async fn an_object_is_read_as_a_stream_from_near_and_far() {
    let (store, server) = served();
    put(&store, 1, vec![data(1, 700_000), data(2, 0), data(3, 5)]);
    let expected = [data(1, 700_000), data(3, 5)].concat();
    let near = Fetcher::new(FetchOptions::new(SECRET)).unwrap();
    for fetcher in [fetcher(), near] {
        let whole = read(&fetcher, server.address(), request(1, None)).await;
        assert_eq!(whole.unwrap(), expected);
        let part = read(&fetcher, server.address(), request(1, Some(2))).await;
        assert_eq!(part.unwrap(), data(3, 5));
        let gone = read(&fetcher, server.address(), request(7, None)).await;
        assert!(matches!(gone, Err(FetchError::Gone { .. })), "{gone:?}");
    }
}

#[tokio::test]
async fn what_tasks_execute_is_told_to_those_who_know_the_secret() {
    let (_store, server) = served();
    assert_eq!(fetcher().stacks(server.address()).await.unwrap(), []);
    let stack = TaskStack {
        job: JobId::from_u128(7),
        task: TaskIdx(3),
        text: "File \"users_file.py\", line 4 in f".to_owned(),
    };
    let told = stack.clone();
    server.serve_stacks(Box::new(move || vec![told.clone()]));
    assert_eq!(fetcher().stacks(server.address()).await.unwrap(), [stack]);
    let foreign = Fetcher::new(FetchOptions::new("another")).unwrap();
    let refused = foreign.stacks(server.address()).await.unwrap_err();
    assert!(matches!(refused, FetchError::Refused { .. }), "{refused}");
}
