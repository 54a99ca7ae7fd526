//! What workers are told leaves here: outboxes become items, items become frames, as far as the session has room.

use millstream_protocol::session::{PushError, Session};
use millstream_protocol::wire::{OpsMsg, PeerInfo, ToWorker};
use millstream_protocol::{ErrorKind, TaskError};

use crate::Effect;
use crate::core::SchedulerCore;
use crate::ids::{JobNo, WorkerNo};
use crate::job::{Job, TaskState};
use crate::jobs::Jobs;
use crate::shared::Shared;
use crate::worker::Link;
use crate::worker::outbox::AssignBuilder;

/// Bytes of operations in one message.
const OPS_BYTES: usize = 512 << 10;

impl SchedulerCore {
    /// Sends what dirty workers may be sent.
    pub(crate) fn flush_workers(&mut self) {
        for no in self.cx.workers.take_dirty() {
            self.flush(no);
        }
    }

    fn flush(&mut self, no: WorkerNo) {
        // The session moves out while jobs and the worker's outbox fill it.
        let link = std::mem::replace(&mut self.cx.workers[no].link, Link::Down);
        let link = match link {
            Link::Down => return,
            Link::Collecting {
                mut session,
                inventory,
            } => {
                self.pump(no, &mut session);
                Link::Collecting { session, inventory }
            }
            Link::Open { mut session } => {
                self.fill(no, &mut session);
                Link::Open { session }
            }
        };
        self.cx.workers[no].link = link;
    }

    fn fill(&mut self, no: WorkerNo, session: &mut Session) {
        let mut sender = Sender {
            session,
            cx: &mut self.cx,
            no,
        };
        sender.control();
        if sender.session.wants_data() {
            for item in sender.cx.workers[no].outbox.take_forgets_of_assigned() {
                sender.push(&item);
            }
        }
        let assigns = if sender.session.wants_data() {
            sender.cx.workers[no].outbox.take_assigns()
        } else {
            Vec::new()
        };
        for builder in assigns {
            sender.assignment(&mut self.jobs, builder);
            sender.pump();
        }
        // A request that overtook its assignment would be answered for nothing.
        if !sender.cx.workers[no].outbox.has_assigns() {
            for item in sender.cx.workers[no].outbox.take_requests() {
                sender.push_urgent(&item);
            }
        }
        if sender.session.wants_data() {
            sender.introduce();
            for item in sender.cx.workers[no].outbox.take_rest() {
                sender.push(&item);
            }
        }
        self.pump(no, session);
    }

    fn pump(&mut self, no: WorkerNo, session: &mut Session) {
        Sender {
            session,
            cx: &mut self.cx,
            no,
        }
        .pump();
    }
}

/// Writes to one worker.
struct Sender<'a> {
    session: &'a mut Session,
    cx: &'a mut Shared,
    no: WorkerNo,
}

impl Sender<'_> {
    fn pump(&mut self) {
        while let Some(frame) = self.session.poll() {
            self.cx.effects.push(Effect::SendToWorker {
                queue: self.cx.workers[self.no].queue.clone(),
                frame,
            });
        }
    }

    fn push(&mut self, item: &ToWorker) {
        if self.session.push(item).is_err() {
            self.cx.counters.unsendable_items += 1;
        }
    }

    fn push_urgent(&mut self, item: &ToWorker) {
        if self.session.push_urgent(item).is_err() {
            self.cx.counters.unsendable_items += 1;
        }
    }

    fn control(&mut self) {
        let outbox = &mut self.cx.workers[self.no].outbox;
        let (settled, drain, shutdown) = (
            std::mem::take(&mut outbox.settled),
            std::mem::take(&mut outbox.drain),
            std::mem::take(&mut outbox.shutdown),
        );
        if settled {
            self.push_urgent(&ToWorker::Settled);
        }
        if drain {
            self.push_urgent(&ToWorker::Drain);
        }
        if shutdown {
            self.push_urgent(&ToWorker::Shutdown);
        }
    }

    /// Introduces peers that assignments in this outbox name.
    fn introduce(&mut self) {
        let numbers = std::mem::take(&mut self.cx.workers[self.no].outbox.peers);
        if numbers.is_empty() {
            return;
        }
        let peers: Vec<PeerInfo> = numbers
            .iter()
            .filter_map(|number| self.cx.workers.get(WorkerNo(*number)))
            .map(|peer| PeerInfo {
                number: peer.no.0,
                worker: peer.info.worker,
                data_address: peer.info.data_address.clone(),
                host: peer.info.host.clone(),
            })
            .collect();
        let known = peers.iter().map(|peer| WorkerNo(peer.number));
        self.cx.workers[self.no].peers.extend(known);
        for part in peers.chunks(1024) {
            self.push(&ToWorker::Peers(part.to_vec()));
        }
    }

    fn assignment(&mut self, jobs: &mut Jobs, builder: AssignBuilder) {
        let no = builder.job;
        let Some(job) = jobs.get_mut(no) else { return };
        self.introduce();
        self.tables(no, job);
        let msg = builder.finish();
        let tasks = msg.tasks.clone();
        let pushed = self.session.push(&ToWorker::Assign(Box::new(msg)));
        if let Err(error) = pushed {
            self.cx.counters.unsendable_items += 1;
            for task in tasks.iter() {
                fail_unsendable(self.cx, job, *task, self.no, &error);
            }
        }
    }

    /// Sends what the worker lacks of a job's operations and options.
    fn tables(&mut self, no: JobNo, job: &Job) {
        let (mut ops, mut options) = self.cx.workers[self.no]
            .tables
            .get(&no)
            .copied()
            .unwrap_or_default();
        let graph = &job.graph;
        while usize::from(ops) < graph.ops.len() || usize::from(options) < graph.options.len() {
            let mut bytes = 0;
            let fitting = graph.ops[usize::from(ops)..]
                .iter()
                .take_while(|op| {
                    let fits = bytes == 0 || bytes + op.params.len() < OPS_BYTES;
                    bytes += 64 + op.params.len() + op.name.len();
                    fits
                })
                .count();
            let msg = OpsMsg {
                job: job.id,
                first_op: ops,
                ops: graph.ops[usize::from(ops)..usize::from(ops) + fitting].to_vec(),
                first_options: options,
                options: graph.options[usize::from(options)..].to_vec(),
                label: job.meta.name.clone(),
            };
            self.push(&ToWorker::Ops(msg));
            ops += fitting as u16;
            options = graph.options.len() as u16;
        }
        let worker = &mut self.cx.workers[self.no];
        worker.tables.insert(no, (ops, options));
        worker.jobs.insert(no);
    }
}

/// A task whose assignment is larger than any message may be cannot run anywhere.
fn fail_unsendable(cx: &mut Shared, job: &mut Job, task: u32, worker: WorkerNo, error: &PushError) {
    if job.cols.state(task) != TaskState::Assigned || job.cols.worker(task) != Some(worker) {
        return;
    }
    job.unbind(cx, task);
    if job.ending.is_some() {
        job.transition(cx, task, TaskState::Cancelled);
        return;
    }
    let message = format!(
        "task `{}` cannot be sent to a worker: {error}; give it fewer inputs (combine them in a tree) or smaller \
         parameters",
        job.key_of(task)
    );
    job.fail_with(cx, task, TaskError::new(ErrorKind::BadInput, message));
}
