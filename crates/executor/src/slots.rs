//! The threads native functions run on: one per slot, fed in batches, answering in batches.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::threads::Threads;

/// Results of a long row of work are told at least this often, and otherwise when the row is done.
const TELL_EVERY: Duration = Duration::from_millis(1);

/// Work for a slot. Must not panic.
pub trait SlotWork: Send + 'static {
    /// What comes back.
    type Done: Send + 'static;

    /// Does the work, on a slot's thread.
    fn run(self) -> Self::Done;

    /// Whether it belongs to the work started just before it: the same thread does it, right afterwards.
    fn follows(&self) -> bool {
        false
    }
}

struct Shared<W: SlotWork> {
    queue: Mutex<Queue<W>>,
    work: Condvar,
    done: Mutex<Results<W::Done>>,
    ready: Notify,
}

struct Queue<W> {
    waiting: VecDeque<W>,
    /// What each slot has taken and not begun.
    rows: Vec<VecDeque<W>>,
    closed: bool,
}

struct Results<D> {
    ended: Vec<D>,
    /// Whether the reader knows that there are some.
    told: bool,
}

/// `slots` threads. Dropping the pool lets running work finish, forgets what waits and joins the threads.
pub struct SlotPool<W: SlotWork> {
    shared: Arc<Shared<W>>,
    threads: Vec<JoinHandle<()>>,
    numbers: Threads,
}

/// Where the results of a [`SlotPool`] arrive.
pub struct SlotResults<W: SlotWork> {
    shared: Arc<Shared<W>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W: SlotWork> SlotPool<W> {
    /// Starts the threads.
    pub fn new(slots: usize) -> std::io::Result<(Self, SlotResults<W>)> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                rows: (0..slots).map(|_| VecDeque::new()).collect(),
                closed: false,
            }),
            work: Condvar::new(),
            done: Mutex::new(Results {
                ended: Vec::new(),
                told: false,
            }),
            ready: Notify::new(),
        });
        let mut pool = Self {
            shared: Arc::clone(&shared),
            threads: Vec::with_capacity(slots),
            numbers: Threads::default(),
        };
        for slot in 0..slots {
            let (shared, numbers) = (Arc::clone(&shared), pool.numbers.clone());
            let thread = thread::Builder::new()
                .name(format!("slot-{slot}"))
                .spawn(move || {
                    numbers.join();
                    shared.serve(slot);
                })?;
            pool.threads.push(thread);
        }
        Ok((pool, SlotResults { shared }))
    }

    /// Its threads.
    pub fn threads(&self) -> Threads {
        self.numbers.clone()
    }

    /// Queues work; it starts in this order as threads get free.
    pub fn start(&self, work: impl IntoIterator<Item = W>) {
        let mut queue = lock(&self.shared.queue);
        let before = queue.waiting.len();
        queue.waiting.extend(work);
        let added = queue.waiting.len() - before;
        drop(queue);
        match added {
            0 => {}
            1 => self.shared.work.notify_one(),
            _ => self.shared.work.notify_all(),
        }
    }

    /// Takes back work that follows other work and has not begun.
    pub fn recall(&self, is_meant: impl Fn(&W) -> bool) -> Vec<W> {
        let mut recalled = Vec::new();
        let mut queue = lock(&self.shared.queue);
        let Queue { waiting, rows, .. } = &mut *queue;
        for row in rows.iter_mut().chain([waiting]) {
            let (meant, others): (VecDeque<W>, VecDeque<W>) = std::mem::take(row)
                .into_iter()
                .partition(|work| work.follows() && is_meant(work));
            recalled.extend(meant);
            *row = others;
        }
        recalled
    }

    /// Tells the reader of results that were kept for the rest of their row: its next piece may take long.
    pub fn tell(&self) {
        self.shared.tell();
    }
}

impl<W: SlotWork> Drop for SlotPool<W> {
    fn drop(&mut self) {
        {
            let mut queue = lock(&self.shared.queue);
            queue.closed = true;
            queue.waiting.clear();
            queue.rows.iter_mut().for_each(VecDeque::clear);
        }
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl<W: SlotWork> Shared<W> {
    fn serve(&self, slot: usize) {
        let mut told_at = Instant::now();
        while let Some((work, is_last)) = self.next(slot) {
            if is_last {
                // Nobody knows how long it takes.
                self.tell();
            }
            let done = work.run();
            lock(&self.done).ended.push(done);
            if is_last || told_at.elapsed() >= TELL_EVERY {
                self.tell();
                told_at = Instant::now();
            }
        }
    }

    /// Later results join the batch that the reader has been told of.
    fn tell(&self) {
        let mut done = lock(&self.done);
        if !done.told && !done.ended.is_empty() {
            done.told = true;
            drop(done);
            self.ready.notify_one();
        }
    }

    /// The next piece of the slot's row, and whether it is the last; a new row if there is none.
    fn next(&self, slot: usize) -> Option<(W, bool)> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.closed {
                return None;
            }
            let Queue { waiting, rows, .. } = &mut *queue;
            let row = &mut rows[slot];
            if row.is_empty() {
                row.extend(waiting.pop_front());
                while let Some(next) = waiting.pop_front_if(|next| next.follows()) {
                    row.push_back(next);
                }
            }
            if let Some(work) = row.pop_front() {
                return Some((work, row.is_empty()));
            }
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<W: SlotWork> SlotResults<W> {
    /// Waits for results and moves all there are to the end of `out`. Cancel-safe.
    pub async fn recv(&mut self, out: &mut Vec<W::Done>) {
        while self.try_recv(out) == 0 {
            self.shared.ready.notified().await;
        }
    }

    /// Moves the results there are to the end of `out` and returns how many.
    pub fn try_recv(&mut self, out: &mut Vec<W::Done>) -> usize {
        let mut done = lock(&self.shared.done);
        let count = done.ended.len();
        out.append(&mut done.ended);
        done.told = false;
        count
    }
}
