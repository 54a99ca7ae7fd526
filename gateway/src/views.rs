//! Jobs as answers show them: records joined with keys and small results.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_protocol::api::{JobView, ResultView};
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{JobAnswer, JobMeta, JobState, ResultEntry};
use millstream_types::{JobId, TaskIdx};

use crate::context::{Context, read_record};
use crate::error::ApiError;
use crate::intake::Outcome;
use crate::values::{ValueKind, plain};

/// Most results listed with a job; all of them are found by key.
const MAX_LISTED: usize = 1_000;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Values that JSON can hold.
    Json,
    /// Values, and the stored bytes beside them.
    Msgpack,
}

impl Context {
    /// The view of a job after somebody waited for it.
    pub(crate) async fn outcome_view(
        &self,
        job: JobId,
        outcome: Outcome,
        form: Form,
    ) -> Result<JobView, ApiError> {
        match outcome {
            Outcome::Accepted => self.job_view(job).await,
            Outcome::Ended(answer) => Ok(self.ended_view(&answer, form).await),
            Outcome::Over(meta) => self.over_view(&meta, form).await,
        }
    }

    /// The view of a job that may go on.
    pub(crate) async fn job_view(&self, job: JobId) -> Result<JobView, ApiError> {
        match self.known_meta(job).await? {
            Some(meta) => Ok(self.meta_view(&meta).await),
            None => {
                let name = self.recent.get(job).map(|(_, name)| name).unwrap_or_default();
                Ok(JobView::accepted(job, name))
            }
        }
    }

    async fn meta_view(&self, meta: &JobMeta) -> JobView {
        let mut view = JobView::from(meta);
        if let Some(task) = meta.failed_task
            && let Ok(graph) = self.graph(meta.job).await
        {
            view.failed_task = Some(graph.key_of(task));
        }
        view
    }

    /// The view of a job from its leader's answer.
    async fn ended_view(&self, answer: &JobAnswer, form: Form) -> JobView {
        let mut view = self.meta_view(&answer.meta).await;
        view.tasks = answer.counts;
        if answer.meta.state == JobState::Succeeded
            && let Ok(graph) = self.graph(answer.meta.job).await
        {
            let inline = |task: TaskIdx| {
                let found = answer.inline.iter().find(|inline| inline.task == task);
                found.map(|inline| inline.value.clone())
            };
            let wanted = answer.outputs.iter().take(MAX_LISTED);
            view.results = wanted
                .map(|task| result_view(answer.meta.job, &graph, *task, inline(*task), form))
                .collect();
        }
        view
    }

    /// The view of a job of which only its record is left.
    async fn over_view(&self, meta: &JobMeta, form: Form) -> Result<JobView, ApiError> {
        let mut view = self.meta_view(meta).await;
        if meta.state != JobState::Succeeded {
            return Ok(view);
        }
        let graph = self.graph(meta.job).await?;
        // The index of results trails the record: what it lacks yet is listed without its value.
        let entries: BTreeMap<_, _> = self.state.results(meta.job).await?.into_iter().collect();
        for task in graph.wanted().take(MAX_LISTED) {
            let inline = match entries.get(&task) {
                Some(entry) => {
                    let entry: ResultEntry = read_record("a result", entry)?;
                    entry.inline.filter(|_| !entry.is_untold)
                }
                None => None,
            };
            view.results
                .push(result_view(meta.job, &graph, task, inline, form));
        }
        Ok(view)
    }
}

fn result_view(job: JobId, graph: &Graph, task: TaskIdx, inline: Option<Bytes>, form: Form) -> ResultView {
    let key = graph.key_of(task);
    let value = inline.as_ref().map(|bytes| {
        let value = ValueKind::of(graph, task).decode(bytes);
        if form == Form::Json { plain(value) } else { value }
    });
    ResultView {
        link: format!("/v1/jobs/{job}/results/{}", path_segment(&key)),
        key,
        value,
        raw: inline.filter(|_| form == Form::Msgpack),
    }
}

/// A key as a part of a path.
fn path_segment(key: &str) -> String {
    url::form_urlencoded::byte_serialize(key.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}
