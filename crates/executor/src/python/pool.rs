//! The queue that slots take Python tasks from.
//!
//! There are as many slots as tasks may run at once, and spare ones, which begin to serve when tasks wait for others.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use millstream_protocol::TaskError;
use millstream_protocol::graph::{OpSpec, Rerun, TaskOptions};
use millstream_types::Amount;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::devices::{Claim, Devices};
use super::environment::Environments;
use super::failure;
use super::flight::Copies;
use super::memory::Shares;
use super::op::{Env, Needs, Ops};
use super::settings::PythonSettings;
use super::slot::Slot;
use super::stack::PythonStacks;
use super::turns::{Turn, Turns};
use crate::task::{TaskContext, TaskFailure, TaskResult};
use crate::threads::Threads;

/// A Python task on its way through a slot. It may be taken to one slot, back, and to another before it begins.
pub trait PythonWork: Send + 'static {
    /// What to do.
    fn op(&self) -> &Arc<OpSpec>;

    /// How to run it.
    fn options(&self) -> &Arc<TaskOptions>;

    /// Set when the task should stop; [`PythonPool::cancelled`] must be called then.
    fn cancel(&self) -> &CancellationToken;

    /// Pins the inputs, on a thread that may wait for the disk. May be called again for a task that was taken back.
    fn prepare(&self) -> Result<TaskContext, TaskFailure>;

    /// Is told that the task begins to wait for other tasks, so that its slot is free, or that it goes on.
    fn waits(&self, waits: bool);

    /// Is told what the task waits for before its code begins, in words.
    fn prepares(&self, text: String);

    /// Takes the end of the task and how long its code ran. Called exactly once, unless the pool is dropped first.
    fn finish(self, result: TaskResult, took: Duration);
}

/// A task that waits for a slot, with what it needs.
pub(super) struct Waiting<W> {
    pub(super) work: W,
    pub(super) needs: Needs,
}

impl<W: PythonWork> Waiting<W> {
    /// Whether it must not be run again, so that it is sent alone and its end is told at once.
    pub(super) fn is_exclusive(&self) -> bool {
        self.work.options().rerun == Rerun::Never
    }
}

struct Queue<W> {
    waiting: VecDeque<Waiting<W>>,
    /// Slots that found nothing when they last looked.
    hungry: BTreeSet<usize>,
    turns: Turns,
    devices: Devices,
    /// Slots that have not begun to serve.
    spare: Vec<(usize, UnixStream)>,
    /// The threads of those that have.
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

/// What the slots share.
pub(super) struct Shared<W> {
    pub(super) settings: PythonSettings,
    pub(super) shares: Arc<Shares>,
    queue: Mutex<Queue<W>>,
    wakers: Wakers,
    ops: Ops,
    pub(super) copies: Copies,
    pub(super) environments: Environments,
    pub(super) stacks: PythonStacks,
    threads: Threads,
}

/// The sockets that wake slots.
type Wakers = Arc<[UnixStream]>;

fn wake(wakers: &Wakers, slot: usize) {
    if let Some(mut waker) = wakers.get(slot) {
        // A full socket wakes, too.
        let _ = waker.write(&[1]);
    }
}

/// Memory of the processes of a [`PythonPool`].
#[derive(Clone)]
pub struct PythonMemory {
    shares: Arc<Shares>,
    wakers: Wakers,
}

impl PythonMemory {
    /// Recycles the process that holds the most, because the worker is about to run out of memory: an idle one is
    /// replaced; one that runs a task is killed, and the task fails. Nothing happens while none holds much more than a
    /// fresh process does.
    pub fn recycle_largest(&self) {
        if let Some(slot) = self.shares.tell_largest() {
            wake(&self.wakers, slot);
        }
    }

    /// Bytes that the processes hold of their own, when last measured; shared values count in the store.
    pub fn total(&self) -> u64 {
        self.shares.total()
    }
}

/// The slots for Python tasks. Dropping the pool kills their processes and forgets what waits.
pub struct PythonPool<W: PythonWork> {
    shared: Arc<Shared<W>>,
}

impl<W: PythonWork> PythonPool<W> {
    /// Starts `slots` threads. A process is started with the first task that needs one.
    ///
    /// # Errors
    /// Threads or sockets that the system refuses.
    pub fn new(settings: PythonSettings, slots: usize) -> io::Result<Self> {
        let all = slots + settings.waiting;
        let pairs = (0..all)
            .map(|_| UnixStream::pair())
            .collect::<io::Result<Vec<_>>>()?;
        let (wakers, woken): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        for socket in wakers.iter().chain(&woken) {
            socket.set_nonblocking(true)?;
        }
        let devices = Devices::new(&settings.devices);
        let shared = Arc::new(Shared {
            shares: Arc::new(Shares::new(all, settings.memory_limit)),
            settings,
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                hungry: BTreeSet::new(),
                turns: Turns::new(slots),
                devices,
                // Taken from the end.
                spare: woken.into_iter().enumerate().rev().collect(),
                threads: Vec::with_capacity(slots),
                closed: false,
            }),
            wakers: wakers.into(),
            ops: Ops::default(),
            copies: Copies::default(),
            environments: Environments::default(),
            stacks: PythonStacks::new(all),
            threads: Threads::default(),
        });
        // Dropped if one fails, which ends those before it.
        let pool = Self { shared };
        for _ in 0..slots {
            pool.shared.serve_one_more()?;
        }
        Ok(pool)
    }

    /// Queues tasks; they begin in this order as slots get free.
    pub fn start(&self, work: impl IntoIterator<Item = W>) {
        let mut ready = Vec::new();
        for work in work {
            let needs = if self.shared.settings.allowed {
                self.shared.needs(&work)
            } else {
                Err(failure::not_allowed())
            };
            match needs {
                Ok(needs) => ready.push(Waiting { work, needs }),
                Err(error) => work.finish(Err(error.into()), Duration::ZERO),
            }
        }
        self.shared.push_back(ready);
    }

    /// To be called after the cancellation of any task: those that wait end at once, those that run are stopped.
    pub fn cancelled(&self) {
        let mut stopped = Vec::new();
        {
            let mut queue = self.shared.lock();
            for waiting in std::mem::take(&mut queue.waiting) {
                if waiting.work.cancel().is_cancelled() {
                    stopped.push(waiting);
                } else {
                    queue.waiting.push_back(waiting);
                }
            }
        }
        for waiting in stopped {
            waiting
                .work
                .finish(Err(failure::cancelled().into()), Duration::ZERO);
        }
        (0..self.shared.wakers.len()).for_each(|slot| self.shared.wake(slot));
    }

    /// Takes back tasks that wait for a slot.
    pub fn recall(&self, is_meant: impl Fn(&W) -> bool) -> Vec<W> {
        let mut recalled = Vec::new();
        let mut queue = self.shared.lock();
        for waiting in std::mem::take(&mut queue.waiting) {
            if is_meant(&waiting.work) {
                recalled.push(waiting.work);
            } else {
                queue.waiting.push_back(waiting);
            }
        }
        recalled
    }

    /// What the tasks execute, to be asked at any time.
    pub fn stacks(&self) -> PythonStacks {
        self.shared.stacks.clone()
    }

    /// The threads of its slots, which start the processes.
    pub fn threads(&self) -> Threads {
        self.shared.threads.clone()
    }

    /// What the processes hold, to be asked at any time.
    pub fn memory(&self) -> PythonMemory {
        PythonMemory {
            shares: Arc::clone(&self.shared.shares),
            wakers: Arc::clone(&self.shared.wakers),
        }
    }
}

impl<W: PythonWork> Drop for PythonPool<W> {
    fn drop(&mut self) {
        {
            let mut queue = self.shared.lock();
            queue.closed = true;
            queue.waiting.clear();
        }
        (0..self.shared.wakers.len()).for_each(|slot| self.shared.wake(slot));
        let threads = std::mem::take(&mut self.shared.lock().threads);
        for thread in threads {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl<W: PythonWork> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, Queue<W>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, slot: usize) {
        wake(&self.wakers, slot);
    }

    /// Whether the pool is being dropped.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn needs(&self, work: &W) -> Result<Needs, TaskError> {
        let needs = self.ops.needs(work.op(), work.options())?;
        if needs.env.gpu > Amount::default() {
            self.lock().devices.check(needs.env.gpu)?;
        }
        Ok(needs)
    }

    fn push_back(&self, added: Vec<Waiting<W>>) {
        let mut queue = self.lock();
        let count = added.len();
        queue.waiting.extend(added);
        self.feed(queue, count);
    }

    /// Puts tasks back that have not begun, in front of those that came later.
    pub(super) fn push_front(&self, returned: Vec<Waiting<W>>) {
        let mut queue = self.lock();
        let count = returned.len();
        for waiting in returned.into_iter().rev() {
            queue.waiting.push_front(waiting);
        }
        self.feed(queue, count);
    }

    fn feed(&self, mut queue: MutexGuard<'_, Queue<W>>, count: usize) {
        let mut woken = Vec::new();
        while woken.len() < count
            && let Some(slot) = queue.hungry.pop_first()
        {
            woken.push(slot);
        }
        drop(queue);
        woken.into_iter().for_each(|slot| self.wake(slot));
    }

    /// Slots that are not spare.
    pub(super) fn slots(&self) -> usize {
        self.lock().turns.slots()
    }

    /// Lets another slot begin to serve; whether one was left.
    fn serve_one_more(self: &Arc<Self>) -> io::Result<bool> {
        let mut queue = self.lock();
        if queue.closed {
            return Ok(true);
        }
        let Some((number, waker)) = queue.spare.pop() else {
            return Ok(false);
        };
        let slot = Slot::new(number, Arc::clone(self), waker);
        let threads = self.threads.clone();
        let thread = thread::Builder::new()
            .name(format!("python-{number}"))
            .spawn(move || {
                threads.join();
                slot.serve();
                threads.leave();
            })?;
        queue.threads.push(thread);
        Ok(true)
    }

    /// A slot's task waits for others: they may run in its stead. False if no slot is left that could run them.
    pub(super) fn lend(self: &Arc<Self>, turn: &mut Turn) -> bool {
        let mut queue = self.lock();
        queue.turns.lend(turn);
        let served = queue.threads.len();
        let wanted = queue.turns.wanted();
        self.feed(queue, 1);
        if served >= wanted {
            return true;
        }
        self.serve_one_more().unwrap_or_else(|error| {
            warn!(%error, "no further slot for python tasks");
            false
        })
    }

    /// A slot's task goes on, or has ended while it waited.
    pub(super) fn reclaim(&self, turn: &mut Turn) {
        self.lock().turns.reclaim(turn);
    }

    /// Takes up to `room` tasks for a slot, no more than its share of all; `None` when the pool is dropped. `busy` is
    /// the environment of a process that has tasks under way: only tasks for it can join them.
    pub(super) fn take(
        &self,
        slot: usize,
        hold: &mut Hold,
        room: usize,
        busy: Option<&Arc<Env>>,
    ) -> Option<Vec<Waiting<W>>> {
        let mut queue = self.lock();
        if queue.closed {
            return None;
        }
        let released = busy.is_none() && queue.rest(hold);
        let mut taken: Vec<Waiting<W>> = Vec::new();
        if busy.is_some() || queue.turns.has_room() {
            let share = queue.waiting.len().div_ceil(queue.turns.slots());
            taken = queue.next_tasks(share.min(room), hold, busy);
        }
        if taken.is_empty() {
            queue.hungry.insert(slot);
        } else {
            queue.hungry.remove(&slot);
            queue.turns.begin(&mut hold.turn);
        }
        if released {
            // Others may have been waiting for the devices.
            let count = queue.waiting.len();
            self.feed(queue, count);
        }
        Some(taken)
    }
}

/// What a slot has of what all share.
#[derive(Debug, Default)]
pub(super) struct Hold {
    pub(super) turn: Turn,
    /// The devices that its tasks have.
    pub(super) claim: Option<Claim>,
    /// Those that its last tasks had.
    last: Option<Claim>,
}

impl<W: PythonWork> Queue<W> {
    /// A slot has nothing under way; whether it gave devices back.
    fn rest(&mut self, hold: &mut Hold) -> bool {
        self.turns.rest(&mut hold.turn);
        let Some(claim) = hold.claim.take() else {
            return false;
        };
        self.devices.release(&claim);
        hold.last = Some(claim);
        true
    }

    /// The first tasks whose devices can be had, as far as they go together into one process.
    fn next_tasks(&mut self, most: usize, hold: &mut Hold, busy: Option<&Arc<Env>>) -> Vec<Waiting<W>> {
        let mut taken: Vec<Waiting<W>> = Vec::new();
        if most == 0 {
            return taken;
        }
        let first = match busy {
            Some(_) => Some(0),
            None => self.first_with_devices(hold),
        };
        let Some(first) = first else { return taken };
        while taken.len() < most
            && let Some(next) = self.waiting.get(first)
        {
            let env = busy.or(taken.first().map(|first| &first.needs.env));
            let joins = env.is_none_or(|env| *env == next.needs.env && !next.is_exclusive());
            let alone = taken.first().is_some_and(Waiting::is_exclusive);
            if !joins || alone {
                break;
            }
            taken.extend(self.waiting.remove(first));
        }
        taken
    }

    /// Takes the devices of the first task that can have its own.
    fn first_with_devices(&mut self, hold: &mut Hold) -> Option<usize> {
        for (at, next) in self.waiting.iter().enumerate() {
            let gpu = next.needs.env.gpu;
            if gpu == Amount::default() {
                return Some(at);
            }
            if let Some(claim) = self.devices.claim(gpu, hold.last.as_ref()) {
                hold.claim = Some(claim);
                return Some(at);
            }
        }
        None
    }
}
