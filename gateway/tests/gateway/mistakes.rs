//! What users get wrong: a clear error with its code, naming the thing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::support::{LIMIT, TOKEN, TestGateway, problem};

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_has_its_code_and_names_the_thing() {
    let gateway = TestGateway::start().await;
    let task = |task: serde_json::Value| json!({"tasks": [task]});
    let cases = [
        (json!({"tasks": []}), 400, "empty_graph", "", ""),
        (json!({"task": []}), 400, "unknown_field", "suggestion", "tasks"),
        (json!({}), 400, "invalid_body", "", ""),
        (
            task(json!({"key": "a", "op": "comand"})),
            400,
            "unknown_op",
            "suggestion",
            "command",
        ),
        (
            task(json!({"key": "a", "op": "python"})),
            400,
            "unsupported_op",
            "op",
            "python",
        ),
        (
            task(json!({"key": "a", "op": "command", "argv": ["cat"], "stdin": {"task": "b"}})),
            400,
            "missing_dependency",
            "key",
            "a",
        ),
        (
            task(json!({"key": "a", "op": "command", "argv": ["x"], "timeout": "soon"})),
            400,
            "invalid_body",
            "field",
            "tasks[0].timeout",
        ),
        (
            json!({"tasks": [{"key": "a", "op": "command", "argv": ["x"], "deps": ["b"]},
                          {"key": "b", "op": "command", "argv": ["x"], "deps": ["a"]}]}),
            400,
            "cycle",
            "",
            "",
        ),
        (
            json!({"tasks": [{"key": "a", "op": "command", "argv": ["x"]}], "outputs": ["z"]}),
            400,
            "unknown_output",
            "key",
            "z",
        ),
    ];
    for (body, status, code, field, value) in cases {
        let (got, got_code, problem) = problem(gateway.post("/v1/jobs", &body).await).await;
        assert_eq!((got, got_code.as_str()), (status, code), "{body} gave {problem}");
        if !field.is_empty() {
            assert_eq!(problem[field], value, "{body} gave {problem}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_lists_its_keys() {
    let gateway = TestGateway::start().await;
    let job = json!({"tasks": [{"key": "a", "op": "command", "argv": ["x"], "deps": ["b"]},
                               {"key": "b", "op": "command", "argv": ["x"], "deps": ["a"]}]});
    let (_, _, problem) = problem(gateway.post("/v1/jobs", &job).await).await;
    assert_eq!(problem["keys"].as_array().unwrap().len(), 3, "{problem}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_json_names_line_and_column() {
    let gateway = TestGateway::start().await;
    let request = gateway
        .request(Method::POST, "/v1/jobs")
        .header("content-type", "application/json");
    let (status, code, problem) = problem(request.body("{\"tasks\":\n [}").send().await.unwrap()).await;
    assert_eq!((status, code.as_str()), (400, "malformed_body"));
    assert_eq!(
        (problem["line"].as_u64(), problem["column"].as_u64()),
        (Some(2), Some(3)),
        "{problem}"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_of_body_are_refused() {
    let gateway = TestGateway::start().await;
    let request = gateway
        .request(Method::POST, "/v1/jobs")
        .header("content-type", "text/xml")
        .body("<job/>");
    let (status, code, _) = problem(request.send().await.unwrap()).await;
    assert_eq!((status, code.as_str()), (415, "unsupported_media"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_graphs_have_limits() {
    let mut gateway = TestGateway::start_with(|settings| {
        settings.body_limit = millstream_types::ByteSize::new(1000);
        settings.graph_limit = 2;
    })
    .await;
    gateway.elect(1).await;
    let long = json!({"tasks": [{"key": "a", "op": "command", "argv": ["x".repeat(2000)]}]});
    let (status, code, _) = problem(gateway.post("/v1/jobs", &long).await).await;
    assert_eq!((status, code.as_str()), (413, "body_too_large"));
    let tasks: Vec<_> = (0..3)
        .map(|i| json!({"key": i.to_string(), "op": "command", "argv": ["x"]}))
        .collect();
    let (status, code, _) = problem(gateway.post("/v1/jobs", &json!({"tasks": tasks})).await).await;
    assert_eq!((status, code.as_str()), (413, "graph_too_large"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_things_are_named() {
    let gateway = TestGateway::start().await;
    let job = json!({"tasks": [{"key": "count", "op": "command", "argv": ["x", "y"]}]});
    let view = crate::support::body(gateway.post("/v1/jobs?wait=10s", &job).await).await;
    let id = view["id"].as_str().unwrap();
    let unknown = "00000000-0000-0000-0000-000000000001";
    let cases = [
        (format!("/v1/jobs/{unknown}"), 404, "unknown_job"),
        ("/v1/jobs/nonsense".to_owned(), 400, "bad_parameter"),
        (format!("/v1/jobs/{id}/tasks/coutn"), 404, "unknown_task"),
        (format!("/v1/jobs/{id}/results/coutn"), 404, "unknown_task"),
        (format!("/v1/jobs/{id}/results/count?file=x"), 404, "unknown_file"),
        (format!("/v1/jobs/{id}/tasks?state=don"), 400, "invalid_body"),
        (format!("/v1/jobs/{id}?wiat=3s"), 400, "unknown_field"),
        (format!("/v1/jobs/{id}?wait=long"), 400, "bad_parameter"),
        (format!("/v1/workers/{unknown}"), 404, "unknown_worker"),
        ("/v1/nothing".to_owned(), 404, "unknown_path"),
        ("/v1/sql".to_owned(), 405, "wrong_method"),
    ];
    for (path, status, code) in cases {
        let (got, got_code, problem) = problem(gateway.get(&path).await).await;
        assert_eq!((got, got_code.as_str()), (status, code), "{path} gave {problem}");
    }
    let (_, _, near) = problem(gateway.get(&format!("/v1/jobs/{id}/tasks/coutn")).await).await;
    assert_eq!(near["suggestion"], "count");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_query_is_the_users_mistake() {
    let gateway = TestGateway::start().await;
    let (status, code, _) = problem(gateway.post("/v1/sql", &json!({"query": " "})).await).await;
    assert_eq!((status, code.as_str()), (400, "missing_field"));
    let request = gateway
        .request(Method::POST, "/v1/sql")
        .header("accept", "image/png");
    let response = request.json(&json!({"query": "SELECT 1"})).send().await.unwrap();
    let (status, code, _) = problem(response).await;
    assert_eq!((status, code.as_str()), (406, "not_acceptable"));
    gateway.stop().await;
}

/// A request that announces more than it sends, and what is answered to it.
fn half_a_body(url: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"tasks\": ["
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    // The connection may be kept open behind the answer.
    while !answer.ends_with(b"}") {
        match stream.read(&mut piece).unwrap() {
            0 => break,
            size => answer.extend_from_slice(&piece[..size]),
        }
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let mut gateway = TestGateway::start_with(|settings| {
        settings.request_timeout = Duration::from_millis(300);
    })
    .await;
    gateway.elect(1).await;
    let url = gateway.url.clone();
    let began = Instant::now();
    let answer = tokio::task::spawn_blocking(move || half_a_body(&url))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"body_timeout\""), "{answer}");
    assert!(began.elapsed() >= Duration::from_millis(300));
    let job = json!({"tasks": [{"key": "a", "op": "command", "argv": ["echo", "b"]}]});
    let answer = gateway.post("/v1/jobs", &job).await;
    assert!(answer.status().is_success(), "others are served");
    gateway.stop().await;
}
