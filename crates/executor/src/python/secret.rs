//! Values that tasks are given by name: resolved here, on the worker, and nowhere else.
//!
//! A graph only ever holds `secret://name`. What a name stands for is in a file of the worker's secrets folder, or in its
//! environment; it goes into the environment of the task's process, and is left out of whatever leaves the worker as
//! text.

use std::collections::BTreeMap;
use std::env;
use std::fs;

use bytes::Bytes;
use millstream_protocol::wire::TaskLog;
use millstream_protocol::{ErrorKind, TaskError};

use super::op::Env;
use super::settings::PythonSettings;

const SCHEME: &str = "secret://";

/// What a variable of the worker that holds a secret begins with.
const VARIABLE: &str = "MILLSTREAM_SECRET_";

/// Values this short are found in any text by chance.
const LEAST_HIDDEN: usize = 4;

/// What is shown in place of a secret.
const MASK: &str = "***";

/// The secrets of one process. Printing it shows none.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

/// The variables that a process gets, secrets in place of their names, and those secrets.
pub(super) fn resolve(
    settings: &PythonSettings,
    env: &Env,
) -> Result<(BTreeMap<String, String>, Secrets), TaskError> {
    let mut vars = env.vars.clone();
    let mut found = Vec::new();
    for name in &env.secrets {
        vars.insert(name.clone(), format!("{SCHEME}{name}"));
    }
    for value in vars.values_mut() {
        if let Some(name) = value.strip_prefix(SCHEME) {
            *value = value_of(settings, name)?;
            found.push(value.clone());
        }
    }
    // Longer ones first: one may contain another.
    found.retain(|value| value.len() >= LEAST_HIDDEN);
    found.sort_by_key(|value| std::cmp::Reverse(value.len()));
    Ok((vars, Secrets(found)))
}

fn value_of(settings: &PythonSettings, name: &str) -> Result<String, TaskError> {
    let refused = |reason: String| {
        let message = format!("the secret `{name}` cannot be given to the task: {reason}");
        TaskError::new(ErrorKind::Environment, message)
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(refused(
            "a name has letters, digits, `_`, `-` and `.` only".to_owned(),
        ));
    }
    if let Some(path) = settings.secrets_dir.as_ref().map(|dir| dir.join(name))
        && path.exists()
    {
        let text =
            fs::read_to_string(&path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
        // Editors and `echo` end files with a line break.
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    let variable = format!("{VARIABLE}{}", name.to_ascii_uppercase().replace(['-', '.'], "_"));
    env::var(&variable).map_err(|_| {
        let folder = settings.secrets_dir.as_ref().map_or_else(
            || "no python.secrets_dir is set".to_owned(),
            |dir| format!("there is no such file in {}", dir.display()),
        );
        refused(format!("{folder}, and the worker has no variable {variable}"))
    })
}

impl Secrets {
    /// A text without them; `None` if it has none.
    fn hidden(&self, text: &str) -> Option<String> {
        let found = self.0.iter().filter(|secret| text.contains(secret.as_str()));
        found.fold(None, |hidden: Option<String>, secret| {
            let text = hidden.as_deref().unwrap_or(text);
            Some(text.replace(secret.as_str(), MASK))
        })
    }

    fn hide(&self, text: &mut String) {
        if let Some(hidden) = self.hidden(text) {
            *text = hidden;
        }
    }

    /// Leaves them out of a log.
    pub(super) fn hide_in_log(&self, log: &mut TaskLog) {
        self.hide(&mut log.head);
        self.hide(&mut log.tail);
    }

    /// Leaves them out of an error; an exception that holds one is not passed on itself.
    pub(super) fn hide_in_error(&self, error: &mut TaskError) {
        self.hide(&mut error.message);
        if let Some(text) = &mut error.log_tail {
            self.hide(text);
        }
        if let Some(hidden) = error.traceback.as_deref().and_then(|text| self.hidden(text)) {
            error.traceback = Some(hidden.into());
        }
        let holds = |bytes: &Bytes| {
            let found = |secret: &String| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            self.0.iter().any(found)
        };
        if error.exception.as_deref().is_some_and(holds) {
            error.exception = None;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn settings(dir: &std::path::Path) -> PythonSettings {
        PythonSettings {
            secrets_dir: Some(dir.to_owned()),
            ..PythonSettings::default()
        }
    }

    #[test]
    fn names_become_values_on_the_worker_only() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("db"), "hunter2\n").unwrap();
        let env = Env {
            vars: BTreeMap::from([("URL".to_owned(), "secret://db".to_owned())]),
            secrets: vec!["db".to_owned()],
            ..Env::default()
        };
        let (vars, _) = resolve(&settings(dir.path()), &env).unwrap();
        assert_eq!(
            (vars["URL"].as_str(), vars["db"].as_str()),
            ("hunter2", "hunter2")
        );
    }

    #[test]
    fn a_secret_that_is_missing_or_no_name_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let missing = value_of(&settings, "my-key").unwrap_err();
        assert!(missing.message.contains("`my-key`") && missing.message.contains("MILLSTREAM_SECRET_MY_KEY"));
        for name in ["", "../etc/passwd", ".hidden", "a/b"] {
            assert!(value_of(&settings, name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_leaves_the_worker_holds_no_secret() {
        let secrets = Secrets(vec!["hunter22".to_owned(), "hunter2".to_owned()]);
        let mut error = TaskError {
            traceback: Some("password=hunter2".into()),
            exception: Some(Box::new(Bytes::from_static(b"\x80hunter2."))),
            ..TaskError::new(ErrorKind::User, "refused hunter22")
        };
        secrets.hide_in_error(&mut error);
        assert_eq!(error.message, "refused ***");
        assert_eq!(error.traceback.as_deref(), Some("password=***"));
        assert!(error.exception.is_none());
    }
}
