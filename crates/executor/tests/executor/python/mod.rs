//! Python functions in real interpreters: called, interrupted, crashed, starved, and gone without harm.

mod calls;
mod failures;
mod harness;
mod logs;
mod pace;
mod relief;
mod values;
