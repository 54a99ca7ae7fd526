//! Brings a job's facts together: its record, its graph, and what the board keeps of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use actix_web::web;
use millstream_protocol::api::JobView;
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::SpanKind;
use millstream_types::{JobId, TaskIdx, WorkerId};

use super::alone::alone;
use super::facts::{Event, Facts, LayerFacts, MemoryPoint, Moves, Runs, Stream, Totals};
use crate::context::Context;
use crate::error::ApiError;
use crate::layers::{LayerView, LayersView, Outline};
use crate::live::{
    Blocks, Board, Level, Line, LineQuery, OpName, OpRow, Pause, Point, Span, SpanQuery, now_us,
};

/// Columns of the picture of what ran where.
const WIDTH: u32 = 1_000;
/// Events on a page, the last of them.
const MAX_EVENTS: usize = 200;

/// What the board kept of a job.
struct Kept {
    spans: Vec<Span>,
    /// Totals by kind and name of the operation.
    totals: HashMap<String, OpRow>,
    pauses: Vec<Pause>,
    memory: Vec<MemoryPoint>,
    workers: u32,
    slots: u32,
    stream: Stream,
    events: Vec<Event>,
    is_partial: bool,
}

impl Context {
    /// Everything that is known of a job.
    pub(crate) async fn facts_of(&self, job: JobId) -> Result<Facts, ApiError> {
        let view = self.job_view(job).await?;
        let layers = self.layers_of(job).await?;
        let graph = self.graph(job).await?;
        let outline = self.outline(job, &graph).await?;
        let now = now_us();
        let from_us = view.accepted_ms.map_or(now, |ms| ms.saturating_mul(1_000));
        let to_us = view
            .ended_ms
            .map_or(now, |ms| ms.saturating_mul(1_000))
            .max(from_us);
        let kept = self.live.with(|board| Kept::of(board, job, (from_us, to_us)));
        // Off the request's thread: an hour of a busy cluster is some hundred thousand spans.
        web::block(move || kept.into_facts(view, (from_us, to_us), &layers, &graph, &outline))
            .await
            .map_err(|_| ApiError::TooManyRequests)
    }
}

impl Kept {
    fn of(board: &Board, job: JobId, (from_us, to_us): (u64, u64)) -> Self {
        let spans = board.spans.of_job(job);
        let views = board.ops.views(Some(job)).into_iter();
        let totals = views.map(|view| (format!("{} {}", view.kind, view.name), view.row.clone()));
        let rows = board.workers.iter();
        Self {
            totals: totals.collect(),
            pauses: board.pauses.between(from_us, to_us),
            memory: memory(board, from_us, to_us),
            workers: u32::try_from(board.workers.len()).unwrap_or(u32::MAX),
            slots: rows.map(|(_, row)| row.slots).sum(),
            stream: stream(board, job, &spans),
            events: events(board, job),
            is_partial: board.since_us() > from_us || board.spans.has_forgotten(from_us, now_us()),
            spans,
        }
    }

    fn into_facts(
        self,
        job: JobView,
        (from_us, to_us): (u64, u64),
        layers: &LayersView,
        graph: &Arc<Graph>,
        outline: &Outline,
    ) -> Facts {
        Facts {
            job,
            from_us,
            to_us,
            workers: self.workers,
            slots: self.slots,
            is_partial: self.is_partial,
            layers: Sorting::of(layers, graph, outline, &self.spans).facts(layers, &self.totals),
            pauses: self.pauses,
            memory: self.memory,
            alone: lonely(&self.spans, graph),
            stream: self.stream,
            events: self.events,
        }
    }
}

fn stream(board: &Board, job: JobId, spans: &[Span]) -> Stream {
    let ids: BTreeSet<WorkerId> = spans.iter().map(|span| span.worker).collect();
    let here = board
        .workers
        .by_name()
        .into_iter()
        .filter(|(id, _)| ids.contains(id));
    let mut workers: Vec<(WorkerId, String)> = here.map(|(id, row)| (id, row.name.clone())).collect();
    let gone = ids.iter().filter(|id| board.workers.get(**id).is_none());
    workers.extend(gone.map(|id| (*id, id.to_string())));
    let from_us = spans.iter().map(|span| span.start_us).min().unwrap_or(0);
    let to_us = spans.iter().map(Span::end_us).max().unwrap_or(0);
    let blocks: Blocks = board.spans.window(&SpanQuery {
        from_us,
        to_us,
        width: WIDTH,
        workers: workers.iter().map(|(id, _)| *id).collect(),
        job: Some(job),
    });
    let ops: Vec<OpName> = board.ops.names(blocks.ops());
    Stream {
        from_us,
        to_us,
        workers: workers.into_iter().map(|(_, name)| name).collect(),
        ops,
        blocks,
    }
}

fn memory(board: &Board, from_us: u64, to_us: u64) -> Vec<MemoryPoint> {
    let points = board.history.between(from_us / 1_000, to_us / 1_000);
    let of = |point: &Point| MemoryPoint {
        at_us: point.at_ms * 1_000,
        managed: point.value("managed"),
        unmanaged: point.value("unmanaged"),
        spilled: point.value("spilled"),
        limit: point.value("memory_limit"),
    };
    points.iter().map(of).collect()
}

fn events(board: &Board, job: JobId) -> Vec<Event> {
    let lines = board.lines.find(&LineQuery {
        job: Some(job),
        level: Some(Level::Info),
        limit: MAX_EVENTS,
        ..LineQuery::default()
    });
    let event = |line: &Line| Event {
        at_us: line.at_ms.saturating_mul(1_000),
        level: line.level,
        text: match &line.task {
            Some(task) => format!("{task} {}", line.text),
            None => line.text.clone(),
        },
    };
    lines.into_iter().map(event).collect()
}

/// The time in which one run was all that went on, and the task that had most of it.
fn lonely(spans: &[Span], graph: &Graph) -> Option<(u64, String)> {
    let runs = spans.iter().filter(|span| is_run(span.kind));
    let runs: Vec<_> = runs
        .map(|span| (span.start_us, span.end_us(), span.task))
        .collect();
    alone(&runs).map(|(us, task)| (us, graph.key_of(TaskIdx(task))))
}

const fn is_run(kind: SpanKind) -> bool {
    matches!(kind, SpanKind::Run | SpanKind::Failed)
}

/// Spans, sorted by the layer of their task.
struct Sorting<'a> {
    runs: Vec<Vec<&'a Span>>,
    fetched: Vec<Moves>,
    spilled: Vec<Moves>,
    graph: &'a Graph,
}

impl<'a> Sorting<'a> {
    fn of(layers: &LayersView, graph: &'a Graph, outline: &Outline, spans: &'a [Span]) -> Self {
        let count = layers.layers.len();
        let mut sorting = Self {
            runs: vec![Vec::new(); count],
            fetched: vec![Moves::default(); count],
            spilled: vec![Moves::default(); count],
            graph,
        };
        for span in spans {
            let node = outline.node_of(graph, TaskIdx(span.task));
            let Some(node) = node.map(|node| node as usize).filter(|node| *node < count) else {
                continue;
            };
            match span.kind {
                SpanKind::Fetch => add(&mut sorting.fetched[node], span),
                kind if is_run(kind) => sorting.runs[node].push(span),
                _ => add(&mut sorting.spilled[node], span),
            }
        }
        sorting
    }

    fn facts(self, layers: &LayersView, totals: &HashMap<String, OpRow>) -> Vec<LayerFacts> {
        let mut layers_with = HashMap::new();
        for layer in &layers.layers {
            *layers_with.entry(layer.op.as_str()).or_insert(0) += 1;
        }
        let of_one = |layer: &LayerView| layers_with.get(layer.op.as_str()) == Some(&1);
        let layer_facts = |(node, layer): (usize, &LayerView)| LayerFacts {
            layer: layer.layer,
            op: layer.op.clone(),
            tasks: layer.tasks,
            held: layer.held.as_u64(),
            totals: totals.get(&layer.op).filter(|_| of_one(layer)).map(totals_of),
            runs: runs_of(&self.runs[node], self.graph),
            fetched: self.fetched[node],
            spilled: self.spilled[node],
        };
        layers.layers.iter().enumerate().map(layer_facts).collect()
    }
}

fn add(moves: &mut Moves, span: &Span) {
    moves.count += 1;
    moves.bytes += span.bytes;
    moves.busy_us += u64::from(span.duration_us);
}

fn totals_of(row: &OpRow) -> Totals {
    Totals {
        finished: row.finished,
        failed: row.failed,
        busy_us: row.busy_us,
        bytes: row.bytes,
    }
}

fn runs_of(spans: &[&Span], graph: &Graph) -> Runs {
    let mut durations: Vec<u64> = spans.iter().map(|span| u64::from(span.duration_us)).collect();
    durations.sort_unstable();
    let longest = spans.iter().max_by_key(|span| span.duration_us);
    Runs {
        count: durations.len() as u64,
        busy_us: durations.iter().sum(),
        median_us: durations.get(durations.len() / 2).copied().unwrap_or(0),
        longest_us: durations.last().copied().unwrap_or(0),
        longest_task: longest
            .map(|span| graph.key_of(TaskIdx(span.task)))
            .unwrap_or_default(),
        first_us: spans.iter().map(|span| span.start_us).min().unwrap_or(0),
        last_us: spans.iter().map(|span| span.end_us()).max().unwrap_or(0),
    }
}
