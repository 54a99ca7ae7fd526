//! `#[millstream::task]`: makes a function callable by name from task graphs.
//!
//! Responsible for the registration code and for clear errors about functions that cannot be tasks. It decides
//! nothing at run time.

mod expand;

use proc_macro::TokenStream;

/// Registers a function so that tasks can name it.
///
/// See `millstream::task` for what it accepts.
#[proc_macro_attribute]
pub fn task(attributes: TokenStream, item: TokenStream) -> TokenStream {
    expand::task(attributes.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
