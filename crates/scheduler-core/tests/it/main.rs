//! The scheduler core against workers played by hand.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod bench;
mod extension;
mod imports;
mod layers;
mod lifecycle;
mod liveness;
mod lives;
mod losses;
mod placement;
mod preparing;
mod random;
mod recovery;
mod sessions;
mod single;
mod waiting;
