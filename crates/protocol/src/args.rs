//! What native and command tasks are called with. Travels as a task's parameters.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError, EncodeError};

/// One argument of a native function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arg {
    /// A value: MessagePack in a `bin`, so that only its reader decodes it.
    #[serde(rename = "v")]
    Literal(Bytes),
    /// The task's input with this number.
    #[serde(rename = "i")]
    Input(u32),
    /// All inputs as one list: for functions that reduce.
    #[serde(rename = "a")]
    AllInputs,
    /// The task's number within its symbolic layer.
    #[serde(rename = "n")]
    Index,
}

/// The arguments of a native function in order. A task without parameters of its own takes its operation's; where
/// both are empty, each input is an argument.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NativeArgs(pub Vec<Arg>);

impl NativeArgs {
    /// No arguments.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a value.
    pub fn value<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self, EncodeError> {
        let encoded = codec::encode_named(value)?;
        self.0.push(Arg::Literal(encoded.into()));
        Ok(self)
    }

    /// Adds the input with this number.
    #[must_use]
    pub fn input(mut self, number: u32) -> Self {
        self.0.push(Arg::Input(number));
        self
    }

    /// Adds all inputs as one list.
    #[must_use]
    pub fn all_inputs(mut self) -> Self {
        self.0.push(Arg::AllInputs);
        self
    }

    /// Adds the task's number within its symbolic layer.
    #[must_use]
    pub fn index(mut self) -> Self {
        self.0.push(Arg::Index);
        self
    }

    /// The arguments as a task's parameters.
    pub fn to_params(&self) -> Result<Bytes, EncodeError> {
        params(self)
    }

    /// Reads a task's parameters.
    pub fn from_params(params: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(params)
    }
}

/// Bytes for a command: of an input, or given with the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandBytes {
    /// The value of the task's input with this number: a command's standard output, any other object's bytes.
    Input(u32),
    /// These bytes.
    Literal(Bytes),
}

/// A program to run in a scratch folder of its own.
///
/// The task's object has one part, the standard output, and one more for each of `files_out`, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandSpec {
    /// The program and its arguments. No shell reads them.
    pub argv: Vec<String>,
    /// Variables added to the few that commands inherit.
    pub env: BTreeMap<String, String>,
    /// What it reads from its standard input; nothing if none.
    pub stdin: Option<CommandBytes>,
    /// Files put into the scratch folder before the start, by path relative to it.
    pub files_in: BTreeMap<String, CommandBytes>,
    /// Files taken from the scratch folder after success, by path relative to it.
    pub files_out: Vec<String>,
    /// The working folder: relative to the scratch folder, or an absolute path on the worker. The scratch folder if none.
    pub cwd: Option<String>,
}

impl CommandSpec {
    /// A command without input or files.
    pub fn new(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// The command as a task's parameters.
    pub fn to_params(&self) -> Result<Bytes, EncodeError> {
        params(self)
    }

    /// Reads a task's parameters.
    pub fn from_params(params: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(params)
    }
}

fn params<T: Serialize>(value: &T) -> Result<Bytes, EncodeError> {
    codec::encode_named(value).map(Bytes::from)
}

/// Decodes a native function's value.
pub fn decode_value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    codec::decode(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn arguments_survive_the_wire() {
        let args = NativeArgs::new()
            .value(&(1, "two"))
            .unwrap()
            .input(3)
            .all_inputs()
            .index();
        let params = args.to_params().unwrap();
        assert_eq!(NativeArgs::from_params(&params), Ok(args));
    }

    #[test]
    fn commands_survive_the_wire() {
        let mut spec = CommandSpec::new(["sort", "-u"]);
        spec.stdin = Some(CommandBytes::Input(0));
        spec.files_in
            .insert("a/b".to_owned(), CommandBytes::Literal(Bytes::from_static(b"x")));
        let params = spec.to_params().unwrap();
        assert_eq!(CommandSpec::from_params(&params), Ok(spec));
    }
}
