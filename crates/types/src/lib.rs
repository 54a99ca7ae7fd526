//! Identifiers, units, resources and time of Millstream.
//!
//! Responsible for the vocabulary every other crate shares. Holds no state, does no I/O and reads no clock.

mod attempt;
mod content;
mod ids;
mod names;
mod resources;
mod time;
mod units;

pub use attempt::{Attempt, Term};
pub use content::ContentKey;
pub use ids::{GatewayId, IdError, JobId, LeaderId, ObjectId, SessionNo, TaskIdx, WorkerId};
pub use names::{ClusterName, NameError};
pub use resources::{Amount, ResourceSet, ResourceShortage};
pub use time::{Timestamp, duration_micros};
pub use units::{ByteSize, UnitError};
