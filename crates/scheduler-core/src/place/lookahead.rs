//! Tasks sent ahead of their inputs, to the worker that is about to make those: it starts them without a round trip.

use crate::ids::WorkerNo;
use crate::job::{Job, TaskState, flag};
use crate::shared::Shared;

/// A task with more readers than this is a source that feeds many workers: its readers are placed, not sent ahead.
const MAX_READERS: u32 = 4;
/// A task with more inputs than this waits: checking them again and again would cost more than the round trip.
const MAX_INPUTS: u32 = 32;

impl Job {
    /// Sends along what `task`, just given to `worker`, will make possible there.
    pub(crate) fn look_ahead(&mut self, cx: &mut Shared, task: u32, no: WorkerNo) {
        if cx.config.max_lookahead == 0 {
            return;
        }
        let mut source = task;
        let mut more = Vec::new();
        loop {
            if self.reader_count(source) <= MAX_READERS {
                let mut readers = Vec::new();
                self.for_each_reader(source, |reader| readers.push(reader));
                for reader in readers {
                    if cx.workers[no].ahead >= cx.config.max_lookahead {
                        return;
                    }
                    if self.comes_from(reader, no) {
                        self.assign(cx, reader, no);
                        more.push(reader);
                    }
                }
            }
            match more.pop() {
                Some(next) => source = next,
                None => return,
            }
        }
    }

    /// Whether all that `task` waits for is queued on `worker`, and nothing ties it elsewhere.
    fn comes_from(&self, task: u32, no: WorkerNo) -> bool {
        if self.cols.state(task) != TaskState::Waiting
            || self.class_of(task).restriction != 0
            || self.index.dep_count(&self.graph, task) > MAX_INPUTS
        {
            return false;
        }
        let mut comes = true;
        self.for_each_input(task, |input| {
            comes &= match self.cols.state(input) {
                TaskState::Stored => self.cols.is_held(input),
                TaskState::Assigned => {
                    self.cols.worker(input) == Some(no)
                        && !self.cols.has(input, flag::RETRACTING | flag::CANCELLING)
                }
                _ => false,
            };
        });
        comes
    }
}
