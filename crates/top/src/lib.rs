//! `millstream top`: the cluster on a terminal.
//!
//! ```text
//!  gateway ──► source.rs ──► model.rs ──► view ──► terminal.rs
//!     ▲            ▲          │    ▲                  │
//!     └────────────┴ commands ┘    └──── keys.rs ◄────┘
//! ```
//!
//! `run.rs` drives it, `act.rs` is what keys make of the model. The model and all below it neither ask nor wait: what they show is a function of what was told and
//! of the keys that were pressed. Owns no state of the cluster; it sees what any client of the gateway sees.

mod act;
mod cluster;
mod detail;
mod jobs;
mod keys;
mod list;
mod model;
mod run;
mod source;
mod terminal;
mod text;
mod units;
mod view;
mod workers;

pub use run::{LONGEST, Left, SHORTEST, TopError, once, run};
