//! Tasks made by hand.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_executor::{Input, LogCapture, TaskContext};
use millstream_protocol::args::CommandSpec;
use millstream_protocol::codec;
use millstream_protocol::graph::OpSpec;
use millstream_store::{Format, Object, Payload};
use millstream_types::{Attempt, JobId, TaskIdx, Term};
use serde::Serialize;

pub(crate) fn task(op: OpSpec, params: Bytes, inputs: Vec<Input>) -> TaskContext {
    TaskContext {
        job: JobId::from_u128(1),
        task: TaskIdx(0),
        attempt: Attempt::new(Term(1), 1),
        op: Arc::new(op),
        options: Arc::default(),
        params,
        index: None,
        inputs,
        cancel: Default::default(),
        log: LogCapture::default(),
        scratch: Path::new("/nowhere").into(),
        label: "test".into(),
        host: "here".into(),
    }
}

pub(crate) fn native(name: &str, params: Bytes, inputs: Vec<Input>) -> TaskContext {
    task(OpSpec::native(name), params, inputs)
}

pub(crate) fn command(scratch: &Path, spec: &CommandSpec, inputs: Vec<Input>) -> TaskContext {
    let mut context = task(OpSpec::command(), spec.to_params().unwrap(), inputs);
    context.scratch = scratch.into();
    context
}

pub(crate) fn value<T: Serialize>(value: &T) -> Input {
    let bytes = codec::encode_named(value).unwrap();
    Object::new(Payload::single(bytes), Format::MsgPack).into()
}

pub(crate) fn raw(bytes: &'static [u8]) -> Input {
    Object::new(Payload::single(Bytes::from_static(bytes)), Format::Raw).into()
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::task::yield_now().await;
    }
}
