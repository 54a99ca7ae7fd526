//! The README's examples, as they stand.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use millstream_tests::{Up, program};

/// Where the README says that the gateway listens.
const ADDRESSES: [&str; 2] = ["http://127.0.0.1:8787", "http://localhost:8787"];

/// The fenced shell blocks of a page that call `program`.
fn blocks<'a>(page: &'a str, program: &str) -> Vec<&'a str> {
    page.split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| {
            let (language, text) = block.split_once('\n')?;
            let is_shell = matches!(language.trim(), "sh" | "bash" | "console" | "shell");
            (is_shell && text.contains(program)).then_some(text)
        })
        .collect()
}

#[tokio::test]
async fn curl_examples_run_as_they_stand() -> anyhow::Result<()> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let page = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let examples = blocks(&page, "curl ");
    ensure!(!examples.is_empty(), "the README has no example with curl");

    let up = Up::start(&[], &[]).await?;
    let folder = program::path()?.parent().context("no folder")?.to_owned();
    let search = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    for example in examples {
        let script = ADDRESSES.iter().fold(example.to_owned(), |text, address| {
            text.replace(address, up.api().url())
        });
        let output = Command::new("sh")
            .args(["-euc", &script])
            .env("PATH", &search)
            .env("HOME", up.folder())
            .env("XDG_CONFIG_HOME", up.folder())
            .env("MILLSTREAM_TOKEN", up.api().token())
            .env("MILLSTREAM_GATEWAY", up.api().url())
            .current_dir(up.folder())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{script}\nends with {}:\n{text}{errors}",
            output.status
        );
        ensure!(!text.contains("\"code\":"), "{script}\nis refused: {text}");
    }
    Ok(())
}
