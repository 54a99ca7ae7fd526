//! Whole queries: planned, cut, run stage by stage with every plan and object through bytes, and compared with
//! answers of other engines.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod answers;
mod arrow_files;
mod calls;
mod cluster;
mod csv;
mod errors;
mod folders;
mod json;
mod parquet;
mod queries;
mod relational;
mod script;
mod tpch;
mod tpch_data;
mod trees;
mod write;
