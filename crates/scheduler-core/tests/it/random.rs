//! Any graph on any workers: everything runs once, everything is freed. And with losses, and outputs that are given up:
//! the same outcome.

use std::collections::BTreeSet;

use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_types::*;
use proptest::prelude::*;

use crate::bench::{Bench, dice};
use crate::single::{cancel, release};

/// Explicit tasks that read earlier ones, a map, and a tree over it.
fn graphs() -> impl Strategy<Value = (Graph, u32)> {
    let deps = prop::collection::vec(any::<u32>(), 0..4);
    let tasks = prop::collection::vec((deps, any::<bool>()), 1..40);
    (tasks, 0..20_u32, any::<bool>()).prop_map(|(tasks, width, random)| {
        let mut graph = GraphBuilder::new();
        let f = graph.op(if random { dice() } else { OpSpec::native("f") });
        let options = graph.options(TaskOptions::default());
        let mut count = 0;
        for (deps, wanted) in tasks {
            let deps: Vec<Dep> = deps
                .into_iter()
                .filter(|_| count > 0)
                .map(|dep| Dep::whole(TaskIdx(dep % count)))
                .collect();
            let task = graph.task(f, options, b"", &deps);
            if wanted {
                graph.want(task);
            }
            count += 1;
        }
        if width > 0 {
            let broadcast = BlockInput::Broadcast(TaskIdx(count - 1));
            let map = graph.blockwise(width, f, options, vec![broadcast]);
            let aligned = graph.blockwise(width, f, options, vec![BlockInput::Aligned(map)]);
            let tree = graph.tree_reduce(aligned, 3, f, options);
            graph.want(tree.at(tree.count - 1));
            count += 2 * width + tree.count;
        }
        (graph.finish(), count)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_task_runs_once_and_every_object_is_freed(
        (graph, count) in graphs(),
        slots in prop::collection::vec(1..4_u32, 1..4),
    ) {
        let mut bench = Bench::with_workers(&slots);
        let job = bench.submit(&graph);
        bench.run();
        prop_assert_eq!(bench.state(job), JobState::Succeeded);
        let executed: Vec<u32> = bench
            .workers
            .iter()
            .flat_map(|worker| worker.executed.iter().map(|(_, task)| *task))
            .collect();
        prop_assert_eq!(executed.len(), count as usize);
        prop_assert_eq!(executed.iter().copied().collect::<BTreeSet<_>>().len(), count as usize);
        let wanted: BTreeSet<u32> = graph.outputs.iter().copied().collect();
        let held: BTreeSet<u32> = bench
            .workers
            .iter()
            .flat_map(|worker| worker.objects.keys().map(|(_, task)| *task))
            .collect();
        prop_assert_eq!(held, wanted);
        bench.ask(GatewayRequest::Remove { job }).unwrap();
        bench.nothing_left();
    }

    #[test]
    fn neither_losses_nor_what_the_client_gives_up_change_the_outcome(
        (graph, count) in graphs(),
        faults in prop::collection::vec((any::<u8>(), 0..3_usize, any::<u32>()), 1..12),
    ) {
        let mut bench = Bench::with_workers(&[1, 2, 1]);
        bench.has_faults = true;
        for worker in &mut bench.workers {
            worker.strict = false;
        }
        let job = bench.submit(&graph);
        for (fault, at, pick) in faults {
            match fault % 6 {
                0 => bench.connect(at),
                1 => lose_object(&mut bench, job, at, pick),
                2 => {
                    release(&mut bench, job, &[pick % count]);
                }
                3 => {
                    cancel(&mut bench, job, &[pick % count]);
                }
                4 => {
                    bench.workers[at].tasks.clear();
                    bench.workers[at].objects.clear();
                    bench.connect(at);
                }
                _ => {
                    // The worker does half of what it can, and its reports are lost with the session.
                    for (job, tasks) in bench.runnable(at) {
                        let half = tasks.len().div_ceil(2);
                        bench.workers[at].finish(job, &tasks[..half], 1, 10);
                    }
                    drop(bench.workers[at].frames());
                    bench.connect(at);
                }
            }
            if let Some(tasks) = bench.runnable(at).get(&job) {
                let first = tasks[..1].to_vec();
                bench.finish(at, job, &first);
            }
        }
        bench.run();
        prop_assert_eq!(bench.state(job), JobState::Succeeded);
        bench.ask(GatewayRequest::Remove { job }).unwrap();
        bench.nothing_left();
    }
}

fn lose_object(bench: &mut Bench, job: JobId, at: usize, pick: u32) {
    let objects: Vec<(u32, Attempt, u64)> = bench.workers[at]
        .objects
        .iter()
        .map(|((_, task), (attempt, bytes))| (*task, *attempt, *bytes))
        .collect();
    if objects.is_empty() {
        return;
    }
    let (task, attempt, bytes) = objects[pick as usize % objects.len()];
    bench.workers[at].objects.remove(&(job, task));
    bench.workers[at].say(FromWorker::Lost(crate::bench::objects(job, task, attempt, bytes)));
    bench.deliver_from(at);
    bench.step();
}
