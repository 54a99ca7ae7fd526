//! How many tasks a query's stages have: the cluster's slots, which the gateway can ask for and a planning task cannot.

use std::sync::Arc;
use std::time::Duration;

use millstream_protocol::api::SqlRequest;
use millstream_protocol::codec;
use millstream_protocol::graph::{Graph, OpKind, OpSpec};

use super::build::PLAN;
use super::submit::Submission;
use crate::context::Context;

/// A query must not wait for a leader only to be told how wide the cluster is: its planner then takes its own slots.
const PATIENCE: Duration = Duration::from_millis(500);

/// States of workers that are there while a query runs, as `/v1/workers` names them.
const STAYING: [&str; 2] = ["active", "paused"];

/// Gives the queries of a job that do not say into how many partitions they are cut one for each slot of the cluster.
pub(super) async fn over_cluster(gateway: &Context, submission: &mut Submission) {
    if !submission.graph.ops.iter().any(is_plan) {
        return;
    }
    let Ok(Ok(workers)) = tokio::time::timeout(PATIENCE, gateway.workers()).await else {
        return;
    };
    let stay = workers
        .iter()
        .filter(|worker| STAYING.contains(&worker.state.as_str()));
    let slots: u32 = stay.map(|worker| worker.slots).sum();
    let mut graph = Graph::clone(&submission.graph);
    for op in graph.ops.iter_mut().filter(|op| is_plan(op)) {
        set_partitions(op, slots.max(1));
    }
    if let Ok(encoded) = codec::encode(&graph) {
        submission.graph = Arc::new(graph);
        submission.encoded = encoded.into();
    }
}

fn is_plan(op: &OpSpec) -> bool {
    op.kind == OpKind::Frame && op.name == PLAN
}

/// What cannot be read stays as it is: the planner says what is wrong with it.
fn set_partitions(op: &mut OpSpec, slots: u32) {
    let Ok(mut query) = codec::decode::<SqlRequest>(&op.params) else {
        return;
    };
    query.options.partitions.get_or_insert(slots);
    if let Ok(params) = codec::encode_named(&query) {
        op.params = params.into();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn partitions_after(query: &str) -> Option<u32> {
        let mut op = OpSpec {
            kind: OpKind::Frame,
            ..OpSpec::native(PLAN)
        };
        let asked: SqlRequest = serde_json::from_str(query).unwrap();
        op.params = codec::encode_named(&asked).unwrap().into();
        assert!(is_plan(&op));
        set_partitions(&mut op, 12);
        codec::decode::<SqlRequest>(&op.params)
            .unwrap()
            .options
            .partitions
    }

    #[test]
    fn a_query_takes_the_whole_cluster_unless_it_says_otherwise() {
        assert_eq!(partitions_after(r#"{"query": "SELECT 1"}"#), Some(12));
        assert_eq!(
            partitions_after(r#"{"query": "SELECT 1", "options": {"partitions": 3}}"#),
            Some(3)
        );
    }
}
