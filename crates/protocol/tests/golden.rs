//! Golden files: the bytes of every message, so that no change of the wire goes unnoticed.
//!
//! A changed file means that old and new processes cannot talk. Then either make the change compatible, or raise
//! `PROTOCOL_VERSION` and write the files anew with `MILLSTREAM_BLESS=1`. That every variant has a file is seen to by
//! `src/wire/coverage.rs`.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod samples;

use std::fmt::Debug;
use std::fmt::Write as _;
use std::path::PathBuf;

use millstream_protocol::codec;
use millstream_protocol::envelope::{self, Header};
use millstream_protocol::graph::GraphExtension;
use millstream_protocol::wire::{ClientSession, ExtensionRecord, JobAnswer, LiveMsg};
use millstream_types::{ClusterName, SessionNo, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// 32 bytes a line, so that a diff shows where a message changed.
fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn check_bytes(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.hex"));
    if std::env::var_os("MILLSTREAM_BLESS").is_some() {
        std::fs::write(&path, to_hex(bytes)).unwrap();
    }
    let golden = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; write it with MILLSTREAM_BLESS=1", path.display()));
    assert_eq!(to_hex(bytes), golden, "the bytes of `{name}` changed");
    from_hex(&golden)
}

/// Of a record that the journal keeps, with field names.
fn check_record<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, sample: &T) {
    let golden = check_bytes(name, &codec::encode_named(sample).unwrap());
    assert_eq!(codec::decode::<T>(&golden).unwrap(), *sample);
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, sample: &T) {
    let golden = check_bytes(name, &codec::encode(sample).unwrap());
    assert_eq!(
        codec::decode::<T>(&golden).unwrap(),
        *sample,
        "`{name}` is read as something else"
    );
}

#[test]
fn messages_to_workers_keep_their_bytes() {
    for (name, sample) in samples::to_worker() {
        check(&format!("to_worker_{name}"), &sample);
    }
}

#[test]
fn messages_from_workers_keep_their_bytes() {
    for (name, sample) in samples::from_worker() {
        check(&format!("from_worker_{name}"), &sample);
    }
}

#[test]
fn datagrams_keep_their_bytes() {
    for (name, sample) in samples::datagrams() {
        check(&format!("datagram_{name}"), &sample);
    }
}

#[test]
fn intake_and_live_messages_keep_their_bytes() {
    check("intake_submit", &samples::intake());
    for (name, sample) in samples::live::live() {
        check(&format!("live_{name}"), &sample);
    }
}

#[test]
fn graphs_and_records_keep_their_bytes() {
    check("graph", &samples::graph());
    check("graph_of_imports", &samples::graph_of_imports());
    check("graph_extension", &samples::extension());
    check("job_meta", &samples::job_meta());
    check("job_meta_let_go", &samples::job_meta_let_go());
    check("result_entry", &samples::result_entry());
    check("failure_record", &samples::failure_record());
    check("client_session_open", &ClientSession::Open);
    check("client_session_ended", &ClientSession::Ended);
}

#[test]
fn records_name_the_term_in_which_they_were_made() {
    check_record("job_record_before", &samples::job_meta());
    check_record("job_record", &samples::job_record());
    let term = samples::job_record().accepted_in;
    let record = |term| ExtensionRecord::new(samples::extension(), term);
    check_record("extension_record_before", &record(Term(0)));
    check_record("extension_record", &record(term));
    // A reader of before knows no term.
    let golden = from_hex(include_str!("golden/extension_record.hex"));
    let extension = codec::decode::<GraphExtension>(&golden).unwrap();
    assert_eq!(extension, samples::extension());
}

/// Answers are positional: one field more would be damage to older readers.
#[test]
fn answers_do_not_tell_the_term_of_a_record() {
    let answer = samples::job_answer();
    let of_record = JobAnswer {
        meta: samples::job_record(),
        ..answer.clone()
    };
    assert_eq!(
        codec::encode(&of_record).unwrap(),
        codec::encode(&answer).unwrap()
    );
}

#[test]
fn a_frame_keeps_its_bytes() {
    let header = Header {
        cluster: ClusterName::default(),
        sender: Uuid::from_u128(7),
        term: Term(2),
        session: SessionNo(3),
        seq: 4,
        ack: 5,
    };
    let items: Vec<_> = samples::to_worker()
        .into_iter()
        .map(|(_, item)| item)
        .take(2)
        .collect();
    let frame = envelope::encode_batch(&header, &items).unwrap();
    let golden = check_bytes("frame", &frame);
    let batch = envelope::decode_batch(&ClusterName::default(), &golden).unwrap();
    assert_eq!((batch.header, batch.items), (header, items));
}

/// Leaders of before told less of a worker; what they do not tell is empty.
#[test]
fn a_snapshot_of_before_is_read() {
    let before = from_hex(include_str!("golden/live_snapshot_before.hex"));
    let LiveMsg::Snapshot(snapshot) = codec::decode::<LiveMsg>(&before).unwrap() else {
        panic!("no snapshot");
    };
    assert_eq!(
        (snapshot.workers[0].name.as_str(), snapshot.workers[0].slots),
        ("alpha", 0)
    );
}
