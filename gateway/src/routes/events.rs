//! `/v1/jobs/{job}/events`: what happens to a job, as server-sent events.
//!
//! Resumes after `Last-Event-ID`. Where events were dropped in between, a `snapshot` of the job comes first. A comment
//! is sent while nothing happens, so that proxies keep the connection. The stream ends with the job. While the state
//! store does not answer, it waits.

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use millstream_protocol::api::JobView;
use millstream_protocol::wire::{JobEvent, JobEventKind, JobMeta};
use millstream_state::{EventId, EventPage};
use millstream_types::JobId;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::params::{Query, job_of};
use crate::context::{Context, read_record};
use crate::error::ApiError;

/// Longest silence of a stream.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Pause before the state store is asked again that did not answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Events read at once: what a slow reader can hold in this process.
const PAGE: usize = 256;

static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// `GET /v1/jobs/{job}/events`
pub(crate) async fn stream(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["after"])?;
    let job = job_of(&request)?;
    let header = request
        .headers()
        .get(&LAST_EVENT_ID)
        .and_then(|value| value.to_str().ok());
    let after = match header.or(query.text("after")) {
        Some(text) => Some(text.parse::<EventId>().map_err(|_| ApiError::BadParameter {
            name: "last-event-id",
            value: text.chars().take(100).collect(),
            expected: "event id: use the `id` of an event",
        })?),
        None => None,
    };
    gateway.known_meta(job).await?;
    if after.is_some() && is_read_to_the_end(&gateway, job, after).await? {
        // Tells a browser not to connect again.
        return Ok(HttpResponse::NoContent().finish());
    }
    let permit = gateway
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::TooManyRequests)?;
    let source = Source::new(gateway.into_inner(), job, after, permit);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(source.stream()))
}

async fn is_read_to_the_end(gateway: &Context, job: JobId, after: Option<EventId>) -> Result<bool, ApiError> {
    let is_over = gateway
        .meta(job)
        .await?
        .is_some_and(|meta| meta.state.is_terminal());
    if !is_over {
        return Ok(false);
    }
    let page = gateway.state.events(job, after, 1, None).await?;
    Ok(page.events.is_empty() && !page.gap)
}

/// One open stream.
struct Source {
    gateway: std::sync::Arc<Context>,
    job: JobId,
    after: Option<EventId>,
    _permit: OwnedSemaphorePermit,
}

impl Source {
    fn new(
        gateway: std::sync::Arc<Context>,
        job: JobId,
        after: Option<EventId>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        gateway.metrics.event_streams.add(1);
        Self {
            gateway,
            job,
            after,
            _permit: permit,
        }
    }

    fn stream(mut self) -> impl futures::Stream<Item = Result<Bytes, ApiError>> {
        async_stream::stream! {
            // Sent at once, so that the reader knows that it is connected.
            yield Ok(Bytes::from_static(b": connected\n\n"));
            loop {
                match self.next().await {
                    Ok(Step { text, is_last }) => {
                        yield Ok(text.into());
                        if is_last {
                            return;
                        }
                    }
                    Err(ApiError::State(error)) if error.is_retryable() => {
                        tracing::debug!(%error, "event stream waits for the state store");
                        // A reader that has left is noticed by what is sent to it.
                        yield Ok(Bytes::from_static(b": the state store does not answer\n\n"));
                        tokio::time::sleep(PATIENCE).await;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "event stream broke off");
                        yield Err(error);
                        return;
                    }
                }
            }
        }
    }

    /// What to send next. After an error the stream stands where it stood before.
    async fn next(&mut self) -> Result<Step, ApiError> {
        let before = self.after;
        let step = self.step().await;
        if step.is_err() {
            self.after = before;
        }
        step
    }

    async fn step(&mut self) -> Result<Step, ApiError> {
        let state = &self.gateway.state;
        let page = state.events(self.job, self.after, PAGE, Some(HEARTBEAT)).await?;
        let mut text = String::new();
        if page.gap {
            self.snapshot(&mut text).await?;
        }
        let ends = self.write_page(&page, &mut text)?;
        let is_last = ends && self.is_over().await?;
        if is_last {
            text.push_str("event: end\ndata: {}\n\n");
        } else if text.is_empty() {
            text.push_str(": nothing new\n\n");
            // A job without an end in its stream: the event was dropped, or there never was one.
            if self.is_over().await? {
                return Ok(Step {
                    text: "event: end\ndata: {}\n\n".to_owned(),
                    is_last: true,
                });
            }
        }
        Ok(Step { text, is_last })
    }

    async fn snapshot(&self, text: &mut String) -> Result<(), ApiError> {
        if let Some(meta) = self.gateway.meta(self.job).await? {
            write_event(text, None, "snapshot", &JobView::from(&meta));
        }
        Ok(())
    }

    /// Writes events; tells whether one of them is the job's end.
    fn write_page(&mut self, page: &EventPage, text: &mut String) -> Result<bool, ApiError> {
        let mut ends = false;
        for (id, bytes) in &page.events {
            let event: JobEvent = read_record("an event", bytes)?;
            ends |= matches!(&event.kind, JobEventKind::State { state, .. } if state.is_terminal());
            write_event(text, Some(*id), name_of(&event.kind), &event);
            self.after = Some(*id);
        }
        if page.gap && page.events.is_empty() {
            self.after = None;
        }
        Ok(ends)
    }

    async fn is_over(&self) -> Result<bool, ApiError> {
        let meta: Option<JobMeta> = self.gateway.meta(self.job).await?;
        Ok(meta.is_some_and(|meta| meta.state.is_terminal()))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.gateway.metrics.event_streams.add(-1);
    }
}

struct Step {
    text: String,
    is_last: bool,
}

fn write_event<T: Serialize>(text: &mut String, id: Option<EventId>, name: &str, data: &T) {
    if let Some(id) = id {
        text.push_str(&format!("id: {id}\n"));
    }
    // Events are texts and numbers: they always have a JSON form, and JSON has no line breaks.
    let data = serde_json::to_string(data).unwrap_or_default();
    text.push_str(&format!("event: {name}\ndata: {data}\n\n"));
}

const fn name_of(kind: &JobEventKind) -> &'static str {
    match kind {
        JobEventKind::Accepted { .. } => "accepted",
        JobEventKind::Progress { .. } => "progress",
        JobEventKind::Extended { .. } => "extended",
        JobEventKind::Retried { .. } => "retried",
        JobEventKind::TaskFailed { .. } => "task_failed",
        JobEventKind::WorkerLost { .. } => "worker_lost",
        JobEventKind::Recovered { .. } => "recovered",
        JobEventKind::State { .. } => "state",
        _ => "event",
    }
}
