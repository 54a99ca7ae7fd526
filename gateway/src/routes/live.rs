//! `/v1/live`: what the dashboard shows, as a stream and in windows.
//!
//! The stream sends the newest pulse whenever the reader is ready for one: a slow reader misses pulses and holds nothing
//! up. `Last-Event-ID` brings the points of the seconds that were missed. Each pulse's parts are encoded once for all.

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{BufMut as _, Bytes, BytesMut};
use millstream_protocol::api::Span;
use millstream_types::{JobId, WorkerId};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::params::Query;
use crate::context::Context;
use crate::error::ApiError;
use crate::live::{
    BEAT, Blocks, Level, LineQuery, Live, OpName, Pulse, Resolution, SpanQuery, Topic, encode, now_us,
};
use crate::reply::ok;

/// Points that a new reader gets first, unless it asks otherwise: ten minutes.
const FIRST_POINTS: usize = 600;
/// At most an hour.
const MAX_POINTS: usize = 3_600;
/// Slowest rate that a reader may ask for.
const MAX_EVERY: Duration = Duration::from_secs(60);
/// Workers of one window of spans.
const MAX_LANES: usize = 256;
/// Lines in an answer, unless asked otherwise, and at most.
const LINES: usize = 200;
const MAX_LINES: usize = 5_000;

static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// `GET /v1/live`
pub(crate) async fn stream(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["topics", "every", "points", "pulses"])?;
    let topics = topics_of(query.text("topics"))?;
    let every: Option<Span> = query.parse("every", "duration such as `1s`")?;
    let points = query.parse("points", "number")?.unwrap_or(FIRST_POINTS);
    let header = request.headers().get(&LAST_EVENT_ID);
    let after: Option<u64> = header.and_then(|value| value.to_str().ok()?.parse().ok());
    let permit = gateway
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::TooManyRequests)?;
    let reader = Reader {
        pulses: gateway.live.pulses(),
        live: gateway.live.clone(),
        topics,
        pause: every
            .map_or(Duration::ZERO, |every| every.0.min(MAX_EVERY))
            .saturating_sub(BEAT),
        left: query.parse("pulses", "number")?,
        version: None,
        _permit: permit,
    };
    let missed = after.unwrap_or(0);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(reader.stream(missed, points.min(MAX_POINTS))))
}

fn topics_of(text: Option<&str>) -> Result<Vec<Topic>, ApiError> {
    let names = text.unwrap_or("cluster").split(',');
    names
        .map(|name| {
            Topic::parse(name).ok_or_else(|| ApiError::BadParameter {
                name: "topics",
                value: name.chars().take(100).collect(),
                expected: "list of `cluster`, `jobs` and `workers`",
            })
        })
        .collect()
}

/// One open stream. It holds one pulse at most, which all readers share.
struct Reader {
    live: Live,
    pulses: watch::Receiver<std::sync::Arc<Pulse>>,
    topics: Vec<Topic>,
    /// Time to wait beyond the beat.
    pause: Duration,
    /// Pulses until the end; none: no end.
    left: Option<u64>,
    /// The table of workers that the reader has.
    version: Option<u64>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    fn stream(mut self, missed: u64, points: usize) -> impl futures::Stream<Item = Result<Bytes, ApiError>> {
        async_stream::stream! {
            yield Ok(self.first(missed, points));
            while self.left != Some(0) && self.pulses.changed().await.is_ok() {
                let pulse = self.pulses.borrow_and_update().clone();
                yield Ok(self.tell(&pulse));
                self.left = self.left.map(|left| left - 1);
                if !self.pause.is_zero() {
                    tokio::time::sleep(self.pause).await;
                }
            }
        }
    }

    /// What the reader has missed.
    fn first(&self, missed: u64, points: usize) -> Bytes {
        let mut text = BytesMut::from(&b"retry: 2000\n"[..]);
        let history = self
            .live
            .with(|board| encode(&board.history.after(missed, points)));
        write_event(&mut text, "history", &history);
        text.freeze()
    }

    fn tell(&mut self, pulse: &Pulse) -> Bytes {
        let mut text = BytesMut::new();
        text.put_slice(format!("id: {}\n", pulse.seq).as_bytes());
        let has_workers = self.topics.contains(&Topic::Workers);
        if has_workers && self.version != Some(pulse.workers_version) {
            let (version, table) = self.live.with(|board| {
                let table = board.workers.table();
                (table.version, encode(&table))
            });
            write_event(&mut text, "table", &table);
            self.version = Some(version);
        }
        for topic in &self.topics {
            match topic {
                Topic::Cluster => write_event(&mut text, "cluster", &pulse.cluster),
                Topic::Jobs => write_event(&mut text, "jobs", &pulse.jobs),
                Topic::Workers => write_event(&mut text, "workers", &pulse.workers),
            }
        }
        text.freeze()
    }
}

fn write_event(text: &mut BytesMut, name: &str, data: &[u8]) {
    text.put_slice(b"event: ");
    text.put_slice(name.as_bytes());
    text.put_slice(b"\ndata: ");
    // JSON has no line breaks.
    text.put_slice(data);
    text.put_slice(b"\n\n");
}

/// `GET /v1/live/history`
pub(crate) async fn history(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["span"])?;
    let resolution = match query.text("span").unwrap_or("hour") {
        "hour" => Resolution::Hour,
        "day" => Resolution::Day,
        other => return Err(bad("span", other, "span: `hour` or `day`")),
    };
    Ok(ok(
        &request,
        &gateway.live.with(|board| board.history.all(resolution)),
    ))
}

/// `GET /v1/live/workers`
pub(crate) async fn workers(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    #[derive(Serialize)]
    struct Page<'a, T, N> {
        table: &'a T,
        numbers: &'a N,
    }
    Query::of(&request, &[])?;
    Ok(gateway.live.with(|board| {
        let page = Page {
            table: &board.workers.table(),
            numbers: &board.workers.numbers(),
        };
        ok(&request, &page)
    }))
}

/// A window of spans.
#[derive(Serialize)]
struct SpansView<'a> {
    from_us: u64,
    to_us: u64,
    /// When the oldest span that is kept began.
    oldest_us: Option<u64>,
    /// Spans that workers left out.
    skipped: u64,
    workers: &'a [WorkerId],
    ops: Vec<OpName>,
    blocks: Blocks,
}

/// `GET /v1/live/spans`
pub(crate) async fn spans(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["from_ms", "to_ms", "width", "workers", "job"])?;
    let to_us = query
        .parse("to_ms", "unix time in milliseconds")?
        .map_or_else(now_us, |ms: u64| ms.saturating_mul(1_000));
    let from_us = query
        .parse("from_ms", "unix time in milliseconds")?
        .map_or(to_us.saturating_sub(60_000_000), |ms: u64| {
            ms.saturating_mul(1_000)
        });
    let asked = SpanQuery {
        from_us: from_us.min(to_us),
        to_us,
        width: query.parse("width", "number of columns")?.unwrap_or(1_000),
        workers: match query.text("workers") {
            Some(text) => workers_of(text)?,
            None => gateway.live.with(|board| first_workers(board)),
        },
        job: query.parse("job", "job id: expected a UUID")?,
    };
    Ok(gateway.live.with(|board| {
        let blocks = board.spans.window(&asked);
        let ops = board.ops.names(blocks.ops());
        let view = SpansView {
            from_us: asked.from_us,
            to_us: asked.to_us,
            oldest_us: board.spans.oldest_us(),
            skipped: board.spans.skipped(),
            workers: &asked.workers,
            ops,
            blocks,
        };
        ok(&request, &view)
    }))
}

fn first_workers(board: &crate::live::Board) -> Vec<WorkerId> {
    let rows = board.workers.by_name();
    rows.into_iter().take(MAX_LANES).map(|(id, _)| id).collect()
}

fn workers_of(text: &str) -> Result<Vec<WorkerId>, ApiError> {
    let ids = text.split(',').filter(|id| !id.is_empty()).take(MAX_LANES);
    ids.map(|id| id.parse().map_err(|_| bad("workers", id, "list of worker ids")))
        .collect()
}

/// `GET /v1/live/operations`
pub(crate) async fn operations(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["job"])?;
    let job: Option<JobId> = query.parse("job", "job id: expected a UUID")?;
    Ok(gateway.live.with(|board| {
        let view = serde_json::json!({
            "since_ms": board.since_us() / 1_000,
            "operations": board.ops.views(job),
        });
        ok(&request, &view)
    }))
}

/// `GET /v1/live/transfers`
pub(crate) async fn transfers(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    Ok(gateway.live.with(|board| {
        let view = serde_json::json!({
            "since_ms": board.since_us() / 1_000,
            "transfers": board.transfers.views(),
        });
        ok(&request, &view)
    }))
}

/// `GET /v1/live/lines`
pub(crate) async fn lines(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let known = ["after", "q", "job", "task", "worker", "level", "limit"];
    let query = Query::of(&request, &known)?;
    let level = match query.text("level") {
        Some(text) => Some(
            Level::parse(text)
                .ok_or_else(|| bad("level", text, "level: `output`, `info`, `warn` or `error`"))?,
        ),
        None => None,
    };
    let owned = |name| {
        query
            .text(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let asked = LineQuery {
        after: query.parse("after", "number of a line")?.unwrap_or(0),
        text: owned("q"),
        job: query.parse("job", "job id: expected a UUID")?,
        task: owned("task"),
        worker: owned("worker"),
        level,
        limit: query
            .parse("limit", "number")?
            .unwrap_or(LINES)
            .clamp(1, MAX_LINES),
    };
    Ok(gateway.live.with(|board| {
        let view = serde_json::json!({
            "seq": board.lines.seq(),
            "lines": board.lines.find(&asked),
        });
        ok(&request, &view)
    }))
}

fn bad(name: &'static str, value: &str, expected: &'static str) -> ApiError {
    ApiError::BadParameter {
        name,
        value: value.chars().take(100).collect(),
        expected,
    }
}
