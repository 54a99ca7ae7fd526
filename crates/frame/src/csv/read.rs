//! Reads one slice of a CSV file as record batches, and says which line of which file is at fault if it cannot.

use std::io::BufRead;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::Field;
use datafusion::arrow::error::ArrowError;

use super::columns::{self, ColumnError};
use super::dialect::Dialect;
use super::na::NaSet;
use super::records::{RecordError, RecordReader, Records};
use crate::error::FrameError;
use crate::files::{BatchSink, DataFile, SliceRead, UTF8_BOM, is_utf16, line_of, open_slice};
use crate::request::ColumnType;

/// A column of the table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct CsvColumn {
    pub(super) name: String,
    pub(super) kind: ColumnType,
}

/// How the files of a table are written, and their columns.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct CsvFormat {
    pub(super) dialect: Dialect,
    /// All columns of the files.
    pub(super) columns: Vec<CsvColumn>,
}

impl CsvFormat {
    /// The columns as the engine sees them.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let field = |column: &CsvColumn| Field::new(&column.name, column.kind.data_type(), true);
        self.columns.iter().map(field).collect()
    }

    /// Hands the batches of a slice to `sink`.
    pub(crate) fn read(&self, read: &SliceRead<'_>, sink: &mut BatchSink<'_>) -> Result<(), FrameError> {
        CsvRead {
            format: self,
            file: &read.slice.file,
            read,
        }
        .run(sink)
    }
}

struct CsvRead<'a> {
    format: &'a CsvFormat,
    file: &'a DataFile,
    read: &'a SliceRead<'a>,
}

impl CsvRead<'_> {
    fn run(&self, sink: &mut BatchSink<'_>) -> Result<(), FrameError> {
        let (file, dialect) = (self.file, &self.format.dialect);
        let (mut input, offset) = open_slice(self.read.slice).map_err(|error| file.unreadable(&error))?;
        let mut reader = RecordReader::new(dialect.parser(), offset);
        if self.read.slice.start == 0 {
            skip_bom(&mut *input, &mut reader, file)?;
            if dialect.header {
                reader
                    .read_any(&mut *input)
                    .map_err(|error| self.explain_record(error))?;
            }
        }
        let na = dialect.na_set();
        let mut records = Records::default();
        loop {
            let first = reader.offset();
            let filled = reader.fill(
                &mut *input,
                self.format.columns.len(),
                self.read.batch_size,
                &mut records,
            );
            // Every slice but the last ends with a line break; a record that lacks it goes on in the next slice.
            if reader.is_unterminated() && reader.offset() < file.size && file.is_splittable() {
                return Err(FrameError::CsvMultiline {
                    path: file.path.clone(),
                });
            }
            filled.map_err(|error| self.explain_record(error))?;
            if records.is_empty() {
                return Ok(());
            }
            if !sink(self.batch(&records, &na, first)?) {
                return Ok(());
            }
        }
    }

    fn batch(&self, records: &Records, na: &NaSet, first: u64) -> Result<RecordBatch, FrameError> {
        let arrays = self
            .read
            .projection
            .iter()
            .map(|index| {
                let column = &self.format.columns[*index];
                columns::build(records, *index, column.kind, na)
                    .map_err(|error| self.explain_value(error, column, records, first))
            })
            .collect::<Result<Vec<_>, _>>()?;
        // A query that needs no column, as count(*), still needs the number of rows.
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.read.schema), arrays, &options).map_err(
            |error: ArrowError| FrameError::Engine {
                message: error.to_string(),
            },
        )
    }

    fn explain_record(&self, error: RecordError) -> FrameError {
        let path = &self.file.path;
        match error {
            RecordError::Io(error) => self.file.unreadable(&error),
            RecordError::Ragged { start, found } => match line_of(self.file, start) {
                Ok(line) => FrameError::CsvRagged {
                    path: path.clone(),
                    line,
                    expected: self.format.columns.len(),
                    found,
                },
                Err(error) => self.file.unreadable(&error),
            },
        }
    }

    fn explain_value(
        &self,
        error: ColumnError,
        column: &CsvColumn,
        records: &Records,
        first: u64,
    ) -> FrameError {
        let path = self.file.path.clone();
        let (ColumnError::Encoding { row } | ColumnError::Value { row, .. }) = &error;
        let line = match line_of(self.file, records.start_of(*row, first)) {
            Ok(line) => line,
            Err(error) => return self.file.unreadable(&error),
        };
        match error {
            ColumnError::Encoding { .. } => FrameError::CsvEncoding { path, line },
            ColumnError::Value { text, .. } => FrameError::CsvValue {
                path,
                line,
                column: column.name.clone(),
                value: text,
                expected: column.kind.noun().to_owned(),
            },
        }
    }
}

/// Skips a byte-order mark; one of UTF-16 is an encoding error.
pub(super) fn skip_bom(
    input: &mut dyn BufRead,
    reader: &mut RecordReader,
    file: &DataFile,
) -> Result<(), FrameError> {
    let head = input.fill_buf().map_err(|error| file.unreadable(&error))?;
    if is_utf16(head) {
        return Err(FrameError::CsvEncoding {
            path: file.path.clone(),
            line: 1,
        });
    }
    if head.starts_with(UTF8_BOM) {
        input.consume(UTF8_BOM.len());
        reader.skip(UTF8_BOM.len());
    }
    Ok(())
}
