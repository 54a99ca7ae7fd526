//! From a submission to the intake queue: builds and checks the graph, then sees it accepted.

mod build;
mod recent;
mod spread;
mod submit;

pub(crate) use build::{BuiltJob, build_job, build_query, build_statements, check_graph, file_part};
pub(crate) use recent::Recent;
pub(crate) use submit::{Outcome, Submission, follow, submit};
