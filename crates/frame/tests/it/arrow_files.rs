//! Arrow files that pyarrow wrote.

use std::path::{Path, PathBuf};

use millstream_frame::{PlannerOptions, ResultFormat, SqlRequest, plan_sql, render};

use crate::answers::{check, read};
use crate::cluster::{distributed, query, request, run, run_planned};

fn oracle(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracle/arrow")
        .join(name)
}

#[tokio::test]
async fn files_and_streams_compressed_or_not_give_duckdbs_answers() {
    for form in ["file", "stream"] {
        for compression in ["plain", "lz4", "zstd"] {
            let path = oracle(&format!("{form}_{compression}.arrow"));
            for partitions in [1, 3] {
                check(read("arrow"), &[("t", &path)], &distributed(partitions)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_file_is_split_by_its_batches_and_a_stream_is_not() {
    for (name, tasks) in [("file_plain.arrow", 3), ("stream_plain.arrow", 1)] {
        let path = oracle(name);
        let sql = request("SELECT id FROM t", &[("t", &path)]);
        let options = PlannerOptions {
            min_split_bytes: 1000,
            ..distributed(3)
        };
        let planned = plan_sql(&sql, &options).await.unwrap();
        assert_eq!(planned.stages[0].tasks.len(), tasks, "{name}");
        let got = crate::cluster::rows(&run_planned(&planned).await.unwrap());
        let wanted: Vec<_> = (0..1000).map(|id: u32| vec![Some(id.to_string())]).collect();
        assert_eq!(got, wanted, "{name}");
    }
}

#[tokio::test]
async fn only_the_columns_wanted_are_read() {
    let path = oracle("file_plain.arrow");
    let sql = request("SELECT sum(id) FROM t WHERE amount > 10", &[("t", &path)]);
    let planned = plan_sql(&sql, &distributed(2)).await.unwrap();
    let plan = &planned.stages[0].display;
    assert!(
        plan.contains("ArrowScanExec") && plan.contains("columns=[id, amount]"),
        "{plan}"
    );
}

/// An Arrow stream with the result of a query.
async fn stream(sql: &str) -> Vec<u8> {
    let sql = SqlRequest {
        query: sql.to_owned(),
        ..SqlRequest::default()
    };
    let planned = plan_sql(&sql, &distributed(1)).await.unwrap();
    let batches = run_planned(&planned).await.unwrap();
    render(&planned.schema, &batches, ResultFormat::Arrow)
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn files_of_other_columns_and_widths_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("1.arrow", stream("SELECT CAST(1 AS INT) AS a, 'x' AS b").await);
    write(
        "2.arrow",
        stream("SELECT true AS c, CAST(2.5 AS DOUBLE) AS a").await,
    );
    let got = query(
        "SELECT a, b, c FROM t ORDER BY a",
        &[("t", folder.path())],
        &distributed(2),
    )
    .await;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        got,
        [[text("1.0"), text("x"), None], [text("2.5"), None, text("true")]]
    );
    write("3.arrow", stream("SELECT 'text' AS a").await);
    let sql = request("SELECT * FROM t", &[("t", folder.path())]);
    let error = run(&sql, &distributed(2)).await.unwrap_err();
    assert_eq!(error.code(), "column_types_differ");
    assert!(
        error.to_string().contains("3.arrow") && error.to_string().contains("'a'"),
        "{error}"
    );
}

#[tokio::test]
async fn files_that_are_cut_off_empty_or_something_else_are_named() {
    let whole = std::fs::read(oracle("file_lz4.arrow")).unwrap();
    let stream = std::fs::read(oracle("stream_plain.arrow")).unwrap();
    for (bytes, problem) in [
        (&whole[..whole.len() / 2], "cut off"),
        (&whole[..7], "cut off"),
        (&stream[..stream.len() / 2], "cut off"),
        (&b""[..], "is empty"),
        (b"FEA1....", "Feather version 1"),
        (b"id,name\n1,x\n", "neither an Arrow IPC file nor a stream"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.arrow");
        std::fs::write(&path, bytes).unwrap();
        let sql = request("SELECT * FROM t", &[("t", &path)]);
        let error = run(&sql, &distributed(2)).await.unwrap_err();
        assert_eq!(error.code(), "arrow_malformed", "{error}");
        let message = error.to_string();
        assert!(
            message.contains("t.arrow") && message.contains(problem),
            "{message}"
        );
    }
}
