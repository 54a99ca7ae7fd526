//! What a task writes: the head and the tail of it.

use std::sync::{Arc, Mutex, PoisonError};

use millstream_protocol::wire::TaskLog;

/// Bytes of output that an error quotes.
const QUOTED_BYTES: usize = 2 << 10;

/// Collects a task's output. Clones share it; what nobody writes to costs nothing.
#[derive(Debug, Clone)]
pub struct LogCapture {
    limit: usize,
    text: Arc<Mutex<Captured>>,
}

#[derive(Debug, Default)]
struct Captured {
    head: Vec<u8>,
    tail: Vec<u8>,
    omitted: u64,
}

impl Default for LogCapture {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

impl LogCapture {
    /// Bytes of head and of tail that are kept of each attempt.
    pub const DEFAULT_LIMIT: usize = 64 << 10;

    /// Keeps at most `limit` bytes of the head and as many of the tail.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            text: Arc::default(),
        }
    }

    /// Adds output.
    pub fn write(&self, bytes: &[u8]) {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes, self.limit);
    }

    /// Notes output that was left out here: written by the task, kept by nobody.
    pub fn skip(&self, bytes: u64) {
        let mut captured = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        captured.omitted += bytes;
    }

    /// The last of what was written, as errors quote it; all of it is in the task's log.
    pub fn quote(&self) -> Option<String> {
        let TaskLog { head, tail, .. } = *self.finish()?;
        let text = if tail.is_empty() { head } else { tail };
        let start = text.len().saturating_sub(QUOTED_BYTES);
        let start = (start..text.len()).find(|at| text.is_char_boundary(*at))?;
        Some(text[start..].to_owned())
    }

    /// What was written; `None` if nothing was.
    pub fn finish(&self) -> Option<Box<TaskLog>> {
        let captured = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        (!captured.head.is_empty()).then(|| Box::new(captured.to_log(self.limit)))
    }
}

impl Captured {
    fn write(&mut self, bytes: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(rest);
        // Trimmed at twice the limit, so that each byte is moved at most once.
        if self.tail.len() > 2 * limit {
            self.trim(limit);
        }
    }

    fn trim(&mut self, limit: usize) {
        let excess = self.tail.len().saturating_sub(limit);
        self.tail.drain(..excess);
        self.omitted += excess as u64;
    }

    fn to_log(&self, limit: usize) -> TaskLog {
        let excess = self.tail.len().saturating_sub(limit);
        TaskLog {
            head: String::from_utf8_lossy(&self.head).into_owned(),
            tail: String::from_utf8_lossy(&self.tail[excess..]).into_owned(),
            omitted: self.omitted + excess as u64,
        }
    }
}
