//! The store from outside: what goes in comes out, whatever happened to it in between.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod accounting;
mod harness;
mod reading;
mod spilling;
