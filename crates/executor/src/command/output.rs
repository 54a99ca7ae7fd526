//! What a command wrote, and what is said when it fails.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use millstream_protocol::{ErrorKind, TaskError};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::log::LogCapture;
use crate::task::TaskContext;

/// One read of a pipe: what a Linux pipe holds.
const PIPE_BYTES: usize = 64 << 10;

/// More was written than may be kept.
pub(super) struct TooMuch;

/// Reads a pipe to its end into the log and, up to a limit, into a value.
pub(super) struct Reader<R> {
    pipe: R,
    log: LogCapture,
    value: Vec<u8>,
    limit: Option<u64>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Keeps the bytes as a value of at most `limit` bytes; none are kept without a limit.
    pub(super) const fn new(pipe: R, log: LogCapture, limit: Option<u64>) -> Self {
        Self {
            pipe,
            log,
            value: Vec::new(),
            limit,
        }
    }

    /// Reads until all writers have closed the pipe. Cancel-safe: what was read stays.
    pub(super) async fn read_to_end(&mut self) -> Result<(), TooMuch> {
        let mut buffer = vec![0; PIPE_BYTES];
        loop {
            // A pipe that cannot be read has ended.
            let count = self.pipe.read(&mut buffer).await.unwrap_or(0);
            if count == 0 {
                return Ok(());
            }
            self.log.write(&buffer[..count]);
            if let Some(limit) = self.limit {
                self.value.extend_from_slice(&buffer[..count]);
                if self.value.len() as u64 > limit {
                    return Err(TooMuch);
                }
            }
        }
    }

    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.value).into()
    }
}

pub(super) fn exit_error(program: &str, status: ExitStatus, task: &TaskContext) -> TaskError {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    };
    let mut error = TaskError::new(
        ErrorKind::CommandFailed,
        format!("`{program}` ended with {how} on {}", task.host),
    );
    error.exit_code = status.code();
    error.signal = status.signal();
    error.log_tail = task.log.quote();
    error
}

pub(super) fn timeout_error(program: &str, limit: Duration, task: &TaskContext) -> TaskError {
    let mut error = TaskError::new(
        ErrorKind::TimedOut,
        format!("`{program}` was killed: it ran longer than its timeout of {limit:?}"),
    );
    error.log_tail = task.log.quote();
    error
}
