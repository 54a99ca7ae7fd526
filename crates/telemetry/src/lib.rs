//! What a process tells about itself: log lines, metrics, and a sign that it is alive.
//!
//! Responsible for the look of log lines, for the name and labels of every metric (in one table for each service, with
//! labels that are enums so that no user input can multiply series), for the port at which services without another
//! one show them, and for the file that shows a service's progress.
//! It knows no service and decides nothing.

mod describe;
mod http;
mod labels;
mod liveness;
mod logs;
mod metrics;
mod series;
mod serve;
#[cfg(test)]
mod shipped;

pub use describe::reference_page;
pub use http::HttpMetrics;
pub use labels::{DiskWay, JobOutcome, Reader, TaskKind, TaskState, Tier, WorkerState};
pub use liveness::{Liveness, LivenessError, check_liveness};
pub use logs::{LogError, LogFormat, LogOptions, init, subscriber};
pub use metrics::{CONTENT_TYPE, Metrics, SchedulerMetrics, WorkerMetrics};
pub use series::{Counter, Fact, Gauge, Label, Labelled, Reading, Timer};
pub use serve::MetricsServer;
