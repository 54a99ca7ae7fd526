//! Reads one slice of a CSV file as record batches, and says which line of which file is at fault if it cannot.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use flate2::read::MultiGzDecoder;

use super::columns::{self, ColumnError};
use super::dialect::Dialect;
use super::records::{RecordError, RecordReader, Records};
use super::split::{CsvFile, Slice};
use super::value::NaSet;
use crate::error::FrameError;
use crate::request::CsvType;

const BUFFER: usize = 1 << 20;
const UTF8_BOM: &[u8] = b"\xEF\xBB\xBF";

/// A column of the table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct CsvColumn {
    pub(super) name: String,
    pub(super) kind: CsvType,
}

/// What to read from a slice.
#[derive(Debug)]
pub(super) struct SliceRead<'a> {
    pub(super) slice: &'a Slice,
    pub(super) dialect: &'a Dialect,
    /// All columns of the file.
    pub(super) columns: &'a [CsvColumn],
    /// Indices of the columns wanted.
    pub(super) projection: &'a [usize],
    /// Schema of the columns wanted.
    pub(super) schema: SchemaRef,
    pub(super) batch_size: usize,
}

impl SliceRead<'_> {
    /// Hands batches to `sink` until it returns false or the slice ends.
    pub(super) fn run(&self, sink: &mut dyn FnMut(RecordBatch) -> bool) -> Result<(), FrameError> {
        let file = &self.slice.file;
        self.check_unchanged()?;
        let (mut input, offset) = self
            .open()
            .map_err(|error| FrameError::unreadable(&file.path, &error))?;
        let mut reader = RecordReader::new(self.dialect.parser(), offset);
        if self.slice.start == 0 {
            skip_bom(&mut *input, &mut reader, &file.path)?;
            if self.dialect.header {
                reader
                    .read_any(&mut *input)
                    .map_err(|error| self.explain_record(error))?;
            }
        }
        let na = self.dialect.na_set();
        let mut records = Records::default();
        loop {
            let first = reader.offset();
            let filled = reader.fill(&mut *input, self.columns.len(), self.batch_size, &mut records);
            // Every slice but the last ends with a line break; a record that lacks it goes on in the next slice.
            if reader.is_unterminated() && reader.offset() < file.size && !file.gzip {
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
            .projection
            .iter()
            .map(|index| {
                let column = &self.columns[*index];
                columns::build(records, *index, column.kind, na)
                    .map_err(|error| self.explain_value(error, column, records, first))
            })
            .collect::<Result<Vec<_>, _>>()?;
        // A query that needs no column, as count(*), still needs the number of rows.
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(
            |error: ArrowError| FrameError::Engine {
                message: error.to_string(),
            },
        )
    }

    /// Opens the file at the first record of the slice, bounded by the start of the next slice.
    fn open(&self) -> io::Result<(Box<dyn BufRead>, u64)> {
        let Slice { file, start, end } = self.slice;
        if file.gzip {
            return Ok((open_plain(file)?, 0));
        }
        let mut handle = File::open(&file.path)?;
        let start = record_start(&mut handle, *start, file.size)?;
        let end = record_start(&mut handle, *end, file.size)?;
        handle.seek(SeekFrom::Start(start))?;
        let length = end.saturating_sub(start);
        Ok((
            Box::new(BufReader::with_capacity(BUFFER, handle.take(length))),
            start,
        ))
    }

    fn check_unchanged(&self) -> Result<(), FrameError> {
        let file = &self.slice.file;
        let now = stat(&file.path)?;
        if now == (file.size, file.modified) {
            Ok(())
        } else {
            Err(FrameError::FileChanged {
                path: file.path.clone(),
            })
        }
    }

    fn explain_record(&self, error: RecordError) -> FrameError {
        let path = &self.slice.file.path;
        match error {
            RecordError::Io(error) => FrameError::unreadable(path, &error),
            RecordError::Ragged { start, found } => match line_of(&self.slice.file, start) {
                Ok(line) => FrameError::CsvRagged {
                    path: path.clone(),
                    line,
                    expected: self.columns.len(),
                    found,
                },
                Err(error) => FrameError::unreadable(path, &error),
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
        let path = self.slice.file.path.clone();
        let (ColumnError::Encoding { row } | ColumnError::Value { row, .. }) = &error;
        let line = match line_of(&self.slice.file, records.start_of(*row, first)) {
            Ok(line) => line,
            Err(error) => return FrameError::unreadable(&path, &error),
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

/// Size and modification time of a file.
pub(super) fn stat(path: &Path) -> Result<(u64, i64), FrameError> {
    let meta = std::fs::metadata(path).map_err(|error| FrameError::unreadable(path, &error))?;
    let modified = meta
        .modified()
        .map_err(|error| FrameError::unreadable(path, &error))?;
    let nanos = match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i64,
        Err(before) => -(before.duration().as_nanos() as i64),
    };
    Ok((meta.len(), nanos))
}

/// The file's bytes from the start, decompressed.
pub(super) fn open_plain(file: &CsvFile) -> io::Result<Box<dyn BufRead>> {
    let handle = File::open(&file.path)?;
    Ok(if file.gzip {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(handle)))
    } else {
        Box::new(BufReader::with_capacity(BUFFER, handle))
    })
}

/// Skips a byte-order mark; one of UTF-16 is an encoding error.
pub(super) fn skip_bom(
    input: &mut dyn BufRead,
    reader: &mut RecordReader,
    path: &Path,
) -> Result<(), FrameError> {
    let head = input
        .fill_buf()
        .map_err(|error| FrameError::unreadable(path, &error))?;
    if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
        return Err(FrameError::CsvEncoding {
            path: path.to_owned(),
            line: 1,
        });
    }
    if head.starts_with(UTF8_BOM) {
        input.consume(UTF8_BOM.len());
        reader.skip(UTF8_BOM.len());
    }
    Ok(())
}

/// Offset of the first record that starts at or after `offset`: the byte after the first line break from
/// `offset - 1` on. Whether that line break is inside quotes is checked by the reader of the slice before it,
/// which knows, since its own start is right.
fn record_start(handle: &mut File, offset: u64, size: u64) -> io::Result<u64> {
    if offset == 0 || offset >= size {
        return Ok(offset.min(size));
    }
    handle.seek(SeekFrom::Start(offset - 1))?;
    let mut skipped = Vec::new();
    let length = BufReader::new(&mut *handle).read_until(b'\n', &mut skipped)?;
    Ok((offset - 1 + length as u64).min(size))
}

/// Line, counted from 1, of the first text at or after `offset`.
pub(super) fn line_of(file: &CsvFile, offset: u64) -> io::Result<u64> {
    let mut input = open_plain(file)?;
    let mut left = offset;
    let mut line = 1;
    loop {
        let buffer = input.fill_buf()?;
        let before = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        // Blank lines and the rest of a CRLF lie between two records.
        let blank = buffer[before..]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let passed = before + blank;
        line += buffer[..passed].iter().filter(|byte| **byte == b'\n').count() as u64;
        left -= before as u64;
        if passed < buffer.len() || passed == 0 {
            return Ok(line);
        }
        input.consume(passed);
    }
}
