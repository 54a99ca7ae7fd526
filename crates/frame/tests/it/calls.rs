//! Python functions within plans: which tasks call them, and what these are given.

use millstream_frame::{PlannedQuery, PlannedStage, PlannerOptions, SqlRequest, TableSource, plan_sql};
use rmpv::Value;
use serde_json::json;

use crate::cluster::distributed;

const FILES: usize = 4;

/// A tree over a table of several files; `nodes` follow the table.
async fn planned(nodes: serde_json::Value, options: &PlannerOptions) -> Result<PlannedQuery, String> {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..FILES {
        std::fs::write(
            folder.path().join(format!("{file}.csv")),
            format!("key,n\na,{file}\nb,{file}\n"),
        )
        .unwrap();
    }
    let mut all = vec![json!({"op": "table", "name": "t"})];
    all.extend(nodes.as_array().unwrap().iter().cloned());
    let tree = json!({"version": 1, "nodes": all});
    let request = SqlRequest {
        tree: Some(with_bytes(serde_json::from_value(tree).unwrap())),
        tables: [(
            "t".to_owned(),
            TableSource::path(folder.path().display().to_string()),
        )]
        .into(),
        ..SqlRequest::default()
    };
    plan_sql(&request, options)
        .await
        .map_err(|error| error.to_string())
}

/// The same where texts that begin with `b:` are bytes, which JSON does not have.
fn with_bytes(value: Value) -> Value {
    match value {
        Value::String(text) => match text.as_str().and_then(|text| text.strip_prefix("b:")) {
            Some(bytes) => Value::Binary(bytes.as_bytes().to_vec()),
            None => Value::String(text),
        },
        Value::Array(values) => Value::Array(values.into_iter().map(with_bytes).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| (key, with_bytes(value)))
                .collect(),
        ),
        other => other,
    }
}

fn python(more: serde_json::Value) -> serde_json::Value {
    let mut node = json!({"op": "python", "name": "f", "function": "b:spec", "columns": [["z", "double"]]});
    let members = node.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    node
}

fn calls(query: &PlannedQuery) -> (usize, &PlannedStage) {
    let mut found = query
        .stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| stage.call.is_some());
    let only = found.next().unwrap();
    assert!(found.next().is_none());
    only
}

#[tokio::test]
async fn each_partition_is_a_call() {
    let query = planned(
        json!([python(json!({"input": 0, "keep": true}))]),
        &distributed(FILES),
    )
    .await
    .unwrap();
    let (place, stage) = calls(&query);
    assert_eq!(stage.tasks.len(), FILES);
    assert!(stage.volatile);
    let call = stage.call.as_ref().unwrap();
    assert_eq!((call.name.as_str(), &call.function[..]), ("f", &b"spec"[..]));
    for (number, task) in stage.tasks.iter().enumerate() {
        assert!(task.plan.is_empty());
        let [input] = task.inputs.as_slice() else {
            panic!("{task:?}")
        };
        assert_eq!((input.task as usize, input.part), (number, None));
        assert!((input.stage as usize) < place);
    }
    let names: Vec<&str> = query
        .schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["key", "n", "z"]);
}

#[tokio::test]
async fn rows_of_equal_keys_come_to_one_call() {
    let by = json!([{"col": "key"}]);
    let query = planned(json!([python(json!({"input": 0, "by": by}))]), &distributed(3))
        .await
        .unwrap();
    let (_, stage) = calls(&query);
    assert_eq!(stage.tasks.len(), 3);
    let before = &query.stages[stage.tasks[0].inputs[0].stage as usize];
    assert_eq!(before.parts, 3);
    for (number, task) in stage.tasks.iter().enumerate() {
        assert_eq!(task.inputs.len(), before.tasks.len());
        assert!(task.inputs.iter().all(|input| input.part == Some(number as u32)));
    }
}

#[tokio::test]
async fn calls_without_rows_are_given_their_arguments() {
    let given = json!(["b:first", "b:second"]);
    let summed =
        json!({"op": "aggregate", "input": 1, "columns": [["sum", {"agg": "sum", "args": [{"col": "z"}]}]]});
    let query = planned(
        json!([python(json!({"calls": given, "pure": true})), summed]),
        &distributed(2),
    )
    .await
    .unwrap();
    let (_, stage) = calls(&query);
    let plans: Vec<&[u8]> = stage.tasks.iter().map(|task| &task.plan[..]).collect();
    assert_eq!(plans, [&b"first"[..], &b"second"[..]]);
    assert!(!stage.volatile);
    assert!(stage.tasks.iter().all(|task| task.inputs.is_empty()));
}

#[tokio::test]
async fn a_function_that_two_tables_read_is_called_once_for_both() {
    let nodes = json!([
        python(json!({"input": 0, "keep": true})),
        {"op": "filter", "input": 1, "where": {"call": "gt", "args": [{"col": "n"}, {"lit": 1}]}},
        {"op": "union", "inputs": [1, 2]}
    ]);
    let query = planned(nodes, &distributed(2)).await.unwrap();
    calls(&query);
}

#[tokio::test]
async fn functions_that_mean_nothing_are_named() {
    for (more, expected) in [
        (json!({}), "either an `input`"),
        (json!({"input": 0, "calls": ["b:x"]}), "either an `input`"),
        (json!({"input": 0, "columns": []}), "at least one column"),
        (
            json!({"input": 0, "keep": true, "columns": [["n", "int64"]]}),
            "two columns 'n'",
        ),
        (
            json!({"input": 0, "columns": [["z", "number"]]}),
            "no type 'number'",
        ),
    ] {
        let error = planned(json!([python(more)]), &distributed(2)).await.unwrap_err();
        assert!(
            error.contains(expected) && error.contains("node 1 (python)"),
            "{error}"
        );
    }
}
