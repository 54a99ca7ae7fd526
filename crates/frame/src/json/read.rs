//! Reads one slice of a JSON lines file as record batches, and says which line is at fault if it cannot.

use std::io::BufRead;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::Field;
use serde::{Deserialize, Serialize};

use super::columns::{LineError, Members, Unknown};
use super::cursor::{Cursor, SyntaxError, Token};
use super::kind::Member;
use crate::error::FrameError;
use crate::files::{BatchSink, DataFile, SliceRead, UTF8_BOM, line_of, open_slice};

/// Bytes of text after which a batch is full, however few rows it has.
const BATCH_BYTES: u64 = 16 << 20;

/// The columns of a table's files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JsonFormat {
    pub(super) members: Vec<Member>,
    /// Whether members that are no columns are passed over instead of refused.
    pub(super) ignore_unknown: bool,
}

impl JsonFormat {
    /// The columns as the engine sees them.
    pub(crate) fn fields(&self) -> Vec<Field> {
        self.members.iter().map(Member::field).collect()
    }

    /// Hands the batches of a slice to `sink`.
    pub(crate) fn read(&self, read: &SliceRead<'_>, sink: &mut BatchSink<'_>) -> Result<(), FrameError> {
        let file = &read.slice.file;
        let (mut input, mut offset) = open_slice(read.slice).map_err(|error| file.unreadable(&error))?;
        if read.slice.start == 0 {
            offset = first_line(&mut *input, file)?;
        }
        let unknown = if self.ignore_unknown {
            Unknown::Pass
        } else {
            Unknown::Refuse
        };
        let mut columns = Members::new(&self.members, |index| read.projection.contains(&index));
        let mut lines = Lines::new(file, &mut *input, offset);
        loop {
            let (mut rows, first) = (0, lines.offset());
            while rows < read.batch_size && lines.offset() - first < BATCH_BYTES {
                match lines.next(|cursor| append_line(&mut columns, cursor, unknown))? {
                    Some(()) => rows += 1,
                    None => break,
                }
            }
            if rows == 0 || !sink(batch(&mut columns, rows, read)?) {
                return Ok(());
            }
        }
    }
}

fn append_line(columns: &mut Members, cursor: &mut Cursor<'_>, unknown: Unknown) -> Result<(), LineError> {
    match cursor.value()? {
        Token::Object => columns.append(cursor, unknown)?,
        _ => return Err(not_an_object().into()),
    }
    Ok(cursor.end()?)
}

/// What is wrong with a line that holds another value.
pub(super) fn not_an_object() -> SyntaxError {
    SyntaxError {
        at: 0,
        problem: "expected an object: each line must be one, also where a file is an array of objects",
    }
}

fn batch(columns: &mut Members, rows: usize, read: &SliceRead<'_>) -> Result<RecordBatch, FrameError> {
    let mut built = columns.finish();
    let wanted = read.projection.iter().filter_map(|index| built[*index].take());
    // A query that needs no column, as count(*), still needs the number of rows.
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(&read.schema), wanted.collect(), &options).map_err(|error| {
        FrameError::Engine {
            message: error.to_string(),
        }
    })
}

/// Skips a byte-order mark at the start of a file, and tells where the first line is.
pub(super) fn first_line(input: &mut dyn BufRead, file: &DataFile) -> Result<u64, FrameError> {
    let head = input.fill_buf().map_err(|error| file.unreadable(&error))?;
    if !head.starts_with(UTF8_BOM) {
        return Ok(0);
    }
    input.consume(UTF8_BOM.len());
    Ok(UTF8_BOM.len() as u64)
}

/// The lines of an input that are not blank.
pub(super) struct Lines<'a> {
    file: &'a DataFile,
    input: &'a mut dyn BufRead,
    /// Offset in the file of the next line.
    offset: u64,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// Lines of `input`, which stands at `offset` of the file.
    pub(super) fn new(file: &'a DataFile, input: &'a mut dyn BufRead, offset: u64) -> Self {
        Self {
            file,
            input,
            offset,
            line: Vec::new(),
        }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Lets `take` read the next line; `None` at the end of the input. Its errors get the number of the line.
    pub(super) fn next<T>(
        &mut self,
        take: impl FnOnce(&mut Cursor<'_>) -> Result<T, LineError>,
    ) -> Result<Option<T>, FrameError> {
        loop {
            self.line.clear();
            let length = self.input.read_until(b'\n', &mut self.line);
            let length = length.map_err(|error| self.file.unreadable(&error))?;
            if length == 0 {
                return Ok(None);
            }
            let start = self.offset;
            self.offset += length as u64;
            if self.line.trim_ascii().is_empty() {
                continue;
            }
            let taken = match std::str::from_utf8(&self.line) {
                Ok(text) => take(&mut Cursor::new(text)),
                Err(error) => Err(LineError::Syntax(SyntaxError {
                    at: error.valid_up_to(),
                    problem: "not valid UTF-8",
                })),
            };
            return taken.map(Some).map_err(|error| self.explain(error, start));
        }
    }

    fn explain(&self, error: LineError, start: u64) -> FrameError {
        let path = self.file.path.clone();
        let line = match line_of(self.file, start) {
            Ok(line) => line,
            Err(error) => return self.file.unreadable(&error),
        };
        match error {
            LineError::Syntax(SyntaxError { at, problem }) => FrameError::JsonSyntax {
                path,
                line,
                column: at as u64 + 1,
                problem: problem.to_owned(),
            },
            LineError::Value {
                column,
                value,
                expected,
            } => FrameError::JsonValue {
                path,
                line,
                column,
                value,
                expected: expected.to_owned(),
            },
            LineError::Unknown { column } => FrameError::JsonUnknownMember { path, line, column },
            LineError::Twice { column } => FrameError::JsonSyntax {
                path,
                line,
                column: 1,
                problem: format!("the object has two members '{column}'"),
            },
        }
    }
}
