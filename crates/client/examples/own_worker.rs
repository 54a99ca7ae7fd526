//! A worker binary with functions of its own, which jobs call by their names.
//!
//! It runs in place of `millstream worker`, with the same settings: of the settings file, of the environment, or as
//! arguments, such as `own_worker worker.slots=2`.

use std::process::ExitCode;

/// How often a word occurs in a text; `words:count` in jobs.
#[millstream::task(name = "words:count")]
fn count(text: String, word: String) -> u64 {
    text.split_whitespace().filter(|found| *found == word).count() as u64
}

/// The sum of two counts; `words:add` in jobs.
#[millstream::task(name = "words:add")]
fn add(left: u64, right: u64) -> u64 {
    left + right
}

fn main() -> ExitCode {
    millstream::worker::main()
}
