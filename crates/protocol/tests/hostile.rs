//! Whatever arrives, reading it ends in a value or a typed error.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod samples;

use millstream_protocol::codec::{self, DecodeError, MAX_FRAME_BYTES, PROTOCOL_VERSION};
use millstream_protocol::envelope::{self, Header};
use millstream_protocol::graph::{Graph, GraphExtension, GraphLimits};
use millstream_protocol::wire::{Datagram, FromWorker, ToWorker};
use millstream_types::{ClusterName, SessionNo, TaskIdx, Term};
use proptest::prelude::*;
use uuid::Uuid;

fn cluster() -> ClusterName {
    ClusterName::default()
}

fn frame() -> Vec<u8> {
    let header = Header {
        cluster: cluster(),
        sender: Uuid::from_u128(7),
        term: Term(2),
        session: SessionNo(3),
        seq: 4,
        ack: 5,
    };
    let items: Vec<_> = samples::from_worker().into_iter().map(|(_, item)| item).collect();
    envelope::encode_batch(&header, &items).unwrap().to_vec()
}

/// Reads a frame as everything it might be, and a graph through its checks.
fn read(bytes: &[u8]) {
    let _ = envelope::decode_batch::<FromWorker>(&cluster(), bytes);
    let _ = envelope::decode_batch::<ToWorker>(&cluster(), bytes);
    let _ = envelope::decode_batch::<Datagram>(&cluster(), bytes);
    if let Ok(graph) = codec::decode::<Graph>(bytes) {
        use_graph(&graph);
    }
    if let Ok(extension) = codec::decode::<GraphExtension>(bytes) {
        let _ = extension.rebase(&samples::graph(), TaskIdx(0), &small());
    }
}

fn small() -> GraphLimits {
    GraphLimits {
        tasks: 10_000,
        deps: 100_000,
    }
}

fn use_graph(graph: &Graph) {
    if graph.validate(&small()).is_err() {
        return;
    }
    for task in 0..graph.task_count() {
        let task = TaskIdx(task);
        assert!(graph.op_of(task).is_some() && graph.options_of(task).is_some());
        graph.for_each_dep(task, |dep| assert!(dep.task.0 < graph.task_count()));
        let _ = graph.params_of(task);
        let _ = graph.key_of(task);
    }
}

#[test]
fn every_cut_of_a_frame_is_a_typed_error_or_a_shorter_batch() {
    let frame = frame();
    let whole = envelope::decode_batch::<FromWorker>(&cluster(), &frame)
        .unwrap()
        .items
        .len();
    for cut in 0..frame.len() {
        match envelope::decode_batch::<FromWorker>(&cluster(), &frame[..cut]) {
            // A cut between two items cannot be told from a shorter batch; the broker delivers frames whole.
            Ok(batch) => assert!(batch.items.len() < whole),
            Err(DecodeError::Truncated | DecodeError::Malformed { .. }) => {}
            Err(other) => panic!("cut at {cut}: {other}"),
        }
    }
}

#[test]
fn another_version_is_refused_before_anything_is_read() {
    let mut frame = frame();
    frame[0] = PROTOCOL_VERSION + 1;
    let error = envelope::decode_batch::<FromWorker>(&cluster(), &frame).unwrap_err();
    assert_eq!(
        error,
        DecodeError::Version {
            got: PROTOCOL_VERSION + 1
        }
    );
}

#[test]
fn another_cluster_is_refused_by_name() {
    let other: ClusterName = "other".parse().unwrap();
    let error = envelope::decode_batch::<FromWorker>(&other, &frame()).unwrap_err();
    assert_eq!(error.code(), "wrong_cluster");
}

#[test]
fn an_oversized_frame_is_refused() {
    let error = envelope::decode_batch::<FromWorker>(&cluster(), &vec![1; MAX_FRAME_BYTES + 1]).unwrap_err();
    assert_eq!(error.code(), "oversized");
}

#[test]
fn deep_nesting_is_refused_without_a_stack_overflow() {
    let mut bytes = vec![0x91; 1 << 20];
    bytes.push(0xc0);
    assert!(codec::decode::<rmpv::Value>(&bytes).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn noise_is_read_to_an_error(bytes: Vec<u8>) {
        read(&bytes);
    }

    #[test]
    fn a_damaged_frame_never_panics(at in any::<prop::sample::Index>(), value: u8) {
        let mut frame = frame();
        let at = at.index(frame.len());
        frame[at] = value;
        read(&frame);
    }

    #[test]
    fn a_damaged_graph_is_refused_or_whole(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = codec::encode(&samples::graph()).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read(&bytes);
    }
}
