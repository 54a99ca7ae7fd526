//! Checks the workspace's dependencies, as `cargo metadata` tells them, against the tables of [`house`](crate::house).

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::house::{CODECS, EXEMPT, HOMES, PLAIN, ROOMS, Room, Rule};

/// One crate of the workspace with what it names in its manifest.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    /// Whether it lies under `python/`.
    pub(crate) is_python: bool,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) is_workspace: bool,
    /// Only tests use it, nothing that ships.
    pub(crate) is_dev: bool,
}

/// A dependency that a rule forbids.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    krate: String,
    dependency: String,
    rule: Rule,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rule == Rule::Known {
            return write!(f, "`{}` is unknown\n    {}", self.krate, self.rule.text());
        }
        write!(
            f,
            "`{}` must not depend on `{}`\n    {}",
            self.krate,
            self.dependency,
            self.rule.text()
        )
    }
}

/// Checks the workspace at `root`.
pub(crate) fn run(root: &Path) -> Result<()> {
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .context("asking cargo for the workspace")?;
    let crates = crates_of(&metadata);
    let violations = check(&crates);
    if violations.is_empty() {
        println!("dependency rules hold in {} crates", crates.len());
        return Ok(());
    }
    let lines: Vec<String> = violations
        .iter()
        .map(|violation| format!("\n  {violation}"))
        .collect();
    bail!(
        "{} dependencies break a rule:{}",
        violations.len(),
        lines.concat()
    )
}

/// Every crate of the workspace.
pub(crate) fn crates_of(metadata: &Metadata) -> Vec<Crate> {
    let python = metadata.workspace_root.join("python");
    let packages = metadata.workspace_packages();
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    packages
        .iter()
        .map(|package| Crate {
            name: package.name.to_string(),
            is_python: package.manifest_path.starts_with(&python),
            dependencies: package
                .dependencies
                .iter()
                .map(|dependency| Dependency {
                    name: dependency.name.clone(),
                    is_workspace: names.contains(&dependency.name.as_str()),
                    is_dev: dependency.kind == DependencyKind::Development,
                })
                .collect(),
        })
        .collect()
}

fn check(crates: &[Crate]) -> Vec<Violation> {
    crates
        .iter()
        .filter(|krate| !EXEMPT.contains(&krate.name.as_str()))
        .flat_map(check_crate)
        .collect()
}

fn check_crate(krate: &Crate) -> Vec<Violation> {
    let violation = |dependency: &str, rule| Violation {
        krate: krate.name.clone(),
        dependency: dependency.to_owned(),
        rule,
    };
    if krate.is_python {
        let linked = krate
            .dependencies
            .iter()
            .filter(|dependency| dependency.is_workspace);
        return linked
            .map(|dependency| violation(&dependency.name, Rule::Python))
            .collect();
    }
    let Some(room) = ROOMS.iter().find(|room| room.name == krate.name) else {
        return vec![violation("", Rule::Known)];
    };
    krate
        .dependencies
        .iter()
        .filter_map(|dependency| Some(violation(&dependency.name, broken_rule(room, dependency)?)))
        .collect()
}

/// The rule that `dependency` of `room` breaks, if any.
fn broken_rule(room: &Room, dependency: &Dependency) -> Option<Rule> {
    let name = dependency.name.as_str();
    if is_away_from_home(room.name, name) {
        return Some(Rule::Homes);
    }
    if dependency.is_dev {
        return None;
    }
    let allowed = match (dependency.is_workspace, room.rule) {
        (true, _) => room.may_know.contains(&name),
        (false, Rule::Pure) => PLAIN.contains(&name) || (!is_core(room.name) && CODECS.contains(&name)),
        (false, _) => true,
    };
    (!allowed).then_some(room.rule)
}

fn is_core(name: &str) -> bool {
    name.ends_with("-core")
}

fn is_away_from_home(krate: &str, dependency: &str) -> bool {
    HOMES.iter().any(|(pattern, homes)| {
        let matches = match pattern.strip_suffix('*') {
            Some(prefix) => dependency.starts_with(prefix),
            None => dependency == *pattern,
        };
        matches && !homes.contains(&krate)
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    /// What `cargo metadata` would tell of a workspace with one crate; each dependency is a name and its kind.
    fn metadata(name: &str, folder: &str, dependencies: &[(&str, Option<&str>)]) -> Metadata {
        let members: Vec<&str> = ROOMS
            .iter()
            .map(|room| room.name)
            .filter(|room| *room != name)
            .collect();
        let mut packages = vec![package(name, folder, dependencies)];
        packages.extend(members.iter().map(|member| package(member, member, &[])));
        let ids: Vec<_> = packages.iter().map(|package| package["id"].clone()).collect();
        serde_json::from_value(serde_json::json!({
            "packages": packages, "workspace_members": ids, "workspace_default_members": ids, "resolve": null,
            "target_directory": "/w/target", "version": 1, "workspace_root": "/w", "metadata": null,
        }))
        .unwrap()
    }

    fn package(name: &str, folder: &str, dependencies: &[(&str, Option<&str>)]) -> serde_json::Value {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(name, kind)| {
                serde_json::json!({
                    "name": name, "source": null, "req": "*", "kind": kind, "rename": null, "optional": false,
                    "uses_default_features": true, "features": [], "target": null, "registry": null,
                })
            })
            .collect();
        serde_json::json!({
            "name": name, "version": "0.1.0", "id": format!("path+file:///w/{folder}#{name}@0.1.0"),
            "license": null, "license_file": null, "description": null, "source": null,
            "dependencies": dependencies, "targets": [], "features": {},
            "manifest_path": format!("/w/{folder}/Cargo.toml"), "metadata": null, "publish": [], "authors": [],
            "categories": [], "keywords": [], "readme": null, "repository": null, "homepage": null,
            "documentation": null, "edition": "2024", "links": null, "default_run": null, "rust_version": null,
        })
    }

    fn broken(name: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<Rule> {
        let violations = check(&crates_of(&metadata(name, name, dependencies)));
        violations.into_iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn a_crate_that_keeps_to_its_row_passes() {
        assert_eq!(
            broken(
                "millstream-bus",
                &[("millstream-types", None), ("lapin", None), ("tokio", None)]
            ),
            []
        );
        assert_eq!(broken("millstream-executor", &[("millstream-store", None)]), []);
    }

    #[test]
    fn cores_use_plain_data_crates_only() {
        assert_eq!(
            broken("millstream-scheduler-core", &[("bytes", None), ("tokio", None)]),
            [Rule::Pure]
        );
        assert_eq!(
            broken("millstream-worker-core", &[("rmp-serde", None)]),
            [Rule::Pure]
        );
        assert_eq!(broken("millstream-protocol", &[("rmp-serde", None)]), []);
        assert_eq!(
            broken("millstream-types", &[("millstream-protocol", None)]),
            [Rule::Pure]
        );
    }

    #[test]
    fn tests_of_a_core_may_use_more() {
        assert_eq!(
            broken("millstream-scheduler-core", &[("proptest", Some("dev"))]),
            []
        );
    }

    #[test]
    fn adapters_know_neither_cores_nor_each_other() {
        assert_eq!(
            broken("millstream-state", &[("millstream-bus", None)]),
            [Rule::Adapters]
        );
        assert_eq!(
            broken("millstream-store", &[("millstream-worker-core", None)]),
            [Rule::Adapters]
        );
    }

    #[test]
    fn only_services_join_cores_to_adapters() {
        assert_eq!(
            broken("millstream-local", &[("millstream-scheduler-core", None)]),
            [Rule::Joints]
        );
        assert_eq!(
            broken("millstream-sim", &[("millstream-bus", None)]),
            [Rule::Joints]
        );
        assert_eq!(
            broken("millstream-scheduler-svc", &[("millstream-frame", None)]),
            [Rule::Joints]
        );
    }

    #[test]
    fn servers_and_engines_have_one_home_even_in_tests() {
        assert_eq!(
            broken("millstream-gateway", &[("redis", Some("dev"))]),
            [Rule::Homes]
        );
        assert_eq!(
            broken("millstream-worker-svc", &[("actix-web", None)]),
            [Rule::Homes]
        );
        assert_eq!(
            broken("millstream-cli", &[("datafusion-proto", None)]),
            [Rule::Homes]
        );
        assert_eq!(broken("millstream-scheduler-svc", &[("actix", None)]), []);
    }

    #[test]
    fn doors_never_know_a_core() {
        for door in ["millstream-gateway", "millstream", "millstream-cli"] {
            assert_eq!(
                broken(door, &[("millstream-worker-core", None)]),
                [Rule::Doors],
                "{door}"
            );
        }
    }

    #[test]
    fn python_links_no_crate() {
        let metadata = metadata(
            "millstream-python",
            "python/native",
            &[("millstream-protocol", None)],
        );
        let violations = check(&crates_of(&metadata));
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].rule, Rule::Python);
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        let violations = check(&crates_of(&metadata("millstream-new", "crates/new", &[])));
        assert_eq!(
            violations[0].to_string().lines().next(),
            Some("`millstream-new` is unknown")
        );
    }

    #[test]
    fn tests_and_chores_are_exempt() {
        assert_eq!(
            broken(
                "millstream-tests",
                &[("lapin", None), ("millstream-scheduler-core", None)]
            ),
            []
        );
    }

    #[test]
    fn a_violation_names_both_crates_and_the_rule() {
        let violations = check(&crates_of(&metadata(
            "millstream-bus",
            "crates/bus",
            &[("redis", None)],
        )));
        let message = violations[0].to_string();
        assert!(
            message.contains("`millstream-bus` must not depend on `redis`"),
            "{message}"
        );
        assert!(message.contains("rule 4"), "{message}");
    }
}
