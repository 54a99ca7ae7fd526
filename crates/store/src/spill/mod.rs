//! Spilling: immutable files in a folder of this store's own.

mod file;
mod folder;
mod thread;

pub(crate) use file::SpillFile;
pub(crate) use folder::SpillFolder;
pub(crate) use thread::run;
