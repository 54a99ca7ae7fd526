//! What simulated tasks compute: every value is a pure function of the operation and of the values it reads, so that
//! an outcome can be compared with the fault-free one.

use bytes::Bytes;
use millstream_protocol::graph::{
    Dep, Graph, GraphBuilder, GraphExtension, ImportSource, OpKind, OpSpec, TaskName, TaskOptions,
    fragment_task,
};
use millstream_types::{JobId, TaskIdx};

/// A determinate function of its inputs.
pub(crate) const HASH: &str = "hash";
/// A function whose every run gives something else.
pub(crate) const DICE: &str = "dice";
/// Fails whenever it runs.
pub(crate) const BAD: &str = "bad";
/// Fails the first time it runs.
pub(crate) const FLAKY: &str = "flaky";
/// Runs longer than its timeout.
pub(crate) const STUCK: &str = "stuck";
/// Adds tasks that take its place; its first parameter byte says how often they do so in turn.
pub(crate) const GROW: &str = "grow";
/// Adds tasks beside an output of its own.
pub(crate) const SPROUT: &str = "sprout";

/// What one run of a task amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A value.
    Value(u64),
    /// A failure, each time.
    Fails,
    /// More tasks in its place.
    Grows(Growth),
    /// A value, and more tasks that nobody reads.
    Sprouts(u64, Growth),
}

/// Tasks to add: `width` of them read the grower's inputs, one more reads those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Growth {
    width: u32,
    salt: u64,
    depth: u8,
}

/// Mixes a number into a hash.
pub(crate) const fn mix(hash: u64, number: u64) -> u64 {
    let mixed = (hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (mixed >> 32)
}

/// Mixes bytes into a hash.
pub(crate) fn mix_bytes(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(mix(hash, bytes.len() as u64), |hash, byte| {
        mix(hash, u64::from(*byte))
    })
}

/// The value of a sub-range of an object.
pub(crate) const fn part_of(value: u64, part: Option<u32>) -> u64 {
    match part {
        Some(part) => mix(value, part as u64 + 1),
        None => value,
    }
}

/// Runs a task. `nonce` tells runs of an indeterminate one apart.
pub(crate) fn run(op: &OpSpec, params: &[u8], index: Option<u32>, inputs: &[u64], nonce: u64) -> Outcome {
    let mut hash = mix_bytes(mix_bytes(7, op.name.as_bytes()), &op.params);
    hash = mix_bytes(hash, params);
    hash = mix(hash, index.map_or(0, |index| u64::from(index) + 1));
    hash = inputs.iter().fold(hash, |hash, input| mix(hash, *input));
    let growth = || Growth {
        width: 1 + (hash % 4) as u32,
        salt: hash,
        depth: params.first().copied().unwrap_or_default(),
    };
    match op.name.as_str() {
        BAD | STUCK => Outcome::Fails,
        DICE => Outcome::Value(mix(hash, nonce)),
        GROW => Outcome::Grows(growth()),
        SPROUT => Outcome::Sprouts(hash, growth()),
        _ => Outcome::Value(hash),
    }
}

impl Growth {
    /// The extension a grower returns. `inputs` are what it read itself.
    pub(crate) fn extension(&self, inputs: &[Dep], replaces: bool) -> GraphExtension {
        let mut builder = GraphBuilder::fragment();
        let options = builder.options(TaskOptions::default());
        let hash = builder.op(OpSpec::native(HASH));
        for leaf in 0..self.width {
            builder.task(hash, options, &self.leaf_params(leaf), inputs);
        }
        let leaves: Vec<_> = (0..self.width)
            .map(|leaf| Dep::whole(fragment_task(leaf)))
            .collect();
        let root = match self.depth.checked_sub(1) {
            Some(depth) => {
                let grow = builder.op(OpSpec::native(GROW));
                builder.task(grow, options, &self.root_params(depth), &leaves)
            }
            None => builder.task(hash, options, &self.root_params(0), &leaves),
        };
        GraphExtension {
            fragment: builder.finish(),
            replacement: Some(root).filter(|_| replaces),
        }
    }

    /// The value that the extension's root comes to, computed at once.
    pub(crate) fn value(&self, inputs: &[u64]) -> u64 {
        let hash = OpSpec::native(HASH);
        let leaves: Vec<_> = (0..self.width)
            .map(|leaf| value_of(run(&hash, &self.leaf_params(leaf), None, inputs, 0), inputs))
            .collect();
        match self.depth.checked_sub(1) {
            Some(depth) => {
                let grow = OpSpec::native(GROW);
                value_of(run(&grow, &self.root_params(depth), None, &leaves, 0), &leaves)
            }
            None => value_of(run(&hash, &self.root_params(0), None, &leaves, 0), &leaves),
        }
    }

    fn leaf_params(&self, leaf: u32) -> Vec<u8> {
        [self.salt.to_le_bytes().as_slice(), &leaf.to_le_bytes()].concat()
    }

    /// The first byte is the depth that is left.
    fn root_params(&self, depth: u8) -> Vec<u8> {
        [&[depth][..], &self.salt.to_le_bytes()].concat()
    }
}

fn value_of(outcome: Outcome, inputs: &[u64]) -> u64 {
    match outcome {
        Outcome::Value(value) | Outcome::Sprouts(value, _) => value,
        Outcome::Grows(growth) => growth.value(inputs),
        Outcome::Fails => 0,
    }
}

/// The input as a grower's extension names it.
pub(crate) const fn dep(task: TaskIdx, part: Option<u32>) -> Dep {
    Dep { task, part }
}

/// A value as the store would encode it.
pub(crate) fn encode_value(value: u64) -> Bytes {
    Bytes::copy_from_slice(&value.to_le_bytes())
}

/// Reads [`encode_value`].
pub(crate) fn decode_value(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// A job as those that import from it see it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) job: JobId,
    /// The value of each task; none of one that fails.
    pub(crate) values: Vec<Option<u64>>,
    /// Whether another run may give other values.
    pub(crate) is_chance: bool,
    /// Whether its client may end it, or remove it, before others have read it.
    pub(crate) may_vanish: bool,
}

/// What a job amounts to without faults, and how others see it.
pub(crate) fn expected(graph: &Graph, job: JobId, earlier: &[Known]) -> (Expected, Known) {
    let mut memo = Vec::new();
    memo.resize(graph.task_count() as usize, None);
    let tasks = 0..graph.task_count();
    let values: Vec<_> = tasks
        .map(|task| evaluate(graph, TaskIdx(task), earlier, &mut memo))
        .collect();
    let mut sources = Vec::new();
    graph.for_each_import(0, |_, params| sources.extend(source_of(params, earlier)));
    let is_chance =
        graph.ops.iter().any(|op| !op.determinate) || sources.iter().any(|(from, _)| from.is_chance);
    let may_vanish = sources.iter().any(|(from, _)| from.may_vanish);
    // Every task of a job has to succeed, wanted or not.
    let expected = if values.iter().any(Option::is_none) {
        Expected::Fails
    } else if is_chance {
        Expected::Chance
    } else {
        let value = |task: TaskIdx| values[task.index()].unwrap_or_default();
        Expected::Values(graph.wanted().map(|task| (task, value(task))).collect())
    };
    let known = Known {
        job,
        values,
        is_chance,
        may_vanish,
    };
    (expected, known)
}

/// See [`expected`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It succeeds with these outputs.
    Values(Vec<(TaskIdx, u64)>),
    /// It succeeds with outputs of one throw of the dice, unless a throw is lost after something of it was read.
    Chance,
    /// It fails: which operations do so does not depend on values.
    Fails,
}

/// The job and the task that an import stands for.
fn source_of<'a>(params: &[u8], earlier: &'a [Known]) -> Option<(&'a Known, TaskIdx)> {
    let ImportSource::Task { job, task } = ImportSource::decode(params).ok()?;
    let from = earlier.iter().find(|known| known.job == job)?;
    match task {
        TaskName::Index(index) => Some((from, TaskIdx(index))),
        TaskName::Key(_) => None,
    }
}

fn evaluate(
    graph: &Graph,
    task: TaskIdx,
    earlier: &[Known],
    memo: &mut Vec<Option<Option<u64>>>,
) -> Option<u64> {
    if let Some(known) = memo[task.index()] {
        return known;
    }
    let mut inputs = Some(Vec::new());
    for dep in graph.deps(task) {
        let value = evaluate(graph, dep.task, earlier, memo).map(|value| part_of(value, dep.part));
        inputs = inputs.zip(value).map(|(mut inputs, value)| {
            inputs.push(value);
            inputs
        });
    }
    let (layer, first) = graph.layer_of(task)?;
    let index = layer.is_symbolic().then(|| task.0 - first);
    let params = graph.params_of(task);
    let value = inputs.zip(graph.op_of(task)).and_then(|(inputs, op)| {
        if op.kind == OpKind::Import {
            return source_of(&params, earlier).and_then(|(from, task)| from.values[task.index()]);
        }
        match run(op, &params, index, &inputs, 0) {
            Outcome::Fails => None,
            outcome => Some(value_of(outcome, &inputs)),
        }
    });
    memo[task.index()] = Some(value);
    value
}
