//! The 22 TPC-H queries against DuckDB's answers, over CSV and Parquet, cut into 1, 2 and 7 partitions, with
//! joins that never and always broadcast.

use std::path::Path;

use millstream_frame::PlannerOptions;

use crate::answers;
use crate::cluster::distributed;
use crate::tpch_data::{self, Tables};

async fn check_all(tables: &Tables, options: &PlannerOptions) {
    let paths: Vec<_> = Tables::NAMES
        .iter()
        .map(|name| (*name, tables.path(name)))
        .collect();
    let paths: Vec<(&str, &Path)> = paths.iter().map(|(name, path)| (*name, path.as_path())).collect();
    let answers = answers::read("tpch");
    assert_eq!(answers.len(), 22);
    answers::check(answers, &paths, options).await;
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
