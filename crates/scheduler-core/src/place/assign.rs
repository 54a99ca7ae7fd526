//! One assignment: book it, and write it into the worker's message.

use std::collections::BTreeSet;

use millstream_protocol::graph::ExplicitLayer;
use millstream_protocol::wire::AssignMsg;
use millstream_types::Attempt;

use crate::ids::WorkerNo;
use crate::job::{Job, TaskState, flag};
use crate::shared::Shared;
use crate::worker::outbox::{Input, Row};

/// Holders named per input: a second choice helps when the first is gone, more only cost bytes.
const HOLDERS: usize = 3;
/// Bits of a priority: rank, submission, order.
const RANK_LIMIT: i32 = 2047;
const SEQ_BITS: u32 = 20;

impl Job {
    /// Gives a task to a worker. Its inputs are stored, or queued on the same worker.
    pub(crate) fn assign(&mut self, cx: &mut Shared, task: u32, no: WorkerNo) {
        if self.cols.has(task, flag::RAN) {
            self.cols.clear(task, flag::RAN);
            self.make_void(cx, task);
        }
        let attempt = self.next_attempt(cx, task);
        self.bind(cx, task, no, attempt);
        cx.counters.assigned += 1;
        cx.workers.touch(no);
        let (at, first) = self.index.locate(task);
        let layer = &self.graph.layers[at];
        let offset = task - first;
        let params = layer.params_of(offset);
        let is_symbolic = layer.is_symbolic();
        let row = Row {
            task,
            attempt,
            op: layer.op_of(offset),
            options: layer.options_of(offset),
            priority: self.priority(task, layer.options_of(offset)),
            index: is_symbolic.then_some(offset),
            params: &params,
            flags: if self.cols.has(task, flag::WANTED) && has_inline_room(cx) {
                AssignMsg::INLINE
            } else {
                0
            },
        };
        let worker = &mut cx.workers[no];
        let (known, outbox) = (&worker.peers, &mut worker.outbox);
        let mut peers = std::mem::take(&mut outbox.peers);
        let builder = outbox.builder(self.no, self.id, is_symbolic);
        builder.begin_row(&row);
        layer.for_each_dep(first, offset, |dep| {
            let input = self.alias.resolve(dep.task.0);
            let is_stored = self.cols.state(input) == TaskState::Stored;
            let column = Input {
                task: input,
                foreign: self.foreign(input),
                part: dep.part.unwrap_or(ExplicitLayer::WHOLE),
                attempt: self.cols.attempt(input),
                bytes: if is_stored {
                    self.cols.bytes[input as usize]
                } else {
                    0
                },
            };
            let is_here = !is_stored || self.holders(input).any(|holder| holder == no);
            let named = if is_here { 0 } else { HOLDERS };
            let holders = self.holders(input).take(named);
            builder.input(
                column,
                holders
                    .inspect(|holder| introduce(known, &mut peers, *holder))
                    .map(|holder| holder.0),
            );
        });
        builder.end_row();
        outbox.peers = peers;
    }

    /// A run's number is its task's own, so that a column of first attempts is a constant.
    fn next_attempt(&self, cx: &Shared, task: u32) -> Attempt {
        let (term, last) = (cx.identity.term, self.latest_attempt(task));
        if last.term == term {
            Attempt::new(term, last.n + 1)
        } else {
            Attempt::new(term, 1)
        }
    }

    /// Lower runs first, over all jobs: priority, then submission, then the job's own order.
    fn priority(&self, task: u32, options: u16) -> u64 {
        let rank = self.class_rank(options).clamp(-RANK_LIMIT, RANK_LIMIT) + RANK_LIMIT;
        let seq = self.seq & ((1 << SEQ_BITS) - 1);
        let order = self.index.order(&self.graph, task);
        ((rank as u64) << (32 + SEQ_BITS)) | (u64::from(seq) << 32) | u64::from(order)
    }
}

fn introduce(known: &BTreeSet<WorkerNo>, peers: &mut BTreeSet<u32>, holder: WorkerNo) {
    if !known.contains(&holder) {
        peers.insert(holder.0);
    }
}

fn has_inline_room(cx: &Shared) -> bool {
    cx.inline_bytes < cx.config.inline_budget.as_u64()
}
