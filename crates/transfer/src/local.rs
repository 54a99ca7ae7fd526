//! Stores of this process, by data address: they are read without a copy.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use millstream_store::Store;

static STORES: LazyLock<RwLock<HashMap<String, Store>>> = LazyLock::new(RwLock::default);

/// The stores of this process.
pub struct LocalStores;

impl LocalStores {
    /// Makes a store known under the data address that peers use for it.
    pub fn register(address: &str, store: Store) {
        let mut stores = STORES.write().unwrap_or_else(PoisonError::into_inner);
        stores.insert(address.to_owned(), store);
    }

    /// Forgets a store. Fetches under way finish.
    pub fn unregister(address: &str) {
        let mut stores = STORES.write().unwrap_or_else(PoisonError::into_inner);
        stores.remove(address);
    }

    pub(crate) fn find(address: &str) -> Option<Store> {
        let stores = STORES.read().unwrap_or_else(PoisonError::into_inner);
        stores.get(address).cloned()
    }
}
