//! Browsers sign in: a one-time code in the dashboard's link, or the token itself, becomes a cookie.
//!
//! Codes and cookies say until when they count and prove it by a keyed hash, so that they need no memory and a cookie
//! counts at every gateway of the cluster. Only used codes are remembered, until they would have run out anyway.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_config::Secret;
use parking_lot::Mutex;
use uuid::Uuid;

/// How long a code may wait for its use.
const CODE_LIFETIME: Duration = Duration::from_secs(3_600);

/// How long a browser stays signed in.
pub(crate) const COOKIE_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

/// Used codes remembered. Only who has the token makes codes, and so many within an hour are an accident.
const MAX_USED: usize = 10_000;

/// Parts the key from every other use of the token. Changing it signs everybody out.
const KEY_CONTEXT: &str = "millstream gateway 2026 browser sign-in";

#[derive(Debug, Clone, Copy)]
enum Purpose {
    Code,
    Cookie,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Cookie => "cookie",
        }
    }
}

/// Makes and checks codes and cookies.
pub(crate) struct SignIns {
    key: [u8; 32],
    /// Used codes, and the unix second when each runs out.
    used: Mutex<VecDeque<(u64, String)>>,
}

impl std::fmt::Debug for SignIns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIns").finish_non_exhaustive()
    }
}

impl SignIns {
    /// Codes and cookies that stand for `token`; another token makes them worthless.
    pub(crate) fn new(token: &Secret) -> Self {
        Self {
            key: blake3::derive_key(KEY_CONTEXT, token.expose().as_bytes()),
            used: Mutex::default(),
        }
    }

    /// A new code.
    pub(crate) fn code(&self) -> String {
        self.make(Purpose::Code, CODE_LIFETIME)
    }

    /// A new cookie.
    pub(crate) fn cookie(&self) -> String {
        self.make(Purpose::Cookie, COOKIE_LIFETIME)
    }

    /// Whether the code is good; it is good once.
    pub(crate) fn use_code(&self, code: &str) -> bool {
        let now = unix_seconds();
        let Some(until) = self.check(Purpose::Code, code, now) else {
            return false;
        };
        let mut used = self.used.lock();
        used.retain(|(until, _)| *until >= now);
        if used.len() >= MAX_USED || used.iter().any(|(_, known)| known == code) {
            return false;
        }
        used.push_back((until, code.to_owned()));
        true
    }

    /// Whether the cookie is good.
    pub(crate) fn accepts_cookie(&self, cookie: &str) -> bool {
        self.check(Purpose::Cookie, cookie, unix_seconds()).is_some()
    }

    fn make(&self, purpose: Purpose, lifetime: Duration) -> String {
        let until = unix_seconds() + lifetime.as_secs();
        let head = format!("{until}.{}", Uuid::new_v4().simple());
        let proof = self.prove(purpose, &head);
        format!("{head}.{}", proof.to_hex())
    }

    /// Until when the text counts, if it does.
    fn check(&self, purpose: Purpose, text: &str, now: u64) -> Option<u64> {
        let (head, shown) = text.rsplit_once('.')?;
        let shown = blake3::Hash::from_hex(shown).ok()?;
        let until: u64 = head.split_once('.')?.0.parse().ok()?;
        // Hashes are compared in constant time.
        (self.prove(purpose, head) == shown && now <= until).then_some(until)
    }

    fn prove(&self, purpose: Purpose, head: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(purpose.name().as_bytes());
        hasher.update(b"\0");
        hasher.update(head.as_bytes());
        hasher.finalize()
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn sign_ins() -> SignIns {
        SignIns::new(&Secret::new("s3cret"))
    }

    #[test]
    fn a_code_is_good_once() {
        let sign_ins = sign_ins();
        let code = sign_ins.code();
        assert!(sign_ins.use_code(&code));
        assert!(!sign_ins.use_code(&code));
    }

    #[test]
    fn a_code_is_no_cookie_and_a_cookie_no_code() {
        let sign_ins = sign_ins();
        assert!(!sign_ins.accepts_cookie(&sign_ins.code()));
        assert!(!sign_ins.use_code(&sign_ins.cookie()));
    }

    #[test]
    fn a_cookie_counts_at_every_gateway_with_the_same_token_until_it_runs_out() {
        let cookie = sign_ins().cookie();
        assert!(sign_ins().accepts_cookie(&cookie));
        assert!(!SignIns::new(&Secret::new("other")).accepts_cookie(&cookie));
        let late = unix_seconds() + COOKIE_LIFETIME.as_secs() + 1;
        assert_eq!(sign_ins().check(Purpose::Cookie, &cookie, late), None);
    }

    #[test]
    fn a_longer_life_cannot_be_written_into_a_cookie() {
        let cookie = sign_ins().cookie();
        let (until, rest) = cookie.split_once('.').unwrap();
        let longer = format!("{}.{rest}", until.parse::<u64>().unwrap() + 1);
        for forged in [longer.as_str(), "", ".", "..", "1.2.3", &cookie[1..]] {
            assert!(!sign_ins().accepts_cookie(forged), "{forged}");
        }
    }
}
