//! JSON lines: inference and reading of files with one object per line.
//!
//! The same scanner and the same types are used when types are inferred and when data is read, so a value that
//! was seen by inference always fits. The engine's own reader is not used: it cuts `1.5` to `1` in a column of
//! integers, drops members that its samples did not see, and cannot name the line that is at fault.

mod columns;
mod cursor;
mod infer;
mod kind;
mod read;
mod table;

pub(crate) use read::JsonFormat;
pub(crate) use table::open;
