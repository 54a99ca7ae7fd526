//! `/v1/jobs/{job}/states` and `/v1/jobs/{job}/results`: a whole job at a glance, for clients that follow many tasks.
//!
//! Both answer from the state store alone, so that following a job of a million tasks costs its leader nothing.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use millstream_protocol::api::{JOB_STATE_HEADER, MSGPACK_CONTENT_TYPE, OutputsView};
use millstream_protocol::codec;
use millstream_protocol::columns::BytesColumnBuilder;
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{JobState, RequestError, ResultEntry, StoredTaskState};
use millstream_types::{JobId, TaskIdx};

use super::params::{Query, job_of};
use crate::context::{Context, read_record};
use crate::error::ApiError;

/// Tasks whose states are one page of the journal.
const PAGE_TASKS: u32 = 256;

/// `GET /v1/jobs/{job}/states`
pub(crate) async fn states(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let job = job_of(&request)?;
    let (state, bytes) = match gateway.known_meta(job).await? {
        Some(meta) => {
            let total = meta.counts.total;
            let pages = gateway.state.pages(job, 0, total.div_ceil(PAGE_TASKS)).await?;
            let bytes = pages.iter().take(total as usize);
            // What the journal marks beside the states is the leader's own affair.
            let states = bytes.map(|byte| StoredTaskState::from_byte(*byte) as u8);
            (meta.state, states.collect())
        }
        None => (JobState::Accepted, Bytes::new()),
    };
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((JOB_STATE_HEADER, state.name()))
        .body(bytes))
}

/// `GET /v1/jobs/{job}/results`
pub(crate) async fn list(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let job = job_of(&request)?;
    let state = gateway
        .known_meta(job)
        .await?
        .map_or(JobState::Accepted, |meta| meta.state);
    let view = match gateway.graph(job).await {
        Ok(graph) => outputs(&gateway, job, state, &graph).await?,
        // Accepted, but its leader has not committed it yet.
        Err(ApiError::Request(RequestError::UnknownJob(_))) => empty(state),
        Err(error) => return Err(error),
    };
    // Texts, numbers and bytes: they always encode.
    let body = codec::encode_named(&view).unwrap_or_default();
    Ok(HttpResponse::Ok()
        .content_type(MSGPACK_CONTENT_TYPE)
        .insert_header((JOB_STATE_HEADER, state.name()))
        .body(body))
}

async fn outputs(
    gateway: &Context,
    job: JobId,
    state: JobState,
    graph: &Graph,
) -> Result<OutputsView, ApiError> {
    let entries: BTreeMap<TaskIdx, Bytes> = gateway.state.results(job).await?.into_iter().collect();
    let mut view = empty(state);
    let (mut keys, mut values) = (BytesColumnBuilder::default(), BytesColumnBuilder::default());
    let mut held = Vec::with_capacity(graph.outputs.len());
    for task in graph.wanted() {
        let entry = entries
            .get(&task)
            .map(|bytes| read_record::<ResultEntry>("a result", bytes))
            .transpose()?;
        let value = entry.as_ref().and_then(|entry| entry.inline.as_ref());
        held.push(match (&entry, value) {
            (None, _) => OutputsView::MISSING,
            (Some(_), None) => OutputsView::HELD,
            (Some(_), Some(_)) => OutputsView::INLINE,
        });
        view.tasks.push(task.0);
        view.kind.push(kind_of(&mut view.kinds, graph, task));
        keys.push(graph.key_of(task).as_bytes());
        values.push(value.map_or(&[][..], |value| value.as_ref()));
    }
    view.held = held.into();
    view.keys = keys.finish();
    view.values = values.finish();
    Ok(view)
}

fn empty(state: JobState) -> OutputsView {
    OutputsView {
        state,
        tasks: Vec::new().into(),
        keys: BytesColumnBuilder::default().finish(),
        kinds: Vec::new(),
        kind: Vec::new().into(),
        held: Bytes::new(),
        values: BytesColumnBuilder::default().finish(),
    }
}

/// The position of the task's kind of operation among `kinds`, added if it is new.
fn kind_of(kinds: &mut Vec<String>, graph: &Graph, task: TaskIdx) -> u16 {
    let kind = graph.op_of(task).map_or("native", |op| op.kind.name());
    let position = kinds.iter().position(|known| known == kind).unwrap_or_else(|| {
        kinds.push(kind.to_owned());
        kinds.len() - 1
    });
    u16::try_from(position).unwrap_or(u16::MAX)
}
