//! The cluster as a whole, as its last seconds told it.

use std::collections::VecDeque;

use millstream::{LiveAlert, LiveCluster, LiveHistory, LivePoint, Surroundings};

use crate::text;

/// Seconds of which the task rate is kept: as many as a wide screen has columns for.
pub(crate) const SECONDS: usize = 240;

/// Columns of an alert that are kept.
const ALERT: usize = 300;

/// The number that the curve shows.
const RATE: &str = "tasks_per_s";

/// The cluster's numbers, alerts and health.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    /// What the numbers of a point are called, in order.
    fields: Vec<String>,
    last: LivePoint,
    rates: VecDeque<f64>,
    pub(crate) alerts: Vec<LiveAlert>,
    pub(crate) surroundings: Surroundings,
}

impl Cluster {
    /// The seconds before a stream began.
    pub(crate) fn begin(&mut self, history: LiveHistory) {
        self.fields = history.fields;
        self.rates.clear();
        for point in history.points {
            self.take(point);
        }
    }

    /// The last second.
    pub(crate) fn hear(&mut self, told: LiveCluster) {
        // The first pulse may be of the last second of the history.
        if told.point.seq != self.last.seq || self.rates.is_empty() {
            self.take(told.point);
        }
        self.alerts = told.alerts;
        for alert in &mut self.alerts {
            alert.text = text::clean(&alert.text, ALERT);
        }
        self.surroundings = told.surroundings;
        for shown in [&mut self.surroundings.leader, &mut self.surroundings.state_error] {
            *shown = shown.as_deref().map(|words| text::clean(words, ALERT));
        }
    }

    /// Whether a second was told yet.
    pub(crate) fn is_known(&self) -> bool {
        self.last.at_ms > 0
    }

    /// Unix milliseconds of the last second, on the gateway's clock.
    pub(crate) fn now_ms(&self) -> u64 {
        self.last.at_ms
    }

    /// A number of the last second; 0 if the gateway does not tell it.
    pub(crate) fn number(&self, field: &str) -> f64 {
        self.number_of(&self.last, field)
    }

    /// Tasks that ended in each of the last seconds, oldest first, at most so many.
    pub(crate) fn rates(&self, most: usize) -> impl Iterator<Item = f64> {
        let skip = self.rates.len().saturating_sub(most);
        self.rates.iter().skip(skip).copied()
    }

    fn take(&mut self, point: LivePoint) {
        if self.rates.len() == SECONDS {
            self.rates.pop_front();
        }
        self.rates.push_back(self.number_of(&point, RATE));
        self.last = point;
    }

    fn number_of(&self, point: &LivePoint, field: &str) -> f64 {
        let at = self.fields.iter().position(|name| name == field);
        at.and_then(|at| point.values.get(at))
            .copied()
            .unwrap_or_default()
    }
}
