//! Where a result is written to: what was asked for, checked.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use datafusion::arrow::datatypes::SchemaRef;

use super::commit::{CommitSpec, Place, is_hidden};
use super::file::Style;
use super::part::{WriteSpec, unique};
use crate::error::FrameError;
use crate::request::{Compression, WriteFormat, WriteMode, WriteTarget};
use crate::sql::nearest;

/// Folders of files that are not published yet.
const STAGING: &str = ".millstream-write-";

/// After this time a staging folder is one of a job that failed.
const ABANDONED: Duration = Duration::from_hours(7 * 24);

/// A checked target. Nothing is made before [`Target::begin`].
#[derive(Debug)]
pub(crate) struct Target {
    staging: PathBuf,
    place: Place,
    style: Style,
    partition_by: Vec<String>,
}

impl Target {
    /// Checks a target for rows of `schema`: its options, and that it may be written.
    pub(crate) fn check(
        asked: &WriteTarget,
        schema: &SchemaRef,
        roots: Option<&[PathBuf]>,
    ) -> Result<Self, FrameError> {
        let path = writable(Path::new(&asked.path), roots)?;
        let invalid = |problem: String| FrameError::InvalidTarget {
            path: path.clone(),
            problem,
        };
        let named = WriteFormat::of(&path);
        let format = asked.format.or(named).ok_or_else(|| {
            invalid("the format cannot be told from its name: name it, as in STORED AS PARQUET".to_owned())
        })?;
        let style = style_of(asked, format, &path).map_err(&invalid)?;
        let partition_by = partition_columns(asked, schema).map_err(&invalid)?;
        let is_file =
            named.is_some() && !asked.path.ends_with('/') && !path.is_dir() && partition_by.is_empty();
        let write = unique()?;
        if is_file {
            if asked.mode == Some(WriteMode::Append) {
                return Err(invalid(
                    "rows cannot be appended to a file: write to a folder".to_owned(),
                ));
            }
            if asked.mode == Some(WriteMode::Error) && path.exists() {
                return Err(FrameError::TargetExists { path });
            }
            let folder = path.parent().unwrap_or(Path::new("/"));
            return Ok(Self {
                staging: folder.join(format!("{STAGING}{write}")),
                place: Place::File(path),
                style,
                partition_by,
            });
        }
        if path.is_file() {
            return Err(invalid("it is a file, and a folder is wanted".to_owned()));
        }
        if asked.mode.unwrap_or_default() == WriteMode::Error && holds_data(&path)? {
            return Err(FrameError::TargetExists { path });
        }
        let gzip = style.compression == Compression::Gzip && format.is_text();
        Ok(Self {
            staging: path.join(format!("{STAGING}{write}")),
            place: Place::Folder {
                path,
                write,
                extension: format!("{}{}", format.extension(), if gzip { ".gz" } else { "" }),
                replace: asked.mode == Some(WriteMode::Overwrite),
            },
            style,
            partition_by,
        })
    }

    /// Makes the staging folder, and the target's where it is missing.
    pub(crate) fn begin(&self) -> Result<(), FrameError> {
        fs::create_dir_all(&self.staging).map_err(|error| FrameError::unwritable(&self.staging, &error))?;
        if let Some(folder) = self.staging.parent() {
            remove_abandoned(folder);
        }
        Ok(())
    }

    pub(crate) const fn is_one_file(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    pub(crate) fn partition_by(&self) -> &[String] {
        &self.partition_by
    }

    pub(super) fn write_spec(&self) -> WriteSpec {
        WriteSpec {
            staging: self.staging.clone(),
            style: self.style.clone(),
            partition_by: self.partition_by.clone(),
        }
    }

    pub(super) fn commit_spec(&self) -> CommitSpec {
        CommitSpec {
            staging: self.staging.clone(),
            place: self.place.clone(),
            planned: SystemTime::now(),
        }
    }
}

fn style_of(asked: &WriteTarget, format: WriteFormat, path: &Path) -> Result<Style, String> {
    let by_name = path.extension().is_some_and(|extension| extension == "gz");
    let default = match format {
        WriteFormat::Parquet => Compression::Zstd,
        WriteFormat::Csv | WriteFormat::Json if by_name => Compression::Gzip,
        WriteFormat::Csv | WriteFormat::Json | WriteFormat::Arrow => Compression::None,
    };
    let compression = asked.compression.unwrap_or(default);
    let fits = match format {
        WriteFormat::Parquet => true,
        WriteFormat::Csv | WriteFormat::Json => matches!(compression, Compression::None | Compression::Gzip),
        WriteFormat::Arrow => compression == Compression::None,
    };
    if !fits {
        return Err(format!(
            "{} files cannot be written with the compression {}",
            format.name(),
            compression.name()
        ));
    }
    let default = if path.to_string_lossy().contains(".tsv") {
        '\t'
    } else {
        ','
    };
    let delimiter = asked.delimiter.unwrap_or(default);
    Ok(Style {
        format,
        compression,
        header: asked.header.unwrap_or(true),
        delimiter: u8::try_from(delimiter)
            .ok()
            .filter(u8::is_ascii)
            .ok_or_else(|| format!("the delimiter '{delimiter}' is not an ASCII character"))?,
    })
}

/// The columns that name folders, as the result spells them.
fn partition_columns(asked: &WriteTarget, schema: &SchemaRef) -> Result<Vec<String>, String> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let find = |wanted: &String| {
        let found = names()
            .find(|name| name == wanted)
            .or_else(|| names().find(|name| name.eq_ignore_ascii_case(wanted)));
        found.map(str::to_owned).ok_or_else(|| {
            let near = nearest(wanted, names());
            let near = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
            format!("the result has no column '{wanted}' to partition by{near}")
        })
    };
    let columns = asked
        .partition_by
        .iter()
        .map(find)
        .collect::<Result<Vec<_>, _>>()?;
    if !columns.is_empty() && names().all(|name| columns.iter().any(|column| column == name)) {
        return Err("it is partitioned by all columns, so that no column is left for the files".to_owned());
    }
    Ok(columns)
}

/// The path with links followed as far as it exists, if it is under a writable root.
fn writable(path: &Path, roots: Option<&[PathBuf]>) -> Result<PathBuf, FrameError> {
    let outside = || FrameError::OutsideWritableRoots {
        path: path.to_owned(),
        roots: roots.unwrap_or_default().to_vec(),
    };
    if path.as_os_str().is_empty() {
        return Err(FrameError::InvalidTarget {
            path: path.to_owned(),
            problem: "the path is empty".to_owned(),
        });
    }
    let mut existing = std::path::absolute(path).map_err(|error| FrameError::unwritable(path, &error))?;
    let mut missing = Vec::new();
    let real = loop {
        match existing.canonicalize() {
            Ok(real) => break real,
            // A link to nowhere is not followed to where it would lead.
            Err(_) if existing.is_symlink() => return Err(outside()),
            Err(_) => {}
        }
        match existing.components().next_back() {
            Some(Component::Normal(name)) => missing.push(name.to_owned()),
            _ => return Err(outside()),
        }
        existing.pop();
    };
    let is_allowed = roots.is_none_or(|roots| {
        let mut real_roots = roots.iter().filter_map(|root| root.canonicalize().ok());
        real_roots.any(|root| real.starts_with(root))
    });
    if !is_allowed {
        return Err(outside());
    }
    Ok(missing.iter().rev().fold(real, |path, name| path.join(name)))
}

/// Whether a folder has data files, in it or below.
fn holds_data(folder: &Path) -> Result<bool, FrameError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(FrameError::unwritable(folder, &error)),
    };
    for entry in entries {
        let path = entry
            .map_err(|error| FrameError::unwritable(folder, &error))?
            .path();
        if !is_hidden(&path)
            && (if path.is_dir() {
                holds_data(&path)?
            } else {
                WriteFormat::of(&path).is_some()
            })
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes what jobs left that failed long ago. What cannot be removed stays for the next.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let is_staging = entry.file_name().to_string_lossy().starts_with(STAGING);
        let age = entry.metadata().and_then(|metadata| metadata.modified());
        let age = age.ok().and_then(|modified| modified.elapsed().ok());
        if is_staging && age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
