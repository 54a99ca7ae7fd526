//! `COPY … TO`: a query, and where its rows are written.

use datafusion::sql::parser::{CopyToSource, CopyToStatement, DFParser, Statement};
use datafusion::sql::sqlparser::ast::{Statement as SqlStatement, Value};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::nearest;
use crate::error::FrameError;
use crate::request::{WriteFormat, WriteTarget};

const OPTIONS: [&str; 4] = ["mode", "compression", "header", "delimiter"];

/// The query of a `COPY` statement, and its target.
pub(super) fn read(copy: CopyToStatement) -> Result<(Statement, WriteTarget), FrameError> {
    let invalid = |problem: String| FrameError::InvalidTarget {
        path: copy.target.clone().into(),
        problem,
    };
    let mut target = WriteTarget {
        partition_by: copy.partitioned_by.clone(),
        ..WriteTarget::of(copy.target.clone())
    };
    if let Some(name) = &copy.stored_as {
        let format = WriteFormat::named(name);
        let unknown = || {
            invalid(format!(
                "STORED AS {name}: files are written as PARQUET, CSV, JSON or ARROW"
            ))
        };
        target.format = Some(format.ok_or_else(unknown)?);
    }
    for (name, value) in &copy.options {
        set(&mut target, name, value).map_err(&invalid)?;
    }
    let query = match copy.source {
        CopyToSource::Query(query) => Statement::Statement(Box::new(SqlStatement::Query(query))),
        CopyToSource::Relation(name) => table(&format!("SELECT * FROM {name}"))?,
    };
    Ok((query, target))
}

fn table(query: &str) -> Result<Statement, FrameError> {
    let statements = DFParser::parse_sql(query).map_err(|error| super::problem::explain_unparsed(&error))?;
    statements
        .into_iter()
        .next()
        .ok_or_else(|| FrameError::UnsupportedStatement {
            statement: "COPY".to_owned(),
        })
}

fn set(target: &mut WriteTarget, name: &str, value: &Value) -> Result<(), String> {
    let name = name.to_ascii_lowercase();
    let text = match value {
        Value::Boolean(value) => value.to_string(),
        Value::Number(text, _) => text.clone(),
        other => other.clone().into_string().unwrap_or_else(|| other.to_string()),
    };
    // The engine's own names begin so.
    match name.strip_prefix("format.").unwrap_or(&name) {
        "mode" => target.mode = Some(choice("mode", &text)?),
        "compression" => target.compression = Some(choice("compression", &text)?),
        "header" | "has_header" => {
            target.header = Some(
                text.parse()
                    .map_err(|_| format!("header is true or false, not '{text}'"))?,
            );
        }
        "delimiter" => {
            let mut characters = text.chars();
            target.delimiter = match (characters.next(), characters.next()) {
                (Some(delimiter), None) => Some(delimiter),
                _ => return Err(format!("the delimiter '{text}' is not one character")),
            };
        }
        other => {
            let near = nearest(other, OPTIONS.into_iter());
            let near = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
            return Err(format!(
                "there is no option '{name}'{near} ({})",
                OPTIONS.join(", ")
            ));
        }
    }
    Ok(())
}

/// One of the names that a request uses, in any case.
fn choice<T: DeserializeOwned>(option: &str, text: &str) -> Result<T, String> {
    let lower = text.to_ascii_lowercase();
    let read = T::deserialize(StrDeserializer::<ValueError>::new(&lower));
    read.map_err(|error| format!("{option}: {error}"))
}
