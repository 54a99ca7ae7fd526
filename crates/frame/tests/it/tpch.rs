//! The 22 TPC-H queries against DuckDB's answers, over CSV and Parquet, cut into 1, 2 and 7 partitions, with
//! joins that never and always broadcast.

use std::path::Path;

use millstream_frame::{PlannerOptions, SqlRequest};

use crate::answers::difference;
use crate::cluster::{Rows, distributed, request, rows, run};
use crate::tpch_data::{self, Tables};

fn tpch_request(tables: &Tables, number: usize) -> SqlRequest {
    let sql = std::fs::read_to_string(oracle(number, "sql")).unwrap();
    let paths: Vec<_> = Tables::NAMES
        .iter()
        .map(|name| (*name, tables.path(name)))
        .collect();
    let paths: Vec<(&str, &Path)> = paths.iter().map(|(name, path)| (*name, path.as_path())).collect();
    request(&sql, &paths)
}

fn oracle(number: usize, extension: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/oracle/tpch/q{number:02}.{extension}"))
}

async fn expected(number: usize) -> Rows {
    // Read as text, so that nothing of the answer depends on our inference.
    let mut table = millstream_frame::TableSource::path(oracle(number, "csv").display().to_string());
    let header = std::fs::read_to_string(oracle(number, "csv")).unwrap();
    for name in header.lines().next().unwrap().split(',') {
        table
            .csv
            .types
            .insert(name.to_owned(), millstream_frame::CsvType::Text);
    }
    let mut request = request("SELECT * FROM t", &[]);
    request.tables.insert("t".to_owned(), table);
    rows(&run(&request, &PlannerOptions::default()).await.unwrap())
}

async fn check_all(tables: &Tables, options: &PlannerOptions) {
    let mut wrong = Vec::new();
    for number in 1..=22 {
        match run(&tpch_request(tables, number), options).await {
            Ok(batches) => {
                if let Some(difference) = difference(rows(&batches), expected(number).await) {
                    wrong.push(format!("q{number}: {difference}"));
                }
            }
            Err(error) => wrong.push(format!("q{number}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn check_matrix(tables: &Tables, partitions: usize) {
    for (bytes, rows) in [(0, 0), (usize::MAX, usize::MAX)] {
        let options = PlannerOptions {
            broadcast_bytes: bytes,
            broadcast_rows: rows,
            ..distributed(partitions)
        };
        check_all(tables, &options).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tpch_over_csv_in_one_partition_gives_the_answers_of_duckdb() {
    check_matrix(&tpch_data::csv(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tpch_over_csv_in_two_partitions_gives_the_answers_of_duckdb() {
    check_matrix(&tpch_data::csv(), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tpch_over_csv_in_seven_partitions_gives_the_answers_of_duckdb() {
    check_matrix(&tpch_data::csv(), 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tpch_over_parquet_in_one_partition_gives_the_answers_of_duckdb() {
    check_matrix(&tpch_data::parquet().await, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tpch_over_parquet_in_two_partitions_gives_the_answers_of_duckdb() {
    check_matrix(&tpch_data::parquet().await, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tpch_over_parquet_in_seven_partitions_gives_the_answers_of_duckdb() {
    check_matrix(&tpch_data::parquet().await, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tpch_as_small_queries_of_one_task_gives_the_answers_of_duckdb() {
    let options = PlannerOptions {
        small_query_bytes: u64::MAX,
        ..PlannerOptions::default()
    };
    check_all(&tpch_data::csv(), &options).await;
}
