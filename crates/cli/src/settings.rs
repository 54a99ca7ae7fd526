//! Settings of a command: file, environment and flags.

use std::path::PathBuf;

use millstream_config::{Loader, Settings};
use millstream_telemetry::LogOptions;

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loading {
    pub(crate) config: Option<PathBuf>,
    pub(crate) log: Option<String>,
    pub(crate) log_format: Option<String>,
}

impl Loading {
    /// Settings of a service, with logs at the level they say.
    pub(crate) fn service(self, flags: &[(&str, &str, Option<String>)]) -> anyhow::Result<Settings> {
        let settings = self.load(flags)?;
        init_logs(&settings, &settings.log.level)?;
        Ok(settings)
    }

    /// Settings of a command that brings a cluster along: only warnings are logged unless asked for more.
    pub(crate) fn quiet(self) -> anyhow::Result<Settings> {
        let level = self.log.clone().unwrap_or_else(|| "warn".to_owned());
        let settings = self.load(&[])?;
        init_logs(&settings, &level)?;
        Ok(settings)
    }

    fn load(self, flags: &[(&str, &str, Option<String>)]) -> anyhow::Result<Settings> {
        let mut loader = Loader::new().environment(std::env::vars());
        if let Some(path) = self.config {
            loader = loader.file(path);
        }
        let own = [
            ("log.level", "--log", self.log),
            ("log.format", "--log-format", self.log_format),
        ];
        for (key, flag, value) in own.iter().chain(flags) {
            if let Some(value) = value {
                loader = loader.flag(key, flag, value.clone());
            }
        }
        Ok(loader.load()?)
    }
}

fn init_logs(settings: &Settings, level: &str) -> anyhow::Result<()> {
    let format = match settings.log.format {
        millstream_config::LogFormat::Text => millstream_telemetry::LogFormat::Text,
        millstream_config::LogFormat::Json => millstream_telemetry::LogFormat::Json,
    };
    millstream_telemetry::init(&LogOptions {
        level: level.to_owned(),
        format,
    })?;
    Ok(())
}
