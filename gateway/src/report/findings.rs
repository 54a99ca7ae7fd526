//! What a person who knows the system would remark on seeing a job's facts: where its time went, and what may help.
//!
//! Each finding is a function of its own. A threshold is the least that is worth somebody's time: below it a job cannot
//! gain more than that share.

use std::collections::BTreeMap;

use super::facts::{Facts, LayerFacts};
use super::words::{count, duration, percent, share};

/// Jobs shorter than this have nothing that is worth finding, but for failures.
const SHORTEST_US: u64 = 1_000_000;
/// Share of the time in slots and transfers that went into transfers, or into the disk.
const MUCH_MOVING: f64 = 0.2;
/// The longest run of a layer as a multiple of its median.
const SKEW: f64 = 10.0;
/// Runs below which a median says nothing.
const FEW_RUNS: u64 = 8;
/// Share of a job's duration that a run, a pause, or a row of them must fill.
const WORTH_IT: f64 = 0.05;
/// Share of the slots' time that a job fills, below which slots are called idle.
const IDLE: f64 = 0.5;
/// Share of the duration in which one slot worked alone.
const MUCH_ALONE: f64 = 0.2;
/// Tasks of a layer from which on their shortness matters, and what is called short.
const MANY_TASKS: u64 = 1_000;
const SHORT_US: u64 = 1_000;

/// Something that is worth knowing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    /// What was found.
    pub(super) text: String,
    /// What may help.
    pub(super) advice: &'static str,
    /// About how much of the job's time it explains; the most comes first.
    weight: f64,
}

/// All findings, the weightiest first.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts.layers.iter().filter_map(failures).collect();
    if facts.took_us() >= SHORTEST_US {
        found.extend(transfers(facts));
        found.extend(spills(facts));
        found.extend(facts.layers.iter().filter_map(|layer| skew(facts, layer)));
        found.extend(pauses(facts));
        found.extend(lonely_runs(facts));
        found.extend(idle(facts));
        found.extend(facts.layers.iter().filter_map(|layer| short_tasks(facts, layer)));
    }
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    found
}

/// A layer as findings call it.
fn name(layer: &LayerFacts) -> String {
    format!("`{}` (layer {})", layer.op, layer.layer)
}

fn failures(layer: &LayerFacts) -> Option<Finding> {
    let totals = layer.totals.filter(|totals| totals.failed > 0)?;
    let runs = totals.failed + totals.finished;
    Some(Finding {
        text: format!(
            "{} of {} runs of {} failed",
            count(totals.failed),
            count(runs),
            name(layer)
        ),
        advice: "The events below say why. What failed and ran again took its time twice.",
        weight: 1.0 + share(totals.failed, runs),
    })
}

/// Time that slots and transfers took together.
fn time_in_all(facts: &Facts) -> u64 {
    let of = |layer: &LayerFacts| layer.runs.busy_us + layer.fetched.busy_us + layer.spilled.busy_us;
    facts.layers.iter().map(of).sum()
}

fn transfers(facts: &Facts) -> Option<Finding> {
    let moving: u64 = facts.layers.iter().map(|layer| layer.fetched.busy_us).sum();
    let all = time_in_all(facts);
    let most = facts.layers.iter().max_by_key(|layer| layer.fetched.busy_us)?;
    let weight = share(moving, all);
    (weight >= MUCH_MOVING).then(|| Finding {
        text: format!(
            "{} of the time went into transfers, {} of it into those of {}",
            percent(moving, all),
            percent(most.fetched.busy_us, moving),
            name(most)
        ),
        advice: "Fewer and larger partitions move less, and so does filtering before a shuffle.",
        weight,
    })
}

fn spills(facts: &Facts) -> Option<Finding> {
    let spilling: u64 = facts.layers.iter().map(|layer| layer.spilled.busy_us).sum();
    let all = time_in_all(facts);
    let most = facts.layers.iter().max_by_key(|layer| layer.spilled.busy_us)?;
    let weight = share(spilling, all);
    (weight >= MUCH_MOVING).then(|| Finding {
        text: format!(
            "{} of the time went into writing objects to disk and reading them back, most for {}",
            percent(spilling, all),
            name(most)
        ),
        advice: "More memory, more workers, or smaller partitions keep objects off the disk.",
        weight,
    })
}

fn skew(facts: &Facts, layer: &LayerFacts) -> Option<Finding> {
    let runs = &layer.runs;
    let times = runs.longest_us as f64 / runs.median_us.max(1) as f64;
    let weight = share(runs.longest_us, facts.took_us());
    (runs.count >= FEW_RUNS && times >= SKEW && weight >= WORTH_IT).then(|| Finding {
        text: format!(
            "task durations differ {times:.0}× within {}: skew. `{}` took {}, half of the others {} or less",
            name(layer),
            runs.longest_task,
            duration(runs.longest_us),
            duration(runs.median_us)
        ),
        advice: "One partition holds most of the data, or one input is special: split it, or choose another key.",
        weight,
    })
}

fn pauses(facts: &Facts) -> Vec<Finding> {
    let mut by_worker: BTreeMap<&str, u64> = BTreeMap::new();
    for pause in &facts.pauses {
        *by_worker.entry(&pause.worker).or_default() += pause.to_us.saturating_sub(pause.from_us);
    }
    let finding = |(worker, paused): (&str, u64)| {
        let weight = share(paused, facts.took_us());
        (weight >= WORTH_IT).then(|| Finding {
            text: format!("worker {worker} was paused for {}: its memory was short", duration(paused)),
            advice: "A paused worker starts no task. Give it more memory, or fewer slots, or make partitions smaller.",
            weight,
        })
    };
    by_worker.into_iter().filter_map(finding).collect()
}

fn lonely_runs(facts: &Facts) -> Option<Finding> {
    let (alone, task) = facts.alone.as_ref()?;
    let weight = share(*alone, facts.took_us());
    // Of a sample, what ran beside it may be what is missing.
    (facts.slots > 1 && !facts.is_sample() && weight >= MUCH_ALONE).then(|| Finding {
        text: format!(
            "for {} ({}) one slot worked alone, most of it on `{task}`",
            duration(*alone),
            percent(*alone, facts.took_us())
        ),
        advice: "Split such tasks, start them first, or reduce in a tree, so that other slots can help.",
        weight,
    })
}

fn idle(facts: &Facts) -> Option<Finding> {
    let room = facts.took_us().saturating_mul(u64::from(facts.slots));
    let busy: u64 = facts.layers.iter().map(LayerFacts::busy_us).sum();
    let filled = share(busy, room);
    (room > 0 && !facts.is_partial && filled < IDLE).then(|| Finding {
        text: format!("this job filled {} of the slots' time", percent(busy, room)),
        advice: "Too few tasks were ready at once, or other jobs had the slots, or tasks waited for their inputs.",
        weight: (1.0 - filled) / 2.0,
    })
}

fn short_tasks(facts: &Facts, layer: &LayerFacts) -> Option<Finding> {
    let totals = layer.totals.filter(|totals| totals.finished >= MANY_TASKS)?;
    let mean = totals.busy_us / totals.finished;
    (mean < SHORT_US).then(|| Finding {
        text: format!(
            "{} tasks of {} took {} each",
            count(totals.finished),
            name(layer),
            duration(mean)
        ),
        advice: "Tasks this short cost as much to hand out as to run: let each do more.",
        weight: share(totals.finished.saturating_mul(SHORT_US), facts.took_us()).min(0.5),
    })
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
