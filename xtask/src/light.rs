//! Which crates compile without the query engine, and so in minutes instead of half an hour.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::deps::{Crate, crates_of};

/// What makes a crate heavy, with all that depends on it.
const ENGINE: &str = "datafusion";

/// Prints the light crates, one a line.
pub(crate) fn run(root: &Path) -> Result<()> {
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .context("asking cargo for the workspace")?;
    for name in light_crates(&crates_of(&metadata)) {
        println!("{name}");
    }
    Ok(())
}

/// Those that reach no engine, by any path and in their tests too.
fn light_crates(crates: &[Crate]) -> BTreeSet<&str> {
    let mut light: BTreeSet<&str> = crates.iter().map(|krate| krate.name.as_str()).collect();
    loop {
        let heavy: Vec<&str> = crates
            .iter()
            .filter(|krate| light.contains(krate.name.as_str()))
            .filter(|krate| {
                krate.dependencies.iter().any(|dependency| {
                    let name = dependency.name.as_str();
                    name.starts_with(ENGINE) || (dependency.is_workspace && !light.contains(name))
                })
            })
            .map(|krate| krate.name.as_str())
            .collect();
        if heavy.is_empty() {
            return light;
        }
        light.retain(|name| !heavy.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deps::Dependency;

    fn krate(name: &str, dependencies: &[&str]) -> Crate {
        let dependencies = dependencies
            .iter()
            .map(|name| Dependency {
                name: (*name).to_owned(),
                is_workspace: !name.starts_with(ENGINE),
                is_dev: false,
            })
            .collect();
        Crate {
            name: name.to_owned(),
            is_python: false,
            dependencies,
        }
    }

    #[test]
    fn whatever_reaches_the_engine_is_heavy() {
        let crates = [
            krate("types", &[]),
            krate("cli", &["worker", "types"]),
            krate("worker", &["frame"]),
            krate("frame", &["datafusion-proto", "types"]),
            krate("bus", &["types"]),
        ];
        assert_eq!(light_crates(&crates), BTreeSet::from(["bus", "types"]));
    }
}
