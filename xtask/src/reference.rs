//! Reference pages: of the configuration, from the table of settings, and of the metrics, from their tables.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// A page and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    path: &'static str,
    command: &'static str,
    text: fn() -> String,
}

/// Every setting.
pub(crate) const CONFIGURATION: Page = Page {
    path: "docs/reference/configuration.md",
    command: "config-reference",
    text: millstream_config::reference_page,
};

/// Every metric.
pub(crate) const METRICS: Page = Page {
    path: "docs/reference/metrics.md",
    command: "metrics-reference",
    text: millstream_telemetry::reference_page,
};

impl Page {
    /// Writes the page.
    pub(crate) fn write(self, root: &Path) -> Result<()> {
        let path = root.join(self.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(&path, (self.text)()).with_context(|| format!("writing {}", path.display()))?;
        println!("wrote {}", self.path);
        Ok(())
    }

    /// Fails if the page is not what [`Page::write`] would write.
    pub(crate) fn check(self, root: &Path) -> Result<()> {
        let path = root.join(self.path);
        let page = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        if page != (self.text)() {
            bail!(
                "{} is stale: run `cargo xtask {}` and commit the page",
                self.path,
                self.command
            );
        }
        println!("{} is current", self.path);
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    const PAGES: [Page; 2] = [CONFIGURATION, METRICS];

    #[test]
    fn a_page_just_written_is_current_and_an_edited_one_is_stale() {
        let root = tempfile::tempdir().unwrap();
        for page in PAGES {
            page.write(root.path()).unwrap();
            page.check(root.path()).unwrap();
            fs::write(root.path().join(page.path), "edited").unwrap();
            let error = page.check(root.path()).unwrap_err().to_string();
            assert!(
                error.contains(&format!("cargo xtask {}", page.command)),
                "{error}"
            );
        }
    }

    #[test]
    fn the_committed_pages_are_current() {
        for page in PAGES {
            page.check(&crate::root().unwrap()).unwrap();
        }
    }
}
