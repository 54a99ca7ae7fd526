//! Stores of this process, by data address: they are read without a copy.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock, RwLockWriteGuard};

use millstream_store::Store;

static STORES: LazyLock<RwLock<HashMap<String, Store>>> = LazyLock::new(RwLock::default);

/// A store that fetches within this process find under its data address, until this is dropped.
#[derive(Debug)]
pub struct Registration {
    address: String,
}

impl Registration {
    /// Makes `store` known. A [`crate::DataServer`] does so for its own; a worker without one may, too.
    pub fn new(address: &str, store: Store) -> Self {
        stores().insert(address.to_owned(), store);
        Self {
            address: address.to_owned(),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        stores().remove(&self.address);
    }
}

fn stores() -> RwLockWriteGuard<'static, HashMap<String, Store>> {
    STORES.write().unwrap_or_else(PoisonError::into_inner)
}

/// The store of this process with this address.
pub(crate) fn find(address: &str) -> Option<Store> {
    let stores = STORES.read().unwrap_or_else(PoisonError::into_inner);
    stores.get(address).cloned()
}
