//! The data plane between two ends that trust each other with nothing but a secret.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod batch;
mod faults;
mod harness;
mod single;
mod uploads;
