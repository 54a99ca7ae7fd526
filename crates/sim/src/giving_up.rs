//! What simulated clients give up of their jobs: outputs that they have read, and tasks that they cancel.

use std::collections::BTreeSet;

use millstream_protocol::columns::U32s;
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::GatewayRequest;
use millstream_types::{JobId, TaskIdx};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::SimConfig;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct GivingUp {
    /// Whether it releases outputs that it has read.
    releases: bool,
    /// When it cancels tasks; none once that was answered.
    cancel_at: Option<u64>,
    /// The tasks that it cancels.
    cancels: Vec<TaskIdx>,
    /// Those, and all that read them.
    doomed: BTreeSet<TaskIdx>,
    /// Outputs whose release was answered.
    released: BTreeSet<TaskIdx>,
    /// Those that were released of an earlier life of the job: a store that was rolled back may bring that back.
    released_before: BTreeSet<TaskIdx>,
    /// Outputs that it was told not to wait for.
    gone: BTreeSet<TaskIdx>,
}

impl GivingUp {
    /// What a client of this job will do, if clients do such things.
    pub(crate) fn of(rng: &mut ChaCha8Rng, config: &SimConfig, graph: &Graph, now: u64) -> Self {
        let mut plan = Self::default();
        if !config.gives_up {
            return plan;
        }
        plan.releases = rng.random_bool(0.4);
        if rng.random_bool(0.25) {
            let span = config.fault_ms.max(1_000) * 500;
            plan.cancel_at = Some(now + 100_000 + rng.random_range(0..span));
            for _ in 0..rng.random_range(1..4) {
                plan.cancels
                    .push(TaskIdx(rng.random_range(0..graph.task_count())));
            }
            plan.doomed = readers_of(graph, &plan.cancels);
        }
        plan
    }

    /// Whether it cancels some of its tasks.
    pub(crate) const fn cancels(&self) -> bool {
        !self.cancels.is_empty()
    }

    /// The cancel that is due, if one is.
    pub(crate) fn due(&self, job: JobId, now: u64) -> Option<GatewayRequest> {
        self.cancel_at.filter(|at| *at <= now)?;
        Some(GatewayRequest::CancelTasks {
            job,
            tasks: numbers(self.cancels.iter()),
        })
    }

    /// The release of what was read and is not released yet, if there is any.
    pub(crate) fn release<'a>(
        &self,
        job: JobId,
        read: impl Iterator<Item = &'a TaskIdx>,
    ) -> Option<GatewayRequest> {
        let tasks = numbers(read.filter(|task| !self.released.contains(task)));
        (self.releases && !tasks.is_empty()).then_some(GatewayRequest::ReleaseTasks { job, tasks })
    }

    /// A request of this client was answered.
    pub(crate) fn answered(&mut self, request: &GatewayRequest) {
        match request {
            GatewayRequest::CancelTasks { .. } => self.cancel_at = None,
            GatewayRequest::ReleaseTasks { tasks, .. } => {
                self.released.extend(tasks.iter().map(|task| TaskIdx(*task)));
            }
            _ => {}
        }
    }

    /// The client is told that an output was cancelled or released. Tells whether that may be.
    pub(crate) fn miss(&mut self, task: TaskIdx) -> bool {
        let given_up = [&self.doomed, &self.released, &self.released_before];
        let may_be = given_up.iter().any(|tasks| tasks.contains(&task));
        if may_be {
            self.gone.insert(task);
        }
        may_be
    }

    /// Whether the client was told not to wait for an output.
    pub(crate) fn misses(&self, task: TaskIdx) -> bool {
        self.gone.contains(&task)
    }

    /// The job is submitted again, after all of it was lost.
    pub(crate) fn begin_again(&mut self) {
        self.released_before.append(&mut self.released);
        self.gone.clear();
    }
}

fn numbers<'a>(tasks: impl Iterator<Item = &'a TaskIdx>) -> U32s {
    U32s(tasks.map(|task| task.0).collect())
}

/// These tasks and everything that reads them.
fn readers_of(graph: &Graph, tasks: &[TaskIdx]) -> BTreeSet<TaskIdx> {
    let mut found: BTreeSet<TaskIdx> = tasks.iter().copied().collect();
    // Each round goes one edge further.
    loop {
        let before = found.len();
        for task in (0..graph.task_count()).map(TaskIdx) {
            if graph.deps(task).iter().any(|dep| found.contains(&dep.task)) {
                found.insert(task);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}
