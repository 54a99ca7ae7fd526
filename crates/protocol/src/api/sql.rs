//! Queries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SqlCatalog;

/// A query: the body of `/v1/sql`, and the parameters of the `plan` operation that plans it on a worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One SQL statement, or several with semicolons between them; empty if there is a tree.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// An expression tree instead; the planner knows its form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<rmpv::Value>,
    /// Tables by the name that the query uses.
    #[serde(default)]
    pub tables: BTreeMap<String, TableSource>,
    /// Whose tables and views the query sees and changes: a client session, or any name. The gateway keeps them and
    /// sends them to the planner as `catalog`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Tables and views besides the request's own, which come first.
    #[serde(default, skip_serializing_if = "SqlCatalog::is_empty")]
    pub catalog: SqlCatalog,
    /// Which statement of the text is meant, from 0; the gateway sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<u32>,
    /// Values of `$1`, `$2`, …: null, truth values, numbers and texts.
    #[serde(default)]
    pub params: Vec<rmpv::Value>,
    /// Where the rows are written to, as with `COPY … TO`; the result is then their number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<WriteTarget>,
    /// How to run it.
    #[serde(default)]
    pub options: SqlOptions,
}

/// Files that the rows of a query are written to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteTarget {
    /// A file, if its name ends like one of a format, else a folder that gets a file of each task.
    pub path: String,
    /// `parquet`, `csv`, `json` (an object on each line) or `arrow`; told by the path if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Columns whose values name folders (`year=2024`) instead of being in the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// What happens to data that is there: `error`, `append` or `overwrite`. If absent, a file is replaced, and a
    /// folder must have no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`, as far as the format has it; Parquet by zstd if absent, others as
    /// their names say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Whether CSV files begin with the names of the columns; they do if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// What is between the fields of CSV files; a comma if absent, in `.tsv` files a tab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
}

/// Options of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqlOptions {
    /// Tasks per stage; the cluster's slots if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// What the result is written as; the gateway sets it from the `Accept` header if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<ResultFormat>,
    /// Whether the stages are wanted instead of the rows, as with `EXPLAIN` before a statement.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub explain: bool,
}

/// What a query's result is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultFormat {
    /// A table for people, framed with ASCII characters.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// An array of objects, one for each row.
    #[default]
    Json,
    /// An object on each line.
    JsonLines,
    /// Arrow's streaming format.
    Arrow,
    /// Parquet.
    Parquet,
}

impl ResultFormat {
    /// All formats.
    pub const ALL: [Self; 6] = [
        Self::Json,
        Self::JsonLines,
        Self::Csv,
        Self::Arrow,
        Self::Parquet,
        Self::Table,
    ];

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::JsonLines => "json_lines",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    /// Its content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Table => "text/plain; charset=utf-8",
            Self::Json => "application/json",
            Self::JsonLines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// The format of this content type, parameters aside.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let essence = |text: &str| {
            text.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        };
        let asked = essence(content_type);
        Self::ALL
            .into_iter()
            .find(|format| essence(format.content_type()) == asked)
    }
}

/// The rows of a table: a path, a list of paths, paths with options, or the rows themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a path, a list of paths, {\"paths\": …, \"format\": …, \"csv\": {…}}, or {\"arrow\": bytes}"
)]
pub enum TableSource {
    /// One file, folder or glob pattern.
    Path(String),
    /// Several of them.
    Paths(Vec<String>),
    /// With options.
    Full(TableRequest),
    /// Rows inside the request.
    Inline(InlineTable),
}

/// Rows inside a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InlineTable {
    /// An Arrow IPC stream. JSON has no bytes, so such a request is MessagePack.
    pub arrow: serde_bytes::ByteBuf,
}

/// The files of a table, with options.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRequest {
    /// Files, folders and glob patterns.
    pub paths: Vec<String>,
    /// `csv`, `json`, `arrow` or `parquet`; told by the files' extension if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// How CSV files are written; the planner knows the options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub csv: BTreeMap<String, rmpv::Value>,
    /// How JSON lines files are read, as for CSV.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, rmpv::Value>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn tables_are_written_in_three_ways() {
        let request: SqlRequest = serde_json::from_str(
            r#"{"query": "SELECT 1", "params": [null, 1, "x"], "tables": {
                "a": "a.csv", "b": ["b1.parquet", "b2.parquet"],
                "c": {"paths": ["c.txt"], "format": "csv", "csv": {"delimiter": "|"}},
                "d": {"paths": ["d"], "format": "json", "json": {"ignore_unknown": true}}}}"#,
        )
        .unwrap();
        assert_eq!(request.tables["a"], TableSource::Path("a.csv".to_owned()));
        assert!(matches!(&request.tables["b"], TableSource::Paths(paths) if paths.len() == 2));
        assert!(matches!(&request.tables["c"], TableSource::Full(full) if full.csv.len() == 1));
        assert!(matches!(&request.tables["d"], TableSource::Full(full) if full.json.len() == 1));
        let encoded = crate::codec::encode_named(&request).unwrap();
        assert_eq!(crate::codec::decode::<SqlRequest>(&encoded), Ok(request));
    }

    #[test]
    fn a_tree_and_rows_pass_through_as_they_are() {
        let request = SqlRequest {
            tree: Some(rmpv::Value::from("whatever the planner reads")),
            tables: [(
                "t".to_owned(),
                TableSource::Inline(InlineTable {
                    arrow: serde_bytes::ByteBuf::from(vec![0, 159, 146, 150]),
                }),
            )]
            .into(),
            ..SqlRequest::default()
        };
        let encoded = crate::codec::encode_named(&request).unwrap();
        assert_eq!(crate::codec::decode::<SqlRequest>(&encoded), Ok(request));
    }

    #[test]
    fn content_types_name_formats() {
        for format in ResultFormat::ALL {
            assert_eq!(ResultFormat::of_content_type(format.content_type()), Some(format));
        }
        assert_eq!(ResultFormat::of_content_type("Text/CSV"), Some(ResultFormat::Csv));
        assert_eq!(ResultFormat::of_content_type("text/html"), None);
    }
}
