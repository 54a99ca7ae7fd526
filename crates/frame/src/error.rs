//! What can go wrong with a query, as one error type with stable codes.
//!
//! A variant exists because somebody branches on it: the gateway shows `code()`, the scheduler asks
//! [`FrameError::is_retryable`], and messages name the file, line, table or column that is at fault.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// A place in the text of a query, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line of the query text.
    pub line: u64,
    /// Column in that line, in characters.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// An error in a query, its inputs, or the engine that runs it.
///
/// It can be cloned because the engine hands one failure to every stream that waits for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FrameError {
    /// The text is not SQL.
    #[error("syntax error{}: {message}", at(position))]
    Syntax {
        /// What the parser expected and found.
        message: String,
        /// Where it stopped.
        position: Option<Position>,
    },
    /// The query is well formed but means nothing (types, grouping, ambiguous names).
    #[error("invalid query{}: {message}", at(position))]
    InvalidQuery {
        /// What is wrong.
        message: String,
        /// Where, if the planner knows.
        position: Option<Position>,
    },
    /// No such table.
    #[error("table '{name}' not found{}{}", at(position), did_you_mean(suggestion))]
    UnknownTable {
        /// The name as the query has it.
        name: String,
        /// Where the query names it.
        position: Option<Position>,
        /// The nearest table that exists.
        suggestion: Option<String>,
    },
    /// No such column.
    #[error("column '{name}' not found{}{}", at(position), did_you_mean(suggestion))]
    UnknownColumn {
        /// The name as the query has it.
        name: String,
        /// Where the query names it.
        position: Option<Position>,
        /// The nearest column that exists.
        suggestion: Option<String>,
    },
    /// A request with both a statement and a tree.
    #[error("a request has either `query` or `tree`, not both")]
    QueryAndTree,
    /// An expression tree of a form that this planner does not know.
    #[error("version {found} of expression trees is not known: this planner reads version {known}")]
    TreeVersion {
        /// The version that the tree says it has.
        found: String,
        /// The version that can be read.
        known: u32,
    },
    /// An expression tree that is malformed or means nothing.
    #[error("invalid tree{}: {message}", in_place(place))]
    InvalidTree {
        /// The node and the column or member.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// No such function.
    #[error("function '{name}' not found{}", did_you_mean(suggestion))]
    UnknownFunction {
        /// The name as the tree has it.
        name: String,
        /// The nearest function that exists.
        suggestion: Option<String>,
    },
    /// A table or view whose name is taken.
    #[error(
        "there is a {kind} '{name}' already{}: drop it first, or write {instead}",
        at(position)
    )]
    NameTaken {
        /// The name.
        name: String,
        /// What has it: `table` or `view`.
        kind: &'static str,
        /// Where the statement names it.
        position: Option<Position>,
        /// What does not mind, such as `CREATE OR REPLACE VIEW`.
        instead: &'static str,
    },
    /// An error in the text of a view, which a query reads.
    #[error("view '{name}' cannot be read any more: {}", error.without_place())]
    InView {
        /// The view.
        name: String,
        /// What is wrong with its text.
        error: Box<FrameError>,
    },
    /// An error in one of several statements.
    #[error("statement {number}{}: {error}", error.if_placeless(position))]
    InStatement {
        /// Which one, from 1.
        number: usize,
        /// Where it begins.
        position: Position,
        /// What is wrong with it.
        error: Box<FrameError>,
    },
    /// A statement that is not a query.
    #[error(
        "{statement} is not supported here: only SELECT, WITH, VALUES, TABLE, COPY, INSERT and EXPLAIN are, and for sessions CREATE, DROP, SHOW and DESCRIBE of tables and views"
    )]
    UnsupportedStatement {
        /// The kind of statement.
        statement: String,
    },
    /// A plan with an operator that cannot be sent to a worker.
    #[error("the query needs {operator}, which cannot be distributed")]
    UnsupportedPlan {
        /// The operator.
        operator: String,
    },
    /// A table without a single path, or with an impossible option.
    #[error("table '{table}': {problem}")]
    InvalidTable {
        /// The table.
        table: String,
        /// What is wrong with its description.
        problem: String,
    },
    /// A path that does not exist.
    #[error("'{}' is not on the cluster: put it where all workers read it, or name it as they see it", path.display())]
    FileNotFound {
        /// The path.
        path: PathBuf,
    },
    /// A pattern or folder without a single data file.
    #[error(
        "no data file on the cluster matches '{pattern}': put it where all workers read it, or name it as they see it"
    )]
    NoFiles {
        /// The pattern or folder.
        pattern: String,
    },
    /// A path whose real location is not under a readable root.
    #[error("'{}' is outside the readable roots ({}): move it there, or add its folder to data.roots", path.display(), list(roots))]
    OutsideRoots {
        /// The path as given.
        path: PathBuf,
        /// The roots that may be read.
        roots: Vec<PathBuf>,
    },
    /// A target that is not under a writable root.
    #[error("'{}' is outside the writable roots ({}): write below one of them, or add its folder to data.roots as `/folder:rw`", path.display(), list(roots))]
    OutsideWritableRoots {
        /// The path as given.
        path: PathBuf,
        /// The roots that may be written.
        roots: Vec<PathBuf>,
    },
    /// A target that means nothing, or options that do not go together.
    #[error("cannot write to '{}': {problem}", path.display())]
    InvalidTarget {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A target that has data, which was not to be touched.
    #[error("'{}' has data already: write elsewhere, or say by the mode whether to `append` to it or to `overwrite` it", path.display())]
    TargetExists {
        /// The file or folder.
        path: PathBuf,
    },
    /// A folder that another worker prepared and that this one does not have.
    #[error("'{}' is not the same folder on all workers: write to one that they share", path.display())]
    NotShared {
        /// The folder.
        path: PathBuf,
    },
    /// A file that cannot be written.
    #[error("cannot write '{}': {message}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// What the system says.
        message: String,
    },
    /// A file whose name does not tell its format.
    #[error("cannot tell the format of '{}': name it .csv, .tsv, .jsonl or .parquet, or give the format", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A file that is there but cannot be read.
    #[error("cannot read '{}': {message}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// What the system says.
        message: String,
    },
    /// A file that is not what it was when the query was planned.
    #[error("'{}' changed while the query ran", path.display())]
    FileChanged {
        /// The file.
        path: PathBuf,
    },
    /// A CSV file without even a header.
    #[error("'{}' has no columns", path.display())]
    CsvEmpty {
        /// The file.
        path: PathBuf,
    },
    /// A CSV record with too few or too many fields.
    #[error("'{}', line {line}: expected {expected} fields, found {found}", path.display())]
    CsvRagged {
        /// The file.
        path: PathBuf,
        /// Line of the record, counted from 1.
        line: u64,
        /// Fields that the header has.
        expected: usize,
        /// Fields that the record has.
        found: usize,
    },
    /// A CSV value that does not fit the column's type.
    #[error("'{}', line {line}: '{value}' in column '{column}' is not {expected}", path.display())]
    CsvValue {
        /// The file.
        path: PathBuf,
        /// Line of the record, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// The text found.
        value: String,
        /// The type that the column has.
        expected: String,
    },
    /// A CSV file in another encoding than UTF-8.
    #[error("'{}', line {line}: not valid UTF-8", path.display())]
    CsvEncoding {
        /// The file.
        path: PathBuf,
        /// Line of the record, counted from 1.
        line: u64,
    },
    /// A quoted line break where the file was split.
    #[error("'{}' has line breaks inside quotes: set the CSV option multiline", path.display())]
    CsvMultiline {
        /// The file.
        path: PathBuf,
    },
    /// Files of one table with different columns.
    #[error("'{}' has the columns [{}], but the table has [{}]", path.display(), found.join(", "), expected.join(", "))]
    CsvColumns {
        /// The file that differs.
        path: PathBuf,
        /// Columns of the table's first file.
        expected: Vec<String>,
        /// Columns of this file.
        found: Vec<String>,
    },
    /// A line that is not one JSON object.
    #[error("'{}', line {line}, column {column}: {problem}", path.display())]
    JsonSyntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The byte of the line, counted from 1.
        column: u64,
        /// What is wrong.
        problem: String,
    },
    /// A JSON value that does not fit the column's type.
    #[error("'{}', line {line}: {value} in column '{column}' is not {expected}: say its type in the JSON option types", path.display())]
    JsonValue {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The column, and the members within it.
        column: String,
        /// The value as written.
        value: String,
        /// The type that the column has.
        expected: String,
    },
    /// A member of an object that no sample of the files shows.
    #[error("'{}', line {line}: no sample of the table has the member '{column}': say its type in the JSON option types, or set ignore_unknown", path.display())]
    JsonUnknownMember {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The member, and the column that it is in.
        column: String,
    },
    /// Files of one table with a column of types that have none in common.
    #[error("'{}': column '{column}' is {found}, but {expected} in the files before it", path.display())]
    ColumnTypes {
        /// The file that differs.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type in the files before.
        expected: String,
        /// Its type in this file.
        found: String,
    },
    /// An Arrow file that cannot be decoded.
    #[error("Arrow file '{}': {problem}", path.display())]
    ArrowFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A Parquet file that cannot be decoded.
    #[error("malformed Parquet data: {message}")]
    Parquet {
        /// What the reader says.
        message: String,
    },
    /// A task that was planned by another engine version.
    #[error("the task was planned by '{planned}', this worker runs '{running}'")]
    EngineMismatch {
        /// Version in the task.
        planned: String,
        /// Version of this worker.
        running: String,
    },
    /// A task whose bytes are not a plan.
    #[error("malformed stage plan: {message}")]
    MalformedPlan {
        /// What is wrong.
        message: String,
    },
    /// Data of another stage that is not what its writer counted.
    #[error("stage input {input} has {found} rows, its writer counted {expected}")]
    RowCount {
        /// Index of the input.
        input: usize,
        /// Rows that were written.
        expected: u64,
        /// Rows that arrived.
        found: u64,
    },
    /// Bytes that are not an object of ours.
    #[error("malformed stage object: {message}")]
    MalformedObject {
        /// What is wrong.
        message: String,
    },
    /// The task needs more memory or disk than it may have.
    #[error("out of memory: {message}")]
    ResourcesExhausted {
        /// Which operator asked for how much.
        message: String,
    },
    /// A value on which the query cannot be evaluated (division by zero, overflow, failed cast).
    #[error("the query failed: {message}")]
    Evaluation {
        /// What happened.
        message: String,
    },
    /// A fault of the engine.
    #[error("engine error: {message}")]
    Engine {
        /// What the engine says.
        message: String,
    },
}

impl FrameError {
    /// The error itself, without the view or the statement that it is in.
    pub fn cause(&self) -> &Self {
        match self {
            Self::InView { error, .. } | Self::InStatement { error, .. } => error.cause(),
            other => other,
        }
    }

    /// The same error of one statement among several.
    pub(crate) fn in_statement(self, number: usize, position: Position) -> Self {
        Self::InStatement {
            number,
            position,
            error: Box::new(self),
        }
    }

    /// The place in the query's text, if it is known.
    fn position(&self) -> Option<Position> {
        match self {
            Self::Syntax { position, .. }
            | Self::InvalidQuery { position, .. }
            | Self::UnknownTable { position, .. }
            | Self::UnknownColumn { position, .. }
            | Self::NameTaken { position, .. } => *position,
            _ => None,
        }
    }

    /// Where the statement begins, unless the error has a place of its own.
    fn if_placeless(&self, position: &Position) -> String {
        match self.position() {
            Some(_) => String::new(),
            None => format!(" at {position}"),
        }
    }

    /// The message without a place, which would be taken for one in another text.
    fn without_place(&self) -> String {
        let text = self.to_string();
        match self.position() {
            Some(position) => text.replacen(&format!(" at {position}"), "", 1),
            None => text,
        }
    }

    /// A stable name of the error for programs.
    pub fn code(&self) -> &'static str {
        match self.cause() {
            Self::InView { .. } | Self::InStatement { .. } => "sql_invalid",
            Self::NameTaken { .. } => "sql_name_taken",
            Self::Syntax { .. } => "sql_syntax",
            Self::InvalidQuery { .. } => "sql_invalid",
            Self::UnknownTable { .. } => "sql_unknown_table",
            Self::UnknownColumn { .. } => "sql_unknown_column",
            Self::QueryAndTree => "query_and_tree",
            Self::TreeVersion { .. } => "tree_version",
            Self::InvalidTree { .. } => "tree_invalid",
            Self::UnknownFunction { .. } => "tree_unknown_function",
            Self::UnsupportedStatement { .. } => "sql_unsupported_statement",
            Self::UnsupportedPlan { .. } => "sql_unsupported_plan",
            Self::InvalidTable { .. } => "table_invalid",
            Self::FileNotFound { .. } => "file_not_found",
            Self::NoFiles { .. } => "no_files",
            Self::OutsideRoots { .. } => "outside_roots",
            Self::OutsideWritableRoots { .. } => "outside_writable_roots",
            Self::InvalidTarget { .. } => "target_invalid",
            Self::TargetExists { .. } => "target_exists",
            Self::NotShared { .. } => "target_not_shared",
            Self::Unwritable { .. } => "file_unwritable",
            Self::UnknownFormat { .. } => "unknown_format",
            Self::Unreadable { .. } => "file_unreadable",
            Self::FileChanged { .. } => "file_changed",
            Self::CsvEmpty { .. } => "csv_empty",
            Self::CsvRagged { .. } => "csv_ragged_row",
            Self::CsvValue { .. } => "csv_bad_value",
            Self::CsvEncoding { .. } => "csv_encoding",
            Self::CsvMultiline { .. } => "csv_multiline",
            Self::CsvColumns { .. } => "csv_columns_differ",
            Self::JsonSyntax { .. } => "json_syntax",
            Self::JsonValue { .. } => "json_bad_value",
            Self::JsonUnknownMember { .. } => "json_unknown_member",
            Self::ColumnTypes { .. } => "column_types_differ",
            Self::ArrowFile { .. } => "arrow_malformed",
            Self::Parquet { .. } => "parquet_malformed",
            Self::EngineMismatch { .. } => "engine_mismatch",
            Self::MalformedPlan { .. } => "plan_malformed",
            Self::RowCount { .. } => "row_count_mismatch",
            Self::MalformedObject { .. } => "object_malformed",
            Self::ResourcesExhausted { .. } => "out_of_memory",
            Self::Evaluation { .. } => "query_failed",
            Self::Engine { .. } => "engine",
        }
    }

    /// Whether the query, its options or its files are at fault rather than the cluster.
    pub fn is_user_error(&self) -> bool {
        !matches!(
            self.cause(),
            Self::EngineMismatch { .. }
                | Self::MalformedPlan { .. }
                | Self::RowCount { .. }
                | Self::MalformedObject { .. }
                | Self::ResourcesExhausted { .. }
                | Self::Engine { .. }
        )
    }

    /// Whether the same task may succeed on another worker or at another time.
    pub fn is_retryable(&self) -> bool {
        match self.cause() {
            Self::EngineMismatch { .. }
            | Self::RowCount { .. }
            | Self::MalformedObject { .. }
            | Self::ResourcesExhausted { .. }
            | Self::Engine { .. } => true,
            Self::Unreadable { kind, .. } | Self::Unwritable { kind, .. } => {
                *kind != io::ErrorKind::PermissionDenied
            }
            _ => false,
        }
    }

    /// A file that cannot be opened or read.
    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            return Self::FileNotFound {
                path: path.to_owned(),
            };
        }
        Self::Unreadable {
            path: path.to_owned(),
            kind: error.kind(),
            message: error.to_string(),
        }
    }

    /// A file that cannot be made or written.
    pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Self {
        Self::Unwritable {
            path: path.to_owned(),
            kind: error.kind(),
            message: error.to_string(),
        }
    }

    /// Wraps an error for its way through the engine; [`from_engine`] takes it out again.
    pub(crate) fn into_engine(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }
}

/// Sorts out what an error met during planning or execution means to the user.
pub(crate) fn from_engine(error: &DataFusionError) -> FrameError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_engine(inner),
        DataFusionError::Shared(inner) => from_engine(inner),
        DataFusionError::External(inner) => from_external(inner.as_ref()),
        DataFusionError::ArrowError(inner, _) => from_arrow(inner),
        DataFusionError::ParquetError(inner) => FrameError::Parquet {
            message: inner.to_string(),
        },
        DataFusionError::ResourcesExhausted(message) => FrameError::ResourcesExhausted {
            message: message.clone(),
        },
        DataFusionError::Execution(message) => FrameError::Evaluation {
            message: message.clone(),
        },
        DataFusionError::Collection(errors) if !errors.is_empty() => from_engine(&errors[0]),
        other => FrameError::Engine {
            message: other.strip_backtrace(),
        },
    }
}

fn from_external(error: &(dyn std::error::Error + Send + Sync + 'static)) -> FrameError {
    if let Some(ours) = error.downcast_ref::<FrameError>() {
        return ours.clone();
    }
    if let Some(engine) = error.downcast_ref::<DataFusionError>() {
        return from_engine(engine);
    }
    if let Some(shared) = error.downcast_ref::<Arc<DataFusionError>>() {
        return from_engine(shared);
    }
    FrameError::Engine {
        message: error.to_string(),
    }
}

fn from_arrow(error: &ArrowError) -> FrameError {
    match error {
        ArrowError::ExternalError(inner) => from_external(inner.as_ref()),
        ArrowError::DivideByZero => FrameError::Evaluation {
            message: "division by zero".to_owned(),
        },
        ArrowError::ArithmeticOverflow(message)
        | ArrowError::CastError(message)
        | ArrowError::ParseError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::InvalidArgumentError(message) => FrameError::Evaluation {
            message: message.clone(),
        },
        other => FrameError::Engine {
            message: other.to_string(),
        },
    }
}

fn at(position: &Option<Position>) -> String {
    position
        .map(|position| format!(" at {position}"))
        .unwrap_or_default()
}

fn in_place(place: &str) -> String {
    if place.is_empty() {
        return String::new();
    }
    format!(" at {place}")
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion
        .as_ref()
        .map(|name| format!("; did you mean '{name}'?"))
        .unwrap_or_default()
}

fn list(roots: &[PathBuf]) -> String {
    if roots.is_empty() {
        return "none are set".to_owned();
    }
    roots
        .iter()
        .map(|root| root.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
