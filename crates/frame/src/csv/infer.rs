//! Finds out the columns of a CSV file and their types from samples of its start, middle and end.

use std::io::{BufRead, Read};
use std::path::Path;

use super::dialect::Dialect;
use super::na::NaSet;
use super::read::skip_bom;
use super::records::{RecordError, RecordReader, Records};
use crate::error::FrameError;
use crate::files::{Compression, DataFile, line_of, open_plain, skip_lines_to};
use crate::request::{ColumnType, CsvOptions};

/// Records taken from a sample at a time.
const ROWS: usize = 4096;

/// What a file's samples tell.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) names: Vec<String>,
    /// The narrowest type of each column; `None` if all sampled values are missing.
    pub(super) kinds: Vec<Option<ColumnType>>,
    /// Whether a sampled field holds a line break.
    pub(super) multiline: bool,
    pub(super) sampled_rows: u64,
    pub(super) sampled_bytes: u64,
}

/// Samples `file`, at most `window` bytes in each of three places, or all of it if that is not more.
pub(super) fn profile(
    file: &DataFile,
    dialect: &Dialect,
    options: &CsvOptions,
    window: u64,
) -> Result<Profile, FrameError> {
    let sampler = Sampler {
        file,
        dialect,
        infer_dates: options.infer_dates,
        na: dialect.na_set(),
    };
    // A compressed file has no middle to seek to, so more of its start is read.
    let whole = file.compression != Compression::None || file.size <= 4 * window;
    let limit = if whole { 4 * window } else { window };
    let (mut profile, first_data) = sampler.start(options)?;
    sampler.first_window(&mut profile, first_data, limit)?;
    if !whole {
        sampler.inner_window(&mut profile, file.size / 2, window)?;
        sampler.inner_window(&mut profile, file.size - window, window)?;
    }
    Ok(profile)
}

struct Sampler<'a> {
    file: &'a DataFile,
    dialect: &'a Dialect,
    infer_dates: bool,
    na: NaSet,
}

impl Sampler<'_> {
    /// Reads the column names, and tells where the data begins.
    fn start(&self, options: &CsvOptions) -> Result<(Profile, u64), FrameError> {
        let path = &self.file.path;
        let mut input = open_plain(self.file).map_err(|error| FrameError::unreadable(path, &error))?;
        let mut reader = RecordReader::new(self.dialect.parser(), 0);
        skip_bom(&mut *input, &mut reader, self.file)?;
        let data_start = reader.offset();
        let first = reader
            .read_any(&mut *input)
            .map_err(|error| self.explain(error, 0))?;
        let fields = first.filter(|fields| !fields.is_empty());
        let mut names = match (&options.columns, fields) {
            (_, None) => return Err(FrameError::CsvEmpty { path: path.clone() }),
            (Some(names), Some(fields)) if names.len() != fields.len() => {
                return Err(FrameError::CsvRagged {
                    path: path.clone(),
                    line: 1,
                    expected: names.len(),
                    found: fields.len(),
                });
            }
            (Some(names), _) => names.clone(),
            (None, Some(fields)) if self.dialect.header => header_names(fields, path)?,
            (None, Some(fields)) => (1..=fields.len())
                .map(|index| format!("column_{index}"))
                .collect(),
        };
        make_unique(&mut names);
        let kinds = vec![None; names.len()];
        let profile = Profile {
            names,
            kinds,
            multiline: false,
            sampled_rows: 0,
            sampled_bytes: 0,
        };
        Ok((
            profile,
            if self.dialect.header {
                reader.offset()
            } else {
                data_start
            },
        ))
    }

    /// Samples from the first record on. A ragged record here is the file's fault.
    fn first_window(&self, profile: &mut Profile, start: u64, limit: u64) -> Result<(), FrameError> {
        let open = || -> std::io::Result<Box<dyn BufRead>> {
            let mut input = open_plain(self.file)?;
            std::io::copy(&mut (&mut input).take(start), &mut std::io::sink())?;
            Ok(input)
        };
        let mut input = open().map_err(|error| FrameError::unreadable(&self.file.path, &error))?;
        let mut reader = RecordReader::new(self.dialect.parser(), start);
        let mut records = Records::default();
        while reader.offset() - start < limit {
            let first = reader.offset();
            reader
                .fill(&mut *input, profile.names.len(), ROWS, &mut records)
                .map_err(|error| self.explain(error, profile.names.len()))?;
            if records.is_empty() {
                break;
            }
            self.observe(profile, &records, first)?;
        }
        profile.sampled_bytes += reader.offset() - start;
        Ok(())
    }

    /// Samples from the first line break after `offset` on. If that is inside a quoted field, the records come
    /// out ragged and the window is given up; reading will tell whether the file is at fault.
    fn inner_window(&self, profile: &mut Profile, offset: u64, window: u64) -> Result<(), FrameError> {
        let io = |error: std::io::Error| self.file.unreadable(&error);
        let (mut input, start) = skip_lines_to(self.file, offset).map_err(io)?;
        let mut reader = RecordReader::new(self.dialect.parser(), start);
        let mut records = Records::default();
        while reader.offset() - start < window {
            let first = reader.offset();
            match reader.fill(&mut *input, profile.names.len(), ROWS, &mut records) {
                Err(RecordError::Io(error)) => return Err(io(error)),
                Err(RecordError::Ragged { .. }) => break,
                Ok(()) if records.is_empty() => break,
                Ok(()) => self.observe(profile, &records, first)?,
            }
        }
        profile.sampled_bytes += reader.offset() - start;
        Ok(())
    }

    fn observe(&self, profile: &mut Profile, records: &Records, first: u64) -> Result<(), FrameError> {
        let width = profile.names.len();
        for row in 0..records.len() {
            for column in 0..width {
                let bytes = &records.data()[records.range(row, column)];
                let Ok(text) = std::str::from_utf8(bytes) else {
                    let line = line_of(self.file, records.start_of(row, first))
                        .map_err(|error| FrameError::unreadable(&self.file.path, &error))?;
                    return Err(FrameError::CsvEncoding {
                        path: self.file.path.clone(),
                        line,
                    });
                };
                if self.na.contains(text) {
                    continue;
                }
                profile.multiline |= text.contains('\n');
                let kind = &mut profile.kinds[column];
                if !kind.is_some_and(|kind| kind.accepts(text)) {
                    let seen = ColumnType::of(text, self.infer_dates);
                    *kind = Some(kind.map_or(seen, |kind| kind.widen(seen)));
                }
            }
        }
        profile.sampled_rows += records.len() as u64;
        Ok(())
    }

    fn explain(&self, error: RecordError, expected: usize) -> FrameError {
        let path = self.file.path.clone();
        let unreadable = |error: std::io::Error| FrameError::unreadable(&self.file.path, &error);
        match error {
            RecordError::Io(error) => unreadable(error),
            RecordError::Ragged { start, found } => match line_of(self.file, start) {
                Ok(line) => FrameError::CsvRagged {
                    path,
                    line,
                    expected,
                    found,
                },
                Err(error) => unreadable(error),
            },
        }
    }
}

fn header_names(fields: Vec<Vec<u8>>, path: &Path) -> Result<Vec<String>, FrameError> {
    let name = |(index, field): (usize, Vec<u8>)| {
        let text = String::from_utf8(field).map_err(|_| FrameError::CsvEncoding {
            path: path.to_owned(),
            line: 1,
        })?;
        // As pandas names a column without a name.
        Ok(if text.is_empty() {
            format!("Unnamed: {index}")
        } else {
            text
        })
    };
    fields.into_iter().enumerate().map(name).collect()
}

/// Appends `.1`, `.2` … to names that occur again, as pandas does.
fn make_unique(names: &mut [String]) {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        let base = name.clone();
        let mut copy = 0;
        while !seen.insert(name.clone()) {
            copy += 1;
            *name = format!("{base}.{copy}");
        }
    }
}
