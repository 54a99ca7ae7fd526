//! The reference page of the configuration, generated from the table of settings.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use millstream_config::reference_page;

const PAGE: &str = "docs/reference/configuration.md";

/// Writes the page.
pub(crate) fn write(root: &Path) -> Result<()> {
    let path = root.join(PAGE);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    fs::write(&path, reference_page()).with_context(|| format!("writing {}", path.display()))?;
    println!("wrote {PAGE}");
    Ok(())
}

/// Fails if the page is not what [`write`] would write.
pub(crate) fn check(root: &Path) -> Result<()> {
    let path = root.join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    if page != reference_page() {
        bail!("{PAGE} is stale: run `cargo xtask config-reference` and commit the page");
    }
    println!("{PAGE} is current");
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn a_page_just_written_is_current_and_an_edited_one_is_stale() {
        let root = tempfile::tempdir().unwrap();
        write(root.path()).unwrap();
        check(root.path()).unwrap();
        fs::write(root.path().join(PAGE), "edited").unwrap();
        assert!(
            check(root.path())
                .unwrap_err()
                .to_string()
                .contains("cargo xtask config-reference")
        );
    }

    #[test]
    fn the_committed_page_is_current() {
        check(&crate::root().unwrap()).unwrap();
    }
}
