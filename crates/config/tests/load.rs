//! Loading settings the way a process does: files, variables and flags together.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use millstream_config::{Access, ConfigError, Loader, LogFormat, MemoryLimit, Origin, Problem, Settings};
use millstream_types::{Amount, ByteSize};
use tempfile::TempDir;

const NO_VARIABLES: [(&str, &str); 0] = [];

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("millstream.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn load_file(text: &str) -> Result<Settings, ConfigError> {
    let (_folder, path) = file(text);
    Loader::new().environment(NO_VARIABLES).file(path).load()
}

fn problems(result: Result<Settings, ConfigError>) -> Vec<Problem> {
    match result {
        Err(ConfigError::Invalid(problems)) => problems,
        other => panic!("expected invalid settings, not {other:?}"),
    }
}

#[test]
fn without_sources_the_defaults_hold() {
    let (_folder, empty) = file("");
    let settings = Loader::new()
        .environment(NO_VARIABLES)
        .file(empty)
        .load()
        .unwrap();
    assert_eq!(settings.gateway.port, 8787);
    assert_eq!(settings.scheduler.lease_ttl, Duration::from_secs(3));
    assert_eq!(settings.worker.memory_limit, MemoryLimit::Auto);
    assert_eq!(
        settings.broker.connection_url().expose(),
        "amqp://127.0.0.1:5672/%2f"
    );
}

#[test]
fn later_sources_win() {
    let (_folder, path) = file("[gateway]\nport = 1\nhost = \"file\"\n[log]\nlevel = \"file\"\n");
    let settings = Loader::new()
        .file(path)
        .environment([
            ("MILLSTREAM__GATEWAY__PORT", "2"),
            ("MILLSTREAM__GATEWAY__HOST", "variable"),
        ])
        .flag("gateway.port", "--port", "3")
        .load()
        .unwrap();
    assert_eq!(settings.gateway.port, 3);
    assert_eq!(settings.gateway.host, "variable");
    assert_eq!(settings.log.level, "file");
}

#[test]
fn values_with_units_lists_and_tables_are_read() {
    let settings = load_file(
        "[worker]\nmemory_limit = \"2GiB\"\nresources = { gpu = 1, licence = 0.5 }\n\
         [data]\nroots = [\"/data:ro\", \"/out:rw\"]\n[log]\nformat = \"json\"\n[scheduler]\nlost = \"1.5min\"\n",
    )
    .unwrap();
    assert_eq!(
        settings.worker.memory_limit,
        MemoryLimit::Bytes(ByteSize::new(2 << 30))
    );
    assert_eq!(settings.worker.resources.get("licence"), Amount::milli(500));
    assert_eq!(settings.data.roots[1].access, Access::ReadWrite);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.scheduler.lost, Duration::from_secs(90));
}

#[test]
fn variables_hold_lists_and_tables_too() {
    let settings = Loader::new()
        .environment([
            ("MILLSTREAM__WORKER__RESOURCES", "gpu=2,disk=3"),
            ("MILLSTREAM__DATA__ROOTS", "/data:ro, /out:rw"),
            ("MILLSTREAM_TOKEN", "not a setting"),
        ])
        .load()
        .unwrap();
    assert_eq!(settings.worker.resources.get("gpu"), Amount::whole(2));
    assert_eq!(settings.data.roots.len(), 2);
}

#[test]
fn unknown_key_names_its_source_and_a_near_name() {
    let found = problems(load_file("[gateway]\nprot = 1\n"));
    assert!(
        matches!(&found[..], [Problem::UnknownKey { key, origin: Origin::File(_), near: Some(near) }]
            if key == "gateway.prot" && near == "gateway.port"),
        "{found:?}"
    );

    let variables = [("MILLSTREAM__SCHEDULER__LEASE_TLL", "3s")];
    let found = problems(Loader::new().environment(variables).load());
    let message = found[0].to_string();
    assert!(message.contains("MILLSTREAM__SCHEDULER__LEASE_TLL"), "{message}");
    assert!(
        message.contains("did you mean `scheduler.lease_ttl`?"),
        "{message}"
    );
}

#[test]
fn key_of_another_section_is_suggested_in_full() {
    let found = problems(load_file("[scheduler]\nspill_quota = \"1GiB\"\n"));
    assert!(
        found[0]
            .to_string()
            .contains("did you mean `worker.spill_quota`?"),
        "{}",
        found[0]
    );
}

#[test]
fn value_outside_any_section_is_an_unknown_key() {
    let found = problems(load_file("port = 1\n"));
    assert!(
        matches!(&found[..], [Problem::UnknownKey { key, .. }] if key == "port"),
        "{found:?}"
    );
}

#[test]
fn malformed_values_are_all_reported_with_value_and_source() {
    let result = Loader::new()
        .environment([("MILLSTREAM__GATEWAY__PORT", "many")])
        .flag("worker.memory_limit", "--memory-limit", "lots")
        .load();
    let message = result.unwrap_err().to_string();
    for part in [
        "2 settings are wrong",
        "`gateway.port` = `many` from environment variable MILLSTREAM__GATEWAY__PORT",
        "`worker.memory_limit` = `lots` from command-line flag --memory-limit",
        "such as `2GiB`",
    ] {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn duration_without_a_unit_is_refused() {
    let found = problems(load_file("[scheduler]\nlease_ttl = 3\n"));
    assert!(found[0].to_string().contains("such as `30s`"), "{}", found[0]);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let found = problems(load_file(
        "[scheduler]\nlease_renew = \"2s\"\nsuspect = \"9s\"\n[worker]\ntarget = 0.9\n[redis]\nurl = \"http://h\"\n",
    ));
    let keys: Vec<&str> = found
        .iter()
        .filter_map(|problem| match problem {
            Problem::Inconsistent { key, .. } => Some(*key),
            _ => None,
        })
        .collect();
    assert_eq!(
        keys,
        [
            "redis.url",
            "scheduler.lease_renew",
            "scheduler.suspect",
            "worker.target"
        ]
    );
}

#[test]
fn secrets_come_from_files_and_reach_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker-password");
    fs::write(&path, "hunter2\n").unwrap();
    let settings = Loader::new()
        .environment([("MILLSTREAM__BROKER__USER", "millstream")])
        .flag(
            "broker.password_file",
            "--broker-password-file",
            path.to_string_lossy(),
        )
        .load()
        .unwrap();
    assert_eq!(
        settings.broker.connection_url().expose(),
        "amqp://millstream:hunter2@127.0.0.1:5672/%2f"
    );
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn secret_given_twice_or_missing_is_refused() {
    let twice = [
        ("MILLSTREAM__GATEWAY__TOKEN", "t"),
        ("MILLSTREAM__GATEWAY__TOKEN_FILE", "/nowhere"),
    ];
    assert_eq!(
        problems(Loader::new().environment(twice).load()),
        [Problem::TwoSecrets { key: "gateway.token" }]
    );
    let missing = [("MILLSTREAM__GATEWAY__TOKEN_FILE", "/nowhere")];
    let found = problems(Loader::new().environment(missing).load());
    assert!(
        matches!(
            &found[..],
            [Problem::SecretFile {
                key: "gateway.token",
                ..
            }]
        ),
        "{found:?}"
    );
}

#[test]
fn passwords_in_malformed_urls_are_not_shown() {
    let variables = [("MILLSTREAM__BROKER__URL", "amqp//guest:hunter2@broker")];
    let message = Loader::new()
        .environment(variables)
        .load()
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("***@broker") && !message.contains("hunter2"),
        "{message}"
    );
}

#[test]
fn named_file_must_exist() {
    let error = Loader::new()
        .environment(NO_VARIABLES)
        .file("/nowhere.toml")
        .load()
        .unwrap_err();
    assert!(
        error.to_string().contains("/nowhere.toml (named by --config)"),
        "{error}"
    );
    let error = Loader::new()
        .environment([("MILLSTREAM_CONFIG", "/nowhere.toml")])
        .load()
        .unwrap_err();
    assert!(
        error.to_string().contains("named by MILLSTREAM_CONFIG"),
        "{error}"
    );
}

#[test]
fn broken_toml_names_file_and_line() {
    let error = load_file("[gateway]\nport = \n").unwrap_err().to_string();
    assert!(
        error.contains("millstream.toml") && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn a_worker_on_every_address_advertises_a_name_instead() {
    let load = |variables: &[(&str, &str)]| {
        Loader::new()
            .environment(variables.to_vec())
            .load()
            .unwrap()
            .worker
    };
    let host = ("MILLSTREAM__WORKER__DATA_HOST", "0.0.0.0");
    let advertised = load(&[host]).advertise_address.unwrap();
    assert!(!advertised.is_empty() && advertised != "0.0.0.0");
    let named = load(&[host, ("MILLSTREAM__WORKER__ADVERTISE_ADDRESS", "worker-7:9000")]);
    assert_eq!(named.advertise_address.as_deref(), Some("worker-7:9000"));
    assert_eq!(
        load(&[("MILLSTREAM__WORKER__DATA_HOST", "10.0.0.7")]).advertise_address,
        None
    );
}
