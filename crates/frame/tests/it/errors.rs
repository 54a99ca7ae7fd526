//! Bad queries and bad tables: every one a clear error with its code.

use std::path::{Path, PathBuf};

use millstream_frame::{
    FrameError, PlannerOptions, Position, SqlRequest, StageData, StageEnv, StageLimits, TableSource,
    plan_sql, run_stage,
};

use crate::cluster::{distributed, request, run};

fn flights() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flights.csv");
    std::fs::write(&path, "carrier,dep_delay,distance\nUA,3,100\nAA,NA,200\n").unwrap();
    (folder, path)
}

async fn fail(query: &str) -> FrameError {
    let (_folder, path) = flights();
    plan_sql(&request(query, &[("flights", &path)]), &PlannerOptions::default())
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_syntax_error_has_its_line_and_column() {
    let FrameError::Syntax { position, message } = fail("SELECT carrier\nFORM flights x y").await else {
        panic!("not a syntax error")
    };
    assert_eq!(position, Some(Position { line: 2, column: 6 }), "{message}");
    assert_eq!(fail("SELECT 'open").await.code(), "sql_syntax");
    assert_eq!(fail("").await.code(), "sql_syntax");
    assert_eq!(
        fail("SELECT 1; SELECT 2").await.code(),
        "sql_unsupported_statement"
    );
}

#[tokio::test]
async fn an_unknown_table_has_its_position_and_a_near_name() {
    let error = fail("SELECT 1\n  FROM flihgts").await;
    let FrameError::UnknownTable {
        name,
        position,
        suggestion,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (name.as_str(), suggestion.as_deref()),
        ("flihgts", Some("flights"))
    );
    assert_eq!(position, Some(Position { line: 2, column: 8 }));
}

#[tokio::test]
async fn an_unknown_column_has_its_position_and_a_near_name() {
    let error = fail("SELECT dep_dealy FROM flights").await;
    let FrameError::UnknownColumn {
        name,
        position,
        suggestion,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (name.as_str(), suggestion.as_deref()),
        ("dep_dealy", Some("dep_delay"))
    );
    assert_eq!(position, Some(Position { line: 1, column: 8 }));
    let message = fail("SELECT f.carier FROM flights f").await.to_string();
    assert!(message.contains("did you mean 'carrier'?"), "{message}");
}

#[tokio::test]
async fn type_and_grouping_errors_and_unknown_functions_are_the_users() {
    for query in [
        "SELECT carrier, sum(distance) FROM flights",
        "SELECT sum(carrier) FROM flights",
        "SELECT nosuch(carrier) FROM flights",
        "SELECT * FROM flights a JOIN flights b ON a.carrier = b.carrier WHERE distance > 1",
        "SELECT $1 + distance FROM flights",
    ] {
        let error = fail(query).await;
        assert!(error.is_user_error(), "{query}: {error}");
        assert_ne!(error.code(), "engine", "{query}: {error}");
    }
}

#[tokio::test]
async fn statements_that_are_no_queries_are_refused() {
    for query in [
        "INSERT INTO flights VALUES (1)",
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "DROP TABLE flights",
        "SET datafusion.execution.batch_size = 1",
        "SHOW TABLES",
        "EXPLAIN ANALYZE SELECT 1",
    ] {
        assert_eq!(fail(query).await.code(), "sql_unsupported_statement", "{query}");
    }
}

#[tokio::test]
async fn paths_in_from_are_checked_like_tables() {
    let (folder, path) = flights();
    let options = PlannerOptions {
        roots: Some(vec![folder.path().to_owned()]),
        ..distributed(2)
    };
    let sql = |path: &Path| format!("SELECT * FROM '{}'", path.display());
    assert!(run(&request(&sql(&path), &[]), &options).await.is_ok());
    for (path, code) in [
        (Path::new("/etc/passwd"), "outside_roots"),
        (&folder.path().join("none.csv"), "file_not_found"),
        (&folder.path().join("*.parquet"), "no_files"),
    ] {
        let error = run(&request(&sql(path), &[]), &options).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_parquet_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    std::fs::write(&path, "this is not Parquet data").unwrap();
    let error = run(&request("SELECT * FROM t", &[("t", &path)]), &distributed(2))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "parquet_malformed");
    assert!(error.to_string().contains("t.parquet"), "{error}");
}

#[tokio::test]
async fn an_impossible_table_is_named() {
    let source = TableSource {
        paths: Vec::new(),
        ..TableSource::path("")
    };
    let tables = [("t".to_owned(), source)].into();
    let request = SqlRequest {
        query: "SELECT * FROM t".to_owned(),
        tables,
        ..SqlRequest::default()
    };
    assert_eq!(
        plan_sql(&request, &PlannerOptions::default())
            .await
            .unwrap_err()
            .code(),
        "table_invalid"
    );
}

#[tokio::test]
async fn errors_while_running_keep_their_meaning() {
    let (_folder, path) = flights();
    let zero = request(
        "SELECT distance / (distance - distance) FROM flights",
        &[("flights", &path)],
    );
    let error = run(&zero, &distributed(2)).await.unwrap_err();
    assert_eq!(error.code(), "query_failed", "{error}");
    let cast = request("SELECT cast(carrier AS int) FROM flights", &[("flights", &path)]);
    let error = run(&cast, &distributed(2)).await.unwrap_err();
    assert_eq!(error.code(), "query_failed", "{error}");
}

#[tokio::test]
async fn a_stage_refuses_foreign_plans_and_short_inputs() {
    let env = StageEnv::new(&StageLimits::default()).unwrap();
    let error = run_stage(b"nonsense", Vec::new(), &env).await.unwrap_err();
    assert_eq!(error.code(), "plan_malformed");

    let (_folder, path) = flights();
    let sql = request(
        "SELECT carrier, count(*) FROM flights GROUP BY carrier",
        &[("flights", &path)],
    );
    let planned = plan_sql(&sql, &distributed(2)).await.unwrap();
    let task = &planned.stages[1].tasks[0];
    let error = run_stage(&task.plan, Vec::new(), &env).await.unwrap_err();
    assert_eq!(error.code(), "plan_malformed");
    let missing: Vec<StageData> = task
        .inputs
        .iter()
        .map(|_| StageData::from_batches(Vec::new(), 5))
        .collect();
    let error = run_stage(&task.plan, missing, &env).await.unwrap_err();
    assert_eq!(error.code(), "row_count_mismatch");
    assert!(!error.is_user_error() && error.is_retryable());

    let version = planned.stages[0].tasks[0].plan.to_vec();
    let at = version
        .windows(10)
        .position(|window| window == b"millstream")
        .unwrap();
    let mut other = version.clone();
    other[at] = b'M';
    let error = run_stage(&other, Vec::new(), &env).await.unwrap_err();
    assert_eq!(error.code(), "engine_mismatch");
}

#[tokio::test]
async fn memory_that_runs_out_is_typed_and_retryable() {
    let (_folder, path) = flights();
    let sql = "SELECT a.value, b.value FROM generate_series(1, 300000) a JOIN generate_series(1, 300000) b
               ON a.value = b.value ORDER BY a.value + b.value";
    let planned = plan_sql(&request(sql, &[("flights", &path)]), &PlannerOptions::default())
        .await
        .unwrap();
    let env = StageEnv::new(&StageLimits {
        memory: Some(1 << 20),
        ..StageLimits::default()
    })
    .unwrap();
    let error = run_stage(&planned.stages[0].tasks[0].plan, Vec::new(), &env)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "out_of_memory", "{error}");
    assert!(error.is_retryable());
}
