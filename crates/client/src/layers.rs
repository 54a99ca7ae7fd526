//! How far a job is, layer by layer.

use millstream_protocol::wire::JobCounts;
use millstream_types::{ByteSize, JobId};
use serde::Deserialize;

use crate::{Client, Error};

/// The layers of a job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LayersView {
    /// Whether a leader counted; else the counts are those of the journal's last note.
    pub exact: bool,
    /// The tasks of one operation in one layer each, in the graph's order.
    pub layers: Vec<LayerView>,
}

/// The tasks of one operation in one layer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LayerView {
    /// The layer's number.
    pub layer: u32,
    /// Kind and name of the operation.
    pub op: String,
    /// Its tasks by state.
    pub tasks: JobCounts,
    /// Bytes of its outputs that workers hold.
    pub held: ByteSize,
    /// Microseconds that a task is expected to run, where a leader knows.
    pub cost_us: Option<u32>,
}

impl Client {
    /// How far a job is, layer by layer.
    ///
    /// # Errors
    /// An unknown job; no gateway.
    pub async fn layers(&self, job: JobId) -> Result<LayersView, Error> {
        self.get(&format!("/v1/jobs/{job}/layers")).await
    }
}
