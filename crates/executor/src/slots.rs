//! The threads native functions run on: one per slot, fed in batches, answering in batches.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::Notify;

/// Work for a slot. Must not panic.
pub trait SlotWork: Send + 'static {
    /// What comes back.
    type Done: Send + 'static;

    /// Does the work, on a slot's thread.
    fn run(self) -> Self::Done;
}

struct Shared<W: SlotWork> {
    queue: Mutex<Queue<W>>,
    work: Condvar,
    done: Mutex<Vec<W::Done>>,
    ready: Notify,
}

struct Queue<W> {
    waiting: VecDeque<W>,
    closed: bool,
}

/// `slots` threads. Dropping the pool lets running work finish, forgets what waits and joins the threads.
pub struct SlotPool<W: SlotWork> {
    shared: Arc<Shared<W>>,
    threads: Vec<JoinHandle<()>>,
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
                closed: false,
            }),
            work: Condvar::new(),
            done: Mutex::default(),
            ready: Notify::new(),
        });
        let mut pool = Self {
            shared: Arc::clone(&shared),
            threads: Vec::with_capacity(slots),
        };
        for slot in 0..slots {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new()
                .name(format!("slot-{slot}"))
                .spawn(move || shared.serve())?;
            pool.threads.push(thread);
        }
        Ok((pool, SlotResults { shared }))
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
}

impl<W: SlotWork> Drop for SlotPool<W> {
    fn drop(&mut self) {
        {
            let mut queue = lock(&self.shared.queue);
            queue.closed = true;
            queue.waiting.clear();
        }
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl<W: SlotWork> Shared<W> {
    fn serve(&self) {
        while let Some(work) = self.next() {
            let done = work.run();
            let mut results = lock(&self.done);
            results.push(done);
            let first = results.len() == 1;
            drop(results);
            // Later results join the batch that the reader has been told of.
            if first {
                self.ready.notify_one();
            }
        }
    }

    fn next(&self) -> Option<W> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.closed {
                return None;
            }
            if let Some(work) = queue.waiting.pop_front() {
                return Some(work);
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
        let count = done.len();
        out.append(&mut done);
        count
    }
}
