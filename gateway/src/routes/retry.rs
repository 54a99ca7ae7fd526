//! `/v1/jobs/{job}/retry`: a new job of the graph that another one was submitted with, and of its options.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use millstream_protocol::wire::{JobMeta, RequestError};

use super::jobs::{new_job_id, respond};
use super::params::{Query, job_of};
use crate::context::{Context, read_record};
use crate::error::ApiError;
use crate::intake::{self, Submission};

/// The label that names the job that is run again.
const LABEL: &str = "retry_of";

/// `POST /v1/jobs/{job}/retry`
pub(crate) async fn submit(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let job = job_of(&request)?;
    let stored = gateway.state.load_job(job).await?;
    let stored = stored.ok_or(RequestError::UnknownJob(job))?;
    let meta: JobMeta = read_record("a job", &stored.record.meta)?;
    let mut options = meta.options;
    options.labels.insert(LABEL.to_owned(), job.to_string());
    // Its client's session may have ended; what a person asks for by hand goes on by itself.
    options.attached_to = None;
    let submission = Submission {
        id: new_job_id(),
        is_client_id: false,
        name: meta.name,
        options,
        graph: Arc::new(read_record("a graph", &stored.graph)?),
        encoded: stored.graph,
    };
    let id = submission.id;
    let outcome = intake::submit(&gateway, submission, None).await?;
    respond(&request, &gateway, id, outcome).await
}
