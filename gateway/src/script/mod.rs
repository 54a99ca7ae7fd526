//! Texts of several statements, and statements that define names.
//!
//! Nothing is parsed here: a worker answers all statements up to the first query and says what they change, which is
//! committed; then the query runs as a job, and the worker goes on behind it. Of a text that ends in a query the
//! last job is the caller's to wait for; all before it is done while the request is open.

mod look;
mod names;

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::to_bytes_limited;
use bytes::Bytes;
use millstream_protocol::api::{JOB_HEADER, SqlRequest, SqlStep};
use millstream_types::{ByteSize, JobId};

use crate::context::{Context, read_record};
use crate::delivery::Delivery;
use crate::error::ApiError;
use crate::intake::build_statements;
use crate::routes::sql::{QueryId, run_job, run_query};
pub(crate) use look::is_one_query;
pub(crate) use names::Names;

/// Largest answer of statements that are no queries: the names and texts of a catalog, which is smaller.
const MAX_STEP: ByteSize = ByteSize::from_mib(8);

/// What came of a text.
pub(crate) enum Scripted {
    /// All of it is done.
    Answered(HttpResponse),
    /// All but the last statement, which is a query.
    Query(Box<SqlRequest>),
}

/// Runs a text up to its last query.
pub(crate) async fn run(
    gateway: &Context,
    sql: &SqlRequest,
    names: &mut Names,
    id: QueryId,
) -> Result<Scripted, ApiError> {
    // What is waited for several times is submitted as often, and must be the same job.
    let id = QueryId {
        is_client_id: true,
        ..id
    };
    let mut rest = sql.clone();
    let mut jobs = Jobs { id, count: 0 };
    loop {
        rest.catalog = names.catalog().clone();
        let built = build_statements(&rest);
        let job = jobs.next();
        let attempt = async |wait| Box::pin(run_job(gateway, built.clone(), job, wait)).await;
        let bytes = body_of(wait_for(gateway, attempt).await?).await?;
        let step: SqlStep = read_record("a step of statements", &bytes)?;
        names.commit(gateway, &step.changes).await?;
        let Some(next) = step.next else {
            let rows = step.answer.unwrap_or_default().into_vec();
            return Ok(Scripted::Answered(answer(&rest, job.job, rows)));
        };
        let mut query_of = rest.clone();
        query_of.catalog = names.catalog().clone();
        query_of.statement = Some(next.statement);
        query_of.into = next.into;
        let is_last = next.statement + 1 >= step.count;
        if is_last && next.then.is_empty() {
            return Ok(Scripted::Query(Box::new(query_of)));
        }
        let job = if is_last { id } else { jobs.next() };
        let attempt = async |wait| Box::pin(run_query(gateway, &query_of, job, wait)).await;
        let response = wait_for(gateway, attempt).await?;
        names.commit(gateway, &next.then).await?;
        if is_last {
            return Ok(Scripted::Answered(response));
        }
        rest.statement = Some(next.statement + 1);
    }
}

/// Jobs of the statements before the last, numbered from the caller's: a request that is repeated finds them again.
struct Jobs {
    id: QueryId,
    count: u32,
}

impl Jobs {
    fn next(&mut self) -> QueryId {
        self.count += 1;
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.id.job.to_string().as_bytes());
        hasher.update(&self.count.to_le_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        QueryId {
            job: JobId::from(uuid::Builder::from_random_bytes(bytes).into_uuid()),
            ..self.id
        }
    }
}

/// Waits for a job for as long as the client does.
async fn wait_for(
    gateway: &Context,
    attempt: impl AsyncFn(Duration) -> Result<Delivery, ApiError>,
) -> Result<HttpResponse, ApiError> {
    loop {
        if let Delivery::Ready(response) = attempt(gateway.settings.max_wait).await? {
            return Ok(response);
        }
    }
}

async fn body_of(response: HttpResponse) -> Result<Bytes, ApiError> {
    let limit = MAX_STEP.as_u64() as usize;
    match to_bytes_limited(response.into_body(), limit).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(ApiError::BodyBroken(error.to_string())),
        Err(_) => Err(ApiError::BodyTooLarge(MAX_STEP)),
    }
}

fn answer(sql: &SqlRequest, job: JobId, rows: Vec<u8>) -> HttpResponse {
    let format = sql.options.format.unwrap_or_default();
    HttpResponse::Ok()
        .insert_header((JOB_HEADER, job.to_string()))
        .content_type(format.content_type())
        .body(rows)
}
