//! `millstream token`.

use crate::output;

pub(crate) fn run() -> anyhow::Result<()> {
    let given = std::env::var(millstream::TOKEN_VARIABLE)
        .ok()
        .filter(|token| !token.is_empty());
    let token = match given {
        Some(token) => token,
        None => millstream::ensure_token()?,
    };
    Ok(output::line(&token)?)
}
