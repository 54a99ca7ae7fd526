//! Tasks on their way through a process: what goes in, what comes out.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_protocol::{ErrorKind, TaskError};
use millstream_store::{Format, Payload};

use super::failure;
use super::frame::Given;
use super::pool::{PythonWork, Waiting};
use super::process::Process;
use super::secret::Secrets;
use super::value::SealedValue;
use crate::log::LogCapture;
use crate::task::{Input, TaskContext, TaskFailure, TaskOutput};

/// A task that its process has been sent.
pub(super) struct Flight<W> {
    /// Its number in the process's life.
    pub(super) seq: u32,
    pub(super) waiting: Waiting<W>,
    pub(super) task: TaskContext,
    /// Copies into sealed memory, which tasks that are under way together share.
    pub(super) _inputs: Vec<Given>,
    /// What must not leave the worker.
    pub(super) secrets: Arc<Secrets>,
    pub(super) sent: Instant,
}

impl<W: PythonWork> Flight<W> {
    /// Says how it ended, with what it printed.
    pub(super) fn finish(self, result: Result<TaskOutput, TaskError>, took: Duration) {
        let mut log = self.task.log.finish();
        if let Some(log) = &mut log {
            self.secrets.hide_in_log(log);
        }
        let result = match result {
            Ok(mut output) => {
                output.log = log;
                Ok(output)
            }
            Err(mut error) => {
                error.host.get_or_insert_with(|| self.task.host.to_string());
                if error.log_tail.is_none() {
                    error.log_tail = self.task.log.quote();
                }
                self.secrets.hide_in_error(&mut error);
                let error = Box::new(error);
                Err(TaskFailure { error, log })
            }
        };
        // Unpinned before anybody hears of the end.
        drop(self.task);
        self.waiting.work.finish(result, took);
    }
}

/// The context and the inputs of a task, if it may run in this process at all.
pub(super) fn ready_to_send<W: PythonWork>(
    waiting: &Waiting<W>,
    process: &Process,
    copies: &Copies,
    limit: u64,
) -> Result<(TaskContext, Vec<Given>), TaskFailure> {
    if waiting.work.cancel().is_cancelled() {
        return Err(failure::cancelled().into());
    }
    failure::check_version(&waiting.needs.op, &process.greeting)?;
    let task = waiting.work.prepare()?;
    let inputs = task.inputs.iter().map(|input| given(input, copies, limit));
    let inputs = inputs.collect::<io::Result<_>>().map_err(|error| {
        TaskFailure::new(
            ErrorKind::BadInput,
            format!("an input cannot be given to python: {error}"),
        )
    })?;
    Ok((task, inputs))
}

/// An input as it travels: what is in sealed memory already is not copied.
fn given(input: &Input, copies: &Copies, limit: u64) -> io::Result<Given> {
    let format = input.format();
    if let Some((shared, _)) = input.shared()
        && let Ok(value) = shared.as_any().downcast::<SealedValue>()
    {
        return Ok(Given::Sealed(format, value));
    }
    let bytes = input.value()?;
    if bytes.len() as u64 <= limit {
        return Ok(Given::Inband(format, bytes));
    }
    copies
        .of(&bytes, format)
        .map(|value| Given::Sealed(format, value))
}

/// Copies of values into sealed memory, by where the values lie, as long as a task that reads one is under way.
#[derive(Default)]
pub(super) struct Copies {
    known: Mutex<HashMap<(usize, usize), Weak<SealedValue>>>,
}

impl Copies {
    fn of(&self, bytes: &Bytes, format: Format) -> io::Result<Arc<SealedValue>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, copy| copy.strong_count() > 0);
        // While the copy lives, so does the task that holds both it and the value: nothing else lies at this address.
        let key = (bytes.as_ptr() as usize, bytes.len());
        if let Some(copy) = known.get(&key).and_then(Weak::upgrade) {
            return Ok(copy);
        }
        let copy = Arc::new(SealedValue::copied(bytes, format)?);
        known.insert(key, Arc::downgrade(&copy));
        Ok(copy)
    }
}

/// A large value as it arrived: its memory and its size.
pub(super) fn received(
    sealed: Option<(Option<OwnedFd>, usize)>,
    format: Format,
) -> Result<Payload, TaskError> {
    let lost = |what: &str| {
        TaskError::new(
            ErrorKind::Internal,
            format!("the process sent a value that cannot be used: {what}"),
        )
    };
    let Some((Some(memory), size)) = sealed else {
        return Err(lost("its memory is missing"));
    };
    let value = SealedValue::received(memory, size, format).map_err(|error| lost(&error.to_string()))?;
    Ok(Payload::Shared(Arc::new(value)))
}

/// Adds what a process captured of one task: length of all, length of the head, head, tail.
pub(super) fn add_log(log: &LogCapture, captured: &[u8]) {
    let word = |at: usize| {
        let bytes = captured.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let (Some(total), Some(head)) = (word(0), word(8)) else {
        return;
    };
    let kept = &captured[16..];
    let (head, tail) = kept.split_at(head.min(kept.len()));
    log.write(head);
    log.skip(total.saturating_sub(kept.len()) as u64);
    log.write(tail);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_what_was_left_out() {
        let log = LogCapture::new(4);
        let mut captured = Vec::new();
        captured.extend_from_slice(&10_u64.to_le_bytes());
        captured.extend_from_slice(&4_u64.to_le_bytes());
        captured.extend_from_slice(b"headtail");
        add_log(&log, &captured);
        let log = log.finish();
        let (head, tail, omitted) =
            log.map_or_else(Default::default, |log| (log.head, log.tail, log.omitted));
        assert_eq!((head.as_str(), tail.as_str(), omitted), ("head", "tail", 2));
    }
}
