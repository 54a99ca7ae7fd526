//! One slot: a thread that keeps one process fed and says how each of its tasks ended.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_protocol::TaskError;
use millstream_store::{Format, Payload};
use tracing::{debug, info};

use super::environment::BuildWatch;
use super::failure::{self, Killed};
use super::flight::{Flight, add_log, ready_to_send, received};
use super::frame::{self, Answer, Batch, FromPython, Outcome};
use super::memory::Watch;
use super::op::Env;
use super::pace::Pace;
use super::pool::{Hold, PythonWork, Shared, Waiting};
use super::process::Process;
use super::sys::{self, Wait};
use super::turns::Turn;
use crate::log::LogCapture;
use crate::task::TaskOutput;

/// A task that runs longer gives those sent behind it back. Less would take a busy machine's pauses for long tasks.
const LONG: Duration = Duration::from_millis(20);

/// How often a long task's process is looked at.
const TICK: Duration = Duration::from_millis(100);

/// A process that does not begin a task for so long is stuck: users' code left a thread that holds the interpreter.
const STUCK: Duration = Duration::from_secs(60);

/// How long a spare slot keeps a process that nobody needs.
const KEPT: Duration = Duration::from_secs(30);

/// Deaths in a row of processes that ran nothing, after which the next task is failed rather than tried again.
const IDLE_DEATHS: u32 = 3;

/// One slot.
pub(super) struct Slot<W: PythonWork> {
    number: usize,
    shared: Arc<Shared<W>>,
    waker: UnixStream,
    hold: Hold,
    process: Option<Process>,
    parked: VecDeque<Process>,
    flight: VecDeque<Flight<W>>,
    pace: Pace,
    /// The task that was interrupted, and when its process is killed.
    stopping: Option<(u32, Instant)>,
    killed: Option<Killed>,
    /// The last time that anything came of the tasks under way, and the task that ran then.
    moved: Instant,
    running: u32,
    memory: Watch,
    idle_deaths: u32,
}

impl<W: PythonWork> Slot<W> {
    pub(super) fn new(number: usize, shared: Arc<Shared<W>>, waker: UnixStream) -> Self {
        let memory = Watch::new(number, Arc::clone(&shared.shares));
        Self {
            number,
            shared,
            waker,
            hold: Hold::default(),
            process: None,
            parked: VecDeque::new(),
            flight: VecDeque::new(),
            pace: Pace::unknown(),
            stopping: None,
            killed: None,
            moved: Instant::now(),
            running: 0,
            memory,
            idle_deaths: 0,
        }
    }

    /// Runs until the pool is dropped.
    pub(super) fn serve(mut self) {
        while self.fill() {
            if let Err(error) = self.turn() {
                // Nothing but a lack of memory or descriptors makes polling fail.
                debug!(%error, slot = self.number, "a python slot cannot wait for its process");
                std::thread::sleep(TICK);
            }
        }
    }

    /// Takes tasks as long as the process has room; false when the pool is dropped.
    fn fill(&mut self) -> bool {
        loop {
            if self.hold.turn == Turn::Lent && !self.flight.is_empty() {
                return !self.shared.is_closed();
            }
            let room = self.pace.window().saturating_sub(self.flight.len());
            let has_grown = self.memory.held() > self.shared.settings.recycle_above;
            let ends = self.stopping.is_some() || self.killed.is_some() || has_grown;
            if room == 0 || (ends && !self.flight.is_empty()) {
                return !self.shared.is_closed();
            }
            let exclusive = self
                .flight
                .front()
                .is_some_and(|flight| flight.waiting.is_exclusive());
            if exclusive {
                return !self.shared.is_closed();
            }
            let busy = self.flight.front().map(|flight| &flight.waiting.needs.env);
            let Some(taken) = self.shared.take(self.number, &mut self.hold, room, busy) else {
                return false;
            };
            if taken.is_empty() {
                return true;
            }
            self.send(taken);
        }
    }

    /// Sends tasks of one environment to its process.
    fn send(&mut self, taken: Vec<Waiting<W>>) {
        let Some(first) = taken.first() else { return };
        let env = Arc::clone(&first.needs.env);
        let is_cancelled = |waiting: &Waiting<W>| waiting.work.cancel().is_cancelled();
        let shared = Arc::clone(&self.shared);
        let abandoned = || shared.is_closed() || taken.iter().all(is_cancelled);
        let watch = BuildWatch {
            abandoned: &abandoned,
            tell: &|text| first.work.prepares(text),
        };
        if let Err(error) = self.bring(&env, &watch) {
            for waiting in taken {
                let error = if is_cancelled(&waiting) {
                    failure::cancelled()
                } else {
                    error.clone()
                };
                waiting.work.finish(Err(error.into()), Duration::ZERO);
            }
            return;
        }
        let Some(process) = &mut self.process else { return };
        let limit = self.shared.settings.inband_limit;
        let mut batch = Batch::new();
        if self.flight.is_empty() {
            self.moved = Instant::now();
        }
        for waiting in taken {
            let sent = ready_to_send(&waiting, process, &self.shared.copies, limit);
            let (task, inputs) = match sent {
                Ok(sent) => sent,
                Err(failure) => {
                    waiting.work.finish(Err(failure), Duration::ZERO);
                    continue;
                }
            };
            let op = process.op(&waiting.needs.op);
            let seq = process.next_seq();
            batch.push(seq, op, &task, &inputs);
            self.flight.push_back(Flight {
                seq,
                waiting,
                task,
                _inputs: inputs,
                secrets: Arc::clone(&process.secrets),
                sent: Instant::now(),
            });
            if batch.is_full() {
                process.queue(std::mem::replace(&mut batch, Batch::new()).finish());
            }
        }
        if !batch.is_empty() {
            process.queue(batch.finish());
        }
        if let Err(error) = process.flush() {
            // Its end is noticed by the next wait.
            debug!(%error, "a python process takes no more tasks");
        }
    }

    /// Makes the process of an environment with the slot's devices the current one, and starts it if there is none.
    fn bring(&mut self, env: &Arc<Env>, watch: &BuildWatch<'_>) -> Result<(), TaskError> {
        let claim = self.hold.claim.as_ref();
        let devices = claim.map(|claim| claim.visible.as_str());
        let fits = |process: &Process| process.env == *env && process.devices.as_deref() == devices;
        if self.process.as_ref().is_some_and(fits) {
            return Ok(());
        }
        self.parked.extend(self.process.take());
        let known = self.parked.iter().position(fits);
        self.process = known.and_then(|at| self.parked.remove(at));
        while self.parked.len() > self.shared.settings.parked {
            self.parked.pop_front();
        }
        if self.process.is_none() {
            let shared = &self.shared;
            let environment = shared.environments.ready(&shared.settings, env, watch)?;
            let process = Process::start(&shared.settings, env, claim, environment, watch.abandoned)?;
            debug!(
                slot = self.number,
                python = process.greeting.version,
                "a python process is ready"
            );
            self.process = Some(process);
        }
        let probe = self.process.as_ref().map(|process| Arc::clone(&process.probe));
        self.shared.stacks.set(self.number, probe);
        Ok(())
    }

    /// Waits for something to happen and deals with it.
    fn turn(&mut self) -> io::Result<()> {
        let patience = self.patience();
        let Some(process) = &self.process else {
            let mut waits = [Wait::readable(&self.waker)];
            sys::poll(&mut waits, None)?;
            self.drain_waker();
            return Ok(());
        };
        let ready = process.wait(Some(&self.waker), patience)?;
        if ready.woken {
            self.drain_waker();
        }
        let open = self.listen(ready.printed)?;
        if ready.ended || !open {
            self.bury();
            return Ok(());
        }
        if ready.woken {
            self.stop_cancelled();
        }
        self.look_after();
        Ok(())
    }

    fn patience(&self) -> Option<Duration> {
        if self.flight.is_empty() {
            return self.is_spare().then_some(KEPT);
        }
        let quiet = self.moved.elapsed();
        let tick = if quiet < LONG { LONG - quiet } else { TICK };
        let kill = self
            .stopping
            .map(|(_, at)| at.saturating_duration_since(Instant::now()));
        Some(kill.map_or(tick, |kill| kill.min(tick)))
    }

    fn drain_waker(&mut self) {
        let mut bytes = [0; 64];
        while self.waker.read(&mut bytes).is_ok_and(|size| size > 0) {}
    }

    /// Takes output and answers that have arrived; false if nothing more will come.
    fn listen(&mut self, printed: bool) -> io::Result<bool> {
        let Some(process) = &mut self.process else {
            return Ok(true);
        };
        let open = process.receive()?;
        if printed {
            // Only one task runs, and it is the first that has not been answered, or a later one of its batch.
            let log = self.flight.front().map(|flight| flight.task.log.clone());
            process.read_output(&log.unwrap_or_default());
        }
        process.flush().or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Ok(()),
            _ => Err(error),
        })?;
        loop {
            let Some(process) = &mut self.process else {
                return Ok(open);
            };
            let frame = match process.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(open),
                Err(error) => {
                    debug!(%error, "a python process is confused");
                    self.kill(Killed::Confused);
                    return Ok(open);
                }
            };
            match frame::read(&frame) {
                Ok(FromPython::Done(answers)) => answers.into_iter().for_each(|answer| self.answered(answer)),
                Ok(FromPython::Waits { seq, waits }) => self.waits(seq, waits),
                Ok(FromPython::Ready(_)) => {}
                Err(error) => {
                    debug!(%error, "a python process is confused");
                    self.kill(Killed::Confused);
                }
            }
        }
    }

    /// The task that runs begins to wait for other tasks, or goes on. What was sent behind it cannot run meanwhile.
    fn waits(&mut self, seq: u32, waits: bool) {
        if self.flight.iter().all(|flight| flight.seq != seq) {
            return;
        }
        if waits {
            self.take_back();
            if !self.shared.lend(&mut self.hold.turn) {
                let limit = self.shared.settings.waiting;
                self.kill(Killed::NoneLeft { limit });
            }
        } else {
            self.shared.reclaim(&mut self.hold.turn);
        }
        if let Some(flight) = self.flight.iter().find(|flight| flight.seq == seq) {
            flight.waiting.work.waits(waits);
        }
    }

    /// A task has ended.
    fn answered(&mut self, answer: Answer<'_>) {
        let Some(process) = &mut self.process else { return };
        // Taken in any case: descriptors come in the order of their answers.
        let sealed = match answer.outcome {
            Outcome::Sealed(size) | Outcome::SealedTable(size) => Some((process.next_fd(), size)),
            _ => None,
        };
        let at = self.flight.iter().position(|flight| flight.seq == answer.seq);
        let Some(flight) = at.and_then(|at| self.flight.remove(at)) else {
            return;
        };
        self.moved = Instant::now();
        self.idle_deaths = 0;
        if self.stopping.is_some_and(|(seq, _)| seq == answer.seq) {
            self.stopping = None;
        }
        add_log(&flight.task.log, answer.log);
        let format = match answer.outcome {
            Outcome::Table(_) | Outcome::SealedTable(_) => Format::ArrowIpc,
            _ => Format::Pickle,
        };
        let result = match answer.outcome {
            Outcome::Skipped => {
                self.shared.push_front(vec![flight.waiting]);
                return;
            }
            Outcome::Value(bytes) | Outcome::Table(bytes) => {
                Ok(Payload::single(Bytes::copy_from_slice(bytes)))
            }
            Outcome::Failed(raised) => Err(failure::raised(raised)),
            Outcome::Sealed(_) | Outcome::SealedTable(_) => received(sealed, format),
        };
        self.pace.took(answer.took_us);
        let output = result.map(|payload| TaskOutput::new(payload, format));
        flight.finish(output, Duration::from_micros(u64::from(answer.took_us)));
    }

    /// Stops tasks under way that were cancelled: the one that runs by an interrupt, those behind it by taking them back.
    fn stop_cancelled(&mut self) {
        let is_cancelled = |flight: &Flight<W>| flight.waiting.work.cancel().is_cancelled();
        if !self.flight.iter().any(is_cancelled) {
            return;
        }
        let Some(process) = &self.process else { return };
        let running = process.page.progress().running();
        if self
            .flight
            .iter()
            .any(|flight| is_cancelled(flight) && Some(flight.seq) != running)
        {
            self.take_back();
        }
        let (Some(process), None) = (&self.process, self.stopping) else {
            return;
        };
        let Some(flight) = self.flight.iter().find(|flight| is_cancelled(flight)) else {
            return;
        };
        process.interrupt(flight.seq);
        self.stopping = Some((flight.seq, Instant::now() + self.shared.settings.kill_grace));
    }

    /// Takes back what the process has not begun.
    fn take_back(&mut self) {
        let Some(process) = &self.process else { return };
        let from = process.revoke();
        let kept = self.flight.iter().filter(|flight| flight.seq < from).count();
        let (stopped, returned): (Vec<_>, Vec<_>) = self
            .flight
            .split_off(kept)
            .into_iter()
            .map(|flight| flight.waiting)
            .partition(|waiting| waiting.work.cancel().is_cancelled());
        for waiting in stopped {
            waiting
                .work
                .finish(Err(failure::cancelled().into()), Duration::ZERO);
        }
        self.shared.push_front(returned);
    }

    /// Looks at a process that has not answered for a while.
    fn look_after(&mut self) {
        let Some(process) = &self.process else { return };
        let now = Instant::now();
        if self.memory.takes_order() {
            self.make_room();
            return;
        }
        if self.flight.is_empty() {
            if self.is_spare() && now.duration_since(self.moved) >= KEPT {
                self.let_go();
            } else if self.memory.held() > self.shared.settings.recycle_above {
                self.replace();
            }
            return;
        }
        if self.stopping.is_some_and(|(_, kill_at)| kill_at <= now) {
            self.kill(Killed::Stopped);
            return;
        }
        if self.memory.measure(now, process) && self.memory.must_go() {
            let (held, limit) = (self.memory.held(), self.shared.settings.memory_limit);
            self.kill(Killed::Memory { held, limit });
        } else if now.duration_since(self.moved) >= LONG {
            self.look_at_long(now);
        }
    }

    /// Nothing has come for a while: does the process get on, and who waits for it in vain?
    fn look_at_long(&mut self, now: Instant) {
        let Some((process, first)) = self.process.as_ref().zip(self.flight.front()) else {
            return;
        };
        let progress = process.page.progress();
        let begun = first.seq <= progress.started;
        if first.seq <= progress.finished {
            process.ask_answers();
        }
        if !begun && now.duration_since(first.sent) >= STUCK {
            self.kill(Killed::Hung(STUCK));
        } else if progress.started != self.running {
            self.running = progress.started;
            self.moved = now;
        } else if self.flight.len() > 1 {
            self.pace.is_long();
            self.take_back();
        }
    }

    /// The worker is short of memory, and no process holds more than this slot's.
    fn make_room(&mut self) {
        self.parked.clear();
        if self.flight.is_empty() {
            self.replace();
        } else {
            let held = self.memory.held();
            self.kill(Killed::Short { held });
        }
    }

    /// Whether the slot serves only in the stead of others.
    fn is_spare(&self) -> bool {
        self.number >= self.shared.slots()
    }

    /// Ends processes that nobody needs.
    fn let_go(&mut self) {
        self.shared.stacks.set(self.number, None);
        self.memory.forget();
        self.parked.clear();
        self.process = None;
    }

    /// Replaces an idle process that has grown.
    fn replace(&mut self) {
        let held = self.memory.held();
        info!(
            slot = self.number,
            held, "a python process has grown and is replaced"
        );
        self.memory.forget();
        if let Some(process) = self.process.take() {
            let env = Arc::clone(&process.env);
            let had_devices = process.devices.is_some();
            drop(process);
            if had_devices {
                // The next task may get others.
                return;
            }
            // The next task that needs it says why it cannot be started.
            let shared = Arc::clone(&self.shared);
            let watch = BuildWatch {
                abandoned: &|| shared.is_closed(),
                tell: &|_| {},
            };
            let _ = self.bring(&env, &watch);
        }
    }

    fn kill(&mut self, reason: Killed) {
        self.killed.get_or_insert(reason);
        if let Some(process) = &self.process {
            process.kill();
        }
    }

    /// The process has ended: the task that it ran is failed, what it had not begun goes to others.
    fn bury(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        self.shared.stacks.set(self.number, None);
        let (killed, stopping) = (self.killed.take(), self.stopping.take());
        let oom_kill = process.saw_oom_kill();
        let progress = process.page.progress();
        let running = progress.running();
        let log = self.flight.iter().find(|flight| Some(flight.seq) == running);
        let log = log.map_or_else(LogCapture::default, |flight| flight.task.log.clone());
        let status = process.end(&log);
        process.page.salvage(&log);
        debug!(slot = self.number, ?status, ?killed, "a python process has ended");
        // An interrupted process that dies of it was stopped, whatever its last words.
        let killed = killed.or(stopping.map(|_| Killed::Stopped));
        self.idle_deaths += u32::from(running.is_none());
        let mut again = Vec::new();
        let spared = self.idle_deaths <= IDLE_DEATHS;
        for (i, flight) in std::mem::take(&mut self.flight).into_iter().enumerate() {
            let is_blamed = Some(flight.seq) == running || (i == 0 && !spared);
            let was_begun = flight.seq <= progress.started;
            if is_blamed || (was_begun && flight.waiting.is_exclusive()) {
                let name = &flight.waiting.needs.op.spec.name;
                let error = failure::died(name, status, killed, oom_kill, self.memory.held());
                let took = flight.sent.elapsed();
                flight.finish(Err(error), took);
            } else {
                again.push(flight.waiting);
            }
        }
        self.shared.push_front(again);
        self.memory.forget();
        self.pace = Pace::unknown();
    }
}
