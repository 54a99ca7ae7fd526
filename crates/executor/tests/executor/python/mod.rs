//! Python functions in real interpreters: called, interrupted, crashed, starved, and gone without harm.

mod calls;
mod devices;
mod environments;
mod failures;
mod harness;
mod logs;
mod pace;
mod relief;
mod stacks;
mod values;
mod waits;
