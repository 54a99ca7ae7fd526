//! Executors from outside: tasks in, outputs and failures out.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

// The name under which `#[task]` finds what it needs; users have it by their dependency.
extern crate millstream_executor as millstream;

mod command;
mod harness;
mod native;
mod python;
mod slots;
