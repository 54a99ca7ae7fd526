//! How far a job is, layer by layer.

use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_types::*;

use crate::bench::Bench;

/// Four maps that one task sums up.
fn map_and_sum() -> Graph {
    let mut graph = GraphBuilder::new();
    let map = graph.op(OpSpec::native("map"));
    let sum = graph.op(OpSpec::native("sum"));
    let options = graph.options(TaskOptions::default());
    let inputs: Vec<TaskIdx> = (0..4).map(|_| graph.task(map, options, b"", &[])).collect();
    let deps: Vec<Dep> = inputs.into_iter().map(Dep::whole).collect();
    let root = graph.task(sum, options, b"", &deps);
    graph.want(root);
    graph.finish()
}

fn layers(bench: &mut Bench, job: JobId) -> LayersAnswer {
    match bench.ask(GatewayRequest::Layers { job }) {
        Ok(Response::Layers(answer)) => *answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_operation_of_a_layer_is_counted_and_its_held_bytes_told() {
    let mut bench = Bench::with_workers(&[4]);
    let job = bench.submit(&map_and_sum());
    bench.workers[0].finish(job, &[0, 1], 100, 40);
    bench.deliver_from(0);
    bench.step();
    let answer = layers(&mut bench, job);
    let rows: Vec<_> = answer
        .layers
        .iter()
        .map(|row| {
            (
                row.op.as_str(),
                row.first.0,
                row.counts.total,
                row.counts.stored,
                row.held.as_u64(),
            )
        })
        .collect();
    assert_eq!(rows, [("native map", 0, 4, 2, 200), ("native sum", 4, 1, 0, 0)]);
    assert_eq!(answer.layers[0].cost_us, 45, "run time and overhead");
    let largest: Vec<_> = answer
        .largest
        .iter()
        .map(|held| (held.task.0, held.readers, held.is_wanted))
        .collect();
    assert_eq!(largest, [(0, 1, false), (1, 1, false)]);
}

#[test]
fn layers_of_an_unknown_job_are_refused() {
    let mut bench = Bench::with_workers(&[1]);
    let job = JobId::from_u128(9);
    let refused = bench.ask(GatewayRequest::Layers { job });
    assert_eq!(refused, Err(RequestError::UnknownJob(job)));
}
