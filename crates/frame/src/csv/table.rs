//! A table of CSV files.

use std::path::Path;

use super::CsvFormat;
use super::dialect::Dialect;
use super::infer::{Profile, profile};
use super::read::CsvColumn;
use crate::catalog::{Folders, FoundFile};
use crate::error::FrameError;
use crate::files::{DataFile, FileFormat, FileTable, sample_window};
use crate::request::{ColumnType, CsvOptions};

/// Infers the columns of `found`, which must not be empty, as a table read in the order of the files. Blocks on
/// file reads.
pub(crate) fn open(
    name: &str,
    found: &[FoundFile],
    folders: Folders,
    options: &CsvOptions,
    min_split_bytes: u64,
) -> Result<FileTable, FrameError> {
    let invalid = |problem: String| FrameError::InvalidTable {
        table: name.to_owned(),
        problem,
    };
    let first = found.first().ok_or_else(|| invalid("no files".to_owned()))?;
    let dialect = Dialect::new(name, options, &first.path)?;
    let window = sample_window(found.len());
    let mut files = Vec::with_capacity(found.len());
    let mut table: Option<Profile> = None;
    for found in found {
        let mut file = DataFile::open(found)?;
        file.whole = options.multiline;
        let seen = profile(&file, &dialect, options, window)?;
        file.whole |= seen.multiline;
        table = Some(match table {
            None => seen,
            Some(table) => merge(table, seen, &file.path)?,
        });
        files.push(file);
    }
    let table = table.ok_or_else(|| invalid("no files".to_owned()))?;
    if let Some(unknown) = options.types.keys().find(|column| !table.names.contains(column)) {
        return Err(invalid(format!(
            "the CSV option types names '{unknown}', which is not a column"
        )));
    }
    let format = FileFormat::Csv(CsvFormat {
        columns: columns(&table, options),
        dialect,
    });
    let bytes_per_row = table.sampled_bytes as f64 / table.sampled_rows.max(1) as f64;
    Ok(FileTable::new(
        format,
        folders,
        files,
        bytes_per_row,
        min_split_bytes,
    ))
}

fn merge(mut table: Profile, file: Profile, path: &Path) -> Result<Profile, FrameError> {
    if table.names != file.names {
        return Err(FrameError::CsvColumns {
            path: path.to_owned(),
            expected: table.names,
            found: file.names,
        });
    }
    for (kind, other) in table.kinds.iter_mut().zip(file.kinds) {
        *kind = match (*kind, other) {
            (Some(kind), Some(other)) => Some(kind.widen(other)),
            (kind, other) => kind.or(other),
        };
    }
    table.sampled_rows += file.sampled_rows;
    table.sampled_bytes += file.sampled_bytes;
    Ok(table)
}

fn columns(profile: &Profile, options: &CsvOptions) -> Vec<CsvColumn> {
    let column = |(name, kind): (&String, &Option<ColumnType>)| CsvColumn {
        name: name.clone(),
        // A column that seems all missing is text, which holds whatever turns up.
        kind: options
            .types
            .get(name)
            .copied()
            .or(*kind)
            .unwrap_or(ColumnType::Text),
    };
    profile.names.iter().zip(&profile.kinds).map(column).collect()
}
