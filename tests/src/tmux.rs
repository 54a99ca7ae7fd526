//! A terminal with its user's eyes and hands: programs that draw on a screen run in it as they do for people.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use millstream_testkit::{ChildGuard, bound_command, wait_until};
use tempfile::TempDir;

use crate::cli::Shell;
use crate::program;

/// What tmux may take to start, on a busy machine.
const START: Duration = Duration::from_secs(30);

/// Shown by the shell when it waits for a command; nothing that a program of ours draws.
pub const PROMPT: &str = "ready-for-commands>";

/// A terminal in which a shell runs. It and all that runs in it end with this.
#[derive(Debug)]
pub struct Terminal {
    folder: TempDir,
    _server: ChildGuard,
}

impl Terminal {
    /// A terminal of this size, whose commands see what the commands of `shell` see. `$MILLSTREAM_BIN` is the program.
    ///
    /// # Errors
    /// If tmux does not start.
    pub async fn open(shell: &Shell, columns: u16, rows: u16) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // What an interactive `sh` reads first; some shells take no prompt from the environment.
        let profile = folder.path().join("profile");
        std::fs::write(&profile, format!("PS1='{PROMPT}'\n"))?;
        // In the foreground, so that it is a child that cannot be left behind.
        let mut server = tmux(&folder);
        server.arg("-D");
        program::forget_settings(&mut server);
        server
            .envs(shell.variables())
            .env(program::BINARY_VARIABLE, program::path()?)
            .env("ENV", &profile)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .current_dir(shell.folder());
        let server = ChildGuard::spawn(server)?;
        let terminal = Self {
            folder,
            _server: server,
        };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let session = ["new-session", "-d", "-x", &columns, "-y", &rows, "sh"];
        wait_until("tmux to start", START, async || terminal.tell(&session).is_ok()).await?;
        terminal.shows(PROMPT, START).await?;
        Ok(terminal)
    }

    /// Types a line and the return key.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn enter(&self, line: &str) -> anyhow::Result<()> {
        self.tell(&["send-keys", "-l", line])?;
        self.press("Enter")
    }

    /// Presses a key by tmux's name, such as `j`, `Tab` or `C-c`.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn press(&self, key: &str) -> anyhow::Result<()> {
        self.tell(&["send-keys", key]).map(drop)
    }

    /// Makes the terminal smaller or larger.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) -> anyhow::Result<()> {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tell(&["resize-window", "-x", &columns, "-y", &rows])
            .map(drop)
    }

    /// What is on the screen.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn screen(&self) -> anyhow::Result<String> {
        self.tell(&["capture-pane", "-p"])
    }

    /// Whether a program draws on a screen of its own, above the shell's.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn is_taken(&self) -> anyhow::Result<bool> {
        Ok(self.tell(&["display-message", "-p", "#{alternate_on}"])?.trim() == "1")
    }

    /// Whether the cursor is seen.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn has_cursor(&self) -> anyhow::Result<bool> {
        Ok(self.tell(&["display-message", "-p", "#{cursor_flag}"])?.trim() == "1")
    }

    /// Waits until the screen shows a text, and returns the screen.
    ///
    /// # Errors
    /// If it does not in time; the error shows the screen.
    pub async fn shows(&self, text: &str, within: Duration) -> anyhow::Result<String> {
        self.shows_line(&[text], within).await
    }

    /// Waits until a line of the screen has all these texts, and returns the screen.
    ///
    /// # Errors
    /// If none has in time; the error shows the screen.
    pub async fn shows_line(&self, texts: &[&str], within: Duration) -> anyhow::Result<String> {
        let mut last = String::new();
        let found = wait_until(&format!("{texts:?} on a line"), within, async || {
            last = self.screen().unwrap_or_default();
            last.lines()
                .any(|line| texts.iter().all(|text| line.contains(text)))
        })
        .await;
        found.with_context(|| format!("the screen shows\n{last}"))?;
        Ok(last)
    }

    /// The process id of the shell.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn shell(&self) -> anyhow::Result<String> {
        let pid = self.tell(&["display-message", "-p", "#{pane_pid}"])?;
        Ok(pid.trim().to_owned())
    }

    fn tell(&self, arguments: &[&str]) -> anyhow::Result<String> {
        // Never a second server: one that a client starts is nobody's child.
        let output = tmux(&self.folder).arg("-N").args(arguments).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tmux {arguments:?}: {error}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// tmux on a socket of its own, with nobody's settings.
fn tmux(folder: &TempDir) -> Command {
    let mut command = bound_command("tmux");
    command.args(["-u", "-f", "/dev/null", "-S"]);
    command.arg(folder.path().join("socket"));
    command
}
