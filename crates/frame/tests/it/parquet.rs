//! Parquet files that are not all alike, or not whole.

use std::path::{Path, PathBuf};

use millstream_frame::{PlannerOptions, ResultFormat, SqlRequest, plan_sql, render};

use crate::cluster::{Rows, distributed, query, request, run, run_planned};

/// A Parquet file with the result of a query.
async fn file(folder: &Path, name: &str, sql: &str) -> PathBuf {
    let sql = SqlRequest {
        query: sql.to_owned(),
        ..SqlRequest::default()
    };
    let planned = plan_sql(&sql, &distributed(1)).await.unwrap();
    let batches = run_planned(&planned).await.unwrap();
    let path = folder.join(name);
    std::fs::write(
        &path,
        render(&planned.schema, &batches, ResultFormat::Parquet).unwrap(),
    )
    .unwrap();
    path
}

fn cells(rows: &[&[&str]]) -> Rows {
    let cell = |cell: &&str| (*cell != "null").then(|| (*cell).to_owned());
    rows.iter().map(|row| row.iter().map(cell).collect()).collect()
}

#[tokio::test]
async fn columns_are_found_by_name_and_missing_ones_are_null() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "1.parquet", "SELECT 1 AS a, 'x' AS b").await;
    file(folder.path(), "2.parquet", "SELECT true AS c, 'y' AS b, 2 AS a").await;
    file(folder.path(), "3.parquet", "SELECT 3 AS a").await;
    let tables = [("t", folder.path())];
    for partitions in [1, 3] {
        let options = distributed(partitions);
        let got = query("SELECT * FROM t ORDER BY a", &tables, &options).await;
        assert_eq!(
            got,
            cells(&[&["1", "x", "null"], &["2", "y", "true"], &["3", "null", "null"]])
        );
        let counts = "SELECT count(*), count(a), count(b), count(c), max(b), min(c) FROM t";
        let got = query(counts, &tables, &options).await;
        assert_eq!(got, cells(&[&["3", "3", "2", "1", "y", "true"]]));
        let got = query("SELECT a FROM t WHERE b IS NULL", &tables, &options).await;
        assert_eq!(got, cells(&[&["3"]]));
        let got = query("SELECT a FROM t WHERE c", &tables, &options).await;
        assert_eq!(got, cells(&[&["2"]]));
    }
}

#[tokio::test]
async fn numbers_of_several_widths_are_one_column() {
    let folder = tempfile::tempdir().unwrap();
    file(
        folder.path(),
        "1.parquet",
        "SELECT CAST(value AS INT) AS n, CAST(value AS INT) AS x FROM generate_series(1, 1000) s",
    )
    .await;
    file(
        folder.path(),
        "2.parquet",
        "SELECT value + 5000000000 AS n, value + CAST(0.5 AS DOUBLE) AS x FROM generate_series(1, 1000) s",
    )
    .await;
    let tables = [("t", folder.path())];
    for partitions in [1, 4] {
        let options = distributed(partitions);
        let sql = "SELECT min(n), max(n), sum(n), min(x), max(x), count(x) FROM t";
        let got = query(sql, &tables, &options).await;
        assert_eq!(
            got,
            cells(&[&["1", "5000001000", "5000001001000", "1.0", "1000.5", "2000"]])
        );
        let got = query(
            "SELECT count(*) FROM t WHERE n > 5000000990 OR n < 6",
            &tables,
            &options,
        )
        .await;
        assert_eq!(got, cells(&[&["15"]]));
        let got = query("SELECT count(*) FROM t WHERE x > 999.7", &tables, &options).await;
        assert_eq!(got, cells(&[&["2"]]));
    }
}

#[tokio::test]
async fn types_that_have_none_in_common_are_named() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "1.parquet", "SELECT 1 AS a").await;
    file(folder.path(), "2.parquet", "SELECT 'x' AS a").await;
    let error = run(
        &request("SELECT * FROM t", &[("t", folder.path())]),
        &distributed(2),
    )
    .await
    .unwrap_err();
    assert_eq!(error.code(), "column_types_differ");
    let message = error.to_string();
    assert!(
        message.contains("2.parquet") && message.contains("column 'a'"),
        "{message}"
    );
}

#[tokio::test]
async fn files_that_are_cut_off_empty_or_something_else_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(
        folder.path(),
        "1.parquet",
        "SELECT value FROM generate_series(1, 1000) s",
    )
    .await;
    let whole = std::fs::read(&good).unwrap();
    for bytes in [
        &whole[..whole.len() / 2],
        &whole[..6],
        &b""[..],
        b"id,name\n1,x\n",
    ] {
        std::fs::write(folder.path().join("2.parquet"), bytes).unwrap();
        let sql = request("SELECT sum(value) FROM t", &[("t", folder.path())]);
        let error = run(&sql, &distributed(2)).await.unwrap_err();
        assert_eq!(error.code(), "parquet_malformed", "{error}");
        assert!(error.to_string().contains("2.parquet"), "{error}");
    }
}

#[tokio::test]
async fn files_are_read_in_the_order_in_which_they_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for name in ["c", "a", "b"] {
        paths.push(
            file(
                folder.path(),
                &format!("{name}.parquet"),
                &format!("SELECT '{name}' AS name"),
            )
            .await,
        );
    }
    let mut sql = request("SELECT name FROM t", &[("t", folder.path())]);
    sql.tables.get_mut("t").unwrap().paths = paths.iter().map(|path| path.display().to_string()).collect();
    for partitions in [1, 2, 3] {
        let batches = run(&sql, &distributed(partitions)).await.unwrap();
        assert_eq!(
            crate::cluster::rows(&batches),
            cells(&[&["c"], &["a"], &["b"]]),
            "{partitions}"
        );
    }
}

#[tokio::test]
async fn a_thousand_small_files_are_one_table_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let first = file(folder.path(), "0.parquet", "SELECT 1 AS n, 'x' AS name").await;
    for index in 1..1000 {
        std::fs::copy(&first, folder.path().join(format!("{index}.parquet"))).unwrap();
    }
    let started = std::time::Instant::now();
    let sql = request(
        "SELECT sum(n), count(*), max(name) FROM t",
        &[("t", folder.path())],
    );
    let planned = plan_sql(
        &sql,
        &PlannerOptions {
            target_partitions: 4,
            ..PlannerOptions::default()
        },
    )
    .await
    .unwrap();
    let got = crate::cluster::rows(&run_planned(&planned).await.unwrap());
    assert_eq!(got, cells(&[&["1000", "1000", "x"]]));
    // Every task is run twice here; one that listed or planned anew for each file would take minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
