//! One call of a native function: arguments in, value out. What `#[task]` generates is written against this.

use std::fmt::Display;

use bytes::Bytes;
use millstream_protocol::args::{Arg, NativeArgs};
use millstream_protocol::codec;
use millstream_protocol::{ErrorKind, TaskError};
use millstream_store::Format;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ctx::TaskCtx;
use crate::task::{Input, TaskContext};

/// The value a call made, encoded, or why it made none.
pub type NativeResult = Result<Bytes, TaskError>;

/// Arguments of one call, decoded one after another.
pub struct NativeCall<'c, 't> {
    ctx: &'c mut TaskCtx<'t>,
    task: &'t TaskContext,
    args: Vec<Arg>,
}

impl<'c, 't> NativeCall<'c, 't> {
    pub(crate) fn new(ctx: &'c mut TaskCtx<'t>, task: &'t TaskContext) -> Result<Self, TaskError> {
        let args = arguments(task)?;
        Ok(Self { ctx, task, args })
    }

    /// Refuses a call with another number of arguments than `expected`.
    pub fn expect_arity(&self, expected: &[&str]) -> Result<(), TaskError> {
        if self.args.len() == expected.len() {
            return Ok(());
        }
        Err(bad_input(format!(
            "`{}` takes {} arguments ({}), {} were given",
            self.task.op.name,
            expected.len(),
            expected.join(", "),
            self.args.len()
        )))
    }

    /// Decodes argument number `i`, which counts from 0. `expected` is its type as written.
    pub fn argument<T: TaskArg>(&self, i: usize, expected: &str) -> Result<T, TaskError> {
        let wrong = |reason: String| {
            bad_input(format!(
                "argument {} of `{}` must be `{expected}`: {reason}",
                i + 1,
                self.task.op.name
            ))
        };
        let arg = self
            .args
            .get(i)
            .ok_or_else(|| wrong("it is missing".to_owned()))?;
        let bytes = self.bytes(arg).map_err(&wrong)?;
        T::decode(&bytes).map_err(wrong)
    }

    /// Refuses a call with fewer arguments than `expected`, of which the last takes the rest.
    pub fn expect_at_least(&self, expected: &[&str]) -> Result<(), TaskError> {
        let needed = expected.len().saturating_sub(1);
        if self.args.len() >= needed {
            return Ok(());
        }
        Err(bad_input(format!(
            "`{}` takes at least {needed} arguments ({}), {} were given",
            self.task.op.name,
            expected.join(", "),
            self.args.len()
        )))
    }

    /// Decodes argument number `i`, which counts from 0, and all after it.
    pub fn rest<T: TaskArg>(&self, i: usize, expected: &str) -> Result<Variadic<T>, TaskError> {
        let rest = i..self.args.len();
        let values: Result<_, TaskError> = rest.map(|i| self.argument(i, expected)).collect();
        Ok(Variadic(values?))
    }

    /// What the function may ask about its task.
    pub fn ctx(&mut self) -> &mut TaskCtx<'t> {
        self.ctx
    }

    fn bytes(&self, arg: &Arg) -> Result<Bytes, String> {
        match arg {
            Arg::Literal(bytes) => Ok(bytes.clone()),
            Arg::Input(number) => {
                let input = self.task.inputs.get(*number as usize);
                let input = input.ok_or_else(|| format!("the task has no input {number}"))?;
                value(input)
            }
            Arg::AllInputs => list(&self.task.inputs),
            Arg::Index => {
                let index = self.task.index.ok_or("the task is in no symbolic layer")?;
                codec::encode(&index)
                    .map(Bytes::from)
                    .map_err(|error| error.to_string())
            }
        }
    }
}

fn bad_input(message: String) -> TaskError {
    TaskError::new(ErrorKind::BadInput, message)
}

/// The task's own arguments, else its operation's, else each input as one.
fn arguments(task: &TaskContext) -> Result<Vec<Arg>, TaskError> {
    let params = if task.params.is_empty() {
        &task.op.params
    } else {
        &task.params
    };
    if params.is_empty() {
        return Ok((0..task.inputs.len() as u32).map(Arg::Input).collect());
    }
    NativeArgs::from_params(params)
        .map(|args| args.0)
        .map_err(|error| {
            bad_input(format!(
                "the arguments of `{}` are malformed: {error}",
                task.op.name
            ))
        })
}

/// An input as MessagePack. A command's output becomes a text, or bytes if it is none.
fn value(input: &Input) -> Result<Bytes, String> {
    let bytes = input.value().map_err(|error| error.to_string())?;
    match input.format() {
        Format::MsgPack => Ok(bytes),
        Format::Raw => {
            let encoded = match std::str::from_utf8(&bytes) {
                Ok(text) => codec::encode(text),
                Err(_) => codec::encode(serde_bytes::Bytes::new(&bytes)),
            };
            encoded.map(Bytes::from).map_err(|error| error.to_string())
        }
        _ => Err("the input is a table, which native functions cannot read as a value".to_owned()),
    }
}

/// All inputs as one MessagePack array.
fn list(inputs: &[Input]) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    let len = u32::try_from(inputs.len()).map_err(|_| "the task has too many inputs")?;
    rmp::encode::write_array_len(&mut bytes, len).map_err(|error| error.to_string())?;
    for input in inputs {
        bytes.extend_from_slice(&value(input)?);
    }
    Ok(bytes.into())
}

/// The type of a last parameter that takes any number of arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variadic<T>(pub Vec<T>);

/// A type that can be a parameter: anything serde can read.
pub trait TaskArg: Sized {
    /// Reads an argument; the error says what was found instead.
    fn decode(bytes: &[u8]) -> Result<Self, String>;
}

impl<T: DeserializeOwned> TaskArg for T {
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        codec::decode(bytes).map_err(|error| match error {
            codec::DecodeError::Malformed { reason } => reason,
            other => other.to_string(),
        })
    }
}

/// Encodes a function's value.
pub fn encode_value<T: Serialize>(value: &T) -> NativeResult {
    codec::encode_named(value)
        .map(Bytes::from)
        .map_err(|error| TaskError::new(ErrorKind::User, format!("the value cannot be stored: {error}")))
}

/// Turns a function's error into its task's.
pub fn user_error(error: impl Display) -> TaskError {
    // The alternate form names the causes, too, where an error type knows them.
    TaskError::new(ErrorKind::User, format!("{error:#}"))
}
