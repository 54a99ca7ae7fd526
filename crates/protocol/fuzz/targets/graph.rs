//! Any bytes read as a graph or as an extension of one: what passes the checks can be walked without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_protocol::codec;
use millstream_protocol::graph::{Graph, GraphBuilder, GraphExtension, GraphLimits, OpSpec, TaskOptions};
use millstream_types::TaskIdx;

const LIMITS: GraphLimits = GraphLimits {
    tasks: 10_000,
    deps: 100_000,
};

fn walk(graph: &Graph) {
    for task in (0..graph.task_count()).map(TaskIdx) {
        assert!(graph.op_of(task).is_some() && graph.options_of(task).is_some());
        graph.for_each_dep(task, |dep| assert!(dep.task.0 < graph.task_count()));
        let _ = graph.params_of(task);
        let _ = graph.key_of(task);
    }
}

/// A graph of one task, to be extended.
fn host() -> Graph {
    let mut builder = GraphBuilder::new();
    let op = builder.op(OpSpec::native("f"));
    let options = builder.options(TaskOptions::default());
    let task = builder.named_task("a", op, options, &[], &[]);
    builder.want(task);
    builder.finish()
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(graph) = codec::decode::<Graph>(bytes)
        && graph.validate(&LIMITS).is_ok()
    {
        walk(&graph);
    }
    if let Ok(extension) = codec::decode::<GraphExtension>(bytes) {
        let _ = extension.rebase(&host(), TaskIdx(0), &LIMITS);
    }
});
