//! Random task graphs: explicit, symbolic, and mixed.

use millstream_protocol::graph::{
    Backoff, BlockInput, Dep, Graph, GraphBuilder, ImportSource, OpSpec, TaskOptions, TaskRange,
};
use millstream_types::{Amount, JobId, ResourceSet, TaskIdx};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::SimConfig;
use crate::model::{BAD, DICE, FLAKY, GROW, HASH, SPROUT, STUCK};

/// What a graph may contain.
#[derive(Debug, Clone, Copy)]
struct Taste {
    indeterminate: bool,
    failing: bool,
    growing: bool,
    parts: bool,
}

/// A graph, never empty, with at least one wanted output. It may import from `earlier` jobs.
pub(crate) fn random_graph(rng: &mut ChaCha8Rng, config: &SimConfig, earlier: &[Source]) -> Graph {
    let taste = Taste {
        indeterminate: rng.random_bool(0.3) && config.indeterminate,
        failing: rng.random_bool(0.12),
        growing: rng.random_bool(0.3),
        parts: rng.random_bool(0.5),
    };
    let mut builder = GraphBuilder::new();
    let mut ranges = Vec::new();
    let imports = imports(rng, config, &mut builder, earlier);
    ranges.extend(imports);
    ranges.push(explicit(rng, config, taste, &mut builder, &ranges));
    for _ in 0..rng.random_range(0..4) {
        let range = match rng.random_range(0..5) {
            0 => blockwise(rng, taste, &mut builder, &ranges),
            1 => tree(rng, taste, &mut builder, &ranges),
            2 if taste.parts => shuffle(rng, taste, &mut builder, &ranges),
            _ => explicit(rng, config, taste, &mut builder, &ranges),
        };
        ranges.push(range);
    }
    let (first, end) = (imports.map_or(0, |range| range.count), builder.task_count());
    builder.want(TaskIdx(end - 1));
    for _ in 0..rng.random_range(0..4) {
        builder.want(TaskIdx(rng.random_range(first..end)));
    }
    let mut graph = builder.finish();
    graph.outputs.sort_unstable();
    graph.outputs.dedup();
    graph
}

/// A job that others may import from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) job: JobId,
    /// Its tasks that are no imports themselves.
    pub(crate) tasks: TaskRange,
    pub(crate) wanted: Vec<TaskIdx>,
}

/// Tasks that stand for outputs of earlier jobs, wanted there or not.
fn imports(
    rng: &mut ChaCha8Rng,
    config: &SimConfig,
    builder: &mut GraphBuilder,
    earlier: &[Source],
) -> Option<TaskRange> {
    if !config.imports || earlier.is_empty() || rng.random_bool(0.4) {
        return None;
    }
    let op = builder.op(OpSpec::import());
    let options = builder.options(TaskOptions::default());
    let count = rng.random_range(1..5);
    for _ in 0..count {
        let from = &earlier[rng.random_range(0..earlier.len())];
        let task = if rng.random_bool(0.6) {
            from.wanted[rng.random_range(0..from.wanted.len())]
        } else {
            from.tasks.at(rng.random_range(0..from.tasks.count))
        };
        // Numbers always encode.
        let params = ImportSource::task(from.job, task.0).encode().unwrap_or_default();
        builder.task(op, options, &params, &[]);
    }
    Some(TaskRange {
        first: TaskIdx(0),
        count,
    })
}

fn op(rng: &mut ChaCha8Rng, taste: Taste, builder: &mut GraphBuilder, may_grow: bool) -> (u16, u16) {
    let name = match rng.random_range(0..100) {
        0..8 if taste.indeterminate => DICE,
        8..12 if taste.failing => BAD,
        12..14 if taste.failing => STUCK,
        14..20 if taste.failing => FLAKY,
        20..30 if taste.growing && may_grow => GROW,
        30..33 if taste.growing && may_grow => SPROUT,
        _ => HASH,
    };
    let mut spec = OpSpec::native(name);
    spec.determinate = name != DICE;
    let op = builder.op(spec);
    let mut options = TaskOptions {
        priority: rng.random_range(0..2),
        ..TaskOptions::default()
    };
    match name {
        FLAKY => {
            options.retries = 5;
            options.backoff = Backoff {
                initial_ms: 20,
                ..Backoff::default()
            };
        }
        STUCK => options.timeout_ms = Some(30),
        _ if rng.random_bool(0.1) => {
            options.resources = ResourceSet::new().with("cpu", Amount::milli(rng.random_range(0..1000)));
        }
        _ => {}
    }
    (op, builder.options(options))
}

fn explicit(
    rng: &mut ChaCha8Rng,
    config: &SimConfig,
    taste: Taste,
    builder: &mut GraphBuilder,
    ranges: &[TaskRange],
) -> TaskRange {
    let first = builder.task_count();
    let count = rng.random_range(1..=config.layer_tasks.max(1));
    let reach = rng.random_range(1..=20_u32);
    for i in 0..count {
        let (op, options) = op(rng, taste, builder, true);
        let mut deps = Vec::new();
        for _ in 0..rng.random_range(0..4) {
            let earlier = first + i;
            if earlier == 0 {
                break;
            }
            let near = rng.random_bool(0.7) || ranges.is_empty();
            let task = if near {
                earlier - 1 - rng.random_range(0..reach.min(earlier))
            } else {
                rng.random_range(0..earlier)
            };
            let part = (taste.parts && rng.random_bool(0.2)).then(|| rng.random_range(0..3));
            deps.push(Dep {
                task: TaskIdx(task),
                part,
            });
        }
        // The first byte is how deep a grower grows.
        let params = [rng.random_range(0..3), rng.random(), rng.random()];
        builder.task(op, options, &params, &deps);
    }
    TaskRange {
        first: TaskIdx(first),
        count,
    }
}

fn pick(rng: &mut ChaCha8Rng, ranges: &[TaskRange]) -> TaskRange {
    ranges[rng.random_range(0..ranges.len())]
}

fn blockwise(
    rng: &mut ChaCha8Rng,
    taste: Taste,
    builder: &mut GraphBuilder,
    ranges: &[TaskRange],
) -> TaskRange {
    let (op, options) = op(rng, taste, builder, true);
    let along = pick(rng, ranges);
    let mut inputs = Vec::new();
    if rng.random_bool(0.8) {
        inputs.push(BlockInput::Aligned(along));
    }
    if rng.random_bool(0.4) {
        let from = pick(rng, ranges);
        inputs.push(BlockInput::Broadcast(from.at(rng.random_range(0..from.count))));
    }
    builder.blockwise(along.count, op, options, inputs)
}

fn tree(rng: &mut ChaCha8Rng, taste: Taste, builder: &mut GraphBuilder, ranges: &[TaskRange]) -> TaskRange {
    let (op, options) = op(rng, taste, builder, false);
    builder.tree_reduce(pick(rng, ranges), rng.random_range(2..5), op, options)
}

fn shuffle(
    rng: &mut ChaCha8Rng,
    taste: Taste,
    builder: &mut GraphBuilder,
    ranges: &[TaskRange],
) -> TaskRange {
    let (op, options) = op(rng, taste, builder, false);
    builder.all_to_all(pick(rng, ranges), rng.random_range(1..6), op, options)
}
