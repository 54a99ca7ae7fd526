//! All native functions of this program, by name.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::call::{NativeCall, NativeResult};

/// A function that tasks may name. Made by `#[millstream::task]`.
pub struct NativeFunction {
    name: Name,
    run: fn(&mut NativeCall<'_, '_>) -> NativeResult,
    determinate: bool,
    parameters: &'static [&'static str],
}

/// A name given by its author, or made of where the function stands.
enum Name {
    Given(&'static str),
    Path {
        module: &'static str,
        function: &'static str,
    },
}

impl NativeFunction {
    /// A function under a name of the author's choice.
    pub const fn named(
        name: &'static str,
        run: fn(&mut NativeCall<'_, '_>) -> NativeResult,
        parameters: &'static [&'static str],
    ) -> Self {
        Self {
            name: Name::Given(name),
            run,
            determinate: true,
            parameters,
        }
    }

    /// A function under the name `package.module:function`.
    pub const fn at(
        module: &'static str,
        function: &'static str,
        run: fn(&mut NativeCall<'_, '_>) -> NativeResult,
        parameters: &'static [&'static str],
    ) -> Self {
        Self {
            name: Name::Path { module, function },
            run,
            determinate: true,
            parameters,
        }
    }

    /// Says that the same inputs may give other outputs.
    #[must_use]
    pub const fn indeterminate(mut self) -> Self {
        self.determinate = false;
        self
    }

    /// The name that tasks use.
    pub fn name(&self) -> String {
        match self.name {
            Name::Given(name) => name.to_owned(),
            Name::Path { module, function } => format!("{}:{function}", module.replace("::", ".")),
        }
    }

    /// Whether the same inputs always give the same output.
    pub const fn is_determinate(&self) -> bool {
        self.determinate
    }

    /// The types of its parameters, as written.
    pub const fn parameters(&self) -> &'static [&'static str] {
        self.parameters
    }

    pub(crate) fn call(&self, call: &mut NativeCall<'_, '_>) -> NativeResult {
        (self.run)(call)
    }
}

inventory::collect!(NativeFunction);

/// Two functions that claim one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two native functions are named `{name}`: rename one with #[task(name = \"…\")]")]
pub struct DuplicateFunction {
    /// The name.
    pub name: String,
}

/// Functions by name.
pub struct NativeRegistry {
    functions: HashMap<String, &'static NativeFunction>,
}

impl NativeRegistry {
    /// All functions linked into this program.
    pub fn global() -> Result<&'static Self, DuplicateFunction> {
        static GLOBAL: OnceLock<Result<NativeRegistry, DuplicateFunction>> = OnceLock::new();
        GLOBAL
            .get_or_init(|| Self::collect(inventory::iter::<NativeFunction>()))
            .as_ref()
            .map_err(Clone::clone)
    }

    fn collect(
        functions: impl IntoIterator<Item = &'static NativeFunction>,
    ) -> Result<Self, DuplicateFunction> {
        let mut by_name = HashMap::new();
        for function in functions {
            let name = function.name();
            if by_name.insert(name.clone(), function).is_some() {
                return Err(DuplicateFunction { name });
            }
        }
        Ok(Self { functions: by_name })
    }

    /// The function with this name.
    pub fn get(&self, name: &str) -> Option<&'static NativeFunction> {
        self.functions.get(name).copied()
    }

    /// All names, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.functions.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The known name most like an unknown one, if any is like it.
    pub fn near(&self, name: &str) -> Option<&str> {
        self.names()
            .into_iter()
            .map(|known| (strsim::normalized_damerau_levenshtein(known, name), known))
            .filter(|(likeness, _)| *likeness > 0.6)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known)
    }
}
