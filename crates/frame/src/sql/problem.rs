//! Turns the planner's errors into ones that name the place in the query and the name that was meant.

use datafusion::common::{Diagnostic, SchemaError, Span};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::catalog::{Catalog, looks_like_path};
use crate::error::{FrameError, Position, from_engine};

/// Similarity from which on a name is suggested: high enough that `x` does not suggest `tax`.
const SIMILAR: f64 = 0.7;

/// Names of the query, for messages.
#[derive(Debug, Default)]
pub(super) struct Names {
    declared: Vec<String>,
    /// Tables that the query names and that do not exist.
    pub(super) missing: Vec<String>,
}

impl Names {
    pub(super) fn new(catalog: &Catalog<'_>) -> Self {
        Self {
            declared: catalog.names().map(str::to_owned).collect(),
            missing: Vec::new(),
        }
    }
}

/// What an error met while planning means to the user.
pub(super) fn explain(error: &DataFusionError, names: &Names) -> FrameError {
    let diagnostic = error.diagnostic();
    let position = diagnostic.and_then(|diagnostic| diagnostic.span).map(position_of);
    match root(error) {
        DataFusionError::SQL(parser, _) => syntax(parser, position),
        DataFusionError::SchemaError(schema, _) => schema_error(schema, position),
        DataFusionError::Plan(message) => invalid(message, diagnostic, position, names),
        DataFusionError::NotImplemented(message) => FrameError::InvalidQuery {
            message: format!("not supported: {message}"),
            position,
        },
        other => from_engine(other),
    }
}

/// What an error met while parsing means to the user: all that is not a statement is bad syntax.
pub(super) fn explain_unparsed(error: &DataFusionError) -> FrameError {
    match explain(error, &Names::default()) {
        FrameError::InvalidQuery { message, position } => FrameError::Syntax { message, position },
        other => other,
    }
}

/// The error below what only adds context.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(errors) if !errors.is_empty() => root(&errors[0]),
        other => other,
    }
}

fn position_of(span: Span) -> Position {
    Position {
        line: span.start.line,
        column: span.start.column,
    }
}

fn syntax(error: &ParserError, position: Option<Position>) -> FrameError {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "the query is nested too deeply",
    };
    let (message, written) = split_position(message);
    FrameError::Syntax {
        message: message.to_owned(),
        position: written.or(position),
    }
}

/// The parser writes ` at Line: 1, Column: 15` at the end of its messages.
fn split_position(message: &str) -> (&str, Option<Position>) {
    let parse = || {
        let (text, place) = message.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        Some((
            text,
            Position {
                line: line.parse().ok()?,
                column: column.trim().parse().ok()?,
            },
        ))
    };
    match parse() {
        Some((text, position)) => (text, Some(position)),
        None => (message, None),
    }
}

fn schema_error(error: &SchemaError, position: Option<Position>) -> FrameError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let name = field.flat_name();
            let candidates = valid_fields.iter().map(|column| column.name());
            let suggestion = nearest(field.name(), candidates);
            FrameError::UnknownColumn {
                name,
                position,
                suggestion,
            }
        }
        other => FrameError::InvalidQuery {
            message: other.to_string(),
            position,
        },
    }
}

fn invalid(
    message: &str,
    diagnostic: Option<&Diagnostic>,
    position: Option<Position>,
    names: &Names,
) -> FrameError {
    let text = diagnostic.map_or(message, |diagnostic| diagnostic.message.as_str());
    let missing = names
        .missing
        .iter()
        .find(|name| text == format!("table '{name}' not found"));
    if let Some(name) = missing {
        let suggestion = nearest(name, names.declared.iter().map(String::as_str)).or_else(|| quoted(name));
        return FrameError::UnknownTable {
            name: name.clone(),
            position,
            suggestion,
        };
    }
    FrameError::InvalidQuery {
        message: message.to_owned(),
        position,
    }
}

/// `FROM data.csv` means a table `csv` in a schema `data`; quotes make it a file.
fn quoted(name: &str) -> Option<String> {
    looks_like_path(name).then(|| format!("'{name}'"))
}

/// The name most like `name`, if one is like it.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let name = name.to_lowercase();
    candidates
        .map(|candidate| (strsim::jaro_winkler(&name, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate.to_owned())
}
