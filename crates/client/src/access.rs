//! Which gateway, and with which token.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::Error;

/// Names the gateway.
pub const GATEWAY_VARIABLE: &str = "MILLSTREAM_GATEWAY";

/// Holds the token.
pub const TOKEN_VARIABLE: &str = "MILLSTREAM_TOKEN";

/// Where a gateway on this machine listens if nothing else is said.
const DEFAULT_GATEWAY: &str = "http://127.0.0.1:8787";

/// A gateway's address and the token it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The address, without a slash at its end.
    pub url: String,
    /// The token.
    pub token: String,
}

impl Access {
    /// The gateway and token that are given, else those of the environment, else this machine's.
    ///
    /// # Errors
    /// An address that is none, or no token anywhere.
    pub fn find(url: Option<&str>, token: Option<&str>) -> Result<Self, Error> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let url = url.map(str::to_owned).or_else(|| variable(GATEWAY_VARIABLE));
        let url = checked_url(url.as_deref().unwrap_or(DEFAULT_GATEWAY))?;
        if let Some(token) = token.map(str::to_owned).or_else(|| variable(TOKEN_VARIABLE)) {
            return Ok(Self { url, token });
        }
        let path = token_path();
        match read_token(&path)? {
            Some(token) => Ok(Self { url, token }),
            None => Err(Error::NoToken { path }),
        }
    }
}

fn checked_url(url: &str) -> Result<String, Error> {
    let invalid = |hint: &str| Error::InvalidUrl {
        url: url.to_owned(),
        hint: hint.to_owned(),
    };
    if let Some(address) = url.strip_prefix("tcp://") {
        let host = address.split(':').next().unwrap_or("127.0.0.1");
        return Err(invalid(&format!(
            "clients speak HTTP to the gateway; write http://{host}:8787"
        )));
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(invalid("write it as http://HOST:8787"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// The folder of this user's settings and token.
pub fn config_folder() -> PathBuf {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("XDG_CONFIG_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".config")))
        .unwrap_or_else(std::env::temp_dir)
        .join("millstream")
}

fn token_path() -> PathBuf {
    config_folder().join("token")
}

/// The token of this user's gateways, made at first use with nobody else allowed to read it.
///
/// # Errors
/// A folder or file that cannot be read or made.
pub fn ensure_token() -> Result<String, Error> {
    let path = token_path();
    if let Some(token) = read_token(&path)? {
        return Ok(token);
    }
    let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    match write_token(&path, &token) {
        Ok(()) => Ok(token),
        // Another process was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            read_token(&path)?.ok_or(Error::TokenFile { path, source: error })
        }
        Err(source) => Err(Error::TokenFile { path, source }),
    }
}

fn read_token(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|token| !token.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::TokenFile {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Written beside its place and linked there, so that no reader sees a half-written one.
fn write_token(path: &Path, token: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".token-{}", Uuid::new_v4().simple()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let linked = writeln!(file, "{token}")
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::hard_link(&draft, path));
    let _ = std::fs::remove_file(&draft);
    linked
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn a_dask_address_is_answered_with_the_gateways() {
        let error = checked_url("tcp://node7:8786").unwrap_err().to_string();
        assert!(error.contains("http://node7:8787"), "{error}");
    }

    #[test]
    fn an_address_loses_its_last_slash() {
        assert_eq!(checked_url("http://a:1/").unwrap(), "http://a:1");
        assert!(checked_url("a:1").is_err());
    }

    #[test]
    fn only_its_owner_reads_a_token() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(Uuid::new_v4().to_string());
        let path = folder.join("token");
        write_token(&path, "secret").unwrap();
        assert_eq!(read_token(&path).unwrap().as_deref(), Some("secret"));
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            write_token(&path, "other").unwrap_err().kind(),
            std::io::ErrorKind::AlreadyExists
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}
