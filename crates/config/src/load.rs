//! Finds the sources, merges them in order and turns what they say into [`Settings`].

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat, Map, Source, Value, ValueKind};

use crate::check;
use crate::error::{ConfigError, Origin, Problem};
use crate::section::{SectionInfo, Values};
use crate::settings::Settings;
use crate::value::RawValue;

/// Begins every environment variable that is a setting: `MILLSTREAM__GATEWAY__PORT`.
pub const ENV_PREFIX: &str = "MILLSTREAM";
/// Names the configuration file when no flag does.
pub const CONFIG_VARIABLE: &str = "MILLSTREAM_CONFIG";

/// Where a file is looked for when nothing names one; the first that exists counts.
const DEFAULT_FILES: [&str; 2] = ["millstream.toml", "/etc/millstream/millstream.toml"];
/// Least likeness of two names for one to be suggested for the other.
const NEAR: f64 = 0.8;
const SEPARATOR: &str = "__";
const ENVIRONMENT_ORIGIN: &str = "the environment";
const FLAG_ORIGIN: &str = "flag ";

/// Collects the sources of settings; [`Loader::load`] reads them.
#[derive(Debug, Clone, Default)]
pub struct Loader {
    file: Option<PathBuf>,
    environment: Option<HashMap<String, String>>,
    flags: Flags,
}

/// Values from the command line: dotted key, value, and the flag's name as their origin.
#[derive(Debug, Clone, Default)]
struct Flags(Vec<(String, Value)>);

impl Source for Flags {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.iter().cloned().collect())
    }
}

impl Loader {
    /// A loader that reads the process's environment and the default files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads this file instead of looking for one; `--config PATH`.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Uses these variables instead of the process's environment.
    #[must_use]
    pub fn environment<K: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.environment = Some(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        );
        self
    }

    /// Sets `key` (`gateway.port`) from the command line; `flag` (`--port`) is named in errors.
    #[must_use]
    pub fn flag(mut self, key: &str, flag: &str, value: impl Into<String>) -> Self {
        let origin = format!("{FLAG_ORIGIN}{flag}");
        self.flags.0.push((
            key.to_owned(),
            Value::new(Some(&origin), ValueKind::String(value.into())),
        ));
        self
    }

    /// Reads all sources and checks what they say.
    ///
    /// # Errors
    /// When a named file cannot be read or is no TOML, or any setting is unknown, malformed or contradicts another.
    pub fn load(self) -> Result<Settings, ConfigError> {
        let variables = self.environment.unwrap_or_else(process_environment);
        let mut builder = Config::builder();
        let path = find_file(self.file, &variables)?;
        if let Some((path, text)) = &path {
            builder = builder.add_source(read_toml(path, text)?);
        }
        let environment = Environment::with_prefix(ENV_PREFIX)
            .prefix_separator(SEPARATOR)
            .separator(SEPARATOR)
            .source(Some(variables));
        let merged = builder
            .add_source(environment)
            .add_source(self.flags)
            .build()
            .and_then(|config| config.collect())
            .map_err(|error| malformed(path.as_ref().map(|(path, _)| path.as_path()), &error))?;

        let file = path.map(|(path, _)| path).unwrap_or_default();
        let mut values = flatten(merged, &file);
        let mut settings = Settings::read(&mut values);
        check::complete(&mut settings, &mut values.problems);
        if values.problems.is_empty() {
            Ok(settings)
        } else {
            Err(ConfigError::Invalid(values.problems))
        }
    }
}

/// The environment's valid Unicode; other variables cannot be settings.
fn process_environment() -> HashMap<String, String> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The file to read and its text. A named file must exist, a default one need not.
fn find_file(
    named: Option<PathBuf>,
    variables: &HashMap<String, String>,
) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let variable = || variables.get(CONFIG_VARIABLE).filter(|path| !path.is_empty());
    let (path, named_by) = match (named, variable()) {
        (Some(path), _) => (path, "--config"),
        (None, Some(path)) => (PathBuf::from(path), CONFIG_VARIABLE),
        (None, None) => match DEFAULT_FILES.iter().map(Path::new).find(|path| path.exists()) {
            Some(path) => (path.to_owned(), "its default place"),
            None => return Ok(None),
        },
    };
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(source) => Err(ConfigError::FileUnreadable {
            path,
            named_by: named_by.to_owned(),
            source,
        }),
    }
}

fn read_toml(path: &Path, text: &str) -> Result<Config, ConfigError> {
    Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .build()
        .map_err(|error| malformed(Some(path), &error))
}

fn malformed(path: Option<&Path>, error: &config::ConfigError) -> ConfigError {
    ConfigError::FileMalformed {
        path: path.unwrap_or(Path::new(ENVIRONMENT_ORIGIN)).to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    }
}

/// Splits the merged tree into known settings and problems.
fn flatten(merged: Map<String, Value>, file: &Path) -> Values {
    let known = Settings::describe();
    let mut values = Values::default();
    for (section, value) in merged {
        let ValueKind::Table(fields) = value.kind.clone() else {
            values.problems.push(unknown(&section, &value, file, &known));
            continue;
        };
        for (key, value) in fields {
            flatten_one(&section, key, value, file, &known, &mut values);
        }
    }
    values.problems.sort_by_key(Problem::to_string);
    values
}

fn flatten_one(
    section: &str,
    key: String,
    value: Value,
    file: &Path,
    known: &[SectionInfo],
    values: &mut Values,
) {
    let dotted = format!("{section}.{key}");
    let is_known = known
        .iter()
        .any(|s| s.name == section && s.keys.iter().any(|k| k.name == key));
    if !is_known {
        values.problems.push(unknown(&dotted, &value, file, known));
        return;
    }
    let origin = origin_of(&dotted, &value, file);
    match raw_value(value) {
        Some(raw) => {
            values.found.insert((section.to_owned(), key), (raw, origin));
        }
        None => {
            let reason = "it is nested too deeply".to_owned();
            values.problems.push(Problem::Malformed {
                key: dotted,
                value: "…".to_owned(),
                origin,
                reason,
            });
        }
    }
}

fn raw_value(value: Value) -> Option<RawValue> {
    match value.kind {
        ValueKind::Array(items) => items
            .into_iter()
            .map(scalar)
            .collect::<Option<_>>()
            .map(RawValue::List),
        ValueKind::Table(fields) => fields
            .into_iter()
            .map(|(name, value)| Some((name, scalar(value)?)))
            .collect::<Option<BTreeMap<_, _>>>()
            .map(RawValue::Table),
        _ => scalar(value).map(RawValue::Text),
    }
}

fn scalar(value: Value) -> Option<String> {
    match value.kind {
        ValueKind::Nil => Some(String::new()),
        ValueKind::Array(_) | ValueKind::Table(_) => None,
        kind => Some(kind.to_string()),
    }
}

fn origin_of(key: &str, value: &Value, file: &Path) -> Origin {
    // A table that several variables or a file filled has no origin of its own: a field of it has.
    let own = value.origin().or_else(|| match &value.kind {
        ValueKind::Table(fields) => fields.values().find_map(Value::origin),
        _ => None,
    });
    match own {
        Some(ENVIRONMENT_ORIGIN) => {
            let name = key.to_uppercase().replace('.', SEPARATOR);
            Origin::Variable(format!("{ENV_PREFIX}{SEPARATOR}{name}"))
        }
        Some(other) if other.starts_with(FLAG_ORIGIN) => Origin::Flag(other[FLAG_ORIGIN.len()..].to_owned()),
        _ => Origin::File(file.to_owned()),
    }
}

fn unknown(key: &str, value: &Value, file: &Path, known: &[SectionInfo]) -> Problem {
    let full_names = known
        .iter()
        .flat_map(|s| s.keys.iter().map(move |k| format!("{}.{}", s.name, k.name)));
    let bare = key.rsplit('.').next().unwrap_or(key);
    let near = full_names
        .map(|name| {
            let last = name.rsplit('.').next().unwrap_or(&name);
            // The right key in the wrong section is as likely as a slip of the pen.
            let score = strsim::jaro_winkler(key, &name).max(strsim::jaro_winkler(bare, last) - 0.05);
            (score, name)
        })
        .filter(|(score, _)| *score >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name);
    Problem::UnknownKey {
        key: key.to_owned(),
        origin: origin_of(key, value, file),
        near,
    }
}
