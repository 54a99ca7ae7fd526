//! Real programs: fed, read, stopped, and gone with all they started.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_executor::{CommandExecutor, CommandSettings, Executor, TaskContext, TaskFailure};
use millstream_protocol::args::{CommandBytes, CommandSpec};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_store::Payload;

use crate::harness::*;

fn settings() -> CommandSettings {
    CommandSettings {
        output_limit: 1 << 20,
        kill_grace: Duration::from_millis(300),
        ..CommandSettings::default()
    }
}

fn shell(script: &str) -> CommandSpec {
    CommandSpec::new(["sh", "-c", script])
}

async fn run(task: TaskContext) -> Result<Vec<Bytes>, TaskFailure> {
    let output = CommandExecutor::new(settings()).run(task).await?;
    match output.payload {
        Payload::Bytes(parts) => Ok(parts),
        Payload::Shared(_) => unreachable!("a command's value is bytes"),
    }
}

async fn failure(task: TaskContext) -> TaskError {
    *run(task).await.unwrap_err().error
}

/// Whether a process with this id is there and no zombie.
fn is_running(id: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", id.trim())).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim().starts_with('Z'))
    })
}

fn assert_empty(folder: &Path) {
    assert_eq!(
        fs::read_dir(folder).unwrap().count(),
        0,
        "a scratch folder is left"
    );
}

#[tokio::test]
async fn standard_output_is_the_value() {
    let dir = tempfile::tempdir().unwrap();
    let spec = CommandSpec::new(["printf", "%s-%s", "a b", "$HOME"]);
    assert_eq!(
        run(command(dir.path(), &spec, vec![])).await.unwrap(),
        ["a b-$HOME"]
    );
    assert_empty(dir.path());
}

#[tokio::test]
async fn standard_input_comes_from_another_task() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = CommandSpec::new(["sort"]);
    spec.stdin = Some(CommandBytes::Input(0));
    let sorted = run(command(dir.path(), &spec, vec![raw(b"b\na\n")]))
        .await
        .unwrap();
    assert_eq!(sorted, ["a\nb\n"]);
    // More than any pipe holds, read by a program that does not care, and by one that passes it on.
    let big = Bytes::from(vec![b'x'; 900 << 10]);
    spec = CommandSpec::new(["head", "-c", "3"]);
    spec.stdin = Some(CommandBytes::Literal(big.clone()));
    assert_eq!(run(command(dir.path(), &spec, vec![])).await.unwrap(), ["xxx"]);
    spec.argv = vec!["cat".to_owned()];
    assert_eq!(run(command(dir.path(), &spec, vec![])).await.unwrap(), [big]);
}

#[tokio::test]
async fn files_go_in_and_out_of_a_folder_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = shell("cat data/in.txt > out.txt; pwd; printf x > b");
    let content = CommandBytes::Literal(Bytes::from_static(b"content"));
    spec.files_in.insert("data/in.txt".to_owned(), content);
    spec.files_out = vec!["out.txt".to_owned(), "b".to_owned()];
    let parts = run(command(dir.path(), &spec, vec![])).await.unwrap();
    assert!(parts[0].starts_with(dir.path().to_str().unwrap().as_bytes()));
    assert_eq!(parts[1..], ["content", "x"]);
    assert_empty(dir.path());
}

#[tokio::test]
async fn paths_outside_of_the_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for path in ["../x", "/etc/x", "", "a/../../x"] {
        let mut spec = shell("true");
        spec.files_in
            .insert(path.to_owned(), CommandBytes::Literal(Bytes::new()));
        let error = failure(command(dir.path(), &spec, vec![])).await;
        assert_eq!(error.kind, ErrorKind::BadInput, "{path}");
    }
    let mut spec = shell("true");
    spec.files_out.push("missing".to_owned());
    let error = failure(command(dir.path(), &spec, vec![])).await;
    assert_eq!(error.kind, ErrorKind::CommandFailed);
    assert!(error.message.contains("`missing`"), "{}", error.message);
}

#[tokio::test]
async fn the_environment_is_small_and_extensible() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = CommandSpec::new(["env"]);
    spec.env.insert("MINE".to_owned(), "yes".to_owned());
    let parts = run(command(dir.path(), &spec, vec![])).await.unwrap();
    let text = std::str::from_utf8(&parts[0]).unwrap();
    let names: Vec<_> = text.lines().filter_map(|line| line.split('=').next()).collect();
    assert!(
        text.contains("MINE=yes") && text.contains("MILLSTREAM_ATTEMPT=1.1"),
        "{text}"
    );
    assert!(!names.iter().any(|name| name.starts_with("CARGO")), "{names:?}");
}

#[tokio::test]
async fn a_failing_program_tells_code_host_and_last_words() {
    let dir = tempfile::tempdir().unwrap();
    let failed = run(command(
        dir.path(),
        &shell("echo out; echo broken >&2; exit 3"),
        vec![],
    ))
    .await;
    let TaskFailure { error, log } = failed.unwrap_err();
    assert_eq!((error.kind, error.exit_code), (ErrorKind::CommandFailed, Some(3)));
    assert_eq!(error.host.as_deref(), Some("here"));
    assert!(error.log_tail.unwrap().contains("broken"));
    assert!(log.unwrap().head.contains("out"));
    let error = failure(command(dir.path(), &shell("kill -SEGV $$"), vec![])).await;
    assert_eq!((error.exit_code, error.signal), (None, Some(11)));
}

#[tokio::test]
async fn a_program_or_folder_that_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = CommandSpec::new(["no-such-program"]);
    let error = failure(command(dir.path(), &spec, vec![])).await;
    assert!(
        error.message.contains("`no-such-program` was not found"),
        "{}",
        error.message
    );
    spec = shell("true");
    spec.cwd = Some("/no/such/folder".to_owned());
    let error = failure(command(dir.path(), &spec, vec![])).await;
    assert!(error.message.contains("/no/such/folder"), "{}", error.message);
    let error = failure(command(dir.path(), &CommandSpec::default(), vec![])).await;
    assert_eq!(error.kind, ErrorKind::BadInput);
}

#[tokio::test]
async fn too_much_output_is_an_error_and_ends_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let error = failure(command(dir.path(), &CommandSpec::new(["yes"]), vec![])).await;
    assert_eq!(error.kind, ErrorKind::OutOfMemory);
    assert!(error.message.contains("1048576"), "{}", error.message);
}

/// Starts a program that ignores polite requests and has a child; gives their ids.
async fn stubborn(dir: &Path) -> (TaskContext, tokio::task::JoinHandle<TaskError>, [String; 2]) {
    let ids = dir.join("ids");
    let script = format!(
        "trap '' TERM; (trap '' TERM; exec sleep 1000) & echo $$ $! > {0}.new; mv {0}.new {0}; wait; sleep 1000",
        ids.display()
    );
    let scratch = dir.join("scratch");
    let task = command(&scratch, &shell(&script), vec![]);
    let running = tokio::spawn(failure(task.clone()));
    eventually("started", || ids.exists()).await;
    let text = fs::read_to_string(&ids).unwrap();
    let (first, second) = text.trim().split_once(' ').unwrap();
    let ids = [first.to_owned(), second.to_owned()];
    assert!(ids.iter().all(|id| is_running(id)));
    (task, running, ids)
}

#[tokio::test]
async fn cancelling_kills_the_whole_process_group() {
    let dir = tempfile::tempdir().unwrap();
    let (task, running, ids) = stubborn(dir.path()).await;
    task.cancel.cancel();
    assert_eq!(running.await.unwrap().kind, ErrorKind::Cancelled);
    eventually("all gone", || !ids.iter().any(|id| is_running(id))).await;
    assert_empty(&dir.path().join("scratch"));
}

#[tokio::test]
async fn abandoning_the_task_kills_the_whole_process_group() {
    let dir = tempfile::tempdir().unwrap();
    let (_task, running, ids) = stubborn(dir.path()).await;
    running.abort();
    eventually("all gone", || !ids.iter().any(|id| is_running(id))).await;
}

#[tokio::test]
async fn a_timeout_ends_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let mut task = command(dir.path(), &shell("echo begun; sleep 1000"), vec![]);
    task.options = std::sync::Arc::new(millstream_protocol::graph::TaskOptions {
        timeout_ms: Some(200),
        ..Default::default()
    });
    let error = failure(task).await;
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert_eq!(error.log_tail.as_deref(), Some("begun\n"));
}

#[tokio::test]
async fn what_a_program_leaves_running_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let parts = run(command(dir.path(), &shell("sleep 1000 & echo $!"), vec![]))
        .await
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(100), "it was waited for");
    let id = String::from_utf8(parts[0].to_vec()).unwrap();
    eventually("gone", || !is_running(&id)).await;
}

#[tokio::test]
async fn commands_can_be_switched_off() {
    let dir = tempfile::tempdir().unwrap();
    let off = CommandExecutor::new(CommandSettings {
        allowed: false,
        ..settings()
    });
    let error = off
        .run(command(dir.path(), &shell("true"), vec![]))
        .await
        .unwrap_err()
        .error;
    assert_eq!(error.kind, ErrorKind::UnknownOp);
    assert!(
        error.message.contains("worker.allow_command"),
        "{}",
        error.message
    );
}
