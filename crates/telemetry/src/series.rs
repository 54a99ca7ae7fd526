//! The kinds of metric: counters, gauges, readings and timers, alone or one for each value of a label.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric, counter, gauge, histogram};
use prometheus_client::registry::{Metric, Registry};

/// Upper bound of a timer's first bucket, in seconds.
const FIRST_BUCKET: f64 = 1e-6;
/// Each bucket is four times the one before: 18 series reach from 1 µs to 4.7 h, and a quantile is right to a factor
/// of four.
const BUCKET_FACTOR: f64 = 4.0;
const BUCKETS: u16 = 18;

/// A number that only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter(counter::Counter<u64, AtomicU64>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.inc_by(n);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A number that comes and goes.
#[derive(Debug, Clone, Default)]
pub struct Gauge(gauge::Gauge);

impl Gauge {
    /// Sets the number; more than fits counts as the most that fits.
    pub fn set(&self, n: u64) {
        self.0.set(i64::try_from(n).unwrap_or(i64::MAX));
    }

    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.inc_by(n);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.get()
    }
}

/// A number that somebody else told, and that is shown only while it is known: a zero would be a lie.
#[derive(Debug, Clone, Default)]
pub struct Reading(Arc<Mutex<Option<u64>>>);

impl Reading {
    /// Sets the number, or forgets it.
    pub fn set(&self, n: Option<u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = n;
    }

    /// The number last told, if it still counts.
    pub fn get(&self) -> Option<u64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TypedMetric for Reading {
    const TYPE: MetricType = MetricType::Gauge;
}

impl EncodeMetric for Reading {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Some(n) = self.get() else { return Ok(()) };
        encoder.encode_gauge(&i64::try_from(n).unwrap_or(i64::MAX))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// A distribution of durations.
#[derive(Debug, Clone)]
pub struct Timer(histogram::Histogram);

impl Default for Timer {
    fn default() -> Self {
        let bounds = histogram::exponential_buckets(FIRST_BUCKET, BUCKET_FACTOR, BUCKETS);
        Self(histogram::Histogram::new(bounds))
    }
}

impl Timer {
    /// Records one duration.
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

/// An enum that is the one label of a metric.
pub trait Label: Copy + fmt::Debug + Eq + Hash + Send + Sync + 'static {
    /// The label's name.
    const KEY: &'static str;
    /// Every value.
    const ALL: &'static [Self];

    /// The value's text.
    fn value(self) -> &'static str;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct LabelSet<L>(L);

impl<L: Label> EncodeLabelSet for LabelSet<L> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [(L::KEY, self.0.value())].encode(encoder)
    }
}

/// One metric for each value of a label.
#[derive(Debug, Clone)]
pub struct Labelled<L: Label, M>(Family<LabelSet<L>, M>);

impl<L: Label, M: Clone> Labelled<L, M> {
    /// The metric of one label value: a cheap handle that a hot path keeps.
    pub fn of(&self, label: L) -> M {
        self.0.get_or_create_owned(&LabelSet(label))
    }
}

impl<L: Label, M: Clone + Default> Default for Labelled<L, M> {
    fn default() -> Self {
        let all = Self(Family::default());
        // A series that exists at zero before its first event lets a rate be computed from the first one on.
        for label in L::ALL {
            drop(all.of(*label));
        }
        all
    }
}

macro_rules! delegate_encoding {
    ($($metric:ident => $inner:ty),+ $(,)?) => {$(
        impl TypedMetric for $metric {
            const TYPE: MetricType = <$inner as TypedMetric>::TYPE;
        }

        impl EncodeMetric for $metric {
            fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
                self.0.encode(encoder)
            }

            fn metric_type(&self) -> MetricType {
                self.0.metric_type()
            }
        }
    )+};
}

delegate_encoding! {
    Counter => counter::Counter<u64, AtomicU64>,
    Gauge => gauge::Gauge,
    Timer => histogram::Histogram,
}

impl<L: Label, M: EncodeMetric + TypedMetric + Default> EncodeMetric for Labelled<L, M> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

/// Makes a metric and adds it to the registry.
pub(crate) fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    // The registry ends the text with a full stop of its own.
    registry.register(name, help.trim().trim_end_matches('.'), metric.clone());
    metric
}
