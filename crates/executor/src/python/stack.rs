//! What a running task executes, asked from any thread without disturbing it.
//!
//! The process has told its interpreter to write all threads' frames to a file of ours at `SIGUSR2`. That happens in the
//! signal handler itself, so a task answers that is deep in C code, too.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millstream_types::{JobId, TaskIdx};

use super::page::Page;
use super::sys;

/// How long a process may take to write its frames.
const PATIENCE: Duration = Duration::from_millis(200);

/// How often the file is looked at; what has not grown since the last look is whole.
const TICK: Duration = Duration::from_millis(4);

/// Most bytes of one process's frames.
const LIMIT: u64 = 64 << 10;

/// What a Python task executes at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStack {
    /// Its job.
    pub job: JobId,
    /// The task.
    pub task: TaskIdx,
    /// The frames of its threads, innermost first, without those of the executor itself.
    pub text: String,
}

/// The processes of a pool, one for each slot that has one, to be asked at any time.
#[derive(Clone)]
pub struct PythonStacks(Arc<[Mutex<Option<Arc<Probe>>>]>);

impl PythonStacks {
    pub(super) fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| Mutex::new(None)).collect())
    }

    /// What the tasks that run now execute. Waits a few milliseconds for each.
    pub fn all(&self) -> Vec<TaskStack> {
        let probes: Vec<_> = self.0.iter().filter_map(|slot| lock(slot).clone()).collect();
        probes.iter().filter_map(|probe| probe.stack()).collect()
    }

    /// Notes which process a slot uses now.
    pub(super) fn set(&self, slot: usize, probe: Option<Arc<Probe>>) {
        if let Some(slot) = self.0.get(slot) {
            *lock(slot) = probe;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One process as it may be asked.
pub(super) struct Probe {
    page: Page,
    process: OwnedFd,
    /// Where the process writes; held while somebody asks.
    frames: Mutex<File>,
    theirs: OwnedFd,
}

impl Probe {
    pub(super) fn new(page: &Page, process: &OwnedFd) -> io::Result<Self> {
        let frames = sys::memory(0)?;
        Ok(Self {
            page: page.try_clone()?,
            process: process.try_clone()?,
            theirs: frames.try_clone()?.into(),
            frames: Mutex::new(frames),
        })
    }

    /// What the process is given to write to.
    pub(super) fn theirs(&self) -> BorrowedFd<'_> {
        self.theirs.as_fd()
    }

    fn stack(&self) -> Option<TaskStack> {
        let mut frames = lock(&self.frames);
        let (job, task) = self.page.running_task()?;
        // The process shares the position, too.
        frames
            .set_len(0)
            .and_then(|()| frames.seek(SeekFrom::Start(0)))
            .ok()?;
        sys::signal(&self.process, libc::SIGUSR2);
        let size = settled(&frames)?;
        let mut bytes = vec![0; usize::try_from(size.min(LIMIT)).ok()?];
        frames.read_exact_at(&mut bytes, 0).ok()?;
        // Else it ended meanwhile, and the frames are another's.
        let still_runs = self.page.running_task() == Some((job, task));
        still_runs.then(|| TaskStack {
            job,
            task,
            text: users_part(&String::from_utf8_lossy(&bytes)),
        })
    }
}

/// The size of the file once it does not grow any more.
fn settled(file: &File) -> Option<u64> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = 0;
    while Instant::now() < deadline {
        std::thread::sleep(TICK);
        let size = file.metadata().ok()?.len();
        if size > 0 && size == last {
            return Some(size);
        }
        last = size;
    }
    None
}

/// The frames without those of the executor.
fn users_part(text: &str) -> String {
    let is_own = |line: &&str| line.contains("/millstream_runtime/") || line.contains("File \"<string>\"");
    let kept: Vec<&str> = text.lines().filter(|line| !is_own(line)).collect();
    kept.join("\n")
}
