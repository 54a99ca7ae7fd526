//! The count of bytes. Whoever holds bytes holds a [`Charge`]; letting go of it is the only way to give them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes in memory, pinned, and on disk. Counters only: they order nothing, hence relaxed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    memory: AtomicU64,
    pinned: AtomicU64,
    spilled: AtomicU64,
}

impl Ledger {
    pub(crate) fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    pub(crate) fn pinned(&self) -> u64 {
        self.pinned.load(Ordering::Relaxed)
    }

    pub(crate) fn spilled(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, account: Account, bytes: u64) {
        self.counter(account).fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, account: Account, bytes: u64) {
        self.counter(account).fetch_sub(bytes, Ordering::Relaxed);
    }

    fn counter(&self, account: Account) -> &AtomicU64 {
        match account {
            Account::Memory => &self.memory,
            Account::Pinned => &self.pinned,
            Account::Spilled => &self.spilled,
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Account {
    Memory,
    Pinned,
    Spilled,
}

/// Bytes counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    ledger: Arc<Ledger>,
    account: Account,
    bytes: u64,
}

impl Charge {
    pub(crate) fn new(ledger: &Arc<Ledger>, account: Account, bytes: u64) -> Self {
        ledger.add(account, bytes);
        Self {
            ledger: Arc::clone(ledger),
            account,
            bytes,
        }
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.sub(self.account, self.bytes);
    }
}
