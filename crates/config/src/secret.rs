//! Secrets: values that no log line, error or debug print may show.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Largest accepted secret file; anything bigger is a wrong path.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A secret's file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretFileError {
    /// The file cannot be read.
    #[error("cannot read the secret file {} ({kind}): create it, or fix its path and mode", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// The file has no content.
    #[error("the secret file {} is empty: write the secret into it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is far too large for a secret.
    #[error("the secret file {} has {bytes} bytes: is the path right?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
}

/// A text that is shown as `***` wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the wire and for comparison, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is this secret, in time that does not depend on where they differ.
    pub fn matches(&self, candidate: &str) -> bool {
        let (own, other) = (self.0.as_bytes(), candidate.as_bytes());
        own.len() == other.len() && own.iter().zip(other).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
    }

    /// Reads a secret from a file, without the white space around it.
    ///
    /// # Errors
    /// When the file is missing, unreadable, empty or no secret by its size.
    pub fn from_file(path: &Path) -> Result<Self, SecretFileError> {
        let unreadable = |error: io::Error| SecretFileError::Unreadable {
            path: path.to_owned(),
            kind: error.kind(),
        };
        let bytes = fs::metadata(path).map_err(unreadable)?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(SecretFileError::TooLarge {
                path: path.to_owned(),
                bytes,
            });
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        match text.trim() {
            "" => Err(SecretFileError::Empty {
                path: path.to_owned(),
            }),
            secret => Ok(Self::new(secret)),
        }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn printing_a_secret_hides_it() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** Secret(***)");
    }

    #[test]
    fn only_the_same_text_matches() {
        let secret = Secret::new("hunter2");
        assert!(secret.matches("hunter2"));
        for other in ["", "hunter", "hunter3", "hunter22"] {
            assert!(!secret.matches(other), "{other}");
        }
    }

    #[test]
    fn file_is_read_without_its_final_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(Secret::from_file(&path), Ok(Secret::new("s3cret")));
    }

    #[test]
    fn missing_and_empty_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(
            Secret::from_file(&path),
            Err(SecretFileError::Unreadable { .. })
        ));
        fs::write(&path, " \n").unwrap();
        assert!(matches!(
            Secret::from_file(&path),
            Err(SecretFileError::Empty { .. })
        ));
    }
}
