//! What a query is: SQL text or an expression tree, the tables that it names, parameters and options.
//!
//! These types are the body of `/v1/sql` in JSON and MessagePack, so their field names are part of the public
//! interface. They hold no engine types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::render::ResultFormat;
pub use crate::script::{CatalogChange, NextStatement, ScriptStep, SessionCatalog, Taken};
pub use crate::write::{Compression, WriteFormat, WriteMode, WriteTarget};

/// A query with everything that is needed to plan it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One SQL statement, or several with semicolons between them; empty if there is a tree.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// An expression tree in place of a statement. It is read when it is planned, so that its errors have codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<rmpv::Value>,
    /// Tables by the name that the query uses.
    #[serde(default)]
    pub tables: BTreeMap<String, TableSource>,
    /// Tables and views that the session has; the request's own tables come first.
    #[serde(default, skip_serializing_if = "SessionCatalog::is_empty")]
    pub catalog: SessionCatalog,
    /// Which statement of the text is meant, from 0; there must be only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<u32>,
    /// Values of `$1`, `$2`, … of the statement.
    #[serde(default)]
    pub params: Vec<ParamValue>,
    /// Where the rows are written to, as with `COPY … TO`; the result is then their number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<WriteTarget>,
    /// How to run it.
    #[serde(default)]
    pub options: SqlOptions,
}

/// Options of one query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqlOptions {
    /// Tasks per stage; the cluster's slots if absent.
    pub partitions: Option<u32>,
    /// What the result is written as; JSON if absent.
    pub format: Option<ResultFormat>,
    /// Whether the stages are wanted instead of the rows, as with `EXPLAIN` before a statement.
    pub explain: bool,
}

/// A query parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// SQL NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text; dates and timestamps are written as text and cast by the query.
    Text(String),
}

/// The rows of a table: a path, a list of paths, paths with options, or the rows themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "TableForm")]
pub struct TableSource {
    /// Files, folders and glob patterns, read in this order (matches sorted by name).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// An Arrow IPC stream with the rows; then there are no paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrow: Option<ByteBuf>,
    /// The files' format; told by their extension if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<TableFormat>,
    /// How CSV files are written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub csv: CsvOptions,
    /// How JSON lines files are read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub json: JsonOptions,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl TableSource {
    /// A table of one path or pattern, all else by default.
    pub fn path(path: impl Into<String>) -> Self {
        Self::files(vec![path.into()])
    }

    /// A table whose rows are this Arrow IPC stream.
    pub fn arrow(stream: impl Into<Vec<u8>>) -> Self {
        Self {
            arrow: Some(ByteBuf::from(stream)),
            ..Self::files(Vec::new())
        }
    }

    fn files(paths: Vec<String>) -> Self {
        Self {
            paths,
            arrow: None,
            format: None,
            csv: CsvOptions::default(),
            json: JsonOptions::default(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TableForm {
    Path(String),
    Paths(Vec<String>),
    Full(FullTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullTable {
    #[serde(alias = "path", default)]
    paths: PathForm,
    arrow: Option<ByteBuf>,
    format: Option<TableFormat>,
    #[serde(default)]
    csv: CsvOptions,
    #[serde(default)]
    json: JsonOptions,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PathForm {
    One(String),
    Many(Vec<String>),
}

impl Default for PathForm {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl From<TableForm> for TableSource {
    fn from(form: TableForm) -> Self {
        match form {
            TableForm::Path(path) => Self::path(path),
            TableForm::Paths(paths) => Self::files(paths),
            TableForm::Full(table) => Self {
                paths: match table.paths {
                    PathForm::One(path) => vec![path],
                    PathForm::Many(paths) => paths,
                },
                arrow: table.arrow,
                format: table.format,
                csv: table.csv,
                json: table.json,
            },
        }
    }
}

/// A format of data files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableFormat {
    /// Separated values, compressed or not.
    Csv,
    /// One JSON object per line, compressed or not.
    #[serde(alias = "jsonl", alias = "ndjson")]
    Json,
    /// Arrow IPC, as a file (also known as Feather) or a stream.
    #[serde(alias = "feather", alias = "ipc")]
    Arrow,
    /// Apache Parquet.
    Parquet,
}

impl TableFormat {
    /// Whether files are text, which is compressed as a whole if at all.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Json)
    }
}

/// How JSON lines are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JsonOptions {
    /// Whether columns of ISO dates and timestamps get such a type instead of text.
    pub infer_dates: bool,
    /// Types of columns that shall not be inferred, or that are too rare for a sample to show. One of text holds
    /// values of all kinds: such as are not texts are kept as they are written.
    pub types: BTreeMap<String, ColumnType>,
    /// Whether members that no sample shows are left out instead of being an error.
    pub ignore_unknown: bool,
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self {
            infer_dates: true,
            types: BTreeMap::new(),
            ignore_unknown: false,
        }
    }
}

/// How a CSV file is written. The defaults are those of `pandas.read_csv`, except that dates are recognized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvOptions {
    /// Whether the first record names the columns.
    pub header: bool,
    /// Names of the columns; with a header it is replaced.
    pub columns: Option<Vec<String>>,
    /// Character between fields; by default a tab in `.tsv` files, else a comma.
    pub delimiter: Option<char>,
    /// Character around fields that hold delimiters or line breaks.
    pub quote: char,
    /// Character that escapes a quote inside quotes; by default quotes are doubled.
    pub escape: Option<char>,
    /// Lines that start with this character are skipped.
    pub comment: Option<char>,
    /// Texts that mean "missing", besides the default ones.
    pub na_values: Vec<String>,
    /// Whether pandas' default texts for "missing" (`NA`, `NaN`, `null`, the empty text …) count.
    pub keep_default_na: bool,
    /// Whether columns of ISO dates and timestamps get such a type instead of text.
    pub infer_dates: bool,
    /// Types of columns that shall not be inferred.
    pub types: BTreeMap<String, ColumnType>,
    /// Whether fields may hold line breaks anywhere; such files are never split between tasks.
    pub multiline: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            header: true,
            columns: None,
            delimiter: None,
            quote: '"',
            escape: None,
            comment: None,
            na_values: Vec::new(),
            keep_default_na: true,
            infer_dates: true,
            types: BTreeMap::new(),
            multiline: false,
        }
    }
}

/// Type of a column of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// `true` or `false` in any case.
    Bool,
    /// 64-bit integer.
    Int,
    /// 64-bit floating-point number.
    Float,
    /// `YYYY-MM-DD`.
    Date,
    /// ISO 8601 date and time without a zone, in microseconds.
    Timestamp,
    /// ISO 8601 date and time with a zone or `Z`, kept as UTC in microseconds.
    TimestampUtc,
    /// Anything.
    Text,
}

/// Limits and habits of the planner, from the cluster's configuration.
#[derive(Debug, Clone)]
pub struct PlannerOptions {
    /// Tasks per stage.
    pub target_partitions: usize,
    /// Folders whose files may be read; every file if none, no file if there is no folder among them.
    pub roots: Option<Vec<PathBuf>>,
    /// Folders that may be written to; any if none, nowhere if there is no folder among them.
    pub writable_roots: Option<Vec<PathBuf>>,
    /// A join input smaller than this is sent whole to every task instead of being shuffled.
    pub broadcast_bytes: usize,
    /// The same limit in rows, used when the size is not known.
    pub broadcast_rows: usize,
    /// A query that reads fewer bytes than this runs as one task.
    pub small_query_bytes: u64,
    /// A file is not split into pieces smaller than this.
    pub min_split_bytes: u64,
    /// Rows per record batch.
    pub batch_size: usize,
}

impl Default for PlannerOptions {
    fn default() -> Self {
        Self {
            target_partitions: 8,
            roots: None,
            writable_roots: None,
            // Measured on TPC-H: between 32 and 64 MiB shuffles cost more than copies of the build side.
            broadcast_bytes: 48 << 20,
            broadcast_rows: 1 << 20,
            // A round trip per stage through the broker costs more than reading this much in one task.
            small_query_bytes: 8 << 20,
            min_split_bytes: 4 << 20,
            batch_size: 8192,
        }
    }
}
