//! What a run tells.

use std::collections::BTreeMap;
use std::fmt;

use crate::SimConfig;

/// A run that came to rest with everything right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimReport {
    /// Simulated events.
    pub events: u64,
    /// Simulated time in milliseconds.
    pub time_ms: u64,
    /// Jobs that were submitted.
    pub jobs: u64,
    /// Tasks that were executed.
    pub executions: u64,
    /// Inputs of executed tasks that were objects of other jobs.
    pub imported: u64,
    /// Outputs of jobs that import which were read and compared with the fault-free ones.
    pub compared: u64,
    /// Tasks whose outputs clients released, or which they cancelled.
    pub given_up: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// A hash of everything that was sent: equal for equal runs.
    pub digest: u64,
}

impl SimReport {
    /// Adds another run's figures.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.time_ms += other.time_ms;
        self.jobs += other.jobs;
        self.executions += other.executions;
        self.imported += other.imported;
        self.compared += other.compared;
        self.given_up += other.given_up;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.digest ^= other.digest;
    }
}

/// A run in which something was wrong. Prints what is needed to see it again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct SimFailure {
    /// The seed.
    pub seed: u64,
    /// What was simulated.
    pub config: SimConfig,
    /// When, in simulated milliseconds.
    pub at_ms: u64,
    /// What was wrong.
    pub reason: String,
    /// What had happened before, oldest first: to the job concerned where one is.
    pub story: Vec<String>,
}

impl fmt::Display for SimFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.story {
            writeln!(f, "  {line}")?;
        }
        writeln!(
            f,
            "seed {} failed after {} ms: {}",
            self.seed, self.at_ms, self.reason
        )?;
        write!(f, "configuration: {:?}", self.config)
    }
}
