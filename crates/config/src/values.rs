//! Types that exist only as settings: choices, fractions, and the roots that paths must lie under.

use std::fmt;
use std::path::{Path, PathBuf};

use millstream_types::ByteSize;

use crate::value::{RawValue, SettingValue};

/// A share of a whole, above 0 and at most 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Fraction(f64);

impl Fraction {
    /// `hundredths` of a hundred, kept within 1 and 100.
    pub const fn percent(hundredths: u8) -> Self {
        let bounded = match hundredths {
            0 => 1,
            1..=100 => hundredths,
            _ => 100,
        };
        Self(bounded as f64 / 100.0)
    }

    /// The share as a number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SettingValue for Fraction {
    const KIND: &'static str = "fraction of 1";

    fn read(raw: &RawValue) -> Result<Self, String> {
        match String::read(raw)?.parse() {
            Ok(share) if share > 0.0 && share <= 1.0 => Ok(Self(share)),
            _ => Err("write a number above 0 and at most 1, such as `0.7`".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl SettingValue for LogFormat {
    const KIND: &'static str = "`text` or `json`";

    fn read(raw: &RawValue) -> Result<Self, String> {
        match String::read(raw)?.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("write `text` or `json`".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Json => "json".to_owned(),
        }
    }
}

/// How many tasks a worker runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlotCount {
    /// One for each core that the worker may use.
    #[default]
    Auto,
    /// This many.
    Count(u32),
}

impl SettingValue for SlotCount {
    const KIND: &'static str = "`auto` or a count";

    fn read(raw: &RawValue) -> Result<Self, String> {
        if String::read(raw)? == "auto" {
            return Ok(Self::Auto);
        }
        match u32::read(raw) {
            Ok(count) if count > 0 => Ok(Self::Count(count)),
            _ => Err("write `auto` or a whole number of 1 or more".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Count(count) => count.to_string(),
        }
    }
}

/// How much memory a worker may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemoryLimit {
    /// The limit of the worker's control group, else the machine's memory, divided among the workers of one process.
    #[default]
    Auto,
    /// This much.
    Bytes(ByteSize),
}

impl SettingValue for MemoryLimit {
    const KIND: &'static str = "`auto` or a byte size";

    fn read(raw: &RawValue) -> Result<Self, String> {
        if String::read(raw)? == "auto" {
            return Ok(Self::Auto);
        }
        match ByteSize::read(raw) {
            Ok(size) if size > ByteSize::ZERO => Ok(Self::Bytes(size)),
            _ => Err("write `auto` or a byte size above 0, such as `2GiB`".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Bytes(size) => size.show(),
        }
    }
}

/// What tasks may do under a data root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write.
    ReadWrite,
}

/// A folder that users' paths may lead into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataRoot {
    /// The folder, absolute.
    pub path: PathBuf,
    /// What is allowed under it.
    pub access: Access,
}

impl DataRoot {
    /// Whether `path`, already resolved to a real path, may be read.
    pub fn may_read(&self, path: &Path) -> bool {
        path.starts_with(&self.path)
    }

    /// Whether `path`, already resolved to a real path, may be written.
    pub fn may_write(&self, path: &Path) -> bool {
        self.access == Access::ReadWrite && path.starts_with(&self.path)
    }
}

impl SettingValue for DataRoot {
    const KIND: &'static str = "`/folder:ro` or `/folder:rw`";

    fn read(raw: &RawValue) -> Result<Self, String> {
        let text = String::read(raw)?;
        let (path, access) = match text.rsplit_once(':') {
            Some((path, "ro")) => (path, Access::Read),
            Some((path, "rw")) => (path, Access::ReadWrite),
            _ => (text.as_str(), Access::Read),
        };
        let path = PathBuf::from(path);
        if path.is_absolute() {
            Ok(Self { path, access })
        } else {
            Err(format!(
                "`{text}` must be an absolute folder, such as `/data:ro` or `/out:rw`"
            ))
        }
    }

    fn show(&self) -> String {
        let access = match self.access {
            Access::Read => "ro",
            Access::ReadWrite => "rw",
        };
        format!("{}:{access}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> RawValue {
        RawValue::Text(text.to_owned())
    }

    #[test]
    fn fractions_are_above_zero_and_at_most_one() {
        assert_eq!(Fraction::read(&text("0.7")).map(Fraction::get), Ok(0.7));
        for wrong in ["0", "-0.1", "1.01", "NaN", "seventy"] {
            assert!(Fraction::read(&text(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn data_root_grants_only_what_it_says() {
        let read = DataRoot::read(&text("/data:ro"));
        let write = DataRoot::read(&text("/out:rw"));
        assert_eq!(
            read.as_ref().map(|root| root.may_read(Path::new("/data/a.csv"))),
            Ok(true)
        );
        assert_eq!(
            read.as_ref().map(|root| root.may_write(Path::new("/data/a.csv"))),
            Ok(false)
        );
        assert_eq!(
            write.as_ref().map(|root| root.may_write(Path::new("/out/a.csv"))),
            Ok(true)
        );
        assert_eq!(read.map(|root| root.may_read(Path::new("/database"))), Ok(false));
    }

    #[test]
    fn data_root_must_be_absolute() {
        assert!(DataRoot::read(&text("data:ro")).is_err());
    }

    #[test]
    fn automatic_values_are_words() {
        assert_eq!(SlotCount::read(&text("auto")), Ok(SlotCount::Auto));
        assert_eq!(SlotCount::read(&text("3")), Ok(SlotCount::Count(3)));
        assert!(SlotCount::read(&text("0")).is_err());
        assert_eq!(
            MemoryLimit::read(&text("2GiB")),
            Ok(MemoryLimit::Bytes(ByteSize::new(2 << 30)))
        );
        assert!(MemoryLimit::read(&text("0B")).is_err());
    }
}
