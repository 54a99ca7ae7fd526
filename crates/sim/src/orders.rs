//! What leaders order workers to let go of or to stop, for the story.

use std::fmt::Write as _;

use millstream_protocol::envelope;
use millstream_protocol::wire::ToWorker;
use millstream_types::{Attempt, ClusterName, JobId};

use crate::world::World;

impl World {
    /// Tells what a frame orders a worker to free, forget, stop or give back. Assignments are told when they start.
    pub(crate) fn tell_orders(&mut self, scheduler: usize, queue: &str, frame: &[u8]) {
        if !self.story.is_told() {
            return;
        }
        let Ok((_, items)) = envelope::decode_header(&ClusterName::default(), frame) else {
            return;
        };
        for item in envelope::decode_items::<ToWorker>(items).unwrap_or_default() {
            if let Some((job, order)) = order_of(&item) {
                self.tell(Some(job), || format!("s{scheduler} to {queue}: {order}"));
            }
        }
    }
}

fn order_of(item: &ToWorker) -> Option<(JobId, String)> {
    match item {
        ToWorker::Free { job, tasks, attempts } => {
            let mut text = "free".to_owned();
            for (task, attempt) in tasks.iter().zip(attempts.iter()) {
                // Writing to a string cannot fail.
                let _ = write!(text, " {task}@{}", Attempt::from_packed(*attempt));
            }
            Some((*job, text))
        }
        ToWorker::Cancel { job, tasks } => Some((*job, format!("cancel {:?}", tasks.0))),
        ToWorker::Retract { job, tasks } => Some((*job, format!("retract {:?}", tasks.0))),
        ToWorker::ForgetJob { job } => Some((*job, format!("forget {job}"))),
        _ => None,
    }
}
