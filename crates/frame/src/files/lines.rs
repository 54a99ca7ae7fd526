//! Lines of text files: where the slices of a split file begin, and which line an offset is on.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::compression::open_plain;
use super::{DataFile, Slice};

/// Bytes that are read at a time.
pub(crate) const BUFFER: usize = 1 << 20;

/// A byte-order mark of UTF-8, which some editors write and nobody wants to read.
pub(crate) const UTF8_BOM: &[u8] = b"\xEF\xBB\xBF";

/// Whether a text begins with a byte-order mark of UTF-16.
pub(crate) fn is_utf16(head: &[u8]) -> bool {
    head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF")
}

/// Opens a slice at its first line, bounded by the first line of the next slice, and tells where it begins.
pub(crate) fn open_slice(slice: &Slice) -> io::Result<(Box<dyn BufRead>, u64)> {
    let Slice { file, start, end } = slice;
    if !file.is_splittable() {
        return Ok((open_plain(file)?, 0));
    }
    let mut handle = File::open(&file.path)?;
    let start = line_start(&mut handle, *start, file.size)?;
    let end = line_start(&mut handle, *end, file.size)?;
    handle.seek(SeekFrom::Start(start))?;
    let length = end.saturating_sub(start);
    Ok((
        Box::new(BufReader::with_capacity(BUFFER, handle.take(length))),
        start,
    ))
}

/// Opens an uncompressed file at the first line that starts after `offset`, and tells where that is.
pub(crate) fn skip_lines_to(file: &DataFile, offset: u64) -> io::Result<(Box<dyn BufRead>, u64)> {
    let mut handle = File::open(&file.path)?;
    handle.seek(SeekFrom::Start(offset))?;
    let mut input = BufReader::with_capacity(BUFFER, handle);
    let length = input.skip_until(b'\n')? as u64;
    Ok((Box::new(input), offset + length))
}

/// Offset of the first line that starts at or after `offset`: the byte after the first line break from
/// `offset - 1` on. Where a format has line breaks inside records, its reader must notice a cut one.
fn line_start(handle: &mut File, offset: u64, size: u64) -> io::Result<u64> {
    if offset == 0 || offset >= size {
        return Ok(offset.min(size));
    }
    handle.seek(SeekFrom::Start(offset - 1))?;
    let length = BufReader::new(&mut *handle).skip_until(b'\n')?;
    Ok((offset - 1 + length as u64).min(size))
}

/// Line, counted from 1, of the first text at or after `offset` of the decompressed file.
pub(crate) fn line_of(file: &DataFile, offset: u64) -> io::Result<u64> {
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
