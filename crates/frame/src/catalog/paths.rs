//! From the paths of a table to its files: patterns, folders, formats, and the check against the readable roots.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::hive::folder_values;
use crate::error::FrameError;
use crate::files::Compression;
use crate::request::TableFormat;

const GLOB_CHARACTERS: [char; 3] = ['*', '?', '['];

/// Whether a name in a FROM clause is a path rather than a table.
pub(crate) fn looks_like_path(name: &str) -> bool {
    name.contains('/') || name.contains(GLOB_CHARACTERS) || format_by_extension(Path::new(name)).is_some()
}

/// A file of a table.
#[derive(Debug, Clone)]
pub(crate) struct FoundFile {
    /// Its real path.
    pub(crate) path: PathBuf,
    /// The `key=value` folders that it lies in, below the folder or the fixed part of the pattern that was named.
    pub(crate) folders: Vec<(String, Option<String>)>,
}

impl FoundFile {
    /// The values of its folders, as they spell them.
    pub(crate) fn folder_values(&self) -> Vec<Option<String>> {
        self.folders.iter().map(|(_, value)| value.clone()).collect()
    }
}

/// The data files behind `paths`: in the order of `paths`, and by name within a folder, its folders, or a pattern.
/// A file named twice is read twice.
pub(super) fn expand(
    table: &str,
    paths: &[String],
    format: Option<TableFormat>,
    roots: Option<&[PathBuf]>,
) -> Result<Vec<FoundFile>, FrameError> {
    let roots = Roots::resolve(roots);
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        if path.is_empty() {
            return Err(FrameError::InvalidTable {
                table: table.to_owned(),
                problem: "empty path".to_owned(),
            });
        }
        // A file that is really called `a[1].csv` is that file and not a pattern.
        if path.contains(GLOB_CHARACTERS) && !Path::new(path).exists() {
            add_matches(table, path, format, &roots, &mut files)?;
        } else {
            let path = Path::new(path);
            walk(path, path, format, &roots, &mut files)?;
        }
        if files.len() == before {
            return Err(FrameError::NoFiles {
                pattern: path.clone(),
            });
        }
    }
    if files.is_empty() {
        return Err(FrameError::InvalidTable {
            table: table.to_owned(),
            problem: "no paths".to_owned(),
        });
    }
    Ok(files)
}

/// The one format of all files.
pub(super) fn format_of(
    table: &str,
    files: &[FoundFile],
    declared: Option<TableFormat>,
) -> Result<TableFormat, FrameError> {
    if let Some(format) = declared {
        return Ok(format);
    }
    let mut common = None;
    for FoundFile { path, .. } in files {
        let format =
            format_by_extension(path).ok_or_else(|| FrameError::UnknownFormat { path: path.clone() })?;
        if *common.get_or_insert(format) != format {
            let problem = format!("'{}' has another format than the files before it", path.display());
            return Err(FrameError::InvalidTable {
                table: table.to_owned(),
                problem,
            });
        }
    }
    common.ok_or_else(|| FrameError::InvalidTable {
        table: table.to_owned(),
        problem: "no files".to_owned(),
    })
}

fn format_by_extension(path: &Path) -> Option<TableFormat> {
    let name = Compression::plain_name(path);
    let format = match Path::new(&name).extension()?.to_str()? {
        "csv" | "tsv" | "tab" => TableFormat::Csv,
        "json" | "jsonl" | "ndjson" => TableFormat::Json,
        "arrow" | "feather" | "ipc" | "arrows" => TableFormat::Arrow,
        "parquet" | "pq" => TableFormat::Parquet,
        _ => return None,
    };
    // A compressed Parquet file would have to be unpacked whole to be read: such are compressed within.
    (format.is_text() || Compression::of(path) == Compression::None).then_some(format)
}

fn add_matches(
    table: &str,
    pattern: &str,
    format: Option<TableFormat>,
    roots: &Roots,
    files: &mut Vec<FoundFile>,
) -> Result<(), FrameError> {
    // Matches of `./data/*` begin with `data`.
    let pattern = pattern.trim_start_matches("./");
    let base: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(GLOB_CHARACTERS))
        .collect();
    let found = glob::glob(pattern).map_err(|error| FrameError::InvalidTable {
        table: table.to_owned(),
        problem: format!("bad pattern '{pattern}': {error}"),
    })?;
    // A pattern that asks for hidden files has them, and one that matches a folder and what is in it has no file twice.
    let hidden_too = Path::new(pattern)
        .components()
        .skip(base.components().count())
        .any(|part| is_hidden(Path::new(part.as_os_str())));
    let mut matched = Vec::new();
    for entry in found {
        let entry = entry.map_err(|error| FrameError::unreadable(error.path(), error.error()))?;
        let below = entry.strip_prefix(&base).unwrap_or(&entry);
        if hidden_too
            || !below
                .components()
                .any(|part| is_hidden(Path::new(part.as_os_str())))
        {
            walk(&entry, &base, format, roots, &mut matched)?;
        }
    }
    let mut seen = HashSet::new();
    matched.retain(|file| seen.insert(file.path.clone()));
    files.extend(matched);
    Ok(())
}

/// Adds a file, or all data files in a folder and its folders, that were found below `base`.
fn walk(
    path: &Path,
    base: &Path,
    format: Option<TableFormat>,
    roots: &Roots,
    files: &mut Vec<FoundFile>,
) -> Result<(), FrameError> {
    let real = roots.check(path)?;
    if !real.is_dir() {
        let folders = path.parent().and_then(|folder| folder.strip_prefix(base).ok());
        files.push(FoundFile {
            path: real,
            folders: folders.map(folder_values).unwrap_or_default(),
        });
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| FrameError::unreadable(path, &error))?;
    entries.sort();
    for entry in entries {
        if is_hidden(&entry) || leads_back(&entry, &real) {
            continue;
        }
        if entry.is_dir() || is_data_file(&entry, format) {
            walk(&entry, base, format, roots, files)?;
        }
    }
    Ok(())
}

/// Whether a folder is a link to the folder that it is in, or to one above.
fn leads_back(entry: &Path, folder: &Path) -> bool {
    entry.is_symlink()
        && entry
            .canonicalize()
            .is_ok_and(|target| folder.starts_with(target))
}

/// Files and folders with names like `_SUCCESS`, `_temporary` and `.part-0.crc` are no data.
fn is_hidden(entry: &Path) -> bool {
    let name = entry.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(['.', '_'])
}

/// Whether a folder's entry belongs to the table.
fn is_data_file(entry: &Path, format: Option<TableFormat>) -> bool {
    let by_name = format_by_extension(entry);
    let fits = match format {
        Some(format) => by_name.is_none_or(|found| found == format),
        None => by_name.is_some(),
    };
    fits && entry.is_file()
}

/// The readable roots by their real paths; none where everything is readable.
struct Roots<'a> {
    given: Option<&'a [PathBuf]>,
    real: Vec<PathBuf>,
}

impl<'a> Roots<'a> {
    fn resolve(given: Option<&'a [PathBuf]>) -> Self {
        let roots = given.unwrap_or_default();
        let real = roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
        Self { given, real }
    }

    /// The real path, links followed, if it is under a root. A path outside is refused before anything is told
    /// about it, even whether it exists.
    fn check(&self, path: &Path) -> Result<PathBuf, FrameError> {
        let outside = || FrameError::OutsideRoots {
            path: path.to_owned(),
            roots: self.given.unwrap_or_default().to_vec(),
        };
        match path.canonicalize() {
            Ok(real) if self.allows(&real) => Ok(real),
            Ok(_) => Err(outside()),
            Err(error) if self.allows_missing(path) => Err(FrameError::unreadable(path, &error)),
            Err(_) => Err(outside()),
        }
    }

    fn allows(&self, real: &Path) -> bool {
        self.given.is_none() || self.real.iter().any(|root| real.starts_with(root))
    }

    /// Whether the nearest existing folder above a missing path is under a root.
    fn allows_missing(&self, path: &Path) -> bool {
        let existing = path.ancestors().skip(1).find_map(|folder| {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            folder.canonicalize().ok()
        });
        self.given.is_none() || existing.is_some_and(|folder| self.allows(&folder))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn names(files: &[FoundFile]) -> Vec<String> {
        files
            .iter()
            .map(|file| file.path.file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), "a\n1\n").unwrap();
        }
        folder
    }

    fn expand_in(folder: &Path, path: &str, roots: Option<&[PathBuf]>) -> Result<Vec<FoundFile>, FrameError> {
        expand("t", &[folder.join(path).display().to_string()], None, roots)
    }

    #[test]
    fn folders_and_patterns_give_their_data_files_by_name() {
        let folder = folder(&["b.csv", "a.csv", "_SUCCESS", ".c.csv", "notes.txt"]);
        assert_eq!(
            names(&expand_in(folder.path(), "", None).unwrap()),
            ["a.csv", "b.csv"]
        );
        assert_eq!(
            names(&expand_in(folder.path(), "[a-b].csv", None).unwrap()),
            ["a.csv", "b.csv"]
        );
    }

    #[test]
    fn an_empty_pattern_and_a_missing_file_are_told_apart() {
        let folder = folder(&[]);
        assert_eq!(
            expand_in(folder.path(), "*.csv", None).unwrap_err().code(),
            "no_files"
        );
        assert_eq!(expand_in(folder.path(), "", None).unwrap_err().code(), "no_files");
        assert_eq!(
            expand_in(folder.path(), "x.csv", None).unwrap_err().code(),
            "file_not_found"
        );
    }

    #[test]
    fn paths_outside_the_roots_are_refused_even_through_links() {
        let (inside, outside) = (folder(&["a.csv"]), folder(&["secret.csv"]));
        let roots = [inside.path().to_owned()];
        std::os::unix::fs::symlink(outside.path().join("secret.csv"), inside.path().join("link.csv"))
            .unwrap();
        assert!(expand_in(inside.path(), "a.csv", Some(&roots)).is_ok());
        for (base, path) in [
            (outside.path(), "secret.csv"),
            (outside.path(), "missing.csv"),
            (inside.path(), "link.csv"),
            (inside.path(), "*.csv"),
            (inside.path(), ""),
            (inside.path(), "../etc/passwd"),
        ] {
            assert_eq!(
                expand_in(base, path, Some(&roots)).unwrap_err().code(),
                "outside_roots",
                "{path}"
            );
        }
        assert_eq!(
            expand_in(inside.path(), "no.csv", Some(&roots))
                .unwrap_err()
                .code(),
            "file_not_found"
        );
        let none = expand_in(inside.path(), "a.csv", Some(&[])).unwrap_err();
        assert_eq!(none.code(), "outside_roots", "without roots nothing is readable");
    }

    #[test]
    fn formats_come_from_extensions_and_must_agree() {
        let path = |name: &str| FoundFile {
            path: name.into(),
            folders: Vec::new(),
        };
        assert_eq!(
            format_of("t", &[path("a.CSV.gz")], None).unwrap(),
            TableFormat::Csv
        );
        assert_eq!(
            format_of("t", &[path("a.pq")], None).unwrap(),
            TableFormat::Parquet
        );
        assert_eq!(
            format_of("t", &[path("a.jsonl.zst")], None).unwrap(),
            TableFormat::Json
        );
        assert!(format_of("t", &[path("a.parquet.gz")], None).is_err());
        assert_eq!(
            format_of("t", &[path("a.xyz")], None).unwrap_err().code(),
            "unknown_format"
        );
        let mixed = format_of("t", &[path("a.csv"), path("b.parquet")], None);
        assert_eq!(mixed.unwrap_err().code(), "table_invalid");
        assert!(looks_like_path("file.parquet") && !looks_like_path("lineitem"));
    }
}
