//! Memory of processes, and how they ended.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::process::Process;

/// How often a process that has work is measured.
const MEASURE_EVERY: Duration = Duration::from_millis(100);

/// Less than this is held by a fresh process with a few libraries: replacing it would free nothing.
const WORTHWHILE: u64 = 64 << 20;

/// Nobody, as [`Shares::told_to_go`] has it.
const NOBODY: usize = usize::MAX;

/// Bytes of a page as `/proc` counts them.
const PAGE: u64 = 4096;

/// Memory that is the process's own: mapped values count once, in the store.
pub(super) fn own_memory(pid: u32) -> u64 {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/statm")) else {
        return 0;
    };
    let mut pages = text
        .split_whitespace()
        .map(|number| number.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (pages.nth(1).unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared) * PAGE
}

/// Processes that the system has killed for want of memory since it began.
pub(super) fn oom_kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// The exit code or the signal, in words.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match signal_name(signal) {
            Some(name) => format!("signal {signal} ({name})"),
            None => format!("signal {signal}"),
        },
        (None, None) => "an unknown status".to_owned(),
    }
}

const fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGABRT => "SIGABRT, an abort",
        libc::SIGBUS => "SIGBUS, a bus error",
        libc::SIGFPE => "SIGFPE, an arithmetic error",
        libc::SIGILL => "SIGILL, an illegal instruction",
        libc::SIGKILL => "SIGKILL, killed from outside",
        libc::SIGSEGV => "SIGSEGV, a segmentation fault",
        libc::SIGTERM => "SIGTERM, asked to end",
        _ => return None,
    })
}

/// What the executors of a worker hold, slot by slot.
pub(super) struct Shares {
    held: Vec<AtomicU64>,
    limit: u64,
    /// The slot whose executor is to go for the sake of the worker.
    told_to_go: AtomicUsize,
}

impl Shares {
    pub(super) fn new(slots: usize, limit: u64) -> Self {
        Self {
            held: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            limit,
            told_to_go: AtomicUsize::new(NOBODY),
        }
    }

    /// The worker is short of memory: tells the executor that holds most to go, if that frees anything worth it.
    /// Returns its slot, which is to be woken.
    pub(super) fn tell_largest(&self) -> Option<usize> {
        let held = |slot: usize| self.held.get(slot).map_or(0, |held| held.load(Ordering::Relaxed));
        let largest = (0..self.held.len()).max_by_key(|slot| held(*slot))?;
        if held(largest) < WORTHWHILE {
            return None;
        }
        self.told_to_go.store(largest, Ordering::Relaxed);
        Some(largest)
    }

    /// Whether this slot's executor was told to go; said once.
    fn takes_order(&self, slot: usize) -> bool {
        let order = self
            .told_to_go
            .compare_exchange(slot, NOBODY, Ordering::Relaxed, Ordering::Relaxed);
        order.is_ok()
    }

    /// Notes what a slot's executor holds.
    pub(super) fn set(&self, slot: usize, bytes: u64) {
        if let Some(held) = self.held.get(slot) {
            held.store(bytes, Ordering::Relaxed);
        }
    }

    /// What all hold.
    pub(super) fn total(&self) -> u64 {
        self.held.iter().map(|held| held.load(Ordering::Relaxed)).sum()
    }

    /// Whether all hold too much, and this slot's executor the most of it.
    pub(super) fn must_go(&self, slot: usize) -> bool {
        let held = |held: &AtomicU64| held.load(Ordering::Relaxed);
        let own = self.held.get(slot).map_or(0, held);
        self.total() > self.limit && self.held.iter().all(|other| held(other) <= own)
    }
}

/// What one slot's process holds, measured now and then.
pub(super) struct Watch {
    slot: usize,
    shares: Arc<Shares>,
    measured: Instant,
    held: u64,
}

impl Watch {
    pub(super) fn new(slot: usize, shares: Arc<Shares>) -> Self {
        Self {
            slot,
            shares,
            measured: Instant::now(),
            held: 0,
        }
    }

    /// Measures if it is time to; whether it was.
    pub(super) fn measure(&mut self, now: Instant, process: &Process) -> bool {
        if now.duration_since(self.measured) < MEASURE_EVERY {
            return false;
        }
        self.measured = now;
        self.set(process.memory());
        true
    }

    /// What the process held when last measured.
    pub(super) const fn held(&self) -> u64 {
        self.held
    }

    /// Whether all processes hold too much, and this one the most of it.
    pub(super) fn must_go(&self) -> bool {
        self.shares.must_go(self.slot)
    }

    /// Whether this process was told to go for the sake of the worker; said once.
    pub(super) fn takes_order(&self) -> bool {
        self.shares.takes_order(self.slot)
    }

    /// The process is gone.
    pub(super) fn forget(&mut self) {
        self.set(0);
    }

    fn set(&mut self, bytes: u64) {
        self.held = bytes;
        self.shares.set(self.slot, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_goes_when_all_hold_too_much() {
        let shares = Shares::new(3, 100);
        shares.set(0, 30);
        shares.set(1, 60);
        assert!(!shares.must_go(1));
        shares.set(2, 20);
        assert!(shares.must_go(1) && !shares.must_go(0));
    }

    #[test]
    fn the_largest_is_told_once_to_go_and_small_ones_never_are() {
        let shares = Shares::new(3, u64::MAX);
        shares.set(0, WORTHWHILE - 1);
        assert_eq!(shares.tell_largest(), None);
        shares.set(2, WORTHWHILE);
        assert_eq!(shares.tell_largest(), Some(2));
        assert!(!shares.takes_order(0));
        assert!(shares.takes_order(2) && !shares.takes_order(2));
    }

    #[test]
    fn a_process_has_memory_of_its_own() {
        assert!(own_memory(std::process::id()) > 100_000);
        assert_eq!(own_memory(u32::MAX), 0);
    }
}
