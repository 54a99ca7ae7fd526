//! Compressed text files, told by the end of their names.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;
use serde::{Deserialize, Serialize};

use super::DataFile;
use super::lines::BUFFER;

/// How a file's bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// Told by the last extension, in any case.
    pub(crate) fn of(path: &Path) -> Self {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            "gz" => Self::Gzip,
            "zst" => Self::Zstd,
            "bz2" => Self::Bzip2,
            "xz" => Self::Xz,
            _ => Self::None,
        }
    }

    /// The name of the file without the extension that says how it is compressed, in lower case.
    pub(crate) fn plain_name(path: &Path) -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_ascii_lowercase();
        match (Self::of(path), name.rsplit_once('.')) {
            (Self::None, _) | (_, None) => name,
            (_, Some((plain, _))) => plain.to_owned(),
        }
    }
}

/// The file's bytes from the start, decompressed. Several compressed streams in a row are one.
pub(crate) fn open_plain(file: &DataFile) -> io::Result<Box<dyn BufRead>> {
    let handle = File::open(&file.path)?;
    Ok(match file.compression {
        Compression::None => Box::new(BufReader::with_capacity(BUFFER, handle)),
        Compression::Gzip => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(handle))),
        Compression::Zstd => Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::new(handle)?)),
        Compression::Bzip2 => Box::new(BufReader::with_capacity(BUFFER, MultiBzDecoder::new(handle))),
        Compression::Xz => Box::new(BufReader::with_capacity(
            BUFFER,
            XzDecoder::new_multi_decoder(handle),
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_the_last_extension_and_the_format_the_one_before() {
        for (path, compression, plain) in [
            ("a/Data.CSV", Compression::None, "data.csv"),
            ("a/data.csv.GZ", Compression::Gzip, "data.csv"),
            ("data.jsonl.zst", Compression::Zstd, "data.jsonl"),
            ("data.tsv.bz2", Compression::Bzip2, "data.tsv"),
            ("data.ndjson.xz", Compression::Xz, "data.ndjson"),
            ("gz", Compression::None, "gz"),
        ] {
            let path = Path::new(path);
            assert_eq!(Compression::of(path), compression);
            assert_eq!(Compression::plain_name(path), plain);
        }
    }
}
