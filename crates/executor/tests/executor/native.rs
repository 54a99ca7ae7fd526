//! Native functions: found by name, called with decoded arguments, failing in words.

use bytes::Bytes;
use millstream_executor::{NativeExecutor, TaskCtx, TaskFailure, TaskOutput, Variadic};
use millstream_protocol::ErrorKind;
use millstream_protocol::args::{NativeArgs, decode_value};
use millstream_protocol::graph::GraphExtension;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::harness::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

#[millstream::task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[millstream::task(name = "geometry:flip", indeterminate)]
fn flip(point: Point) -> Point {
    Point {
        x: point.y,
        y: point.x,
    }
}

#[millstream::task]
fn halve(n: i64) -> Result<i64, String> {
    if n % 2 == 0 {
        Ok(n / 2)
    } else {
        Err(format!("{n} is odd"))
    }
}

#[millstream::task]
fn count(words: Variadic<String>) -> usize {
    words.0.len()
}

#[millstream::task]
fn total(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

#[millstream::task]
fn crash(message: String) {
    assert!(message.is_empty(), "crashed: {message}");
}

#[millstream::task]
fn grow(ctx: &mut TaskCtx<'_>) -> Option<u32> {
    ctx.log().write(b"growing");
    ctx.extend(GraphExtension::default());
    ctx.index()
}

const HERE: &str = "executor.native";

fn run(task: &millstream_executor::TaskContext) -> Result<TaskOutput, TaskFailure> {
    NativeExecutor::new().unwrap().run_native(task)
}

fn call<T: DeserializeOwned>(name: &str, args: NativeArgs, inputs: Vec<millstream_executor::Input>) -> T {
    let output = run(&native(name, args.to_params().unwrap(), inputs)).unwrap();
    let input: millstream_executor::Input =
        millstream_store::Object::new(output.payload, output.format).into();
    decode_value(&input.value().unwrap()).unwrap()
}

fn failure(name: &str, args: NativeArgs) -> (ErrorKind, String) {
    let error = run(&native(name, args.to_params().unwrap(), vec![]))
        .unwrap_err()
        .error;
    (error.kind, error.message)
}

fn values(values: &[i64]) -> NativeArgs {
    values
        .iter()
        .fold(NativeArgs::new(), |args, n| args.value(n).unwrap())
}

#[test]
fn functions_are_found_by_package_module_and_name() {
    assert_eq!(call::<i64>(&format!("{HERE}:add"), values(&[2, 40]), vec![]), 42);
    let registry = NativeExecutor::new().unwrap().registry();
    let flip = registry.get("geometry:flip").unwrap();
    assert!(!flip.is_determinate());
    assert_eq!(flip.parameters(), ["Point"]);
}

#[test]
fn literals_and_inputs_mix() {
    let args = NativeArgs::new().input(0).value(&5).unwrap();
    assert_eq!(call::<i64>(&format!("{HERE}:add"), args, vec![value(&37)]), 42);
    let point = Point { x: 1.0, y: 2.0 };
    let args = NativeArgs::new().value(&point).unwrap();
    assert_eq!(
        call::<Point>("geometry:flip", args, vec![]),
        Point { x: 2.0, y: 1.0 }
    );
}

#[test]
fn without_arguments_each_input_is_one() {
    let task = native(&format!("{HERE}:add"), Bytes::new(), vec![value(&1), value(&2)]);
    assert!(run(&task).is_ok());
}

#[test]
fn all_inputs_arrive_as_one_list() {
    let args = NativeArgs::new().all_inputs();
    let inputs = vec![value(&1), value(&2), value(&3)];
    assert_eq!(call::<i64>(&format!("{HERE}:total"), args, inputs), 6);
}

#[test]
fn the_output_of_a_command_is_a_text() {
    let args = NativeArgs::new().input(0).input(1);
    let inputs = vec![raw(b"one\n"), value(&"two")];
    assert_eq!(call::<usize>(&format!("{HERE}:count"), args, inputs), 2);
}

#[test]
fn the_index_is_an_argument_and_operations_share_arguments() {
    let mut op = millstream_protocol::graph::OpSpec::native("bench:inc");
    op.params = NativeArgs::new().index().to_params().unwrap();
    let mut task = task(op, Bytes::new(), vec![]);
    task.index = Some(6);
    let output = run(&task).unwrap();
    let input: millstream_executor::Input =
        millstream_store::Object::new(output.payload, output.format).into();
    assert_eq!(decode_value::<i64>(&input.value().unwrap()), Ok(7));
}

#[test]
fn wrong_arguments_name_their_number_and_the_type_that_is_expected() {
    let add = format!("{HERE}:add");
    let (kind, message) = failure(&add, values(&[1]));
    assert_eq!(kind, ErrorKind::BadInput);
    assert!(
        message.contains("takes 2 arguments (i64, i64), 1 were given"),
        "{message}"
    );
    let (kind, message) = failure(&add, values(&[1]).value("two").unwrap());
    assert_eq!(kind, ErrorKind::BadInput);
    assert!(
        message.contains("argument 2") && message.contains("`i64`"),
        "{message}"
    );
    let (kind, message) = failure(&add, values(&[1]).input(3));
    assert_eq!(kind, ErrorKind::BadInput);
    assert!(message.contains("no input 3"), "{message}");
}

#[test]
fn an_unknown_function_suggests_a_near_one() {
    let (kind, message) = failure("bench:nop", NativeArgs::new());
    assert_eq!(kind, ErrorKind::UnknownOp);
    assert!(message.contains("did you mean `bench:noop`?"), "{message}");
}

#[test]
fn errors_and_panics_fail_the_task_in_their_own_words() {
    let halve = format!("{HERE}:halve");
    assert_eq!(call::<i64>(&halve, values(&[8]), vec![]), 4);
    assert_eq!(
        failure(&halve, values(&[7])),
        (ErrorKind::User, "7 is odd".to_owned())
    );
    let (kind, message) = failure(&format!("{HERE}:crash"), NativeArgs::new().value("x").unwrap());
    assert_eq!(kind, ErrorKind::Panicked);
    assert!(
        message.contains("crashed: x") && message.contains("native.rs:"),
        "{message}"
    );
}

#[test]
fn a_task_may_grow_its_graph_and_write() {
    let output = run(&native(&format!("{HERE}:grow"), Bytes::new(), vec![])).unwrap();
    assert!(output.extension.is_some());
    assert_eq!(output.log.unwrap().head, "growing");
}

#[test]
fn built_in_functions_do_what_they_say() {
    let nothing: Option<u8> = call("bench:noop", NativeArgs::new().input(0), vec![value(&9)]);
    assert_eq!(nothing, None);
    assert_eq!(call::<i64>("bench:inc", values(&[41]), vec![]), 42);
    let inputs = || vec![value(&1), value(&vec![2, 3]), value(&())];
    let all = NativeArgs::new().all_inputs();
    assert_eq!(call::<i64>("bench:sum", all, inputs()), 6);
    assert_eq!(
        call::<f64>("bench:sum", values(&[1]).value(&0.5).unwrap(), vec![]),
        1.5
    );
    let blob: serde_bytes::ByteBuf = call("bench:blob", values(&[1001]), vec![]);
    assert_eq!(blob.len(), 1001);
    assert_eq!(call::<u64>("bench:sleep_ms", values(&[1]), vec![]), 1);
    let fail = NativeArgs::new().value("as asked").unwrap();
    assert_eq!(
        failure("bench:fail", fail),
        (ErrorKind::User, "as asked".to_owned())
    );
}
