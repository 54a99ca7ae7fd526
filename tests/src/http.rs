//! A gateway as a program without the SDK sees it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

/// Pause before a request that failed is sent again.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for one answer: a gateway that was frozen never gives it.
const ANSWER: Duration = Duration::from_secs(20);
/// A connection idle for longer is not used again: the gateway closes one after five seconds, which a test that waits for
/// a program meanwhile does not see.
const IDLE: Duration = Duration::from_secs(2);

/// A gateway's address and token.
#[derive(Debug, Clone)]
pub struct Api {
    url: String,
    token: String,
    http: reqwest::Client,
}

/// What a gateway answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON if the request succeeded.
    ///
    /// # Errors
    /// If it did not.
    pub fn ok(&self) -> anyhow::Result<Value> {
        ensure!(self.status.is_success(), "{}: {}", self.status, self.text());
        self.json()
    }

    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The problem of a refused request, checked to be one that a user can act on.
    ///
    /// # Errors
    /// If the status or the code differ, or the text blames nobody.
    pub fn problem(&self, status: u16, code: &str) -> anyhow::Result<Value> {
        let text = self.text();
        ensure!(
            self.status.as_u16() == status,
            "expected {status} {code}: {} {text}",
            self.status
        );
        ensure!(
            self.header("content-type") == "application/problem+json",
            "no problem: {text}"
        );
        let problem = self.json()?;
        ensure!(problem["code"] == code, "expected {code}: {text}");
        let lower = text.to_lowercase();
        for word in ["panicked", "internal error", "\"internal\""] {
            ensure!(!lower.contains(word), "says `{word}`: {text}");
        }
        ensure!(
            !problem["detail"].as_str().unwrap_or_default().is_empty(),
            "says nothing: {text}"
        );
        Ok(problem)
    }
}

impl Api {
    /// A gateway at `url`, such as `http://127.0.0.1:8787`.
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        let http = reqwest::Client::builder()
            .pool_idle_timeout(IDLE)
            .build()
            .unwrap_or_default();
        Self {
            url: url.into(),
            token: token.into(),
            http,
        }
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(&self.token)
    }

    /// A request without a token.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// If there is no answer, or its body breaks off.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let exchange = async {
            let response = request.send().await?;
            Ok::<_, reqwest::Error>(Answer {
                status: response.status(),
                headers: response.headers().clone(),
                body: response.bytes().await?,
            })
        };
        let limit = ANSWER + Duration::from_secs(60);
        Ok(tokio::time::timeout(limit, exchange)
            .await
            .context("no answer")??)
    }

    /// `GET`.
    ///
    /// # Errors
    /// As [`Api::send`].
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST` with a JSON body.
    ///
    /// # Errors
    /// As [`Api::send`].
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// As [`Api::send`].
    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Submits a job and returns its id.
    ///
    /// # Errors
    /// If it is not accepted.
    pub async fn submit(&self, job: &Value) -> anyhow::Result<String> {
        let view = self.post("/v1/jobs", job).await?.ok()?;
        Ok(view["id"].as_str().context("no id")?.to_owned())
    }

    /// Submits a job as often as it takes: its id keeps it from running twice.
    ///
    /// # Errors
    /// If it is refused, or not accepted within the time.
    pub async fn submit_within(&self, job: &Value, within: Duration) -> anyhow::Result<String> {
        ensure!(job["id"].is_string(), "only a job with an id may be repeated");
        let answer = self
            .retry("an accepted job", within, async || {
                let answer = self.post("/v1/jobs", job).await.ok()?;
                (!is_for_now(answer.status)).then_some(answer)
            })
            .await?;
        Ok(answer.ok()?["id"].as_str().context("no id")?.to_owned())
    }

    /// The job's view.
    ///
    /// # Errors
    /// If there is none.
    pub async fn job(&self, job: &str) -> anyhow::Result<Value> {
        self.get(&format!("/v1/jobs/{job}")).await?.ok()
    }

    /// Waits for the job's end, whatever happens to the cluster meanwhile, and returns its last view.
    ///
    /// # Errors
    /// If it does not end in time, or is unknown.
    pub async fn ended(&self, job: &str, within: Duration) -> anyhow::Result<Value> {
        let what = format!("the end of job {job}");
        let answer = self
            .retry(&what, within, async || {
                let answer = self.get(&format!("/v1/jobs/{job}?wait=2s")).await.ok()?;
                if is_for_now(answer.status) {
                    return None;
                }
                let is_over = answer.json().is_ok_and(|view| {
                    matches!(view["state"].as_str(), Some("succeeded" | "failed" | "cancelled"))
                });
                (is_over || !answer.status.is_success()).then_some(answer)
            })
            .await?;
        answer.ok()
    }

    /// Waits for the job's success.
    ///
    /// # Errors
    /// If it fails or does not end in time.
    pub async fn succeeded(&self, job: &str, within: Duration) -> anyhow::Result<Value> {
        let view = self.ended(job, within).await?;
        ensure!(view["state"] == "succeeded", "the job did not succeed: {view}");
        Ok(view)
    }

    /// A result's bytes, once they are there.
    ///
    /// # Errors
    /// If it is refused or not there in time.
    pub async fn result(&self, job: &str, key: &str, within: Duration) -> anyhow::Result<Bytes> {
        let what = format!("result {key} of job {job}");
        let answer = self
            .retry(&what, within, async || {
                let answer = self
                    .get(&format!("/v1/jobs/{job}/results/{key}?wait=2s"))
                    .await
                    .ok()?;
                let not_yet = answer.status == StatusCode::ACCEPTED || is_for_now(answer.status);
                (!not_yet).then_some(answer)
            })
            .await?;
        ensure!(answer.status.is_success(), "{}: {}", answer.status, answer.text());
        Ok(answer.body)
    }

    /// A result as text without the white space around it.
    ///
    /// # Errors
    /// As [`Api::result`].
    pub async fn text(&self, job: &str, key: &str, within: Duration) -> anyhow::Result<String> {
        let bytes = self.result(job, key, within).await?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// Waits until the job has done at least `done` tasks.
    ///
    /// # Errors
    /// If it has not in time, or ended otherwise.
    pub async fn progressed(&self, job: &str, done: u64, within: Duration) -> anyhow::Result<()> {
        let what = format!("{done} done tasks of job {job}");
        let view = self
            .retry(&what, within, async || {
                let view = self.job(job).await.ok()?;
                let is_over = matches!(view["state"].as_str(), Some("failed" | "cancelled"));
                (is_over || done_tasks(&view) >= done).then_some(view)
            })
            .await?;
        ensure!(done_tasks(&view) >= done, "the job ended: {view}");
        Ok(())
    }

    /// The workers that the leader knows.
    ///
    /// # Errors
    /// If there is no leader.
    pub async fn workers(&self) -> anyhow::Result<Vec<Value>> {
        let page = self.get("/v1/workers").await?.ok()?;
        Ok(page["workers"].as_array().context("no workers")?.clone())
    }

    /// A task's view.
    ///
    /// # Errors
    /// If there is none.
    pub async fn task(&self, job: &str, key: &str) -> anyhow::Result<Value> {
        self.get(&format!("/v1/jobs/{job}/tasks/{key}")).await?.ok()
    }

    /// Waits until a task is in one of these states, and returns its view.
    ///
    /// # Errors
    /// If it is not in time.
    pub async fn task_in(
        &self,
        job: &str,
        key: &str,
        states: &[&str],
        within: Duration,
    ) -> anyhow::Result<Value> {
        let what = format!("task {key} to be {}", states.join(" or "));
        let mut last = Value::Null;
        let found = self
            .retry(&what, within, async || {
                last = self.task(job, key).await.ok()?;
                states
                    .contains(&last["state"].as_str().unwrap_or_default())
                    .then(|| last.clone())
            })
            .await;
        found.with_context(|| format!("it was last seen as {last}"))
    }

    /// Tries until there is something.
    ///
    /// # Errors
    /// If there is nothing within the time.
    pub async fn retry<T>(
        &self,
        what: &str,
        within: Duration,
        mut attempt: impl AsyncFnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + within;
        loop {
            // A frozen peer must not hold up the deadline.
            if let Ok(Some(found)) = tokio::time::timeout(ANSWER, attempt()).await {
                return Ok(found);
            }
            if Instant::now() > deadline {
                bail!("timed out after {within:?} waiting for {what}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Tasks of a job that are done.
pub fn done_tasks(view: &Value) -> u64 {
    ["stored", "released"]
        .iter()
        .filter_map(|state| view["tasks"][state].as_u64())
        .sum()
}

/// Whether the same request may succeed later.
fn is_for_now(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
    )
}
