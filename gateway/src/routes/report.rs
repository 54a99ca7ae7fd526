//! `/v1/jobs/{job}/report`: what a job did, as a page to keep.

use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};

use super::params::{Query, job_of};
use crate::context::Context;
use crate::error::ApiError;
use crate::report;

/// Names of tasks and what they wrote are on the page: whatever they say, it asks nobody and runs nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// `GET /v1/jobs/{job}/report`
pub(crate) async fn show(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let facts = gateway.facts_of(job_of(&request)?).await?;
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .body(report::page(&facts)))
}
