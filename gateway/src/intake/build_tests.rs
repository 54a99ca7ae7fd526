#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use millstream_protocol::graph::GraphError;

use super::*;

fn build(text: &str) -> Result<BuiltJob, IntakeError> {
    let job: JobRequest = serde_json::from_str(text).unwrap();
    build_job(&job, &GraphLimits::default())
}

fn fault(text: &str) -> (String, TaskFault) {
    match build(text) {
        Err(IntakeError::Task { key, fault }) => (key, fault),
        other => panic!("expected a task's fault, got {other:?}"),
    }
}

#[test]
fn references_become_inputs_and_sinks_are_wanted() {
    let built = build(
        r#"{"tasks": [
            {"key": "b", "op": "native", "function": "m:f", "args": [{"task": "a"}, 2, {"task": "a"}], "deps": ["c"]},
            {"key": "a", "op": "command", "argv": ["echo", "hi"]},
            {"key": "c", "op": "command", "argv": ["cat"], "stdin": {"task": "a"}}
        ]}"#,
    )
    .unwrap();
    let graph = built.graph;
    assert_eq!(graph.key_of(TaskIdx(1)), "a");
    assert_eq!(
        graph.deps(TaskIdx(0)),
        [Dep::whole(TaskIdx(1)), Dep::whole(TaskIdx(2))]
    );
    let args = NativeArgs::from_params(&graph.params_of(TaskIdx(0))).unwrap();
    assert!(matches!(
        args.0[..],
        [NativeArg::Input(0), NativeArg::Literal(_), NativeArg::Input(0)]
    ));
    let cat = CommandSpec::from_params(&graph.params_of(TaskIdx(2))).unwrap();
    assert_eq!(cat.stdin, Some(CommandBytes::Input(0)));
    assert_eq!(graph.wanted().collect::<Vec<_>>(), [TaskIdx(0)]);
    assert_eq!(graph.ops.len(), 2);
}

#[test]
fn a_commands_file_is_a_part_of_its_object() {
    let built = build(
        r#"{"tasks": [
            {"key": "a", "op": "command", "argv": ["split"], "files_out": ["x", "y"]},
            {"key": "b", "op": "command", "argv": ["cat", {"task": "a", "file": "y"}]}
        ]}"#,
    )
    .unwrap();
    let dep = Dep {
        task: TaskIdx(0),
        part: Some(2),
    };
    assert_eq!(built.graph.deps(TaskIdx(1)), [dep]);
    let spec = CommandSpec::from_params(&built.graph.params_of(TaskIdx(1))).unwrap();
    assert_eq!(spec.argv, ["cat", "inputs/0"]);
    assert_eq!(spec.files_in["inputs/0"], CommandBytes::Input(0));
}

#[test]
fn mistakes_name_the_task_and_a_near_name() {
    let (key, unknown) = fault(r#"{"tasks": [{"key": "a", "op": "comand", "argv": ["true"]}]}"#);
    assert_eq!(key, "a");
    assert!(matches!(unknown, TaskFault::UnknownOp { suggestion: Some(near), .. } if near == "command"));

    let (key, missing) = fault(
        r#"{"tasks": [{"key": "load", "op": "command", "argv": ["true"]},
                      {"key": "b", "op": "command", "argv": ["cat"], "stdin": {"task": "laod"}}]}"#,
    );
    assert_eq!(key, "b");
    assert!(matches!(missing, TaskFault::MissingDep { suggestion: Some(near), .. } if near == "load"));

    let (_, foreign) = fault(r#"{"tasks": [{"key": "a", "op": "native", "function": "f", "argv": ["x"]}]}"#);
    assert_eq!(
        foreign,
        TaskFault::ForeignField {
            op: "native".to_owned(),
            field: "argv"
        }
    );

    let (_, empty) = fault(r#"{"tasks": [{"key": "a", "op": "command"}]}"#);
    assert_eq!(
        empty,
        TaskFault::MissingField {
            op: "command".to_owned(),
            field: "argv"
        }
    );
}

#[test]
fn a_circle_is_refused_with_its_keys() {
    let error = build(
        r#"{"tasks": [{"key": "a", "op": "command", "argv": ["cat"], "stdin": {"task": "b"}},
                      {"key": "b", "op": "command", "argv": ["cat"], "stdin": {"task": "a"}}]}"#,
    )
    .unwrap_err();
    assert!(matches!(error, IntakeError::Graph(GraphError::Cycle { keys }) if keys.len() == 3));
}

#[test]
fn tasks_of_other_jobs_are_imported_once_each() {
    let other = "0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10";
    let built = build(&format!(
        r#"{{"tasks": [
            {{"key": "a", "op": "native", "function": "m:f", "args": [{{"job": "{other}", "task": "x"}}]}},
            {{"key": "b", "op": "command", "argv": ["cat"], "stdin": {{"job": "{other}", "task": "x"}}}},
            {{"key": "c", "op": "command", "argv": ["cat", {{"job": "{other}", "task": "y"}}]}}
        ]}}"#
    ))
    .unwrap();
    let graph = built.graph;
    let reads = |task| graph.deps(TaskIdx(task));
    assert_eq!(reads(0), [Dep::whole(TaskIdx(3))]);
    assert_eq!(reads(1), reads(0));
    assert_eq!(reads(2), [Dep::whole(TaskIdx(4))]);
    let source = ImportSource::decode(&graph.params_of(TaskIdx(4))).unwrap();
    let named = ImportSource::Task {
        job: other.parse().unwrap(),
        task: TaskName::Key("y".to_owned()),
    };
    assert_eq!(source, named);
    assert_eq!(graph.key_of(TaskIdx(4)), format!("{other}/y"));
    assert_eq!(graph.wanted().count(), 3, "an import is no output");
}

#[test]
fn a_file_of_a_task_of_another_job_is_refused() {
    let (key, fault) = fault(
        r#"{"tasks": [{"key": "a", "op": "command", "argv": ["cat",
            {"job": "0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10", "task": "x", "file": "out"}]}]}"#,
    );
    assert_eq!(key, "a");
    assert!(matches!(fault, TaskFault::BadValue { field, .. } if field == "file"));
}

#[test]
fn duplicates_and_unknown_outputs_are_refused() {
    let twice = build(
        r#"{"tasks": [{"key": "a", "op": "command", "argv": ["true"]},
                      {"key": "a", "op": "command", "argv": ["true"]}]}"#,
    );
    assert!(matches!(
        twice,
        Err(IntakeError::Graph(GraphError::DuplicateKey { .. }))
    ));
    let unknown =
        build(r#"{"tasks": [{"key": "total", "op": "command", "argv": ["true"]}], "outputs": ["totl"]}"#);
    assert!(matches!(
        unknown,
        Err(IntakeError::UnknownOutput {
            suggestion: Some(_),
            ..
        })
    ));
    assert!(matches!(
        build(r#"{"tasks": []}"#),
        Err(IntakeError::Graph(GraphError::Empty))
    ));
}

#[test]
fn a_query_is_one_planning_task() {
    let query = SqlRequest {
        query: "SELECT\n  1".to_owned(),
        ..SqlRequest::default()
    };
    let built = build_query(&query).unwrap();
    assert_eq!(built.name, "SELECT 1");
    let op = built.graph.op_of(TaskIdx(0)).unwrap();
    assert_eq!((op.kind, op.name.as_str()), (OpKind::Frame, "plan"));
    assert_eq!(codec::decode::<SqlRequest>(&op.params), Ok(query));
}

#[test]
fn an_expression_tree_needs_no_statement() {
    let query = SqlRequest {
        tree: Some(rmpv::Value::from("for the planner")),
        ..SqlRequest::default()
    };
    let built = build_query(&query).unwrap();
    assert_eq!(built.name, "data frame");
    let op = built.graph.op_of(TaskIdx(0)).unwrap();
    assert_eq!(codec::decode::<SqlRequest>(&op.params), Ok(query));
}
