//! Whatever a leader, peers and executors say, in any order: the core holds its invariants and ends idle.

use millstream_protocol::columns::{U32s, U64s};
use millstream_protocol::wire::{ReplicateMsg, ToWorker};
use millstream_types::{ByteSize, TaskIdx};
use millstream_worker_core::{FetchOutcome, MemoryLevel, TaskRun, WorkerEffect, WorkerEvent};
use proptest::prelude::*;

use super::rig::{JOB, Rig, assign, attempt, remote, row};

#[derive(Debug, Clone)]
enum Action {
    Assign {
        task: u32,
        n: u32,
        deps: Vec<(u32, u32, bool)>,
    },
    Retract(u32),
    Cancel(u32),
    Free {
        task: u32,
        n: u32,
    },
    Replicate {
        task: u32,
        n: u32,
    },
    End {
        which: usize,
        how: u8,
    },
    EndFetch {
        which: usize,
        how: u8,
    },
    Memory {
        paused: bool,
        spillable: bool,
    },
    Lost {
        task: u32,
        n: u32,
    },
    Forget,
    Pass(u64),
    Hello(u32),
}

fn action() -> impl Strategy<Value = Action> {
    let dep = (0..8_u32, 1..3_u32, any::<bool>());
    prop_oneof![
        8 => (0..12_u32, 1..3_u32, prop::collection::vec(dep, 0..4))
            .prop_map(|(task, n, deps)| Action::Assign { task, n, deps }),
        2 => (0..12_u32).prop_map(Action::Retract),
        2 => (0..12_u32).prop_map(Action::Cancel),
        3 => (0..12_u32, 1..3_u32).prop_map(|(task, n)| Action::Free { task, n }),
        1 => (0..12_u32, 1..3_u32).prop_map(|(task, n)| Action::Replicate { task, n }),
        8 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Action::End { which, how }),
        5 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Action::EndFetch { which, how }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(paused, spillable)| Action::Memory { paused, spillable }),
        1 => (0..12_u32, 1..3_u32).prop_map(|(task, n)| Action::Lost { task, n }),
        1 => Just(Action::Forget),
        2 => (0..2_000_u64).prop_map(Action::Pass),
        1 => (1..3_u32).prop_map(Action::Hello),
    ]
}

/// What the shell has not answered yet.
#[derive(Default)]
struct Open {
    runs: Vec<TaskRun>,
    recalled: Vec<TaskRun>,
    fetches: Vec<(millstream_worker_core::FetchId, usize)>,
}

impl Open {
    fn step(&mut self, rig: &mut Rig) {
        for effect in rig.step().effects {
            match effect {
                WorkerEffect::StartTask(start) => self.runs.push(start.run),
                WorkerEffect::Recall(run) => self.recalled.push(run),
                WorkerEffect::Fetch(fetch) => self.fetches.push((fetch.id, fetch.objects.len())),
                _ => {}
            }
        }
    }

    fn end(&mut self, rig: &mut Rig, which: usize, how: u8) {
        if self.runs.is_empty() {
            return;
        }
        let run = self.runs.swap_remove(which % self.runs.len());
        let may_not_start = self.recalled.contains(&run);
        self.recalled.retain(|recalled| *recalled != run);
        match how % 4 {
            _ if may_not_start && how % 8 < 6 => rig.apply(WorkerEvent::NotStarted { run }),
            0 => rig.fail(run.task.0, run.attempt.n),
            1 => rig.apply(WorkerEvent::TaskExtended {
                run,
                output: None,
                extension: Box::default(),
                duration_us: 1,
                log: None,
            }),
            _ => rig.finish(run.task.0, run.attempt.n),
        }
    }

    fn end_fetch(&mut self, rig: &mut Rig, which: usize, how: u8) {
        if self.fetches.is_empty() {
            return;
        }
        let (id, count) = self.fetches.swap_remove(which % self.fetches.len());
        let outcome = |i: usize| match (usize::from(how) + i) % 5 {
            0 => FetchOutcome::Gone,
            1 => FetchOutcome::Unreachable,
            _ => FetchOutcome::Fetched {
                bytes: ByteSize::new(u64::from(how)),
            },
        };
        rig.apply(WorkerEvent::FetchEnded {
            id,
            outcomes: (0..count).map(outcome).collect(),
        });
    }
}

fn act(rig: &mut Rig, open: &mut Open, action: Action) {
    match action {
        Action::Assign { task, n, deps } => {
            let mut row = row(task, &[]);
            row.n = n;
            row.deps = deps
                .into_iter()
                .filter(|(dep, _, _)| *dep < task)
                .map(|(dep, n, held)| remote(dep, n, if held { &[0, 1] } else { &[] }, u64::from(dep) * 20))
                .collect();
            rig.tell(&[assign(&[row])]);
        }
        Action::Retract(task) => rig.tell(&[ToWorker::Retract {
            job: JOB,
            tasks: U32s(vec![task]),
        }]),
        Action::Cancel(task) => rig.tell(&[ToWorker::Cancel {
            job: JOB,
            tasks: U32s(vec![task]),
        }]),
        Action::Free { task, n } => rig.tell(&[ToWorker::Free {
            job: JOB,
            tasks: U32s(vec![task]),
            attempts: U64s(vec![attempt(n).packed()]),
        }]),
        Action::Replicate { task, n } => rig.tell(&[ToWorker::Replicate(ReplicateMsg {
            job: JOB,
            task: TaskIdx(task),
            attempt: attempt(n),
            bytes: ByteSize::new(30),
            holders: U32s(vec![0, 1]),
        })]),
        Action::End { which, how } => open.end(rig, which, how),
        Action::EndFetch { which, how } => open.end_fetch(rig, which, how),
        Action::Memory { paused, spillable } => {
            let level = if paused {
                MemoryLevel::Pause
            } else {
                MemoryLevel::Normal
            };
            rig.memory(level, u64::from(spillable));
        }
        Action::Lost { task, n } => rig.apply(WorkerEvent::ObjectLost {
            object: super::rig::object(task),
            attempt: attempt(n),
            part: None,
        }),
        Action::Forget => {
            rig.tell(&[ToWorker::ForgetJob { job: JOB }]);
            rig.tell(&[super::rig::ops(vec![Default::default()])]);
        }
        Action::Pass(ms) => rig.pass(std::time::Duration::from_millis(ms)),
        Action::Hello(term) => rig.apply(WorkerEvent::Hello(super::rig::hello(term.max(2)))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_conversation_leaves_nothing_behind(
        actions in prop::collection::vec(action(), 1..120),
        lane_us in prop::sample::select(vec![0_u64, 10, 100]),
    ) {
        let mut rig = Rig::with_lanes(2, std::time::Duration::from_micros(lane_us));
        let mut open = Open::default();
        for action in actions {
            act(&mut rig, &mut open, action);
            open.step(&mut rig);
        }
        rig.memory(MemoryLevel::Normal, 0);
        rig.tell(&[ToWorker::ForgetJob { job: JOB }]);
        open.step(&mut rig);
        while !open.runs.is_empty() || !open.fetches.is_empty() {
            open.end(&mut rig, 0, 2);
            open.end_fetch(&mut rig, 0, 2);
            open.step(&mut rig);
        }
        let stats = rig.core.stats();
        prop_assert_eq!((stats.queued, stats.executing, stats.objects, stats.copies), (0, 0, 0, 0));
    }
}
