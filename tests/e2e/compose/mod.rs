//! The cluster of containers that `compose.yaml` describes: what it must be, and what it must survive.
//!
//! `tests/compose/run.sh` starts it and runs these tests, one after another.

mod shape;
mod shutdown;
mod survival;
