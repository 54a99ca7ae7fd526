//! Panics of native functions: caught, with their message and place.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic of a task.
pub(super) struct Panicked {
    pub(super) message: String,
    pub(super) location: Option<String>,
}

/// Calls `function` and catches its panic, which is then not printed: it belongs to the task, not to the worker.
pub(super) fn catch<R>(function: impl FnOnce() -> R) -> Result<R, Panicked> {
    install_hook();
    IN_TASK.set(true);
    // What the function borrowed mutably is the call's own and is thrown away after a panic.
    let result = panic::catch_unwind(AssertUnwindSafe(function));
    IN_TASK.set(false);
    result.map_err(|payload| Panicked {
        message: message(payload.as_ref()),
        location: LOCATION.take(),
    })
}

/// The hook is the only place that knows where a panic began. Panics outside of tasks go to the hook before it.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if IN_TASK.get() {
                LOCATION.set(info.location().map(ToString::to_string));
            } else {
                before(info);
            }
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
