//! What can be wrong with a configuration, told so that its author can mend it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::secret::SecretFileError;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file.
    File(PathBuf),
    /// An environment variable, by name.
    Variable(String),
    /// A command-line flag, by name.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "command-line flag {name}"),
        }
    }
}

/// One thing that is wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A name that no setting has.
    #[error("unknown setting `{key}` in {origin}: {}", advice(.near.as_deref()))]
    UnknownKey {
        /// The name as written, with its section.
        key: String,
        /// Where it is written.
        origin: Origin,
        /// The known name that is nearest to it, if any is near.
        near: Option<String>,
    },
    /// A value that its setting cannot have.
    #[error("`{key}` = `{value}` from {origin} is not accepted: {reason}")]
    Malformed {
        /// The setting.
        key: String,
        /// The value as written; secrets are masked.
        value: String,
        /// Where it is written.
        origin: Origin,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Values that are fine alone and wrong together.
    #[error("`{key}` = `{value}` is not accepted: {reason}")]
    Inconsistent {
        /// The setting to change.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it contradicts, and what would be right.
        reason: String,
    },
    /// A secret and the file to read it from are both set.
    #[error("`{key}` and `{key}_file` are both set: keep one of them, the file for choice")]
    TwoSecrets {
        /// The setting without `_file`.
        key: &'static str,
    },
    /// A secret's file that cannot be used.
    #[error("`{key}_file`: {source}")]
    SecretFile {
        /// The setting without `_file`.
        key: &'static str,
        /// What is wrong with the file.
        source: SecretFileError,
    },
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named explicitly cannot be read.
    #[error("cannot read the configuration file {} (named by {named_by}): {source}", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// What named it: a flag, a variable or the default place.
        named_by: String,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// A file that is no TOML.
    #[error("the configuration file {} is not valid TOML: {reason}", path.display())]
    FileMalformed {
        /// The file.
        path: PathBuf,
        /// The parser's words, with line and column.
        reason: String,
    },
    /// Settings that are unknown, malformed or contradictory: all of them, not just the first.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
}

fn advice(near: Option<&str>) -> String {
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "remove it, or see docs/reference/configuration.md for all names".to_owned(),
    }
}

fn list(problems: &[Problem]) -> String {
    match problems {
        [only] => only.to_string(),
        many => {
            let lines: Vec<String> = many.iter().map(|problem| format!("\n  - {problem}")).collect();
            format!("{} settings are wrong:{}", many.len(), lines.concat())
        }
    }
}
