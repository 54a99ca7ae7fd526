//! One Arrow file: which of the two forms it has, its columns, and where its record batches are.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::{FileReader, StreamReader, read_footer_length};
use datafusion::arrow::ipc::root_as_footer;

use crate::error::FrameError;

/// First bytes of a file with a footer.
const FILE_MAGIC: &[u8] = b"ARROW1";
/// First bytes of each message of a stream.
const STREAM_MARK: &[u8] = b"\xFF\xFF\xFF\xFF";
/// First bytes of the format before Arrow's own, which pandas wrote until 2020.
const FEATHER_1_MAGIC: &[u8] = b"FEA1";
/// Bytes of the length and the magic word at the end of a file with a footer.
const TRAILER: usize = 10;

/// A reader of either form, at its first record batch.
pub(super) enum Reader {
    /// With the offset of each record batch.
    File(Box<FileReader<BufReader<File>>>, Vec<u64>),
    Stream(Box<StreamReader<BufReader<File>>>),
}

impl Reader {
    /// Opens the file for its columns with the indices `projection`, or for all.
    pub(super) fn open(path: &Path, projection: Option<Vec<usize>>) -> Result<Self, FrameError> {
        let io = |error: std::io::Error| FrameError::unreadable(path, &error);
        let malformed = |error: ArrowError| malformed(path, &error);
        let mut file = File::open(path).map_err(io)?;
        let mut head = Vec::new();
        (&mut file)
            .take(FILE_MAGIC.len() as u64)
            .read_to_end(&mut head)
            .map_err(io)?;
        if head.is_empty() {
            return Err(problem(path, "is empty"));
        }
        if head.starts_with(FEATHER_1_MAGIC) {
            return Err(problem(
                path,
                "is Feather version 1: write it again with version 2",
            ));
        }
        if head != FILE_MAGIC && !head.starts_with(STREAM_MARK) {
            return Err(problem(path, "is neither an Arrow IPC file nor a stream"));
        }
        if head != FILE_MAGIC {
            file.rewind().map_err(io)?;
            let reader = StreamReader::try_new(BufReader::new(file), projection).map_err(malformed)?;
            return Ok(Self::Stream(Box::new(reader)));
        }
        let offsets = batch_offsets(&mut file).map_err(malformed)?;
        file.rewind().map_err(io)?;
        let reader = FileReader::try_new_buffered(file, projection).map_err(malformed)?;
        Ok(Self::File(Box::new(reader), offsets))
    }

    /// Columns of the file; with a projection, those that are read.
    pub(super) fn schema(&self) -> SchemaRef {
        match self {
            Self::File(reader, _) => reader.schema(),
            Self::Stream(reader) => reader.schema(),
        }
    }
}

/// Offsets of the record batches, from the footer.
fn batch_offsets(file: &mut File) -> Result<Vec<u64>, ArrowError> {
    let cut_off = || ArrowError::ParseError("the file is cut off: its footer is missing".to_owned());
    let size = file.seek(SeekFrom::End(0))?;
    let trailer_at = size.checked_sub(TRAILER as u64).ok_or_else(cut_off)?;
    file.seek(SeekFrom::Start(trailer_at))?;
    let mut trailer = [0; TRAILER];
    file.read_exact(&mut trailer)?;
    let length = read_footer_length(trailer).map_err(|_| cut_off())?;
    let footer_at = trailer_at.checked_sub(length as u64).ok_or_else(cut_off)?;
    file.seek(SeekFrom::Start(footer_at))?;
    let mut footer = vec![0; length];
    file.read_exact(&mut footer)?;
    let footer = root_as_footer(&footer).map_err(|error| ArrowError::ParseError(error.to_string()))?;
    let blocks = footer.recordBatches().into_iter().flatten();
    Ok(blocks
        .map(|block| u64::try_from(block.offset()).unwrap_or_default())
        .collect())
}

/// An error that the reader met in a file.
pub(super) fn malformed(path: &Path, error: &ArrowError) -> FrameError {
    match error {
        ArrowError::IoError(_, error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            FrameError::unreadable(path, error)
        }
        ArrowError::IoError(..) => problem(path, "is cut off"),
        ArrowError::ParseError(message) | ArrowError::IpcError(message) => problem(path, message),
        other => problem(path, &other.to_string()),
    }
}

fn problem(path: &Path, problem: &str) -> FrameError {
    FrameError::ArrowFile {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
