//! A table of Arrow files.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};

use super::file::Reader;
use super::read::ArrowFormat;
use crate::catalog::{Folders, FoundFile, merge_columns};
use crate::error::FrameError;
use crate::files::{DataFile, FileFormat, FileTable};

/// A guess at the bytes of a row, for the planner to weigh tables by.
const BYTES_PER_COLUMN: usize = 12;

/// Opens `found` as one table, read in the order of the files; reads their schemas.
pub(crate) fn open(
    name: &str,
    found: &[FoundFile],
    folders: Folders,
    min_split_bytes: u64,
) -> Result<FileTable, FrameError> {
    let mut files = Vec::with_capacity(found.len());
    let mut schemas = Vec::with_capacity(found.len());
    for found in found {
        let mut file = DataFile::open(found)?;
        let reader = Reader::open(&file.path, None)?;
        file.whole = matches!(reader, Reader::Stream(_));
        let schema = without_dictionaries(&reader.schema());
        let mut names = HashSet::new();
        if let Some(twice) = schema.fields().iter().find(|field| !names.insert(field.name())) {
            return Err(FrameError::InvalidTable {
                table: name.to_owned(),
                problem: format!("'{}' has two columns '{}'", file.path.display(), twice.name()),
            });
        }
        schemas.push(schema);
        files.push(file);
    }
    let all = files.iter().zip(&schemas);
    let schema = merge_columns(all.map(|(file, schema)| (file.path.as_path(), schema)))?;
    let bytes_per_row = schema.fields().len() * BYTES_PER_COLUMN;
    let format = FileFormat::Arrow(ArrowFormat {
        schema: Arc::new(schema),
    });
    Ok(FileTable::new(
        format,
        folders,
        files,
        bytes_per_row as f64,
        min_split_bytes,
    ))
}

/// Dictionaries replaced by their values: files of other formats with the same column have none either.
fn without_dictionaries(schema: &Schema) -> Schema {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, values) => field.as_ref().clone().with_data_type(values.as_ref().clone()),
        _ => field.as_ref().clone(),
    };
    Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>())
}
