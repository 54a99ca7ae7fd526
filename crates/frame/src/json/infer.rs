//! Finds out the members of a file's objects from samples of its start, middle and end.

use std::io::BufRead;

use super::columns::LineError;
use super::cursor::{Cursor, Token};
use super::kind::{Member, merge_members, observe_members};
use super::read::{Lines, first_line, not_an_object};
use crate::error::FrameError;
use crate::files::{Compression, DataFile, open_plain, skip_lines_to};

/// What a file's samples tell.
#[derive(Debug, Default)]
pub(super) struct Profile {
    pub(super) members: Vec<Member>,
    pub(super) sampled_rows: u64,
    pub(super) sampled_bytes: u64,
}

impl Profile {
    /// What both files tell.
    pub(super) fn merge(self, other: Self) -> Self {
        Self {
            members: merge_members(self.members, other.members),
            sampled_rows: self.sampled_rows + other.sampled_rows,
            sampled_bytes: self.sampled_bytes + other.sampled_bytes,
        }
    }
}

/// Samples `file`, at most `window` bytes in each of three places, or all of it if that is not more.
pub(super) fn profile(file: &DataFile, dates: bool, window: u64) -> Result<Profile, FrameError> {
    let mut profile = Profile::default();
    // A compressed file has no middle to seek to, so more of its start is read.
    let whole = file.compression != Compression::None || file.size <= 4 * window;
    let limit = if whole { 4 * window } else { window };
    let mut input = open_plain(file).map_err(|error| file.unreadable(&error))?;
    let start = first_line(&mut *input, file)?;
    observe(&mut profile, file, &mut *input, start, limit, dates)?;
    if !whole {
        for offset in [file.size / 2, file.size - window] {
            let (mut input, start) = skip_lines_to(file, offset).map_err(|error| file.unreadable(&error))?;
            observe(&mut profile, file, &mut *input, start, window, dates)?;
        }
    }
    Ok(profile)
}

/// Takes the lines that start within `limit` bytes from `start`, where the input stands.
fn observe(
    profile: &mut Profile,
    file: &DataFile,
    input: &mut dyn BufRead,
    start: u64,
    limit: u64,
    dates: bool,
) -> Result<(), FrameError> {
    let mut lines = Lines::new(file, input, start);
    while lines.offset() - start < limit {
        let seen = lines.next(|cursor| observe_line(&mut profile.members, cursor, dates))?;
        if seen.is_none() {
            break;
        }
        profile.sampled_rows += 1;
    }
    profile.sampled_bytes += lines.offset() - start;
    Ok(())
}

fn observe_line(members: &mut Vec<Member>, cursor: &mut Cursor<'_>, dates: bool) -> Result<(), LineError> {
    match cursor.value()? {
        Token::Object => observe_members(members, cursor, dates)?,
        _ => return Err(not_an_object().into()),
    }
    Ok(cursor.end()?)
}
