//! The one place where errors become HTTP statuses, stable codes and advice.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use millstream_protocol::api::{PROBLEM_CONTENT_TYPE, Problem};
use millstream_protocol::graph::GraphError;
use millstream_protocol::wire::RequestError;
use millstream_protocol::{ErrorKind, TaskError};
use millstream_state::SharedError;

use crate::error::{ApiError, BodyFault, IntakeError, TaskFault};

/// Seconds after which a client may try again what failed for the moment. A leader change takes less than ten.
const RETRY_SECONDS: u32 = 2;

const JSON_HINT: &str = "send JSON with `content-type: application/json`, or MessagePack with \
                         `content-type: application/vnd.msgpack`";

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(problem(self).status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        respond(&problem(self))
    }
}

/// Writes a problem as a response.
pub(crate) fn respond(problem: &Problem) -> HttpResponse {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponseBuilder::new(status);
    if matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        response.insert_header((RETRY_AFTER, RETRY_SECONDS.to_string()));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header(("www-authenticate", "Bearer realm=\"millstream\""));
    }
    // A problem is texts and numbers: it always has a JSON form.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    response
        .insert_header((CONTENT_TYPE, PROBLEM_CONTENT_TYPE))
        .body(body)
}

/// What a user sees of an error.
pub(crate) fn problem(error: &ApiError) -> Problem {
    let (status, code, title, hint) = classify(error);
    let mut problem = Problem {
        kind: format!("https://millstream.dev/problems/{code}"),
        title: title.to_owned(),
        status,
        code: code.to_owned(),
        detail: error.to_string(),
        hint: hint.map(str::to_owned),
        ..Problem::default()
    };
    name_things(error, &mut problem);
    problem
}

type Class = (u16, &'static str, &'static str, Option<&'static str>);

fn classify(error: &ApiError) -> Class {
    match error {
        ApiError::NoToken => (401, "no_token", "A token is needed", Some(TOKEN_HINT)),
        ApiError::WrongToken => (401, "wrong_token", "The token is wrong", Some(TOKEN_HINT)),
        ApiError::SignInOver => (401, "sign_in_over", "Sign in again", Some(SIGN_IN_HINT)),
        ApiError::WrongCode => (401, "wrong_code", "The code is not good", Some(SIGN_IN_HINT)),
        ApiError::ForeignHost(_) => (403, "foreign_host", "Not this gateway's name", Some(HOST_HINT)),
        ApiError::ForeignOrigin(_) => (
            403,
            "foreign_origin",
            "Not from other sites' pages",
            Some(ORIGIN_HINT),
        ),
        ApiError::UnknownPath(_) => (404, "unknown_path", "No such path", Some("see /openapi.json")),
        ApiError::WrongMethod { .. } => (405, "wrong_method", "No such method", Some("see /openapi.json")),
        ApiError::UnsupportedMedia(_) => (415, "unsupported_media", "Unknown kind of body", Some(JSON_HINT)),
        ApiError::NotAcceptable(_) => (406, "not_acceptable", "Unknown result format", Some(FORMAT_HINT)),
        ApiError::BodyTooLarge(_) => (413, "body_too_large", "The body is too large", Some(LARGE_HINT)),
        ApiError::BodyTimeout => (408, "body_timeout", "The body is too slow", None),
        ApiError::BodyBroken(_) => (400, "body_broken", "The body broke off", None),
        ApiError::Body(fault) => body_class(fault),
        ApiError::BadParameter { .. } => (400, "bad_parameter", "A parameter is malformed", None),
        ApiError::Intake(error) => intake_class(error),
        ApiError::Request(error) => request_class(error),
        ApiError::UnknownTask { .. } => (404, "unknown_task", "No such task", None),
        ApiError::NotAnOutput { .. } => (404, "not_an_output", "Not a wanted output", Some(OUTPUT_HINT)),
        ApiError::UnknownFile { .. } => (404, "unknown_file", "No such file", None),
        ApiError::NameTaken(_) => (409, "sql_name_taken", "The name is taken", Some(NAME_HINT)),
        ApiError::UnknownSession(_) => (404, "unknown_session", "No such session", Some(SESSION_HINT)),
        ApiError::UnknownWorker(_) => (404, "unknown_worker", "No such worker", Some("see /v1/workers")),
        ApiError::NoWorker => (503, "no_worker", "There is no worker", Some(WORKER_HINT)),
        ApiError::UploadFailed(error) if error.is_retryable() => {
            (503, "upload_failed", "The upload failed", Some(WORKER_HINT))
        }
        ApiError::UploadFailed(_) => (507, "upload_refused", "The upload was refused", Some(ROOM_HINT)),
        ApiError::NoFleet => (
            409,
            "fixed_workers",
            "Workers are started elsewhere",
            Some(FLEET_HINT),
        ),
        ApiError::Fleet(_) => (500, "workers_not_started", "Workers could not be started", None),
        ApiError::TooManyWaits => (429, "too_many_waits", "Too many requests wait", Some(WAITS_HINT)),
        ApiError::Shared(error) => shared_class(error),
        ApiError::TaskFailed { error, .. } => task_class(error),
        ApiError::JobOver { .. } => (410, "job_over", "The job ended without this result", None),
        ApiError::ResultUnreachable { .. } => {
            (503, "result_unreachable", "The result cannot be reached", None)
        }
        ApiError::NotTakenYet(_) => (503, "not_taken_yet", "Not at this moment", Some(SOON_HINT)),
        ApiError::NoLeader => (503, "no_leader", "No scheduler leads", Some(SCHEDULER_HINT)),
        ApiError::LeaderSilent => (
            503,
            "leader_silent",
            "The scheduler is silent",
            Some(SCHEDULER_HINT),
        ),
        ApiError::NoBroker => (503, "no_broker", "No message broker", Some(BROKER_HINT)),
        ApiError::Bus(error) => (503, error.code(), "The message broker failed", Some(BROKER_HINT)),
        ApiError::TooManyRequests => (503, "too_many_requests", "The gateway is busy", None),
        ApiError::TooManyJobs(_) => (429, "too_many_jobs", "The cluster is busy", Some(BUSY_HINT)),
        ApiError::State(error) if error.is_retryable() => {
            (503, error.code(), "The state store failed", Some(STATE_HINT))
        }
        ApiError::State(error) => (500, error.code(), "The state store failed", Some(STATE_HINT)),
        ApiError::Unreadable { .. } => (
            500,
            "unreadable_record",
            "A stored record is damaged",
            Some(VERSION_HINT),
        ),
    }
}

const TOKEN_HINT: &str = "send `Authorization: Bearer TOKEN`; `millstream token` prints the token";
const SIGN_IN_HINT: &str =
    "a code is good once and for an hour; `millstream token` prints the token, which signs in too";
const HOST_HINT: &str = "add the name to `gateway.allowed_hosts` in the gateway's settings";
const ORIGIN_HINT: &str = "add the page's origin to `gateway.allowed_origins` in the gateway's settings";
const WORKER_HINT: &str = "start one with `millstream worker`, or see /v1/workers";
const ROOM_HINT: &str = "make room in the workers' `worker.spill_dir`, or raise `worker.spill_quota`";
const FLEET_HINT: &str = "start workers where the others are, such as with `docker compose up --scale worker=N`; \
                          only `millstream up` starts them itself";
const FORMAT_HINT: &str = "accept application/json, application/x-ndjson, text/csv, text/plain, \
                           application/vnd.apache.arrow.stream or application/vnd.apache.parquet";
const LARGE_HINT: &str =
    "submit the job in parts, describe it by symbolic layers, or raise `gateway.body_limit`";
const SESSION_HINT: &str = "open it with PUT /v1/sessions/SESSION, and renew it while the job is wanted";
const NAME_HINT: &str = "drop it first, choose another name, or write CREATE OR REPLACE";
const OUTPUT_HINT: &str = "name the task in the job's `outputs` to keep its result";
const SCHEDULER_HINT: &str =
    "a standby takes over within 10 seconds; if none runs, start `millstream scheduler`";
const SOON_HINT: &str = "ask again in a few seconds: a new leader first collects what the workers have";
const BROKER_HINT: &str = "the gateway reconnects by itself; check `broker.url` and that RabbitMQ is up";
const STATE_HINT: &str = "the gateway retries by itself; check `redis.url` and that Redis is up";
const BUSY_HINT: &str = "try again in a few seconds, or raise `gateway.max_active_jobs`";
const VERSION_HINT: &str = "was it written by another version? remove the job and submit it again";

const WAITS_HINT: &str = "try again in a few seconds, or raise `gateway.max_requests`";
const CONFLICT_HINT: &str = "read the cell again, and write on top of the version that is there now";
const FULL_HINT: &str = "take items, wait with `?wait=10s`, or push with `drop_oldest`";
const LIMIT_HINT: &str =
    "all that use a semaphore must give the same limit; choose another name for another limit";
const SHARED_HINT: &str = "remove what is no longer used; what nobody uses goes by itself after a week";
const VALUE_HINT: &str = "keep large values in results of tasks, and share what names them";

fn shared_class(error: &SharedError) -> Class {
    let (status, title, hint) = match error {
        SharedError::State(_) => (500, "The state store failed", STATE_HINT),
        SharedError::Conflict { .. } => (412, "The cell has changed", CONFLICT_HINT),
        SharedError::QueueFull { .. } => (409, "The queue is full", FULL_HINT),
        SharedError::LimitDiffers { .. } => (409, "The limit is another one", LIMIT_HINT),
        SharedError::TooManyTickets(_) | SharedError::TooManyNames(_) | SharedError::OutOfRoom(_) => {
            (429, "Too much is shared", SHARED_HINT)
        }
        SharedError::TooManyItems { .. } => (413, "Too many items at once", "push them in parts"),
        SharedError::TooLarge { .. } => (413, "The value is too large", VALUE_HINT),
    };
    (status, error.code(), title, Some(hint))
}

fn body_class(fault: &BodyFault) -> Class {
    if fault.is_syntax {
        (400, "malformed_body", "The body is malformed", None)
    } else if fault.message.starts_with("unknown field") {
        (400, "unknown_field", "The body has an unknown field", None)
    } else {
        (400, "invalid_body", "The body does not fit", None)
    }
}

fn intake_class(error: &IntakeError) -> Class {
    match error {
        IntakeError::Task { fault, .. } => match fault {
            TaskFault::UnknownOp { .. } => (400, "unknown_op", "No such operation", None),
            TaskFault::UnsupportedOp { .. } => (400, "unsupported_op", "No such operation yet", None),
            TaskFault::MissingField { .. } => (400, "missing_field", "A field is missing", None),
            TaskFault::ForeignField { .. } => (400, "foreign_field", "A field does not belong there", None),
            TaskFault::MissingDep { .. } => (400, "missing_dependency", "A dependency is missing", None),
            TaskFault::MissingFile { .. } => (400, "missing_file", "A file is not declared", None),
            TaskFault::BadValue { .. } => (400, "bad_value", "A value does not fit", None),
        },
        IntakeError::EmptyKey { .. } => (
            400,
            "empty_key",
            "A task has no key",
            Some("give each task a `key`"),
        ),
        IntakeError::UnknownOutput { .. } => (400, "unknown_output", "A wanted output is no task", None),
        IntakeError::TooVaried { .. } => (413, "graph_too_large", "The graph is too large", None),
        IntakeError::Graph(error) => graph_class(error),
        IntakeError::UnreadableGraph(_) => (400, "malformed_graph", "The graph is malformed", None),
    }
}

fn graph_class(error: &GraphError) -> Class {
    match error {
        GraphError::TooManyTasks { .. } | GraphError::TooManyDeps { .. } => {
            (413, error.code(), "The graph is too large", Some(LARGE_HINT))
        }
        GraphError::Cycle { .. } => (400, error.code(), "Tasks wait for each other", None),
        _ => (400, error.code(), "The graph is invalid", None),
    }
}

fn request_class(error: &RequestError) -> Class {
    match error {
        RequestError::UnknownJob(_) => (404, "unknown_job", "No such job", Some(JOB_HINT)),
        RequestError::UnknownTask(_) => (404, "unknown_task", "No such task", None),
        RequestError::UnknownWorker(_) => (404, "unknown_worker", "No such worker", Some("see /v1/workers")),
        RequestError::IdConflict(_) => (409, "id_conflict", "The id is taken", Some(ID_HINT)),
        RequestError::InvalidGraph { .. } => (400, "invalid_graph", "The graph is invalid", None),
        RequestError::GraphExpired(_) => (410, "graph_expired", "The graph is gone", None),
        RequestError::WrongState(_) => (409, "wrong_state", "Not in this state", None),
        RequestError::Gone(_) => (410, "result_gone", "The result is gone", None),
        RequestError::Overloaded => (429, "too_many_jobs", "The cluster is busy", Some(BUSY_HINT)),
    }
}

const JOB_HINT: &str = "it may have been removed, have passed its time to live, or have been lost with the data of Redis; \
                        `millstream jobs` lists jobs";
const ID_HINT: &str = "make a new id for each submission; the same id and body again are the same job";

/// A failed task is the user's to mend, unless the cluster itself failed it.
fn task_class(error: &TaskError) -> Class {
    let status = match error.kind {
        ErrorKind::InvalidQuery
        | ErrorKind::BadFile
        | ErrorKind::FileNotFound
        | ErrorKind::OutsideRoots
        | ErrorKind::BadInput
        | ErrorKind::UnknownOp => 400,
        ErrorKind::Cancelled => 410,
        ErrorKind::Internal => 500,
        _ => 422,
    };
    let (title, hint) = match error.kind {
        ErrorKind::FileNotFound => ("No such file on the cluster", Some(FILE_HINT)),
        ErrorKind::OutsideRoots => ("The file may not be read", Some(ROOTS_HINT)),
        _ => ("The task failed", None),
    };
    (status, error.kind.code(), title, hint)
}

const FILE_HINT: &str = "paths are the workers' own: put the file into a folder that all workers see, and that `data.roots` lists";
const ROOTS_HINT: &str =
    "move the file into a folder of `data.roots`, or add its folder there in the workers' settings";

/// Fills in what the error names.
fn name_things(error: &ApiError, problem: &mut Problem) {
    match error {
        ApiError::Body(fault) => {
            problem.field.clone_from(&fault.field);
            problem.line = fault.position.map(|(line, _)| line);
            problem.column = fault.position.map(|(_, column)| column);
            suggest(problem, fault.suggestion.as_ref());
        }
        ApiError::BadParameter { name, .. } => problem.field = Some((*name).to_owned()),
        ApiError::Intake(error) => name_intake(error, problem),
        ApiError::UnknownTask { job, key, suggestion } => {
            problem.job = Some(job.to_string());
            problem.key = Some(key.clone());
            suggest(problem, suggestion.as_ref());
        }
        ApiError::UnknownFile {
            job,
            key,
            file,
            suggestion,
        } => {
            problem.job = Some(job.to_string());
            problem.key = Some(key.clone());
            problem.file = Some(file.clone());
            suggest(problem, suggestion.as_ref());
        }
        ApiError::NotAnOutput { job, key } | ApiError::ResultUnreachable { job, key } => {
            problem.job = Some(job.to_string());
            problem.key = Some(key.clone());
        }
        ApiError::TaskFailed { job, key, error } => {
            problem.job = Some(job.to_string());
            problem.key = Some(key.clone());
            problem.detail.clone_from(&error.message);
            problem.task_error = Some((**error).clone());
        }
        ApiError::JobOver { job, .. } | ApiError::NotTakenYet(job) => problem.job = Some(job.to_string()),
        ApiError::Request(
            RequestError::UnknownJob(job) | RequestError::IdConflict(job) | RequestError::GraphExpired(job),
        ) => problem.job = Some(job.to_string()),
        ApiError::Request(RequestError::InvalidGraph { code, .. }) => problem.code.clone_from(code),
        _ => {}
    }
}

fn name_intake(error: &IntakeError, problem: &mut Problem) {
    match error {
        IntakeError::Task { key, fault } => {
            problem.key = Some(key.clone());
            name_fault(fault, problem);
        }
        IntakeError::UnknownOutput { key, suggestion } => {
            problem.key = Some(key.clone());
            suggest(problem, suggestion.as_ref());
        }
        IntakeError::Graph(GraphError::Cycle { keys }) => problem.keys.clone_from(keys),
        IntakeError::Graph(
            GraphError::MissingDep { key, .. }
            | GraphError::MissingOp { key, .. }
            | GraphError::MissingOptions { key, .. }
            | GraphError::DuplicateKey { key },
        ) => problem.key = Some(key.clone()),
        _ => {}
    }
}

fn name_fault(fault: &TaskFault, problem: &mut Problem) {
    match fault {
        TaskFault::UnknownOp { op, suggestion, .. } => {
            problem.op = Some(op.clone());
            suggest(problem, suggestion.as_ref());
        }
        TaskFault::UnsupportedOp { op } => problem.op = Some(op.clone()),
        TaskFault::MissingField { op, field } | TaskFault::ForeignField { op, field } => {
            problem.op = Some(op.clone());
            problem.field = Some((*field).to_owned());
        }
        TaskFault::MissingDep { suggestion, .. } => suggest(problem, suggestion.as_ref()),
        TaskFault::MissingFile { file, suggestion, .. } => {
            problem.file = Some(file.clone());
            suggest(problem, suggestion.as_ref());
        }
        TaskFault::BadValue { field, .. } => problem.field = Some(field.clone()),
    }
}

fn suggest(problem: &mut Problem, suggestion: Option<&String>) {
    if let Some(suggestion) = suggestion {
        problem.hint = Some(format!("did you mean `{suggestion}`?"));
        problem.suggestion = Some(suggestion.clone());
    }
}

#[cfg(test)]
mod tests {
    use millstream_types::JobId;

    use super::*;

    fn problem_of(kind: ErrorKind) -> Problem {
        problem(&ApiError::TaskFailed {
            job: JobId::from_u128(1),
            key: "scan".to_owned(),
            error: Box::new(TaskError::new(kind, "'/data/x.csv' is not there")),
        })
    }

    #[test]
    fn each_trouble_with_a_file_has_its_code_and_says_what_to_do() {
        for (kind, code, advice) in [
            (ErrorKind::FileNotFound, "file_not_found", Some("all workers see")),
            (ErrorKind::OutsideRoots, "outside_roots", Some("data.roots")),
            (ErrorKind::BadFile, "bad_file", None),
        ] {
            let problem = problem_of(kind);
            assert_eq!((problem.status, problem.code.as_str()), (400, code));
            assert!(problem.detail.contains("/data/x.csv"), "{}", problem.detail);
            match advice {
                Some(advice) => assert!(problem.hint.is_some_and(|hint| hint.contains(advice))),
                None => assert_eq!(problem.hint, None),
            }
        }
    }
}
