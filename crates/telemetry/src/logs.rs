//! Log lines: text for people or JSON for collectors, always on standard error.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Libraries whose lines say less than ours about the same event: lapin prints every byte of a returned message. What
/// a user writes about the same module comes later and wins.
const QUIET: &str = "lapin::returned_messages=off,actix_server=warn";

/// What to log and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// How lines look.
    pub format: LogFormat,
    /// Least level, or directives by module: `info,millstream_bus=debug`.
    pub level: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

/// Logging that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is neither a level nor directives.
    #[error("`{level}` is no log level ({reason}): write `info`, or `info,millstream_bus=debug`")]
    BadLevel {
        /// The level as given.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The process logs already.
    #[error("logging is already set up in this process")]
    AlreadyInitialized,
}

/// Sends the whole process's log lines to standard error.
///
/// # Errors
/// When the level cannot be read, or logging was set up before.
pub fn init(options: &LogOptions) -> Result<(), LogError> {
    subscriber(options, io::stderr, colours_wanted())?
        .try_init()
        .map_err(|_| LogError::AlreadyInitialized)
}

/// The subscriber behind [`init`], with a writer of the caller's own.
///
/// # Errors
/// When the level cannot be read.
pub fn subscriber<W>(
    options: &LogOptions,
    writer: W,
    colours: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_new(format!("{QUIET},{}", options.level)).map_err(|error| LogError::BadLevel {
            level: options.level.clone(),
            reason: error.to_string(),
        })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colours);
    Ok(match options.format {
        LogFormat::Text => Box::new(lines.finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_span_list(false).finish()),
    })
}

/// Colours only for a person, and not for one who declines them (<https://no-color.org>).
fn colours_wanted() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat) -> String {
        let sink = Sink::default();
        let writer = {
            let sink = sink.clone();
            move || sink.clone()
        };
        let options = LogOptions {
            format,
            level: "info".to_owned(),
        };
        let subscriber = subscriber(&options, writer, false).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(worker = "w1", missed = 3, "heartbeat overdue");
            tracing::debug!("not shown");
        });
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_lines_carry_fields_at_the_top() {
        let line: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json)).unwrap();
        assert_eq!(line["message"], "heartbeat overdue");
        assert_eq!(line["missed"], 3);
        assert_eq!(line["level"], "WARN");
    }

    #[test]
    fn text_lines_are_plain_and_filtered() {
        let lines = logged(LogFormat::Text);
        assert!(
            lines.contains("heartbeat overdue worker=\"w1\" missed=3"),
            "{lines}"
        );
        assert_eq!(lines.lines().count(), 1);
    }

    #[test]
    fn unreadable_level_is_refused_with_advice() {
        let options = LogOptions {
            level: "info,=what=".to_owned(),
            ..LogOptions::default()
        };
        let error = subscriber(&options, io::stderr, false).err().unwrap().to_string();
        assert!(
            error.contains("info,=what=") && error.contains("write `info`"),
            "{error}"
        );
    }
}
