//! The worker core through real frames: a leader's end of the session on one side, exact effects on the other.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod fetching;
mod imports;
mod lanes;
mod lookahead;
mod memory;
mod preparing;
mod random;
mod rig;
mod running;
mod sessions;
mod throughput;
mod waiting;
