//! Who fetched how much from whom.

use std::collections::BTreeMap;

use millstream_protocol::wire::WorkMsg;
use millstream_types::WorkerId;
use serde::Serialize;

/// Pairs kept. A thousand workers that all talk to each other make a million; the busiest are what a page shows.
const MAX_PAIRS: usize = 50_000;
/// How much of the rate is left after a second: half of it is gone after seven.
const DECAY: f64 = 0.9;
/// Pairs in an answer.
const MAX_SHOWN: usize = 10_000;

/// What went one way between two workers.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    objects: u64,
    bytes: u64,
    busy_us: u64,
    rate: f64,
    this_second: u64,
}

/// A pair as it is sent.
#[derive(Debug, Serialize)]
pub(crate) struct FlowView {
    pub(crate) from: WorkerId,
    pub(crate) to: WorkerId,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) busy_us: u64,
    pub(crate) bytes_per_s: u64,
}

/// The matrix, where it is not empty.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    flows: BTreeMap<(WorkerId, WorkerId), Flow>,
}

impl Transfers {
    pub(crate) fn add(&mut self, msg: &WorkMsg) {
        for told in &msg.transfers {
            let pair = (told.from, msg.worker);
            if self.flows.len() >= MAX_PAIRS && !self.flows.contains_key(&pair) {
                continue;
            }
            let flow = self.flows.entry(pair).or_default();
            flow.objects += u64::from(told.objects);
            flow.bytes += told.bytes.as_u64();
            flow.busy_us += told.busy_us;
            flow.this_second += told.bytes.as_u64();
        }
    }

    /// Ends a second; forgets pairs of which `is_there` knows one no more.
    pub(crate) fn close_second(&mut self, is_there: impl Fn(WorkerId) -> bool) {
        self.flows.retain(|(from, to), flow| {
            let bytes = std::mem::take(&mut flow.this_second);
            flow.rate = flow.rate * DECAY + bytes as f64 * (1.0 - DECAY);
            is_there(*from) && is_there(*to)
        });
    }

    /// The busiest pairs.
    pub(crate) fn views(&self) -> Vec<FlowView> {
        let mut views: Vec<FlowView> = self
            .flows
            .iter()
            .map(|((from, to), flow)| FlowView {
                from: *from,
                to: *to,
                objects: flow.objects,
                bytes: flow.bytes,
                busy_us: flow.busy_us,
                bytes_per_s: flow.rate as u64,
            })
            .collect();
        views.sort_by_key(|flow| std::cmp::Reverse(flow.bytes));
        views.truncate(MAX_SHOWN);
        views
    }
}
