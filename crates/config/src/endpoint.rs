//! The address of a server, whose password is kept apart from everything that is printed.

use std::fmt;

use url::Url;

use crate::secret::Secret;
use crate::value::{RawValue, SettingValue};

/// The URL of RabbitMQ or Redis. `Debug` and `Display` mask a password within it.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The scheme: `amqp`, `amqps`, `redis` or `rediss`.
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// The full URL with `user` and `password` put in where they are given.
    pub(crate) fn with_credentials(&self, user: Option<&str>, password: Option<&Secret>) -> Secret {
        let mut url = self.0.clone();
        // These fail only for URLs without a host, which `read` refuses.
        if let Some(user) = user {
            let _ = url.set_username(user);
        }
        if let Some(password) = password {
            let _ = url.set_password(Some(password.expose()));
        }
        Secret::new(url)
    }

    /// A URL known at compile time.
    pub(crate) fn well_known(url: &'static str) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the literals are in this crate and a test reads them all"
        )]
        Self(Url::parse(url).expect("a literal URL"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.password().is_none() {
            return self.0.fmt(f);
        }
        let mut masked = self.0.clone();
        let _ = masked.set_password(Some("***"));
        masked.fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

impl SettingValue for Endpoint {
    const KIND: &'static str = "URL";

    fn read(raw: &RawValue) -> Result<Self, String> {
        let advice =
            || "write a URL with a host, such as `amqp://host:5672/%2f` or `redis://host:6379/0`".to_owned();
        let url = Url::parse(&String::read(raw)?).map_err(|_| advice())?;
        if url.host_str().is_some_and(|host| !host.is_empty()) {
            Ok(Self(url))
        } else {
            Err(advice())
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn mask(raw: &RawValue) -> String {
        let text = raw.show();
        // Even a malformed URL may hold a password.
        match text.rsplit_once('@') {
            Some((_, host)) => format!("***@{host}"),
            None => text,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::read(&RawValue::Text(url.to_owned())).unwrap()
    }

    #[test]
    fn printing_an_endpoint_masks_its_password() {
        let endpoint = endpoint("amqp://guest:hunter2@broker:5672/%2f");
        assert_eq!(endpoint.to_string(), "amqp://guest:***@broker:5672/%2f");
        assert!(!format!("{endpoint:?}").contains("hunter2"));
    }

    #[test]
    fn credentials_are_put_in_and_escaped() {
        let url =
            endpoint("amqp://broker:5672/%2f").with_credentials(Some("ms"), Some(&Secret::new("a/b@c")));
        assert_eq!(url.expose(), "amqp://ms:a%2Fb%40c@broker:5672/%2f");
    }

    #[test]
    fn a_url_needs_a_host() {
        for wrong in ["broker", "amqp:", "amqp://", "/var/run/redis.sock"] {
            assert!(
                Endpoint::read(&RawValue::Text(wrong.to_owned())).is_err(),
                "{wrong}"
            );
        }
    }
}
