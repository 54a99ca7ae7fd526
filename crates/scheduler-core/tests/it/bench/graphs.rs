//! Small graphs that many tests run.

use millstream_protocol::graph::*;

/// `count` wanted tasks without inputs.
pub(crate) fn map(count: u32) -> Graph {
    map_of(count, TaskOptions::default())
}

/// `count` wanted tasks without inputs, with options.
pub(crate) fn map_of(count: u32, options: TaskOptions) -> Graph {
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(options);
    let range = graph.blockwise(count, op, options, vec![]);
    for i in 0..count {
        graph.want(range.at(i));
    }
    graph.finish()
}

/// Tasks in a row, the last one wanted.
pub(crate) fn chain(count: u32) -> Graph {
    chain_of(count, &OpSpec::native("f"))
}

/// Tasks of one operation in a row, the last one wanted.
pub(crate) fn chain_of(count: u32, op: &OpSpec) -> Graph {
    let mut graph = GraphBuilder::new();
    let op = graph.op(op.clone());
    let options = graph.options(TaskOptions::default());
    let mut last = graph.task(op, options, b"", &[]);
    for _ in 1..count {
        last = graph.task(op, options, b"", &[Dep::whole(last)]);
    }
    graph.want(last);
    graph.finish()
}

/// An operation that may give another output when it runs again.
pub(crate) fn dice() -> OpSpec {
    OpSpec {
        determinate: false,
        ..OpSpec::native("dice")
    }
}
