//! From a submission to the intake queue: builds and checks the graph, then sees it accepted.

mod build;
mod recent;
mod spread;
mod submit;

pub(crate) use build::{build_job, build_query, check_graph, file_part};
pub(crate) use recent::Recent;
pub(crate) use submit::{Outcome, Submission, follow, submit};
