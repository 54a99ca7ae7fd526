//! A table of JSON lines files.

use super::infer::{Profile, profile};
use super::kind::{Kind, Member};
use super::read::JsonFormat;
use crate::catalog::{Folders, FoundFile};
use crate::error::FrameError;
use crate::files::{DataFile, FileFormat, FileTable, sample_window};
use crate::request::JsonOptions;

/// Infers the columns of `found` as a table read in the order of the files. Blocks on file reads.
pub(crate) fn open(
    name: &str,
    found: &[FoundFile],
    folders: Folders,
    options: &JsonOptions,
    min_split_bytes: u64,
) -> Result<FileTable, FrameError> {
    let window = sample_window(found.len());
    let mut files = Vec::with_capacity(found.len());
    let mut table = Profile::default();
    for found in found {
        let file = DataFile::open(found)?;
        table = table.merge(profile(&file, options.infer_dates, window)?);
        files.push(file);
    }
    let bytes_per_row = table.sampled_bytes as f64 / table.sampled_rows.max(1) as f64;
    let members = columns(table.members, options);
    if members.is_empty() {
        return Err(FrameError::InvalidTable {
            table: name.to_owned(),
            problem: "its files hold no objects, so it has no columns: name them in the JSON option types"
                .to_owned(),
        });
    }
    let format = FileFormat::Json(JsonFormat {
        members,
        ignore_unknown: options.ignore_unknown,
    });
    Ok(FileTable::new(
        format,
        folders,
        files,
        bytes_per_row,
        min_split_bytes,
    ))
}

/// The columns that were seen, and those that the options name, with the types that these say.
fn columns(seen: Vec<Member>, options: &JsonOptions) -> Vec<Member> {
    let mut columns: Vec<Member> = Vec::with_capacity(seen.len());
    for member in seen {
        let kind = match options.types.get(&member.name) {
            Some(kind) => Kind::Scalar(*kind),
            None => member.kind.settle(),
        };
        columns.push(Member {
            name: member.name,
            kind,
        });
    }
    for (name, kind) in &options.types {
        if !columns.iter().any(|column| column.name == *name) {
            columns.push(Member {
                name: name.clone(),
                kind: Kind::Scalar(*kind),
            });
        }
    }
    columns
}
