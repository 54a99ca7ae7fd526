//! Compares results with answers of other engines.

use std::path::Path;

use millstream_frame::PlannerOptions;
use serde::Deserialize;

use crate::cluster::{Rows, request, rows, run};

/// Numbers are compared to this precision, relative above 1: sums of floats depend on their order, and averages of
/// decimals have six digits behind the point.
const PRECISION: f64 = 1e-6;

/// A query and the rows that another engine gives.
#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) sql: String,
    pub(crate) rows: Rows,
}

/// The answers in `tests/oracle/{folder}`.
pub(crate) fn read(folder: &str) -> Vec<Answer> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracle")
        .join(folder)
        .join("answers.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Runs every query with `options` and fails with what differs from the answers.
pub(crate) async fn check(answers: Vec<Answer>, tables: &[(&str, &Path)], options: &PlannerOptions) {
    let mut wrong = Vec::new();
    for Answer { sql, rows: answer } in answers {
        let problem = match run(&request(&sql, tables), options).await {
            Ok(batches) => difference(rows(&batches), answer),
            Err(error) => Some(error.to_string()),
        };
        wrong.extend(problem.map(|problem| format!("{sql}:\n{problem}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What is different, if anything is, between rows in any order.
fn difference(got: Rows, answer: Rows) -> Option<String> {
    let (got, answer) = (sorted(got), sorted(answer));
    if got.len() != answer.len() {
        return Some(format!("{} rows instead of {}", got.len(), answer.len()));
    }
    let differs = |(left, right): &(&Vec<Option<String>>, &Vec<Option<String>>)| {
        left.len() != right.len() || left.iter().zip(*right).any(|(left, right)| !equal(left, right))
    };
    let (left, right) = got.iter().zip(&answer).find(differs)?;
    Some(format!("{left:?} instead of {right:?}"))
}

/// The number that a cell holds, if it does.
fn number(cell: &Option<String>) -> Option<f64> {
    cell.as_ref()?.parse().ok()
}

fn equal(left: &Option<String>, right: &Option<String>) -> bool {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => (left - right).abs() <= PRECISION * left.abs().max(right.abs()).max(1.0),
        _ => left == right,
    }
}

/// Rows in an order that does not depend on the last digits of numbers.
fn sorted(mut rows: Rows) -> Rows {
    let key = |row: &Vec<Option<String>>| {
        let text = |cell: &Option<String>| match number(cell) {
            Some(number) => format!("{number:.4e}"),
            None => cell.clone().unwrap_or_default(),
        };
        row.iter().map(text).collect::<Vec<_>>()
    };
    rows.sort_by_key(key);
    rows
}
