//! CSV as people really have it: inference, reading and splitting of separated-value files.
//!
//! The same functions decide what a text means when types are inferred and when data is read, so a value that
//! was seen by inference always fits. The engine's own CSV reader is not used: most of its options do not
//! survive the wire, it treats `NA` as text, and it cannot name the line of a bad value in a split file.

mod columns;
mod dialect;
mod infer;
mod na;
mod read;
mod records;
mod table;

pub(crate) use read::CsvFormat;
pub(crate) use table::open;
