//! Arrow IPC files: those with a footer (also known as Feather), which are split by their record batches, and
//! streams, which are read whole.

mod file;
mod read;
mod table;

pub(crate) use read::ArrowFormat;
pub(crate) use table::open;
