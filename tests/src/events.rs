//! A job's server-sent events.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::Method;
use serde_json::Value;

use crate::http::Api;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerEvent {
    /// Its id; empty for events that cannot be resumed from.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: Value,
}

/// An open stream.
pub struct EventReader {
    body: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl EventReader {
    /// Opens the stream of a job, after the event with this id if one is given.
    ///
    /// # Errors
    /// If the gateway refuses.
    pub async fn open(api: &Api, job: &str, after: Option<&str>) -> anyhow::Result<Self> {
        let mut request = api.request(Method::GET, &format!("/v1/jobs/{job}/events"));
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await?.error_for_status()?;
        Ok(Self {
            body: response.bytes_stream().boxed(),
            text: String::new(),
        })
    }

    /// The next event; none at the end of the stream.
    ///
    /// # Errors
    /// If the stream breaks, or nothing comes in time.
    pub async fn next(&mut self, within: Duration) -> anyhow::Result<Option<ServerEvent>> {
        tokio::time::timeout(within, self.read())
            .await
            .with_context(|| format!("no event within {within:?}"))?
    }

    async fn read(&mut self) -> anyhow::Result<Option<ServerEvent>> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(event) = parse(&block)? {
                    return Ok(Some(event));
                }
            }
            match self.body.next().await {
                Some(chunk) => self.text.push_str(&String::from_utf8_lossy(&chunk?)),
                None if self.text.is_empty() => return Ok(None),
                None => bail!("the stream broke off in `{}`", self.text),
            }
        }
    }

    /// All events up to the end of the stream.
    ///
    /// # Errors
    /// As [`EventReader::next`].
    pub async fn rest(&mut self, within: Duration) -> anyhow::Result<Vec<ServerEvent>> {
        let mut events = Vec::new();
        while let Some(event) = self.next(within).await? {
            events.push(event);
        }
        Ok(events)
    }
}

/// All events of a job that has ended.
///
/// # Errors
/// If the stream cannot be read to its end.
pub async fn history(api: &Api, job: &str) -> anyhow::Result<Vec<ServerEvent>> {
    let mut reader = EventReader::open(api, job, None).await?;
    reader.rest(Duration::from_secs(15)).await
}

/// A block of lines; none if it is only a comment.
fn parse(block: &str) -> anyhow::Result<Option<ServerEvent>> {
    let field = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let Some(data) = field("data") else {
        return Ok(None);
    };
    Ok(Some(ServerEvent {
        id: field("id").unwrap_or_default().to_owned(),
        name: field("event").unwrap_or_default().to_owned(),
        data: serde_json::from_str(data).with_context(|| format!("no JSON: {data}"))?,
    }))
}
