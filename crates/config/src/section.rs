//! The macro that turns one declarative table into structs, defaults, a reader and the reference.

use std::collections::BTreeMap;

use crate::error::{Origin, Problem};
use crate::value::{RawValue, SettingValue};

/// One setting, described for the reference page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// The name within its section.
    pub name: &'static str,
    /// What is accepted.
    pub kind: &'static str,
    /// The default as it could be written; empty when there is none.
    pub default: String,
    /// What it does.
    pub doc: String,
}

/// One section, described for the reference page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionInfo {
    /// The name in a file's `[brackets]`.
    pub name: &'static str,
    /// Whose settings these are.
    pub doc: String,
    /// Its settings, in the order of the table.
    pub keys: Vec<KeyInfo>,
}

/// Merged values by section and key, and the problems met while typing them.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(crate) found: BTreeMap<(String, String), (RawValue, Origin)>,
    pub(crate) problems: Vec<Problem>,
}

impl Values {
    /// The typed value of one setting; its default if it is not set or cannot be read, which is then recorded.
    pub(crate) fn take<T: SettingValue>(&mut self, section: &str, key: &str, default: T) -> T {
        let Some((raw, origin)) = self.found.remove(&(section.to_owned(), key.to_owned())) else {
            return default;
        };
        match T::read(&raw) {
            Ok(value) => value,
            Err(reason) => {
                let key = format!("{section}.{key}");
                self.problems.push(Problem::Malformed {
                    key,
                    value: T::mask(&raw),
                    origin,
                    reason,
                });
                default
            }
        }
    }
}

/// Describes one setting; called by the table.
pub(crate) fn key_info<T: SettingValue>(name: &'static str, default: &T, doc: &str) -> KeyInfo {
    KeyInfo {
        name,
        kind: T::KIND,
        default: default.show(),
        doc: doc.trim().to_owned(),
    }
}

/// Declares every section: `section: Type { field: Type = default, … }` with doc comments, which become the reference.
macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $settings:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr,
            )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone)]
            pub struct $settings {
                $( $(#[doc = $doc])+ pub $field: $type, )+
            }

            impl Default for $settings {
                fn default() -> Self {
                    Self { $( $field: $default, )+ }
                }
            }

            impl $settings {
                fn read(values: &mut Values) -> Self {
                    let defaults = Self::default();
                    Self {
                        $( $field: values.take(stringify!($section), stringify!($field), defaults.$field), )+
                    }
                }

                fn describe() -> SectionInfo {
                    let defaults = Self::default();
                    SectionInfo {
                        name: stringify!($section),
                        doc: concat!($($section_doc,)+).trim().to_owned(),
                        keys: vec![
                            $( key_info(stringify!($field), &defaults.$field, concat!($($doc,)+)), )+
                        ],
                    }
                }
            }
        )+

        /// The checked settings of a process, one field for each section. A module is given only its own section.
        #[derive(Debug, Clone, Default)]
        pub struct Settings {
            $( $(#[doc = $section_doc])+ pub $section: $settings, )+
        }

        impl Settings {
            /// Every section and key, in the order of the reference page.
            pub fn describe() -> Vec<SectionInfo> {
                vec![$( $settings::describe(), )+]
            }

            pub(crate) fn read(values: &mut Values) -> Self {
                Self { $( $section: $settings::read(values), )+ }
            }
        }
    };
}

pub(crate) use sections;
