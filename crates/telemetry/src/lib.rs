//! What a process tells about itself: log lines, metrics, and a sign that it is alive.
//!
//! Responsible for the look of log lines, for the name and labels of every metric (all in one table, with labels that
//! are enums so that no user input can multiply series), and for the file that shows a service's progress.
//! It knows no service and decides nothing.

mod http;
mod labels;
mod liveness;
mod logs;
mod metrics;
mod series;

pub use http::HttpMetrics;
pub use labels::{JobOutcome, Reader, TaskState, Tier, WorkerState};
pub use liveness::{Liveness, LivenessError, check_liveness};
pub use logs::{LogError, LogFormat, LogOptions, init, subscriber};
pub use metrics::Metrics;
pub use series::{Counter, Gauge, Label, Labelled, Reading, Timer};
