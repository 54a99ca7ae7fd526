//! The kinds of metric: counters, gauges, readings and timers, alone or one for each value of a label.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric, counter, gauge, histogram};
use prometheus_client::registry::{Registry, Unit};

use crate::describe::{Description, Kind};

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

    /// Follows a count that is kept elsewhere and only grows. To be called by one thread at a time.
    pub fn follow(&self, count: u64) {
        self.add(count.saturating_sub(self.get()));
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

/// Who this process is: a series whose value is always one, and whose label says it.
#[derive(Debug, Clone, Default)]
pub struct Fact(Family<[(&'static str, String); 1], gauge::Gauge>);

impl Fact {
    pub(crate) const KEY: &'static str = "worker";

    /// Says it, in place of what was said before.
    pub fn set(&self, value: impl Into<String>) {
        self.0.clear();
        self.0.get_or_create(&[(Self::KEY, value.into())]).set(1);
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
    Fact => Family<[(&'static str, String); 1], gauge::Gauge>,
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

/// What a table of metrics is made of: mostly one metric, sometimes several that belong together.
pub(crate) trait Part: Sized {
    /// Makes it and adds it to the registry.
    fn register(registry: &mut Registry, name: &str, help: &str) -> Self;

    /// What the reference page says of it.
    fn describe(name: &str, help: &str) -> Vec<Description>;
}

impl<M: Kind> Part for M {
    fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let metric = M::default();
        // The registry ends the text with a full stop of its own, and the name with the unit.
        let help = help.trim().trim_end_matches('.');
        match unit_of(name) {
            Some((stem, unit)) => registry.register_with_unit(stem, help, unit, metric.clone()),
            None => registry.register(name, help, metric.clone()),
        }
        metric
    }

    fn describe(name: &str, help: &str) -> Vec<Description> {
        vec![Description::of::<M>(name, help)]
    }
}

/// The unit at the end of a name, and the name without it.
fn unit_of(name: &str) -> Option<(&str, Unit)> {
    let of = |suffix, unit| name.strip_suffix(suffix).map(|stem| (stem, unit));
    of("_seconds", Unit::Seconds).or_else(|| of("_bytes", Unit::Bytes))
}
