//! What is served, and to whom.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use async_stream::try_stream;
use futures::Stream;
use millstream_store::{EncodedObject, Missing, Pinned, Store};
use millstream_types::{JobId, ObjectId, TaskIdx};
use serde::Deserialize;
use tokio::task;
use uuid::Uuid;

use super::StackSource;
use crate::uploads::{UploadError, UploadShelf};
use crate::wire::{
    AnswerHead, BATCH_TYPE, CHUNK_BYTES, CheckedPart, MAX_BATCH, ObjectRequest, PARTS_HEADER, PartHead,
    parse_attempt, print_parts,
};

/// A list of [`MAX_BATCH`] requests is smaller than this.
const MAX_REQUEST_BYTES: usize = 2 << 20;

const MSGPACK_TYPE: &str = "application/vnd.msgpack";

/// What requests are served from.
pub(super) struct Service {
    pub(super) store: Store,
    pub(super) uploads: Arc<OnceLock<UploadShelf>>,
    pub(super) secret: String,
    pub(super) served: Arc<AtomicU64>,
    pub(super) stacks: Arc<OnceLock<StackSource>>,
}

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(MAX_REQUEST_BYTES))
        .route("/objects/{job}/{task}/{attempt}", web::get().to(get_one))
        .route("/objects", web::post().to(get_many))
        .route("/stacks", web::get().to(get_stacks))
        .route("/uploads/{id}", web::put().to(put_upload))
        .route("/uploads/{id}", web::delete().to(remove_upload))
        .default_service(web::to(async || {
            problem(StatusCode::NOT_FOUND, "not_found", "no such resource")
        }));
}

#[derive(Deserialize)]
struct Selection {
    part: Option<u32>,
}

async fn get_one(
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
    selection: web::Query<Selection>,
    service: web::Data<Service>,
) -> HttpResponse {
    if !is_authorized(&request, &service.secret) {
        return unauthorized();
    }
    let Some((object, attempt)) = parse_name(&path) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "bad_object_name",
            "an object is named by job id, task number and attempt, such as 1.4",
        );
    };
    let found = service.store.get(object, attempt, selection.part).await;
    let encoded = match found {
        Ok(pinned) => encode(pinned).await,
        Err(missing) => Err(missing),
    };
    match encoded {
        Ok(encoded) => whole(&service, encoded),
        Err(missing) => gone(&missing),
    }
}

fn parse_name(
    (job, task, attempt): &(String, String, String),
) -> Option<(ObjectId, millstream_types::Attempt)> {
    let job: JobId = job.parse().ok()?;
    let task = TaskIdx(task.parse().ok()?);
    Some((ObjectId::new(job, task), parse_attempt(attempt)?))
}

/// Answers with the bytes of one object. The checksums go first, since HTTP has no place for them after the body that
/// all clients read.
fn whole(service: &Service, object: EncodedObject) -> HttpResponse {
    let parts: Vec<_> = object
        .parts
        .iter()
        .map(|part| CheckedPart {
            length: part.bytes.len() as u64,
            rows: part.rows,
            crc: crc32fast::hash(&part.bytes),
        })
        .collect();
    let length = parts.iter().map(|part| part.length).sum();
    let served = Arc::clone(&service.served);
    let body = try_stream! {
        for part in object.parts {
            for chunk in chunks(part.bytes) {
                served.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                yield chunk;
            }
        }
    };
    HttpResponse::Ok()
        .content_type(object.format.content_type())
        .insert_header((PARTS_HEADER, print_parts(&parts)))
        .no_chunking(length)
        .streaming::<_, actix_web::Error>(body)
}

fn chunks(bytes: Bytes) -> impl Iterator<Item = Bytes> {
    (0..bytes.len())
        .step_by(CHUNK_BYTES)
        .map(move |start| bytes.slice(start..bytes.len().min(start + CHUNK_BYTES)))
}

async fn get_many(request: HttpRequest, body: Bytes, service: web::Data<Service>) -> HttpResponse {
    if !is_authorized(&request, &service.secret) {
        return unauthorized();
    }
    let requests: Vec<ObjectRequest> = match rmp_serde::from_slice(&body) {
        Ok(requests) => requests,
        Err(error) => {
            let detail = format!("the body is no list of objects: {error}");
            return problem(StatusCode::BAD_REQUEST, "malformed", &detail);
        }
    };
    if requests.len() > MAX_BATCH {
        let detail = format!("at most {MAX_BATCH} objects can be asked for at once");
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "too_many_objects", &detail);
    }
    HttpResponse::Ok()
        .content_type(BATCH_TYPE)
        .streaming(frames(service, requests))
}

async fn get_stacks(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    if !is_authorized(&request, &service.secret) {
        return unauthorized();
    }
    // Off this thread: tasks are waited for.
    let stacks = Arc::clone(&service.stacks);
    let asked = task::spawn_blocking(move || stacks.get().map_or_else(Vec::new, |ask| ask())).await;
    match asked
        .map_err(|error| error.to_string())
        .and_then(|stacks| rmp_serde::to_vec_named(&stacks).map_err(|error| error.to_string()))
    {
        Ok(body) => HttpResponse::Ok().content_type(MSGPACK_TYPE).body(body),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error),
    }
}

async fn put_upload(
    request: HttpRequest,
    id: web::Path<Uuid>,
    body: web::Payload,
    service: web::Data<Service>,
) -> HttpResponse {
    if !is_authorized(&request, &service.secret) {
        return unauthorized();
    }
    let Some(shelf) = service.uploads.get() else {
        return no_uploads();
    };
    match shelf.receive(*id, body).await {
        Ok(receipt) => match rmp_serde::to_vec_named(&receipt) {
            Ok(body) => HttpResponse::Ok().content_type(MSGPACK_TYPE).body(body),
            Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string()),
        },
        Err(error) => {
            let (status, code) = match error {
                UploadError::Full(_) => (StatusCode::INSUFFICIENT_STORAGE, "uploads_full"),
                UploadError::Broken(_) => (StatusCode::BAD_REQUEST, "body_broken"),
                UploadError::Disk(_) => (StatusCode::INSUFFICIENT_STORAGE, "disk_failed"),
            };
            problem(status, code, &error.to_string())
        }
    }
}

async fn remove_upload(
    request: HttpRequest,
    id: web::Path<Uuid>,
    service: web::Data<Service>,
) -> HttpResponse {
    if !is_authorized(&request, &service.secret) {
        return unauthorized();
    }
    let Some(shelf) = service.uploads.get() else {
        return no_uploads();
    };
    shelf.remove(*id);
    HttpResponse::Ok().finish()
}

fn no_uploads() -> HttpResponse {
    problem(
        StatusCode::INSUFFICIENT_STORAGE,
        "no_disk",
        "this worker has no folder for uploads",
    )
}

/// One frame for each request. An error ends the body without its terminator, which no reader takes for an end.
fn frames(
    service: web::Data<Service>,
    requests: Vec<ObjectRequest>,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    try_stream! {
        for request in requests {
            let found = service.store.get(request.object, request.attempt, request.part).await;
            let encoded = match found {
                Ok(pinned) => encode(pinned).await,
                Err(missing) => Err(missing),
            };
            let object = match encoded {
                Ok(object) => object,
                Err(missing) => {
                    yield frame_head(&AnswerHead::from(&missing))?;
                    continue;
                }
            };
            yield frame_head(&found_head(&object))?;
            for part in object.parts {
                let mut crc = crc32fast::Hasher::new();
                for chunk in chunks(part.bytes) {
                    crc.update(&chunk);
                    service.served.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                    yield chunk;
                }
                yield Bytes::copy_from_slice(&crc.finalize().to_le_bytes());
            }
        }
    }
}

fn found_head(object: &EncodedObject) -> AnswerHead {
    let parts = object.parts.iter().map(|part| PartHead {
        length: part.bytes.len() as u64,
        rows: part.rows,
    });
    AnswerHead::Found {
        format: object.format.code(),
        parts: parts.collect(),
    }
}

fn frame_head(head: &AnswerHead) -> Result<Bytes, actix_web::Error> {
    let encoded = rmp_serde::to_vec(head).map_err(actix_web::error::ErrorInternalServerError)?;
    let mut frame = Vec::with_capacity(4 + encoded.len());
    frame.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
    frame.extend_from_slice(&encoded);
    Ok(frame.into())
}

/// The object as bytes. Typed data is encoded off this thread, which serves others meanwhile.
async fn encode(pinned: Pinned) -> Result<EncodedObject, Missing> {
    let encoded = match pinned.shared() {
        None => pinned.encode_all(),
        Some(_) => task::spawn_blocking(move || pinned.encode_all())
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error))),
    };
    encoded.map_err(|error| Missing::Damaged {
        reason: format!("it cannot be encoded: {error}"),
    })
}

/// Takes the same time wherever the secrets differ.
fn is_authorized(request: &HttpRequest, secret: &str) -> bool {
    let shown = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(shown) = shown else {
        return false;
    };
    shown.len() == secret.len()
        && shown
            .bytes()
            .zip(secret.bytes())
            .fold(0, |differs, (a, b)| differs | (a ^ b))
            == 0
}

fn unauthorized() -> HttpResponse {
    problem(
        StatusCode::UNAUTHORIZED,
        "wrong_secret",
        "the cluster's secret is missing or another one: set cluster.secret to the same value everywhere",
    )
}

fn gone(missing: &Missing) -> HttpResponse {
    let code = match missing {
        Missing::Damaged { .. } => "object_damaged",
        Missing::Gone | Missing::WrongGeneration { .. } | Missing::NoSuchPart { .. } => "object_gone",
    };
    problem(StatusCode::GONE, code, &missing.to_string())
}

fn problem(status: StatusCode, code: &str, detail: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "application/problem+json"))
        .body(
            serde_json::json!({
                "type": "about:blank",
                "title": status.canonical_reason(),
                "status": status.as_u16(),
                "code": code,
                "detail": detail,
            })
            .to_string(),
        )
}
