//! Fencing: leader terms and task attempts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A leader's term. Higher terms fence lower ones everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u32);

impl Term {
    /// The term after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of a task, and the generation of the object that the run made.
///
/// Unique over all leaders of a cluster: `n` counts within `term`. Later runs compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Attempt {
    /// The term of the leader that assigned the run.
    pub term: Term,
    /// The run's number within the term; the first is 1.
    pub n: u32,
}

impl Attempt {
    /// The run numbered `n` in `term`.
    pub const fn new(term: Term, n: u32) -> Self {
        Self { term, n }
    }

    /// Both halves in one integer that orders like the attempt.
    pub const fn packed(self) -> u64 {
        ((self.term.0 as u64) << 32) | self.n as u64
    }

    /// The attempt whose [`Attempt::packed`] form is `packed`.
    pub const fn from_packed(packed: u64) -> Self {
        Self {
            term: Term((packed >> 32) as u32),
            n: packed as u32,
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.n)
    }
}
