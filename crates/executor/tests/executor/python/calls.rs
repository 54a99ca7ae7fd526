//! What a function is called with, and in what process.

use std::io::Write;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use millstream_executor::GatewayAccess;
use millstream_protocol::ErrorKind;
use millstream_protocol::graph::TaskOptions;
use millstream_types::{Amount, ResourceSet};

use super::harness::*;
use crate::harness::{raw, task, value};

#[test]
fn arguments_inputs_and_index_reach_the_function() {
    let pool = Pool::new(1);
    let show = || op("def f(*args, **kwargs):\n    return repr((args, kwargs))");
    let run = |params: Bytes, inputs, index| {
        let mut task = task(show(), params, inputs);
        task.index = index;
        text(&pool.run(task).unwrap())
    };
    assert_eq!(run(Bytes::new(), vec![], None), "((), {})");
    assert_eq!(run(Bytes::new(), vec![], Some(7)), "((7,), {})");
    assert_eq!(
        run(args("((1, 'x'), {'a': None})"), vec![], None),
        "((1, 'x'), {'a': None})"
    );
    let inputs = || vec![value(&(1, "two", [2.5, -1.0])), raw(b"out\n")];
    assert_eq!(
        run(Bytes::new(), inputs(), None),
        "(([1, 'two', [2.5, -1.0]], b'out\\n'), {})"
    );
    let script = "import io, sys, pickle\n\
        class Ref:\n    def __init__(self, *pid): self.pid = pid\n\
        class P(pickle.Pickler):\n    def persistent_id(self, o): return o.pid if type(o) is Ref else None\n\
        out = io.BytesIO()\n\
        P(out, 5).dump(((Ref('input', 1), [{'k': Ref('input', 0)}]), {'all': Ref('inputs'), 'i': Ref('index')}))\n\
        sys.stdout.buffer.write(out.getvalue())";
    assert_eq!(
        run(python_output(script, b""), vec![value(&5), raw(b"b")], Some(3)),
        "((b'b', [{'k': 5}]), {'all': [5, b'b'], 'i': 3})"
    );
}

#[test]
fn a_function_is_sent_and_loaded_once_for_each_process() {
    let pool = Pool::new(1);
    let source = "import builtins\n\
        def count():\n    builtins.loads = getattr(builtins, 'loads', 0) + 1\n    return lambda: str(builtins.loads)\n\
        class F:\n    def __reduce__(self): return (count, ())\n    def __call__(self): pass\n\
        f = F()";
    let first = op(source);
    let second = first.clone();
    assert_eq!(text(&pool.run(call(first)).unwrap()), "1");
    // Another job's copy of the same operation.
    assert_eq!(text(&pool.run(call(second)).unwrap()), "1");
}

#[test]
fn threads_follow_cpu_and_variables_come_from_the_environment() {
    let pool = Pool::new(1);
    let source = "import os\ndef f():\n    return ' '.join(os.environ.get(n, '-') for n in ('OMP_NUM_THREADS', 'MINE', 'CARGO_MANIFEST_DIR'))";
    let run = |vars: &[(&'static str, &'static str)], cpu| {
        let env = Env {
            env_vars: vars
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            ..Env::default()
        };
        let mut task = call(op_in(source, env));
        task.options = Arc::new(TaskOptions {
            resources: ResourceSet::new().with("cpu", Amount::whole(cpu)),
            ..TaskOptions::default()
        });
        text(&pool.run(task).unwrap())
    };
    assert_eq!(run(&[], 1), "1 - -");
    assert_eq!(run(&[("MINE", "yes")], 3), "3 yes -");
}

#[test]
fn files_that_travel_with_the_operation_are_its_working_folder() {
    let zip = python_output(
        "import io, sys, zipfile\nout = io.BytesIO()\n\
         with zipfile.ZipFile(out, 'w') as z: z.writestr('helpers.py', 'def name(): return open(\"data/name.txt\").read()'); z.writestr('data/name.txt', 'shipped')\n\
         sys.stdout.buffer.write(out.getvalue())",
        b"",
    );
    let pool = Pool::new(1);
    let source = "def f():\n    import helpers\n    return helpers.name()";
    assert_eq!(
        text(
            &pool
                .run(call(op_with(source, |params| params.modules = Some(zip))))
                .unwrap()
        ),
        "shipped"
    );
    // Not seen by tasks that did not bring them, whose process is another.
    let error = pool.fail(call(op(source)));
    assert!(
        error.message.contains("No module named 'helpers'"),
        "{}",
        error.message
    );
}

#[test]
fn another_minor_version_is_refused_with_both_named() {
    let pool = Pool::new(1);
    let error = pool.fail(call(op_with("f = repr", |params| {
        params.py = Some("3.1".to_owned())
    })));
    assert_eq!(error.kind, ErrorKind::Environment);
    let own = String::from_utf8(
        python_output("import platform; print(platform.python_version(), end='')", b"").to_vec(),
    );
    let own = own.unwrap();
    assert!(
        error.message.contains("python 3.1,") && error.message.contains(&format!("python {own} ")),
        "{}",
        error.message
    );
    let minor = own.rsplit_once('.').unwrap().0;
    let same = op_with("def f(): return 'same'", |params| {
        params.py = Some(minor.to_owned())
    });
    assert_eq!(text(&pool.run(call(same)).unwrap()), "same");
}

#[test]
fn an_interpreter_that_is_missing_or_lacks_cloudpickle_is_named_with_the_remedy() {
    let pool = Pool::with(1, |settings| {
        settings.interpreter = Some("/no/such/python3".into())
    });
    let error = pool.fail(call(op("f = repr")));
    assert_eq!(error.kind, ErrorKind::Environment);
    assert!(
        error.message.contains("/no/such/python3 was not found"),
        "{}",
        error.message
    );

    let dir = tempfile::tempdir().unwrap();
    let made = Command::new(&*PYTHON)
        .args(["-m", "venv", "--without-pip"])
        .arg(dir.path())
        .status();
    assert!(made.unwrap().success());
    let bare = dir.path().join("bin/python3");
    let pool = Pool::with(1, |settings| settings.interpreter = Some(bare.clone()));
    let error = pool.fail(call(op("f = repr")));
    assert_eq!(error.kind, ErrorKind::Environment);
    let remedy = format!("{} -m pip install cloudpickle", bare.display());
    assert!(error.message.contains(&remedy), "{}", error.message);
}

#[test]
fn an_interpreter_that_ends_at_its_start_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("python3");
    let mut file = std::fs::File::create(&broken).unwrap();
    file.write_all(b"#!/bin/sh\necho no such library >&2\nexit 3\n")
        .unwrap();
    drop(file);
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let pool = Pool::with(1, |settings| settings.interpreter = Some(broken.clone()));
    let error = pool.fail(call(op("f = repr")));
    assert!(
        error.message.contains("ended at its start with exit code 3"),
        "{}",
        error.message
    );
    assert_eq!(error.log_tail.as_deref(), Some("no such library\n"));
}

/// The name of the test interpreter's numpy, with another major version.
fn other_numpy() -> (String, String) {
    let version = python_output("import numpy; print(numpy.__version__, end='')", b"");
    let version = String::from_utf8(version.to_vec()).unwrap();
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    (version, format!("{}.0.1", major - 1))
}

#[test]
fn a_package_of_another_major_version_is_refused_if_the_function_imports_it() {
    let pool = Pool::new(1);
    let (here, other) = other_numpy();
    let source = "def f():\n    import numpy\n    return 'ran'";
    let with = |version: &str| {
        call(op_with(source, |params| {
            params.packages.insert("numpy", ("numpy", version.to_owned()));
        }))
    };
    let error = pool.fail(with(&other));
    assert_eq!(error.kind, ErrorKind::Environment);
    for part in [&here, &other, &format!("env={{'pip': ['numpy=={other}']}}")] {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
    assert_eq!(text(&pool.run(with(&here)).unwrap()), "ran");
}

#[test]
fn a_module_that_is_missing_is_told_with_the_clients_path_and_the_remedy() {
    let pool = Pool::new(1);
    let error = pool.fail(call(op_with("def f():\n    import helpers.deep", |params| {
        params.origins.insert("helpers", "/home/me/helpers/__init__.py");
    })));
    assert_eq!(error.kind, ErrorKind::User);
    for part in [
        "No module named 'helpers'",
        "/home/me/helpers",
        "working_dir",
        "upload_file",
    ] {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
}

#[test]
fn plugins_are_set_up_once_in_each_process_before_its_first_task() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let plugin = format!(
        "import os\nclass Model:\n    def note(self, word):\n        with open('{}', 'a') as file: file.write(f'{{word}} {{os.getpid()}}\\n')\n\
         \x20   def setup(self): self.note('up')\n    def teardown(self): self.note('down')\nf = Model()",
        log.display()
    );
    let plugin = pickled(&plugin);
    let source = "import os, sys\n\
        def f():\n    model = sys.modules['millstream_runtime._executor.plugins'].value_of('model')\n    model.note('run')\n    return str(os.getpid())";
    let task = || {
        call(op_with(source, |params| {
            params.plugins.insert("model", plugin.clone());
        }))
    };
    let pool = Pool::new(1);
    let first = text(&pool.run(task()).unwrap());
    assert_eq!(text(&pool.run(task()).unwrap()), first);
    pool.fail(call(op("import os\ndef f(): os._exit(1)")));
    let second = text(&pool.run(task()).unwrap());
    drop(pool);
    assert_eq!(
        std::fs::read_to_string(log).unwrap(),
        format!("up {first}\nrun {first}\nrun {first}\nup {second}\nrun {second}\ndown {second}\n")
    );
}

#[test]
fn a_plugin_that_fails_is_told_with_its_name() {
    let plugin = pickled("def f(): raise OSError('no such model')");
    let error = Pool::new(1).fail(call(op_with("f = dict", |params| {
        params.plugins.insert("model", plugin);
    })));
    assert_eq!(error.kind, ErrorKind::Environment);
    assert_eq!(
        error.message,
        "the plugin `model` cannot be set up: OSError: no such model"
    );
}

#[test]
fn python_tasks_can_be_switched_off() {
    let pool = Pool::with(1, |settings| settings.allowed = false);
    let error = pool.fail(call(op("f = repr")));
    assert_eq!(error.kind, ErrorKind::UnknownOp);
    assert!(error.message.contains("python.allow"), "{}", error.message);
}

#[test]
fn tasks_are_told_of_the_gateway_and_the_token_is_not_printed() {
    let access = GatewayAccess {
        url: "http://gateway:8787".to_owned(),
        token: "s3cret".to_owned(),
    };
    assert!(!format!("{access:?}").contains("s3cret"));
    let source = "import os\n\
        def f():\n    return str([os.environ.get('MILLSTREAM_' + name) for name in ('GATEWAY', 'TOKEN')])";
    let told = Pool::with(1, |settings| settings.gateway = Some(access));
    assert_eq!(told.text_of(source), "['http://gateway:8787', 's3cret']");
    assert_eq!(Pool::new(1).text_of(source), "[None, None]");
}
