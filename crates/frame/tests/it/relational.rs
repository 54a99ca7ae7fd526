//! Joins, sets, windows, subqueries and aggregates against DuckDB's answers, however they are cut.

use std::path::Path;

use millstream_frame::PlannerOptions;

use crate::answers;
use crate::cluster::distributed;

async fn check_all(options: &PlannerOptions) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/sql");
    let (left, right) = (folder.join("l.csv"), folder.join("r.csv"));
    answers::check(answers::read("sql"), &[("l", &left), ("r", &right)], options).await;
}

#[tokio::test]
async fn relational_queries_as_one_task_give_the_answers_of_duckdb() {
    check_all(&PlannerOptions::default()).await;
}

#[tokio::test]
async fn relational_queries_that_never_broadcast_give_the_answers_of_duckdb() {
    for partitions in [1, 2, 7] {
        check_all(&PlannerOptions {
            broadcast_bytes: 0,
            broadcast_rows: 0,
            ..distributed(partitions)
        })
        .await;
    }
}

#[tokio::test]
async fn relational_queries_that_always_broadcast_give_the_answers_of_duckdb() {
    for partitions in [1, 2, 7] {
        let options = PlannerOptions {
            broadcast_bytes: usize::MAX,
            broadcast_rows: usize::MAX,
            ..distributed(partitions)
        };
        check_all(&options).await;
    }
}
