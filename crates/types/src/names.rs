//! The cluster's name: the prefix of its queues and keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest accepted cluster name; queue names built on it stay below AMQP's 255 bytes.
const MAX_LEN: usize = 64;

/// A name that cannot prefix queues and keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no cluster name: use 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter")]
pub struct NameError(String);

/// The prefix that keeps clusters apart on a shared broker and a shared Redis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

impl ClusterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self("millstream".to_owned())
    }
}

impl FromStr for ClusterName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ClusterName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        let body_fits = text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if starts_well && body_fits && text.len() <= MAX_LEN {
            Ok(Self(text))
        } else {
            Err(NameError(text))
        }
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
