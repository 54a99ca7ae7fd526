//! A job's events, as the gateway sends them.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use millstream_protocol::api::JobView;
use millstream_protocol::wire::JobEvent;
use millstream_types::JobId;
use reqwest::Method;

use crate::{Client, Error, sse};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A line of the job's history.
    Job(JobEvent),
    /// Where the job stands, sent where events before it were dropped.
    Snapshot(Box<JobView>),
}

/// Events in order, over as many connections as it takes. Ends after the job's end.
pub struct EventStream {
    client: Client,
    job: JobId,
    last_id: Option<String>,
    body: Option<BoxStream<'static, reqwest::Result<Bytes>>>,
    buffer: BytesMut,
    over: bool,
}

impl EventStream {
    pub(crate) fn new(client: Client, job: JobId) -> Self {
        Self {
            client,
            job,
            last_id: None,
            body: None,
            buffer: BytesMut::new(),
            over: false,
        }
    }

    /// The next event; `None` after the job's end.
    ///
    /// # Errors
    /// An unknown job; no gateway for several seconds.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        while !self.over {
            if let Some(event) = self.parsed() {
                self.over = is_last(&event);
                return Ok(Some(event));
            }
            let body = match &mut self.body {
                Some(body) => body,
                None => self
                    .body
                    .insert(open(&self.client, self.job, self.last_id.as_deref()).await?),
            };
            match body.next().await {
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                // The gateway closes a finished job's stream; a broken one is opened again where it broke.
                Some(Err(_)) | None => {
                    self.body = None;
                    self.buffer.clear();
                    self.over = self.client.job_view(self.job).await?.state.is_terminal();
                }
            }
        }
        Ok(None)
    }

    fn parsed(&mut self) -> Option<Event> {
        while let Some(told) = sse::take(&mut self.buffer) {
            if told.id.is_some() {
                self.last_id = told.id;
            }
            let event = if told.name.as_deref() == Some("snapshot") {
                serde_json::from_str(&told.data)
                    .ok()
                    .map(|view| Event::Snapshot(Box::new(view)))
            } else {
                serde_json::from_str(&told.data).ok().map(Event::Job)
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }
}

async fn open(
    client: &Client,
    job: JobId,
    last_id: Option<&str>,
) -> Result<BoxStream<'static, reqwest::Result<Bytes>>, Error> {
    let response = client
        .send(
            Method::GET,
            &format!("/v1/jobs/{job}/events"),
            |request| match last_id {
                Some(id) => request.header("last-event-id", id),
                None => request,
            },
        )
        .await?;
    Ok(response.bytes_stream().boxed())
}

fn is_last(event: &Event) -> bool {
    use millstream_protocol::wire::JobEventKind;
    match event {
        Event::Job(JobEvent {
            kind: JobEventKind::State { state, .. },
            ..
        }) => state.is_terminal(),
        Event::Job(_) => false,
        Event::Snapshot(view) => view.state.is_terminal(),
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream")
            .field("job", &self.job)
            .field("last_id", &self.last_id)
            .finish_non_exhaustive()
    }
}
