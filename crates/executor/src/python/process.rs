//! One Python process: its start, its socket, its output, its end.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_protocol::{ErrorKind, TaskError};
use tempfile::TempDir;

use crate::group::Group;
use crate::log::LogCapture;

use super::devices::{self, Claim};
use super::environment::Environment;
use super::frame::{self, FromPython, Greeting, Malformed, Outgoing};
use super::memory;
use super::op::{Env, PythonOp};
use super::page::Page;
use super::runtime;
use super::secret::{self, Secrets};
use super::settings::{GatewayAccess, PythonSettings};
use super::stack::Probe;
use super::sys::{self, MAX_FDS, Wait};

/// One read of the socket or of the pipe.
const READ_BYTES: usize = 64 << 10;

/// Operations that one process keeps.
const MAX_OPS: usize = 1024;

/// How long an idle process that is needed no more may take to end by itself.
const END_GRACE: Duration = Duration::from_secs(1);

/// How often a starting process is looked at.
const START_TICK: Duration = Duration::from_millis(50);

/// A process that has said it is ready. Dropping it kills it with all it started.
pub(super) struct Process {
    child: Child,
    group: Group,
    handle: OwnedFd,
    socket: UnixStream,
    output: Option<PipeReader>,
    pub(super) page: Page,
    pub(super) greeting: Greeting,
    pub(super) env: Arc<Env>,
    /// The devices it sees, if not all of the worker's.
    pub(super) devices: Option<String>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) probe: Arc<Probe>,
    ops: HashMap<usize, (Arc<PythonOp>, u32)>,
    ops_by_content: HashMap<(String, Bytes), u32>,
    next_op: u32,
    next_seq: u32,
    unsent: VecDeque<Outgoing>,
    sent_of_first: usize,
    unread: Vec<u8>,
    fds: VecDeque<OwnedFd>,
    oom_kills: u64,
    /// Kept from being removed.
    _environment: Environment,
    _folder: TempDir,
}

/// What a slot waits for besides its process.
pub(super) struct Ready {
    pub(super) woken: bool,
    pub(super) printed: bool,
    pub(super) ended: bool,
}

impl Process {
    /// Starts the interpreter of an environment, which sees the devices of `claim`, and waits until it is ready.
    /// `abandoned` is asked now and then whether to give up.
    pub(super) fn start(
        settings: &PythonSettings,
        env: &Arc<Env>,
        claim: Option<&Claim>,
        environment: Environment,
        abandoned: &dyn Fn() -> bool,
    ) -> Result<Self, TaskError> {
        let shown = environment.interpreter.display().to_string();
        let (vars, secrets) = secret::resolve(settings, env)?;
        let devices = claim.map(|claim| claim.visible.clone());
        let started = Self::spawn(settings, env, devices, environment, &vars);
        let mut process = started.map_err(|error| {
            let what = match error.kind() {
                io::ErrorKind::NotFound if env.interpreter.is_some() || env.conda.is_some() => {
                    "was not found: `python` and `conda` in env= name paths on the workers".to_owned()
                }
                io::ErrorKind::NotFound => {
                    "was not found: install python3, or set python.interpreter on the worker".to_owned()
                }
                _ => format!("cannot be started: {error}"),
            };
            unstarted(&shown, &what, None)
        })?;
        process.secrets = Arc::new(secrets);
        let log = LogCapture::default();
        process
            .until_ready(settings.start_timeout, &log, abandoned)
            .map_err(|what| unstarted(&shown, &what, log.quote()))?;
        if let Some(reason) = process.greeting.cloudpickle.strip_prefix('!') {
            let shown = &process.greeting.executable;
            let message = format!(
                "python tasks need the package `cloudpickle` in {shown} ({reason}): run `{shown} -m pip install cloudpickle` on the worker"
            );
            return Err(TaskError::new(ErrorKind::Environment, message));
        }
        Ok(process)
    }

    /// Waits for the greeting; says what happened instead, if it does not come.
    fn until_ready(
        &mut self,
        patience: Duration,
        log: &LogCapture,
        abandoned: &dyn Fn() -> bool,
    ) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        loop {
            match self.greet(log) {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() > deadline => {
                    return Err(format!("was not ready within {patience:?}"));
                }
                Ok(false) if abandoned() => return Err("was not waited for".to_owned()),
                Ok(false) => {}
                Err(error) => {
                    let status = self.end(log);
                    let how = status.map_or_else(|| error.to_string(), memory::describe);
                    return Err(format!("ended at its start with {how}"));
                }
            }
        }
    }

    fn spawn(
        settings: &PythonSettings,
        env: &Arc<Env>,
        devices: Option<String>,
        environment: Environment,
        vars: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let runtime = runtime::install(&settings.dir)?;
        let folder = tempfile::Builder::new()
            .prefix("executor-")
            .tempdir_in(&settings.dir)?;
        let files = env
            .files
            .as_ref()
            .map(|zip| runtime::install_files(&settings.dir, zip))
            .transpose()?;
        let (socket, theirs) = UnixStream::pair()?;
        let (output, printed) = io::pipe()?;
        let page = Page::new(settings.log_limit)?;
        let inherited = settings
            .inherit_env
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let path = (settings.interpreter() != environment.interpreter)
            .then(|| path_with(&environment.interpreter))
            .flatten();
        let child = Command::new(&environment.interpreter)
            // Not the working folder: a file there could hide a module.
            .args(["-P", "-c", runtime::START])
            .args(files)
            .arg(runtime)
            .env_clear()
            .envs(inherited)
            .envs(path.map(|path| ("PATH", path)))
            .envs(&settings.env)
            .envs(devices.iter().map(|devices| (devices::VISIBLE, devices)))
            .envs(settings.gateway.iter().flat_map(GatewayAccess::variables))
            .envs(vars)
            .current_dir(folder.path())
            // A socket as standard input needs no descriptor to be inherited, which other programs might inherit too.
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(printed.try_clone()?))
            .stderr(Stdio::from(printed))
            .process_group(0)
            .spawn()?;
        let handle = sys::process_handle(child.id())?;
        let probe = Arc::new(Probe::new(&page, &handle)?);
        let start = frame::start(settings.inband_limit, settings.log_limit);
        let process = Self {
            group: Group::new(child.id()),
            child,
            handle,
            socket,
            output: Some(output),
            page,
            greeting: Greeting::default(),
            env: Arc::clone(env),
            devices,
            ops: HashMap::new(),
            ops_by_content: HashMap::new(),
            next_op: 0,
            // Zero means none.
            next_seq: 1,
            unsent: VecDeque::new(),
            sent_of_first: 0,
            unread: Vec::new(),
            fds: VecDeque::new(),
            oom_kills: memory::oom_kills(),
            secrets: Arc::default(),
            probe,
            _environment: environment,
            _folder: folder,
        };
        match sys::send(
            &process.socket,
            &start,
            &[process.page.as_fd(), process.probe.theirs()],
        ) {
            // It has ended already, and is asked why when it is waited for.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(process),
            sent => sent.map(|_| process),
        }
    }

    /// Waits a little for the greeting; whether it came.
    fn greet(&mut self, log: &LogCapture) -> io::Result<bool> {
        let ready = self.wait(None, Some(START_TICK))?;
        if ready.printed {
            self.read_output(log);
        }
        let open = self.receive()?;
        if let Some(frame) = self.next_frame().map_err(io::Error::other)? {
            match frame::read(&frame).map_err(io::Error::other)? {
                FromPython::Ready(greeting) => {
                    self.greeting = greeting;
                    return Ok(true);
                }
                FromPython::Done(_) | FromPython::Waits { .. } => {
                    return Err(io::Error::other("an answer before the greeting"));
                }
            }
        }
        if open && !ready.ended {
            Ok(false)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Waits for the process, or for `waker`.
    pub(super) fn wait(&self, waker: Option<&UnixStream>, patience: Option<Duration>) -> io::Result<Ready> {
        let socket = if self.unsent.is_empty() {
            Wait::readable(&self.socket)
        } else {
            Wait::writable(&self.socket)
        };
        let mut waits = vec![socket, Wait::readable(&self.handle)];
        waits.extend(self.output.as_ref().map(Wait::readable));
        waits.extend(waker.map(Wait::readable));
        sys::poll(&mut waits, patience)?;
        let has_output = self.output.is_some();
        Ok(Ready {
            ended: waits[1].is_ready(),
            printed: has_output && waits[2].is_ready(),
            woken: waker.is_some() && waits[2 + usize::from(has_output)].is_ready(),
        })
    }

    /// Reads what was printed past Python, once; it is known to be there.
    pub(super) fn read_output(&mut self, log: &LogCapture) {
        let Some(output) = &mut self.output else { return };
        let mut chunk = [0; READ_BYTES];
        match output.read(&mut chunk) {
            Ok(0) | Err(_) => self.output = None,
            Ok(size) => log.write(&chunk[..size]),
        }
    }

    /// Reads what has arrived; false if nothing more ever will.
    pub(super) fn receive(&mut self) -> io::Result<bool> {
        let mut chunk = [0; READ_BYTES];
        let mut fds = Vec::new();
        loop {
            let received = sys::receive(&self.socket, &mut chunk, &mut fds);
            self.fds.extend(fds.drain(..));
            match received {
                Ok(0) => return Ok(false),
                Ok(size) => self.unread.extend_from_slice(&chunk[..size]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next frame that has arrived as a whole.
    pub(super) fn next_frame(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let Some(size) = frame::frame_len(&self.unread)? else {
            return Ok(None);
        };
        if self.unread.len() < size {
            return Ok(None);
        }
        let rest = self.unread.split_off(size);
        Ok(Some(std::mem::replace(&mut self.unread, rest)))
    }

    /// The next descriptor that has arrived.
    pub(super) fn next_fd(&mut self) -> Option<OwnedFd> {
        self.fds.pop_front()
    }

    /// The number of an operation, which is told first if the process does not know it.
    pub(super) fn op(&mut self, op: &Arc<PythonOp>) -> u32 {
        let key = Arc::as_ptr(op) as usize;
        if let Some((_, number)) = self.ops.get(&key) {
            return *number;
        }
        if self.ops.len() >= MAX_OPS {
            let known: Vec<u32> = self.ops_by_content.drain().map(|(_, number)| number).collect();
            known.iter().for_each(|number| self.push(frame::forget(*number)));
            self.ops.clear();
        }
        let content = (op.spec.name.clone(), op.spec.params.clone());
        let number = match self.ops_by_content.get(&content) {
            Some(number) => *number,
            None => {
                let number = self.next_op;
                self.next_op += 1;
                self.push(frame::op(number, &op.spec.name, &op.spec.params));
                self.ops_by_content.insert(content, number);
                number
            }
        };
        self.ops.insert(key, (Arc::clone(op), number));
        number
    }

    /// The number that the next task has in this process's life.
    pub(super) fn next_seq(&mut self) -> u32 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// Asks the process to leave out all it was sent but has not begun; returns the first that it leaves out for sure.
    pub(super) fn revoke(&self) -> u32 {
        self.page.revoke(self.page.progress().started + 1, self.next_seq);
        // The process notes a start before it looks at what was revoked. Whatever it began before it could see our
        // word is noted long before this ends.
        std::thread::sleep(Duration::from_millis(1));
        self.page.progress().started + 1
    }

    fn push(&mut self, bytes: Vec<u8>) {
        let fds = Vec::new();
        self.unsent.push_back(Outgoing { bytes, fds });
    }

    /// Queues a frame; what it carries beside it goes ahead where it is too much for one message.
    pub(super) fn queue(&mut self, mut frame: Outgoing) {
        while frame.fds.len() > MAX_FDS {
            let rest = frame.fds.split_off(MAX_FDS);
            let fds = std::mem::replace(&mut frame.fds, rest);
            let bytes = frame::fds();
            self.unsent.push_back(Outgoing { bytes, fds });
        }
        self.unsent.push_back(frame);
    }

    /// Sends what there is room for.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(frame) = self.unsent.front() {
            let fds: Vec<_> = if self.sent_of_first == 0 {
                frame.fds.iter().map(|value| value.as_fd()).collect()
            } else {
                Vec::new()
            };
            match sys::send(&self.socket, &frame.bytes[self.sent_of_first..], &fds) {
                Ok(size) => self.sent_of_first += size,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if self.sent_of_first == frame.bytes.len() {
                self.unsent.pop_front();
                self.sent_of_first = 0;
            }
        }
        Ok(())
    }

    /// Interrupts the task, if it is the one that runs when the signal arrives.
    pub(super) fn interrupt(&self, seq: u32) {
        self.page.cancel(seq);
        sys::signal(&self.handle, libc::SIGINT);
    }

    /// Asks for the answers that wait behind a task that turned out to be long.
    pub(super) fn ask_answers(&self) {
        sys::signal(&self.handle, libc::SIGUSR1);
    }

    /// Kills the process with all it started; its end is noticed like any other.
    pub(super) fn kill(&self) {
        self.group.kill();
    }

    /// Memory that only this process holds.
    pub(super) fn memory(&self) -> u64 {
        memory::own_memory(self.child.id())
    }

    /// Whether the system has killed something for want of memory since this process began.
    pub(super) fn saw_oom_kill(&self) -> bool {
        memory::oom_kills() > self.oom_kills
    }

    /// Leaves nothing of the process running, takes what it printed last, and tells how it ended.
    pub(super) fn end(&mut self, log: &LogCapture) -> Option<ExitStatus> {
        // A process that has ended by itself keeps its own status.
        self.group.kill();
        let status = self.child.wait().ok();
        self.group.finish();
        // Only a program that left the group still holds the pipe, and is not waited for.
        while let Some(output) = &self.output {
            let mut waits = [Wait::readable(output)];
            if sys::poll(&mut waits, Some(Duration::ZERO)).is_err() || !waits[0].is_ready() {
                break;
            }
            self.read_output(log);
        }
        status
    }
}

fn unstarted(interpreter: &str, what: &str, log_tail: Option<String>) -> TaskError {
    TaskError {
        log_tail,
        ..TaskError::new(
            ErrorKind::Environment,
            format!("the interpreter {interpreter} {what}"),
        )
    }
}

/// The path for programs, those beside the interpreter of an environment first.
fn path_with(interpreter: &Path) -> Option<OsString> {
    let own = interpreter.parent().filter(|folder| folder.is_absolute())?;
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(own.to_owned()).chain(std::env::split_paths(&inherited));
    std::env::join_paths(all).ok()
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.page.progress().running().is_none() {
            // Asked first, so that plugins can close what they have opened.
            let _ = self.socket.shutdown(Shutdown::Both);
            let _ = sys::poll(&mut [Wait::readable(&self.handle)], Some(END_GRACE));
        }
        self.group.kill();
        // Reaped here; a second wait gives the first one's answer.
        let _ = self.child.wait();
        self.group.finish();
    }
}
