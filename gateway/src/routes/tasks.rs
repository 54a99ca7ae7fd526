//! `/v1/jobs/{job}/tasks`.

use actix_web::{HttpRequest, HttpResponse, web};
use millstream_protocol::api::{LogView, TaskView, TasksPage};
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{
    FailureRecord, GatewayRequest, RequestError, Response, ResultEntry, StoredTaskState, TaskLog, TaskQuery,
};
use millstream_types::{JobId, TaskIdx};

use super::params::{Query, job_of, path_part};
use crate::context::{Context, read_record};
use crate::error::{ApiError, BodyFault};
use crate::near::nearest;
use crate::reply::ok;

const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;

/// Tasks whose stored states are read at once while looking for some in one state.
const SCAN: u32 = 256 * 64;

/// Logs of one task that are shown, newest last.
const MAX_LOGS: usize = 5;

const STATES: [&str; 9] = [
    "waiting",
    "ready",
    "assigned",
    "running",
    "pending",
    "stored",
    "released",
    "failed",
    "cancelled",
];

/// `GET /v1/jobs/{job}/tasks`
pub(crate) async fn list(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, &["state", "from", "limit"])?;
    let state = query.text("state").map(known_state).transpose()?;
    let asked = TaskQuery {
        job: job_of(&request)?,
        state: state.map(str::to_owned),
        from: TaskIdx(query.parse("from", "task number")?.unwrap_or(0)),
        limit: query.parse("limit", "number")?.unwrap_or(PAGE).clamp(1, MAX_PAGE),
    };
    let page = match gateway.leader.ask(GatewayRequest::Tasks(asked.clone())).await {
        Ok(Response::Tasks { tasks, next }) => TasksPage {
            tasks: tasks.into_iter().map(TaskView::from).collect(),
            next: next.map(|task| task.0),
        },
        answer => {
            passable(answer)?;
            stored_page(&gateway, &asked).await?
        }
    };
    Ok(ok(&request, &page))
}

/// `GET /v1/jobs/{job}/tasks/{key}`
pub(crate) async fn show(
    request: HttpRequest,
    gateway: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let job = job_of(&request)?;
    let key = path_part(&request, "key");
    let (graph, task) = gateway.task_of(job, &key).await?;
    let mut view = match gateway.leader.ask(GatewayRequest::Task { job, task }).await {
        Ok(Response::Task(answer)) => TaskView::from(*answer),
        answer => {
            passable(answer)?;
            stored_task(&gateway, job, &graph, task).await?
        }
    };
    view.logs = logs_of(&gateway, job, task).await?;
    Ok(ok(&request, &view))
}

/// Whether the state store may answer in the leader's place: the leader is away, or has forgotten the job.
fn passable(answer: Result<Response, ApiError>) -> Result<(), ApiError> {
    match answer {
        Ok(_)
        | Err(
            ApiError::NoLeader
            | ApiError::LeaderSilent
            | ApiError::NoBroker
            | ApiError::Request(RequestError::UnknownJob(_)),
        ) => Ok(()),
        Err(error) => Err(error),
    }
}

fn known_state(state: &str) -> Result<&'static str, ApiError> {
    STATES.into_iter().find(|known| *known == state).ok_or_else(|| {
        ApiError::Body(BodyFault {
            message: format!("`{state}` is no task state: use {}", STATES.join(", ")),
            field: Some("state".to_owned()),
            suggestion: nearest(state, STATES),
            ..BodyFault::default()
        })
    })
}

/// A page from the journal, which knows less than the leader: what is neither done nor failed is `pending`.
async fn stored_page(gateway: &Context, asked: &TaskQuery) -> Result<TasksPage, ApiError> {
    let graph = gateway.graph(asked.job).await?;
    let total = graph.task_count();
    let mut tasks = Vec::new();
    let mut at = asked.from.0;
    while at < total && tasks.len() < asked.limit as usize {
        let page = at / 256;
        let bytes = gateway.state.pages(asked.job, page, SCAN / 256).await?;
        let end = total.min(page * 256 + SCAN);
        while at < end && tasks.len() < asked.limit as usize {
            let offset = (at - page * 256) as usize;
            let state = state_name(bytes.get(offset).copied().unwrap_or_default());
            if asked.state.as_deref().is_none_or(|wanted| wanted == state) {
                tasks.push(outline(&graph, TaskIdx(at), state));
            }
            at += 1;
        }
    }
    Ok(TasksPage {
        tasks,
        next: (at < total).then_some(at),
    })
}

async fn stored_task(
    gateway: &Context,
    job: JobId,
    graph: &Graph,
    task: TaskIdx,
) -> Result<TaskView, ApiError> {
    let page = gateway.state.pages(job, task.0 / 256, 1).await?;
    let byte = page.get(task.index() % 256).copied().unwrap_or_default();
    let mut view = outline(graph, task, state_name(byte));
    if let Some(failure) = gateway.state.task_error(job, task).await? {
        let record: FailureRecord = read_record("a failure", &failure)?;
        view.error = Some(record.error);
    }
    if let Some(entry) = gateway.state.result_entry(job, task).await? {
        let entry: ResultEntry = read_record("a result", &entry)?;
        view.bytes = Some(entry.bytes);
        view.workers = entry.holders.into_iter().map(|(worker, _)| worker).collect();
    }
    view.explain =
        vec!["this is from the journal: the scheduler that leads now does not hold the job".to_owned()];
    Ok(view)
}

fn outline(graph: &Graph, task: TaskIdx, state: &str) -> TaskView {
    TaskView {
        task: task.0,
        key: graph.key_of(task),
        op: graph
            .op_of(task)
            .map(|op| format!("{} {}", op.kind.name(), op.name))
            .unwrap_or_default(),
        state: state.to_owned(),
        ..TaskView::default()
    }
}

const fn state_name(byte: u8) -> &'static str {
    match StoredTaskState::from_byte(byte) {
        StoredTaskState::Pending => "pending",
        StoredTaskState::Stored => "stored",
        StoredTaskState::Released => "released",
        StoredTaskState::Failed => "failed",
        StoredTaskState::Cancelled => "cancelled",
    }
}

async fn logs_of(gateway: &Context, job: JobId, task: TaskIdx) -> Result<Vec<LogView>, ApiError> {
    let mut of_task: Vec<_> = gateway.state.logs(job).await?;
    of_task.retain(|log| log.task == task);
    let skip = of_task.len().saturating_sub(MAX_LOGS);
    let mut logs = Vec::new();
    for log in of_task.into_iter().skip(skip) {
        if let Some(bytes) = gateway.state.task_log(job, log).await? {
            let TaskLog { head, tail, omitted } = read_record("a log", &bytes)?;
            logs.push(LogView {
                attempt: log.attempt.to_string(),
                head,
                tail,
                omitted,
            });
        }
    }
    Ok(logs)
}
