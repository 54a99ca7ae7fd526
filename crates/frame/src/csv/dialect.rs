//! How one table's CSV files are written, checked and with defaults filled in.

use std::path::Path;

use csv_core::ReaderBuilder;
use serde::{Deserialize, Serialize};

use super::na::NaSet;
use crate::error::FrameError;
use crate::files::Compression;
use crate::request::CsvOptions;

/// A checked dialect. It travels with every scan, so that a worker reads a file as the planner did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dialect {
    pub(super) header: bool,
    pub(super) delimiter: u8,
    quote: u8,
    escape: Option<u8>,
    comment: Option<u8>,
    na_values: Vec<String>,
    keep_default_na: bool,
}

impl Dialect {
    /// Checks the options of `table`, whose first file is `path`.
    pub(super) fn new(table: &str, options: &CsvOptions, path: &Path) -> Result<Self, FrameError> {
        let byte = |name: &str, value: char| {
            u8::try_from(value)
                .ok()
                .filter(u8::is_ascii)
                .ok_or_else(|| FrameError::InvalidTable {
                    table: table.to_owned(),
                    problem: format!("the CSV option {name} must be one ASCII character, not '{value}'"),
                })
        };
        let delimiter = match options.delimiter {
            Some(value) => byte("delimiter", value)?,
            None => default_delimiter(path),
        };
        Ok(Self {
            header: options.header,
            delimiter,
            quote: byte("quote", options.quote)?,
            escape: options.escape.map(|value| byte("escape", value)).transpose()?,
            comment: options.comment.map(|value| byte("comment", value)).transpose()?,
            na_values: options.na_values.clone(),
            keep_default_na: options.keep_default_na,
        })
    }

    pub(super) fn parser(&self) -> csv_core::Reader {
        ReaderBuilder::new()
            .delimiter(self.delimiter)
            .quote(self.quote)
            .escape(self.escape)
            .double_quote(self.escape.is_none())
            .comment(self.comment)
            .build()
    }

    pub(super) fn na_set(&self) -> NaSet {
        NaSet::new(&self.na_values, self.keep_default_na)
    }
}

fn default_delimiter(path: &Path) -> u8 {
    let name = Compression::plain_name(path);
    if name.ends_with(".tsv") || name.ends_with(".tab") {
        b'\t'
    } else {
        b','
    }
}
