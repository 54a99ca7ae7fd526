//! Queries over files, as SQL or as expression trees: plans a query, cuts the plan into stages of tasks, and runs one task.
//!
//! DataFusion parses, optimizes and computes; this crate distributes. [`plan_sql`] turns a [`SqlRequest`] into a
//! [`PlannedQuery`], whose tasks are bytes plus a list of inputs; [`run_stage`] runs one of them on record batches.
//! What carries tasks and objects from one place to another is not known here: no services, no stores, no network.
//!
//! Plans are not a stable format. A task carries the engine's version, and another version refuses it.

mod arith;
mod arrow_file;
mod call;
mod catalog;
mod codec;
mod concat;
mod csv;
mod cut;
mod error;
mod exchange;
mod files;
mod ipc;
mod json;
mod plan;
mod prod;
mod render;
mod request;
mod script;
mod session;
mod shuffle;
mod sql;
mod stage;
mod tree;
mod write;

pub use datafusion::arrow;

pub use call::PythonCall;
pub use error::{FrameError, Position};
pub use ipc::{StageData, decode_ipc, encode_ipc, memory_size};
pub use plan::{PlannedQuery, PlannedStage, PlannedTask, StageInput, plan_sql};
pub use render::{ResultFormat, render};
pub use request::{
    CatalogChange, ColumnType, Compression, CsvOptions, JsonOptions, NextStatement, ParamValue,
    PlannerOptions, ScriptStep, SessionCatalog, SqlOptions, SqlRequest, TableFormat, TableSource, Taken,
    WriteFormat, WriteMode, WriteTarget,
};
pub use script::run_statements;
pub use shuffle::{Part, compact};
pub use stage::{EncodedObject, PartRange, StageEnv, StageLimits, StageOutput, run_stage};
