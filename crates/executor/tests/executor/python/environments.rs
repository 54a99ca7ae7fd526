//! Tasks in environments that their jobs ask for.

use std::fs::{self, Permissions};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use millstream_executor::PythonSettings;
use millstream_protocol::ErrorKind;

use super::harness::*;

fn packages(lines: &[&str]) -> Env {
    Env {
        pip: lines.iter().map(|line| (*line).to_owned()).collect(),
        ..Env::default()
    }
}

/// Only what a job asks for gives its tasks an interpreter.
fn no_interpreter(settings: &mut PythonSettings) {
    settings.interpreter = Some("/no/such/python3".into());
}

#[test]
fn packages_that_a_job_names_are_installed_once_for_it_alone_on_top_of_the_workers() {
    let pool = Pool::new(2);
    // Both slots run one at the same time, so each has a process of the environment.
    let source = "import sys, time\ndef f():\n    import numpy, xxhash\n    time.sleep(1)\n    return xxhash.VERSION + ' ' + sys.prefix";
    let task = call(op_in(source, packages(&["xxhash==3.5.0"])));
    pool.start((0..4).map(|_| task.clone()));
    let mut made: Vec<_> = (0..4).map(|_| text(&pool.next().1.unwrap())).collect();
    assert!(made[0].starts_with("3.5.0 "), "{made:?}");
    made.dedup();
    assert_eq!(made.len(), 1, "{made:?}");
    // Built by one of the slots, for the first of its tasks.
    let told: Vec<_> = pool.prepared().into_iter().map(|(_, text)| text).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "the worker installs xxhash==3.5.0");
    assert!(told[1].starts_with("the environment is ready after "), "{told:?}");
    let error = pool.fail(call(op(source)));
    assert!(
        error
            .message
            .starts_with("ModuleNotFoundError: No module named 'xxhash'; install `xxhash`"),
        "{}",
        error.message
    );
}

#[test]
fn an_environment_that_cannot_be_built_is_told_with_the_installers_words_and_not_tried_for_each_task() {
    let pool = Pool::new(1);
    let task = call(op_in("f = repr", packages(&["xxhash==0.0.0.0.1"])));
    let error = pool.fail(task.clone());
    assert_eq!(error.kind, ErrorKind::Environment);
    assert!(
        error.message.contains("`xxhash==0.0.0.0.1` cannot be built"),
        "{}",
        error.message
    );
    assert!(error.log_tail.unwrap().contains("xxhash==0.0.0.0.1"));
    let asked = Instant::now();
    pool.start((0..20).map(|_| task.clone()));
    (0..20).for_each(|_| assert!(pool.next().1.is_err()));
    assert!(asked.elapsed() < Duration::from_secs(2), "built again");
    assert_eq!(pool.text_of("def f(): return 'alive'"), "alive");
}

#[test]
fn an_environment_that_nobody_waits_for_is_not_built_to_the_end() {
    let index = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = index.local_addr().unwrap();
    let pool = Pool::new(1);
    let lines = [
        format!("--index-url http://{address}/"),
        "no-such-package".to_owned(),
    ];
    let task = call(op_in("f = repr", packages(&[&lines[0], &lines[1]])));
    pool.start([task.clone()]);
    // An index that takes questions and never answers.
    let (mut asked, _) = index.accept().unwrap();
    assert!(asked.read(&mut [0; 16]).unwrap() > 0);
    task.cancel.cancel();
    pool.pool.cancelled();
    let began = Instant::now();
    assert_eq!(pool.next().1.unwrap_err().error.kind, ErrorKind::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_interpreter_of_the_workers_can_be_named() {
    let pool = Pool::with(1, no_interpreter);
    let env = Env {
        python: Some(PYTHON.clone()),
        ..Env::default()
    };
    let source = "import shutil, sys\ndef f(): return sys.executable + ' ' + shutil.which('python3')";
    let own = PYTHON.display();
    assert_eq!(
        text(&pool.run(call(op_in(source, env))).unwrap()),
        format!("{own} {own}")
    );
    let missing = Env {
        python: Some("/no/python4".into()),
        ..Env::default()
    };
    let error = pool.fail(call(op_in(source, missing)));
    assert!(
        error
            .message
            .contains("/no/python4 was not found: `python` and `conda`"),
        "{}",
        error.message
    );
}

#[test]
fn a_conda_prefix_is_used_as_it_is() {
    let prefix = PYTHON.parent().and_then(Path::parent).unwrap();
    let env = Env {
        conda: Some(prefix.to_owned()),
        ..Env::default()
    };
    let pool = Pool::with(1, no_interpreter);
    let made = pool.run(call(op_in("import sys\ndef f(): return sys.prefix", env)));
    assert_eq!(text(&made.unwrap()), prefix.display().to_string());
}

/// An archive as `conda-pack` makes it, of a prefix whose interpreter stands for the tests' own.
fn packed_prefix(dir: &Path) -> std::path::PathBuf {
    let bin = dir.join("prefix/bin");
    fs::create_dir_all(&bin).unwrap();
    let script = format!("#!/bin/sh\nexec {} \"$@\"\n", PYTHON.display());
    for name in ["python", "python3"] {
        fs::write(bin.join(name), &script).unwrap();
        fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    let fix = "import pathlib; pathlib.Path(__file__).with_name('fixed').write_text('yes')";
    fs::write(bin.join("conda-unpack"), fix).unwrap();
    let archive = dir.join("packed.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&archive).arg("-C").arg(dir.join("prefix"));
    assert!(tar.arg(".").status().unwrap().success());
    archive
}

#[test]
fn a_packed_conda_environment_is_unpacked_once() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env {
        conda: Some(packed_prefix(dir.path())),
        ..Env::default()
    };
    let source = "import os\ndef f():\n    bin = os.environ['PATH'].split(':')[0]\n    return bin + ' ' + open(bin + '/fixed').read()";
    let pool = Pool::with(2, no_interpreter);
    let task = call(op_in(source, env));
    let first = text(&pool.run(task.clone()).unwrap());
    assert!(first.ends_with("/bin yes"), "{first}");
    assert_eq!(text(&pool.run(task).unwrap()), first);
}

#[test]
fn secrets_reach_the_task_and_nothing_that_leaves_the_worker() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db_password"), "hunter2-file\n").unwrap();
    let pool = Pool::with(1, |settings| settings.secrets_dir = Some(dir.path().to_owned()));
    let env = Env {
        secrets: vec!["db_password"],
        env_vars: [("URL", "secret://db_password".to_owned())].into(),
        ..Env::default()
    };
    let length = "import os\ndef f(): return f\"{len(os.environ['URL'])} {len(os.environ['db_password'])}\"";
    assert_eq!(
        text(&pool.run(call(op_in(length, env.clone()))).unwrap()),
        "12 12"
    );
    let leak = "import os\ndef f():\n    print('using', os.environ['URL'], flush=True)\n    raise OSError('refused ' + os.environ['URL'])";
    let failure = pool.run(call(op_in(leak, env))).unwrap_err();
    assert_eq!(failure.error.message, "OSError: refused ***");
    assert_eq!(failure.log.as_ref().unwrap().head, "using ***\n");
    assert!(failure.error.exception.is_none());
    assert!(!format!("{failure:?}").contains("hunter2"));
}

#[test]
fn a_secret_that_the_worker_lacks_is_named() {
    let env = Env {
        env_vars: [("KEY", "secret://my-key".to_owned())].into(),
        ..Env::default()
    };
    let error = Pool::new(1).fail(call(op_in("f = repr", env)));
    assert_eq!(error.kind, ErrorKind::Environment);
    assert!(
        error.message.contains("`my-key`") && error.message.contains("MILLSTREAM_SECRET_MY_KEY"),
        "{}",
        error.message
    );
}
