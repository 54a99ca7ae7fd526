//! Native functions: compiled into the worker, found by name.

pub mod call;
mod ctx;
mod executor;
mod panics;
mod registry;

pub use call::Variadic;
pub use ctx::TaskCtx;
pub use executor::NativeExecutor;
pub use registry::{DuplicateFunction, NativeFunction, NativeRegistry};
