//! Splits bytes into records and fields, and remembers where in the file each record ended.

use std::io::BufRead;

use csv_core::ReadRecordResult;

/// Bytes that the field buffer grows by when a record does not fit.
const GROWTH: usize = 64 << 10;

/// Records of equal width, their fields back to back in one buffer.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Field bytes; what lies behind `used` is spare room, kept so that it is zeroed only once.
    data: Vec<u8>,
    used: usize,
    /// End of each field in `data`, row by row.
    ends: Vec<usize>,
    /// File offset after each record.
    offsets: Vec<u64>,
    width: usize,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Raw bytes of all fields.
    pub(super) fn data(&self) -> &[u8] {
        &self.data[..self.used]
    }

    /// File offset at which the search for record `row` began: after the record before it.
    pub(super) fn start_of(&self, row: usize, first: u64) -> u64 {
        row.checked_sub(1).map_or(first, |before| self.offsets[before])
    }

    /// Where the field lies in [`Self::data`].
    pub(super) fn range(&self, row: usize, column: usize) -> std::ops::Range<usize> {
        let index = row * self.width + column;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[index]
    }

    fn clear(&mut self, width: usize) {
        self.used = 0;
        self.ends.clear();
        self.offsets.clear();
        self.width = width;
    }
}

/// Why a record could not be taken.
#[derive(Debug)]
pub(super) enum RecordError {
    Io(std::io::Error),
    /// Fields found in the record that starts at the offset.
    Ragged {
        start: u64,
        found: usize,
    },
}

impl From<std::io::Error> for RecordError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Cuts a byte stream into records.
#[derive(Debug)]
pub(super) struct RecordReader {
    parser: csv_core::Reader,
    /// Offset in the file of the next byte.
    offset: u64,
    /// Whether the last record was ended by the end of the input instead of a line break.
    unterminated: bool,
    field_ends: Vec<usize>,
}

impl RecordReader {
    /// A reader whose input starts at `offset` of the file.
    pub(super) fn new(parser: csv_core::Reader, offset: u64) -> Self {
        Self {
            parser,
            offset,
            unterminated: false,
            field_ends: Vec::new(),
        }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Counts bytes that the caller took from the input itself.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.offset += bytes as u64;
    }

    /// Whether the last record of the input lacks its line break, as where a quoted field was cut.
    pub(super) fn is_unterminated(&self) -> bool {
        self.unterminated
    }

    /// Reads one record of any width; its fields are `None` at the end of the input.
    pub(super) fn read_any(&mut self, input: &mut dyn BufRead) -> Result<Option<Vec<Vec<u8>>>, RecordError> {
        let mut data = Vec::new();
        let Some(record) = self.read_into(input, &mut data, 0)? else {
            return Ok(None);
        };
        let mut start = 0;
        let fields = self.field_ends[..record.fields].iter().map(|end| {
            let field = data[start..*end].to_vec();
            start = *end;
            field
        });
        Ok(Some(fields.collect()))
    }

    /// Replaces `records` by up to `limit` records of `width` fields. None are left at the end of the input.
    pub(super) fn fill(
        &mut self,
        input: &mut dyn BufRead,
        width: usize,
        limit: usize,
        records: &mut Records,
    ) -> Result<(), RecordError> {
        records.clear(width);
        while records.len() < limit {
            let start = self.offset;
            let base = records.used;
            let Some(record) = self.read_into(input, &mut records.data, base)? else {
                break;
            };
            if record.fields != width {
                return Err(RecordError::Ragged {
                    start,
                    found: record.fields,
                });
            }
            records.used += record.bytes;
            records
                .ends
                .extend(self.field_ends[..width].iter().map(|end| base + end));
            records.offsets.push(self.offset);
        }
        Ok(())
    }

    /// Writes one record's bytes to `data` from `base` on. The ends of its fields, relative to `base`, are left
    /// in `self.field_ends`.
    fn read_into(
        &mut self,
        input: &mut dyn BufRead,
        data: &mut Vec<u8>,
        base: usize,
    ) -> Result<Option<RecordSize>, RecordError> {
        let mut size = RecordSize { fields: 0, bytes: 0 };
        loop {
            if data.len() < base + size.bytes + GROWTH / 2 {
                data.resize(base + size.bytes + GROWTH + data.len() / 2, 0);
            }
            if self.field_ends.len() < size.fields + 64 {
                self.field_ends.resize(size.fields + 256, 0);
            }
            let buffer = input.fill_buf()?;
            let at_end = buffer.is_empty();
            let (result, consumed, produced, ended) = self.parser.read_record(
                buffer,
                &mut data[base + size.bytes..],
                &mut self.field_ends[size.fields..],
            );
            input.consume(consumed);
            self.offset += consumed as u64;
            size.bytes += produced;
            size.fields += ended;
            match result {
                ReadRecordResult::Record => {
                    self.unterminated = at_end;
                    return Ok(Some(size));
                }
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::InputEmpty
                | ReadRecordResult::OutputFull
                | ReadRecordResult::OutputEndsFull => {}
            }
        }
    }
}

struct RecordSize {
    fields: usize,
    bytes: usize,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn read(text: &str, width: usize) -> (Vec<Vec<String>>, bool) {
        let mut reader = RecordReader::new(csv_core::Reader::new(), 0);
        let mut records = Records::default();
        reader
            .fill(&mut text.as_bytes(), width, 100, &mut records)
            .unwrap();
        let rows = (0..records.len()).map(|row| {
            let field =
                |column| String::from_utf8(records.data()[records.range(row, column)].to_vec()).unwrap();
            (0..width).map(field).collect()
        });
        (rows.collect(), reader.is_unterminated())
    }

    #[test]
    fn crlf_quotes_and_blank_lines_are_understood() {
        let (rows, unterminated) = read("a,\"b\"\"c\nd\"\r\n\r\n1,2", 2);
        assert_eq!(rows, [["a", "b\"c\nd"], ["1", "2"]]);
        assert!(unterminated);
    }

    #[test]
    fn a_record_of_another_width_is_ragged_with_its_offset() {
        let mut reader = RecordReader::new(csv_core::Reader::new(), 0);
        let mut records = Records::default();
        let error = reader
            .fill(&mut "a,b\nc\n".as_bytes(), 2, 100, &mut records)
            .unwrap_err();
        assert!(matches!(error, RecordError::Ragged { start: 4, found: 1 }));
    }

    #[test]
    fn long_fields_and_wide_records_grow_the_buffers() {
        let long = "x".repeat(300_000);
        let wide = vec!["y"; 1000].join(",");
        let (rows, _) = read(&format!("{long}\n"), 1);
        assert_eq!(rows[0][0].len(), 300_000);
        let (rows, _) = read(&wide, 1000);
        assert_eq!(rows[0].len(), 1000);
    }
}
