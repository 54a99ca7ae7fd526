//! Expression trees: what they give, and what is said of those that mean nothing.

use std::path::{Path, PathBuf};

use millstream_frame::{FrameError, PlannerOptions, SqlRequest, TableSource, plan_sql};
use serde_json::{Value, json};

use crate::cluster::{Rows, distributed, rows, run};

/// A table of numbers with what is awkward about them, in two files.
fn table() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.csv"),
        "n,m,x,kind\n7,2,2.5,a\n-7,2,-1.5,b\n7,-2,,a\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("b.csv"),
        "n,m,x,kind\n5,0,0.5,\n,3,1000.0,b\n0,3,inf,a\n",
    )
    .unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

fn asked(nodes: &Value, path: &Path) -> SqlRequest {
    let tree = json!({"version": 1, "nodes": nodes});
    SqlRequest {
        tree: Some(serde_json::from_value(tree).unwrap()),
        tables: [("t".to_owned(), TableSource::path(path.display().to_string()))].into(),
        ..SqlRequest::default()
    }
}

async fn answer(nodes: Value) -> Rows {
    let (_folder, path) = table();
    rows(&run(&asked(&nodes, &path), &distributed(3)).await.unwrap())
}

async fn fail(nodes: Value) -> FrameError {
    let (_folder, path) = table();
    plan_sql(&asked(&nodes, &path), &PlannerOptions::default())
        .await
        .unwrap_err()
}

fn col(name: &str) -> Value {
    json!({"col": name})
}

fn call(name: &str, args: &[Value]) -> Value {
    json!({"call": name, "args": args})
}

fn texts(values: &[&[&str]]) -> Rows {
    let cell = |text: &&str| (*text != "-").then(|| (*text).to_owned());
    values.iter().map(|row| row.iter().map(cell).collect()).collect()
}

// Expected values: Python's `//`, `%` and `round` of the same numbers.
#[tokio::test]
async fn arithmetic_follows_python() {
    let columns = json!([
        ["quotient", call("floordiv", &[col("n"), col("m")])],
        ["rest", call("mod", &[col("n"), col("m")])],
        ["share", call("div", &[col("n"), col("m")])],
        ["rounded", call("round", &[col("x"), json!({"lit": 0})])],
        ["tenths", call("floordiv", &[col("x"), json!({"lit": 0.4})])]
    ]);
    let found =
        answer(json!([{"op": "table", "name": "t"}, {"op": "project", "input": 0, "columns": columns}]))
            .await;
    let expected = texts(&[
        &["3", "1", "3.5", "2.0", "6.0"],
        &["-4", "1", "-3.5", "-2.0", "-4.0"],
        &["-4", "-1", "-3.5", "-", "-"],
        &["-", "-", "inf", "0.0", "1.0"],
        &["-", "-", "-", "1000.0", "2499.0"],
        &["0", "0", "0.0", "inf", "NaN"],
    ]);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn rows_are_numbered_in_the_order_of_files_and_lines() {
    let nodes = json!([
        {"op": "table", "name": "t"},
        {"op": "number", "input": 0, "name": "row"},
        {"op": "filter", "input": 1, "where": call("not_null", &[col("x")])},
        {"op": "limit", "input": 2, "skip": 1, "fetch": 3},
        {"op": "project", "input": 3, "columns": [["row", col("row")], ["x", col("x")]]}
    ]);
    assert_eq!(
        answer(nodes).await,
        texts(&[&["1", "-1.5"], &["3", "0.5"], &["4", "1000.0"]])
    );
}

#[tokio::test]
async fn numbers_follow_a_sort_below_them() {
    let nodes = json!([
        {"op": "table", "name": "t"},
        {"op": "sort", "input": 0, "by": [{"expr": col("m"), "descending": true}, {"expr": col("x")}]},
        {"op": "project", "input": 1, "columns": [["x", col("x")], ["of", col("m")]]},
        {"op": "number", "input": 2, "name": "row"},
        {"op": "sort", "input": 3, "by": [{"expr": col("row")}]}
    ]);
    let found = answer(nodes).await;
    let expected = texts(&[
        &["1000.0", "3", "0"],
        &["inf", "3", "1"],
        &["-1.5", "2", "2"],
        &["2.5", "2", "3"],
        &["0.5", "0", "4"],
        &["-", "-2", "5"],
    ]);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_deep_tree_is_refused_and_one_of_some_depth_is_not() {
    let sum = |terms: usize| (0..terms).fold(col("n"), |sum, _| call("add", &[sum, json!({"lit": 1})]));
    let nodes = |expr: Value| json!([{"op": "table", "name": "t"}, {"op": "project", "input": 0, "columns": [["c", expr]]}]);
    assert_eq!(answer(nodes(sum(190))).await[0][0].as_deref(), Some("197"));
    let error = fail(nodes(sum(1000))).await;
    assert_eq!(error.code(), "tree_invalid");
    assert!(error.to_string().contains("400 deep"), "{error}");
}

#[tokio::test]
async fn groups_joins_and_windows_share_a_table() {
    let nodes = json!([
        {"op": "table", "name": "t"},
        {"op": "aggregate", "input": 0, "keys": [["k", col("kind")]], "columns": [
            ["total", {"agg": "sum", "args": [col("n")]}],
            ["rows", {"agg": "count"}],
            ["product", {"agg": "prod", "args": [col("m")]}]
        ]},
        {"op": "join", "left": 0, "right": 1, "how": "inner", "on": [[col("kind"), col("k")]], "nulls_equal": true},
        {"op": "project", "input": 2, "columns": [
            ["kind", col("kind")], ["n", col("n")], ["total", col("total")], ["rows", col("rows")],
            ["product", col("product")],
            ["before", {"window": "sum", "args": [col("m")], "partition": [col("kind")],
                        "by": [{"expr": col("n"), "nulls_first": true}],
                        "frame": {"unit": "rows", "start": null, "end": -1}}]
        ]},
        {"op": "sort", "input": 3, "by": [{"expr": col("kind")}, {"expr": col("n"), "nulls_first": true}, {"expr": col("before"), "nulls_first": true}]}
    ]);
    let found = answer(nodes).await;
    let kinds: Vec<_> = found
        .iter()
        .map(|row| (row[0].clone(), row[2].clone(), row[3].clone(), row[4].clone()))
        .collect();
    let group = |kind: Option<&str>, total: &str, rows: &str, product: &str| {
        (
            kind.map(str::to_owned),
            Some(total.to_owned()),
            Some(rows.to_owned()),
            Some(product.to_owned()),
        )
    };
    let (a, b, none) = (
        group(Some("a"), "14", "3", "-12"),
        group(Some("b"), "-7", "2", "6"),
        group(None, "5", "1", "0"),
    );
    assert_eq!(kinds, [a.clone(), a.clone(), a, b.clone(), b, none]);
    // Before the first there is nothing, so the sum of none.
    assert_eq!(found[0][5].as_deref(), Some("0"));
    assert_eq!(found[1][5].as_deref(), Some("3"));
}

#[tokio::test]
async fn a_mistake_is_told_with_its_place() {
    let table = json!({"op": "table", "name": "t"});
    let project = |expr: Value| json!([table, {"op": "project", "input": 0, "columns": [["c", expr]]}]);
    for (nodes, code, says) in [
        (json!([]), "tree_invalid", "no nodes"),
        (
            json!([{"op": "tabel", "name": "t"}]),
            "tree_invalid",
            "did you mean 'table'?",
        ),
        (
            json!([{"op": "table", "name": "t", "nmae": 1}]),
            "tree_invalid",
            "node 0",
        ),
        (json!([{"op": "table", "name": "u"}]), "sql_unknown_table", "'u'"),
        (
            json!([table, {"op": "filter", "input": 5, "where": col("n")}]),
            "tree_invalid",
            "node 5 is not before",
        ),
        (
            json!([table, {"op": "join", "left": 0, "right": 0, "how": "sideways"}]),
            "tree_invalid",
            "'sideways' is none of inner",
        ),
        (project(col("nn")), "sql_unknown_column", "'nn'"),
        (
            project(call("floordvi", &[col("n"), col("m")])),
            "tree_unknown_function",
            "did you mean 'floordiv'?",
        ),
        (
            project(call("floordiv", &[col("n")])),
            "tree_invalid",
            "floordiv takes two",
        ),
        (
            project(json!({"cast": col("n"), "type": "int65"})),
            "tree_invalid",
            "no type 'int65'",
        ),
        (
            project(json!({"lit": 1, "col": "n"})),
            "tree_invalid",
            "an expression is a map with one of",
        ),
        (project(json!({"lit": [1]})), "tree_invalid", "a literal is"),
        (
            project(call("lower", &[json!({"lit": 1}), json!({"lit": 2})])),
            "tree_invalid",
            "lower",
        ),
    ] {
        let text = nodes.to_string();
        let error = fail(nodes).await;
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
        assert!(error.is_user_error(), "{error}");
    }
}

#[tokio::test]
async fn other_versions_and_both_forms_are_refused() {
    let (_folder, path) = table();
    let mut request = asked(&json!([{"op": "table", "name": "t"}]), &path);
    request.query = "SELECT 1".to_owned();
    let error = plan_sql(&request, &PlannerOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), "query_and_tree");
    let tree = json!({"version": 2, "whatever": []});
    let request = SqlRequest {
        tree: Some(serde_json::from_value(tree).unwrap()),
        ..SqlRequest::default()
    };
    let error = plan_sql(&request, &PlannerOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), "tree_version");
    assert!(error.to_string().contains("version 2"), "{error}");
}
