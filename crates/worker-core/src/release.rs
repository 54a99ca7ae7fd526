//! How tasks and objects leave this worker: given back, failed, done, let go. Used by every handler.

use millstream_protocol::TaskError;
use millstream_protocol::wire::{FailedMsg, FromWorker, GoneInput, GoneMsg, ReturnOutcome};
use millstream_types::{Attempt, ByteSize, TaskIdx};

use crate::fetch::drop_effect;
use crate::graph::{Body, NodeRef, NodeState, Stop};
use crate::{TaskRun, WorkerCore, WorkerEffect};

impl WorkerCore {
    /// Gives a queued task back to the leader, with all queued tasks that wait for it.
    pub(crate) fn give_back(&mut self, at: NodeRef) {
        self.report_returned(at, ReturnOutcome::Returned);
        self.drop_with_descendants(at);
    }

    /// Gives back a queued task some of whose inputs cannot be had.
    pub(crate) fn give_back_gone(&mut self, at: NodeRef, inputs: Vec<GoneInput>) {
        let run = self.graph.run_of(at);
        self.report_gone(run, inputs);
        self.drop_with_descendants(at);
    }

    /// Fails a task that has a node here, queued or ended.
    pub(crate) fn fail(&mut self, at: NodeRef, error: TaskError, duration_us: u32) {
        let run = self.graph.run_of(at);
        self.report_failed(run, error, duration_us);
        self.drop_with_descendants(at);
    }

    /// Removes a task that makes no output here, and gives back what waits for it.
    pub(crate) fn drop_with_descendants(&mut self, at: NodeRef) {
        let family = self.graph.descendants(at);
        for member in &family {
            self.report_returned(*member, ReturnOutcome::Returned);
        }
        self.drop_all(at, &family);
    }

    /// Gives back what waits for a task that itself stays.
    pub(crate) fn give_back_descendants(&mut self, at: NodeRef) {
        let family = self.graph.descendants(at);
        for member in &family {
            self.report_returned(*member, ReturnOutcome::Returned);
        }
        family.iter().for_each(|member| self.detach(*member));
        family.iter().for_each(|member| self.graph.remove(*member));
    }

    /// Removes tasks that read each other: first the reading ends, then the nodes go.
    fn drop_all(&mut self, at: NodeRef, family: &[NodeRef]) {
        let all = || family.iter().chain(std::iter::once(&at)).copied();
        all().for_each(|member| self.detach(member));
        all().for_each(|member| self.graph.remove(member));
    }

    /// Ends a task's reading of its inputs. Copies that nobody else reads go to the cache, or away.
    pub(crate) fn detach(&mut self, at: NodeRef) {
        let reader = self.graph.node(at).job;
        let (inputs, priority) = match &mut self.graph.node_mut(at).body {
            Body::Task(work) => (std::mem::take(&mut work.inputs), work.priority),
            _ => return,
        };
        // A task that is ready may still want copies: other tasks had them copied.
        self.fetches.unwant(priority, at);
        let cache_limit = self.cache_limit();
        for input in inputs {
            self.graph.unjoin(at, input.node);
            let node = self.graph.node(input.node);
            if node.pins > 0 {
                continue;
            }
            match (&node.body, node.state()) {
                (_, NodeState::Leaving) => self.graph.remove(input.node),
                (Body::Copy(_), _) => {
                    self.fetches
                        .unread(&mut self.graph, input.node, reader, cache_limit, &mut self.out);
                }
                _ => {}
            }
        }
    }

    /// A run ended with an output: it is stored, and what waited for it goes on.
    pub(crate) fn store_output(&mut self, at: NodeRef, bytes: ByteSize) {
        self.detach(at);
        self.graph.transition(at, NodeState::Stored);
        let node = self.graph.node_mut(at);
        node.body = Body::Output;
        node.bytes = bytes.as_u64();
        self.wake_waiters(at, true);
    }

    /// An object is stored: tasks that waited for it wait for one input less.
    pub(crate) fn wake_waiters(&mut self, at: NodeRef, was_made_here: bool) {
        for waiter in std::mem::take(&mut self.graph.node_mut(at).waiters) {
            self.graph.input_stored(waiter, was_made_here);
        }
    }

    /// Lets a stored object go. Queued tasks that would read it are given back; running ones keep what they have.
    pub(crate) fn let_go(&mut self, at: NodeRef, is_in_store: bool) {
        if is_in_store {
            self.out.push(drop_effect(&self.graph, at));
        }
        if self.graph.node(at).pins == 0 {
            self.graph.remove(at);
            return;
        }
        // It goes with its last reader.
        self.graph.transition(at, NodeState::Leaving);
        let attempt = self.graph.node(at).attempt;
        for reader in self.graph.queued_readers(at) {
            // An earlier one may have taken a later one along.
            if self.graph.node(reader).is_queued() {
                let input = GoneInput {
                    task: TaskIdx(self.graph.name_of(reader, at)),
                    attempt,
                    gone_at: vec![self.info.worker],
                    unreachable: Vec::new(),
                };
                self.give_back_gone(reader, vec![input]);
            }
        }
    }

    /// Tells a started task to stop. It stays until its executor says that it ended.
    pub(crate) fn stop(&mut self, at: NodeRef, why: Stop) {
        let stop = Some(why);
        let to = match self.graph.node(at).state() {
            NodeState::Running {
                since,
                reported,
                waits,
                ..
            } => NodeState::Running {
                since,
                reported,
                waits,
                stop,
            },
            NodeState::Behind { .. } => NodeState::Behind { stop },
            _ => return,
        };
        if self.graph.node(at).stop().is_none() {
            self.out.push(WorkerEffect::KillTask(self.graph.run_of(at)));
        }
        self.graph.transition(at, to);
    }

    /// Reports a failure.
    pub(crate) fn report_failed(&mut self, run: TaskRun, mut error: TaskError, duration_us: u32) {
        error.host.get_or_insert_with(|| self.info.host.clone());
        self.reports.push(FromWorker::Failed(FailedMsg {
            job: run.job,
            task: run.task,
            attempt: run.attempt,
            duration_us,
            error,
        }));
    }

    /// Reports inputs that cannot be had, which gives the task back.
    pub(crate) fn report_gone(&mut self, run: TaskRun, inputs: Vec<GoneInput>) {
        self.reports.push(FromWorker::Gone(GoneMsg {
            job: run.job,
            task: run.task,
            attempt: run.attempt,
            inputs,
        }));
    }

    /// Answers for one task.
    pub(crate) fn report_returned(&mut self, at: NodeRef, outcome: ReturnOutcome) {
        let TaskRun { job, task, attempt } = self.graph.run_of(at);
        self.reports.returned(job, task, Some(attempt), outcome);
    }

    /// The newest generation of a task's output that is stored here.
    pub(crate) fn stored_attempt(&self, job: crate::graph::JobRef, task: u32) -> Option<Attempt> {
        let nodes = self.graph.nodes_of(job, task).map(|at| self.graph.node(at));
        nodes
            .filter(|node| node.is_output())
            .map(|node| node.attempt)
            .max()
    }
}
