//! Compares results with answers of other engines.

use crate::cluster::Rows;

/// Answers are compared as numbers to this relative precision: sums of floats depend on their order.
const PRECISION: f64 = 1e-6;

/// What is different, if anything is, between rows in any order.
pub(crate) fn difference(got: Rows, answer: Rows) -> Option<String> {
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
        (Some(left), Some(right)) => {
            (left - right).abs() <= PRECISION * left.abs().max(right.abs()).max(1e-9)
        }
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
