//! From text, list or table to a typed setting: the one trait behind every row of the table.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use millstream_types::{Amount, ByteSize, ClusterName, ResourceSet};

use crate::secret::Secret;
use crate::units::{parse_duration, show_bytes, show_duration};

/// A value before it has a type. Numbers and booleans are texts, so that a file and a variable read alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawValue {
    /// A text, number or boolean.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// Names and texts.
    Table(BTreeMap<String, String>),
}

impl RawValue {
    /// The value as its author would write it on one line.
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(items) => items.join(","),
            Self::Table(fields) => fields
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(","),
        }
    }

    fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text.trim()),
            Self::List(_) => Err("write one value, not a list".to_owned()),
            Self::Table(_) => Err("write one value, not a table".to_owned()),
        }
    }

    fn items(&self) -> Result<Vec<String>, String> {
        match self {
            Self::Text(text) => Ok(text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect()),
            Self::List(items) => Ok(items.clone()),
            Self::Table(_) => Err("write a list, not a table".to_owned()),
        }
    }
}

/// A type that a setting may have.
pub(crate) trait SettingValue: Sized {
    /// What is accepted, for the reference page.
    const KIND: &'static str;

    /// Reads the value, or says what would be right.
    fn read(raw: &RawValue) -> Result<Self, String>;

    /// The value as it could be written in a file, without quotes.
    fn show(&self) -> String;

    /// What of `raw` may appear in an error.
    fn mask(raw: &RawValue) -> String {
        raw.show()
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    const KIND: &'static str = T::KIND;

    fn read(raw: &RawValue) -> Result<Self, String> {
        match raw {
            RawValue::Text(text) if text.trim().is_empty() => Ok(None),
            raw => T::read(raw).map(Some),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }

    fn mask(raw: &RawValue) -> String {
        T::mask(raw)
    }
}

impl<T: SettingValue> SettingValue for Vec<T> {
    // The kinds of list in use are few; a constant cannot be formatted from `T::KIND`.
    const KIND: &'static str = "list (in a variable: separated by commas)";

    fn read(raw: &RawValue) -> Result<Self, String> {
        raw.items()?
            .into_iter()
            .map(|item| T::read(&RawValue::Text(item)))
            .collect()
    }

    fn show(&self) -> String {
        self.iter().map(T::show).collect::<Vec<_>>().join(",")
    }
}

impl SettingValue for String {
    const KIND: &'static str = "text";

    fn read(raw: &RawValue) -> Result<Self, String> {
        match raw.text()? {
            "" => Err("write a text that is not empty".to_owned()),
            text => Ok(text.to_owned()),
        }
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl SettingValue for PathBuf {
    const KIND: &'static str = "path";

    fn read(raw: &RawValue) -> Result<Self, String> {
        String::read(raw)
            .map(Self::from)
            .map_err(|_| "write a path".to_owned())
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl SettingValue for bool {
    const KIND: &'static str = "true or false";

    fn read(raw: &RawValue) -> Result<Self, String> {
        match raw.text()? {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("write `true` or `false`".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for Duration {
    const KIND: &'static str = "duration";

    fn read(raw: &RawValue) -> Result<Self, String> {
        parse_duration(raw.text()?).map_err(|error| error.to_string())
    }

    fn show(&self) -> String {
        show_duration(*self)
    }
}

impl SettingValue for ByteSize {
    const KIND: &'static str = "byte size";

    fn read(raw: &RawValue) -> Result<Self, String> {
        let advice = "write a number and a unit, such as `512MiB` or `2GB`";
        raw.text()?.parse().map_err(|_| advice.to_owned())
    }

    fn show(&self) -> String {
        show_bytes(*self)
    }
}

impl SettingValue for ClusterName {
    const KIND: &'static str = "cluster name";

    fn read(raw: &RawValue) -> Result<Self, String> {
        let advice = "use 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter";
        raw.text()?.parse().map_err(|_| advice.to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for Secret {
    const KIND: &'static str = "secret";

    fn read(raw: &RawValue) -> Result<Self, String> {
        String::read(raw).map(Self::new)
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn mask(_raw: &RawValue) -> String {
        "***".to_owned()
    }
}

impl SettingValue for ResourceSet {
    const KIND: &'static str = "table of numbers (in a variable: `gpu=1,licence=2`)";

    fn read(raw: &RawValue) -> Result<Self, String> {
        match raw {
            RawValue::Table(fields) => fields
                .iter()
                .map(|(name, number)| read_amount(name, number))
                .collect::<Result<_, _>>(),
            raw => raw
                .items()?
                .iter()
                .map(|item| {
                    let (name, number) = item.split_once('=').ok_or("write `name=number`")?;
                    read_amount(name.trim(), number.trim())
                })
                .collect::<Result<_, _>>(),
        }
    }

    fn show(&self) -> String {
        self.iter()
            .map(|(name, amount)| format!("{name}={amount}"))
            .collect::<Vec<_>>()
            .join(",")
    }
}

/// Reads one resource; amounts are kept in thousandths.
fn read_amount(name: &str, number: &str) -> Result<(String, Amount), String> {
    let advice = || format!("`{name}` needs a number of 0 or more");
    let milli = number.parse::<f64>().map_err(|_| advice())? * 1000.0;
    if name.is_empty() || !(0.0..=9.0e15).contains(&milli) {
        return Err(advice());
    }
    Ok((name.to_owned(), Amount::milli(milli.round() as u64)))
}

macro_rules! unsigned_settings {
    ($($integer:ty: $kind:literal),+) => {
        $(impl SettingValue for $integer {
            const KIND: &'static str = $kind;

            fn read(raw: &RawValue) -> Result<Self, String> {
                read_unsigned(raw, <$integer>::MAX)
            }

            fn show(&self) -> String {
                self.to_string()
            }
        })+
    };
}

unsigned_settings!(u16: "port", u32: "count", u64: "count");

fn read_unsigned<T: FromStr + Display>(raw: &RawValue, max: T) -> Result<T, String> {
    let digits = raw.text()?.replace('_', "");
    digits
        .parse()
        .map_err(|_| format!("write a whole number from 0 to {max}"))
}
