//! What a request says of a target.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Where the rows of a query are written to, instead of being given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteTarget {
    /// A file, if its name ends like one of a format, else a folder that gets a file of each task.
    pub path: String,
    /// The files' format; told by the path if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<WriteFormat>,
    /// Columns whose values name folders (`year=2024`) instead of being in the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// What happens to data that is there; a file is replaced if absent, and a folder must have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<WriteMode>,
    /// How files are compressed; Parquet by zstd if absent, others as their names say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Whether CSV files begin with the names of the columns; they do if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// What is between the fields of CSV files; a comma if absent, in `.tsv` files a tab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
}

impl WriteTarget {
    /// A path, all else by default.
    pub(crate) const fn of(path: String) -> Self {
        Self {
            path,
            format: None,
            partition_by: Vec::new(),
            mode: None,
            compression: None,
            header: None,
            delimiter: None,
        }
    }
}

/// A format of files that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteFormat {
    /// Apache Parquet.
    Parquet,
    /// Separated values.
    Csv,
    /// One JSON object per line.
    Json,
    /// Arrow IPC files.
    Arrow,
}

/// What happens to data that is in the target already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// Nothing is written if there is any.
    #[default]
    Error,
    /// It stays beside the new files.
    Append,
    /// It is removed once the new files are in place.
    Overwrite,
}

/// A compression of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not compressed.
    None,
    /// gzip.
    Gzip,
    /// Snappy, in Parquet only.
    Snappy,
    /// LZ4 without frames, in Parquet only.
    Lz4,
    /// Zstandard, in Parquet only.
    Zstd,
}

impl WriteFormat {
    /// The format that a path's name ends with.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let plain = name.strip_suffix(".gz");
        let format = match Path::new(plain.unwrap_or(&name)).extension()?.to_str()? {
            "parquet" | "pq" => Self::Parquet,
            "csv" | "tsv" | "tab" => Self::Csv,
            "json" | "jsonl" | "ndjson" => Self::Json,
            "arrow" | "ipc" | "feather" => Self::Arrow,
            _ => return None,
        };
        (plain.is_none() || format.is_text()).then_some(format)
    }

    /// By the names that SQL statements use.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "parquet" => Self::Parquet,
            "csv" => Self::Csv,
            "json" | "ndjson" | "jsonl" => Self::Json,
            "arrow" | "ipc" | "feather" => Self::Arrow,
            _ => return None,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Arrow => "arrow",
        }
    }

    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Json => "jsonl",
            other => other.name(),
        }
    }

    /// Whether files are compressed as a whole, which their names say.
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Json)
    }
}

impl Compression {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_names() {
        let cases = [
            ("a.parquet", Some(WriteFormat::Parquet)),
            ("a.CSV.gz", Some(WriteFormat::Csv)),
            ("a.jsonl", Some(WriteFormat::Json)),
            ("a.feather", Some(WriteFormat::Arrow)),
            ("a.parquet.gz", None),
            ("a.txt", None),
            ("parquet", None),
        ];
        for (name, format) in cases {
            assert_eq!(WriteFormat::of(Path::new(name)), format, "{name}");
        }
    }
}
