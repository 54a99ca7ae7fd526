//! Divides the files of a table into pieces of like size, one list of pieces per task.

use serde::{Deserialize, Serialize};

use super::DataFile;

/// Records whose first byte lies in a byte range of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) file: DataFile,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Distributes the files over at most `parts` lists in file order, so that the lists read one after another give
/// the table's rows in order. No piece is smaller than `min_bytes` but the last of a file.
pub(crate) fn split(files: &[DataFile], parts: usize, min_bytes: u64) -> Vec<Vec<Slice>> {
    let total: u64 = files.iter().map(|file| file.size).sum();
    let share = total.div_ceil(parts.max(1) as u64).max(min_bytes).max(1);
    let mut lists: Vec<Vec<Slice>> = Vec::new();
    let mut current = Vec::new();
    let mut filled = 0;
    for file in files {
        let mut start = 0;
        loop {
            let is_last = lists.len() + 1 == parts.max(1);
            let room = if is_last { u64::MAX - start } else { share - filled };
            let end = if file.is_splittable() {
                file.size.min(start + room)
            } else {
                file.size
            };
            filled += end - start;
            current.push(Slice {
                file: file.clone(),
                start,
                end,
            });
            if filled >= share && !is_last {
                lists.push(std::mem::take(&mut current));
                filled = 0;
            }
            start = end;
            if start >= file.size {
                break;
            }
        }
    }
    if !current.is_empty() || lists.is_empty() {
        lists.push(current);
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Compression;

    fn file(name: &str, size: u64, whole: bool) -> DataFile {
        DataFile {
            path: name.into(),
            size,
            modified: 0,
            compression: Compression::None,
            folders: Vec::new(),
            whole,
        }
    }

    fn ranges(lists: &[Vec<Slice>]) -> Vec<Vec<(String, u64, u64)>> {
        let range = |slice: &Slice| (slice.file.path.display().to_string(), slice.start, slice.end);
        lists
            .iter()
            .map(|list| list.iter().map(range).collect())
            .collect()
    }

    #[test]
    fn a_big_file_is_cut_into_equal_ranges_that_cover_it() {
        let lists = split(&[file("a", 100, false)], 3, 1);
        let expected = [
            vec![("a".to_owned(), 0, 34)],
            vec![("a".to_owned(), 34, 68)],
            vec![("a".to_owned(), 68, 100)],
        ];
        assert_eq!(ranges(&lists), expected);
    }

    #[test]
    fn small_files_share_a_list_and_keep_their_order() {
        let files: Vec<_> = ["a", "b", "c", "d"]
            .iter()
            .map(|name| file(name, 10, false))
            .collect();
        let lists = split(&files, 2, 1);
        let names: Vec<Vec<String>> = ranges(&lists)
            .into_iter()
            .map(|list| list.into_iter().map(|(name, ..)| name).collect())
            .collect();
        assert_eq!(names, [["a", "b"], ["c", "d"]]);
    }

    #[test]
    fn files_with_line_breaks_in_fields_stay_whole() {
        let lists = split(&[file("a", 100, true), file("b", 2, false)], 4, 1);
        assert!(
            lists
                .iter()
                .flatten()
                .all(|slice| slice.start == 0 && slice.end == slice.file.size)
        );
        assert_eq!(lists.iter().flatten().count(), 2);
    }

    #[test]
    fn every_byte_is_in_exactly_one_slice_and_parts_are_never_exceeded() {
        for parts in 1..9 {
            for sizes in [[0, 1, 7], [1000, 3, 500], [8, 8, 8]] {
                let files: Vec<_> = sizes
                    .iter()
                    .enumerate()
                    .map(|(index, size)| file(&index.to_string(), *size, index == 1))
                    .collect();
                let lists = split(&files, parts, 1);
                assert!(lists.len() <= parts);
                let covered: u64 = lists.iter().flatten().map(|slice| slice.end - slice.start).sum();
                assert_eq!(covered, sizes.iter().sum::<u64>(), "{parts} {sizes:?}");
            }
        }
    }
}
