//! Workers that a gateway can have started.

/// Starts workers of this cluster. A cluster of separate processes or containers has none: there it is the part of
/// whoever started them.
pub trait Fleet: Send + Sync {
    /// Starts so many workers more; returns their names.
    ///
    /// # Errors
    /// Why not all could be started.
    fn add(&self, count: u32) -> Result<Vec<String>, String>;
}
