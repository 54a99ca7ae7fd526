//! `/openapi.json` says what is true: its examples run as they stand.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestGateway, body};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_examples_run_as_they_stand_one_after_the_other() {
    let gateway = TestGateway::start().await;
    let document = body(gateway.get("/openapi.json").await).await;
    let paths = document["paths"].as_object().unwrap();
    let operations: Vec<(&str, &str, &Value)> = paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(method, op)| (method.as_str(), path.as_str(), op))
        })
        .collect();
    assert_eq!(operations.len(), 50);
    for (method, path, operation) in operations {
        let response = run(&gateway, method, path, operation).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        assert!(
            operation["responses"].get(status.as_str()).is_some(),
            "{method} {path}: {status} is not described"
        );
    }
    gateway.stop().await;
}

async fn run(gateway: &TestGateway, method: &str, path: &str, operation: &Value) -> reqwest::Response {
    let mut url = path.to_owned();
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        match (parameter["in"].as_str(), parameter["example"].as_str()) {
            (Some("path"), Some(example)) => url = url.replace(&format!("{{{name}}}"), example),
            (Some("query"), Some(example)) => query.push((name.to_owned(), example.to_owned())),
            _ => {}
        }
    }
    let method: Method = method.to_uppercase().parse().unwrap();
    let mut request = gateway.request(method, &url).query(&query);
    let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
    if let Some(example) = examples.as_object().and_then(|examples| examples.values().next()) {
        // A map of examples has no order of its own; the first by name is the first.
        request = request.json(&example["value"]);
    }
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reference_leads_somewhere() {
    let gateway = TestGateway::start().await;
    let document = body(gateway.get("/openapi.json").await).await;
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    assert_eq!(document["security"], json!([{"token": []}]));
    gateway.stop().await;
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                references.push(reference.to_owned());
            }
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
