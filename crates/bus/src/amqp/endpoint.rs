//! Which broker to talk to. The only place that sees the URL and its password.

use std::fmt;

use lapin::uri::{AMQPScheme, AMQPUri};

use crate::error::BusError;

/// Seconds between heartbeats: a dead peer is noticed within two of them.
const HEARTBEAT_SECONDS: u16 = 5;
/// Milliseconds for the TCP connection alone.
const TCP_TIMEOUT_MILLIS: u64 = 3_000;

/// A checked broker URL. Shows only host and port.
#[derive(Clone)]
pub(super) struct Endpoint {
    uri: AMQPUri,
}

impl Endpoint {
    pub(super) fn parse(url: &str) -> Result<Self, BusError> {
        let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
        // The client library would take an IPv6 literal for "localhost".
        if authority
            .rsplit('@')
            .next()
            .is_some_and(|host| host.starts_with('['))
        {
            return Err(invalid(
                "an IPv6 address cannot stand in the URL, use a host name",
            ));
        }
        let mut uri: AMQPUri = url
            .parse()
            .map_err(|reason: String| invalid(&without_url(&reason, url)))?;
        if uri.vhost.is_empty() {
            // A trailing slash means the default virtual host to everybody but the specification.
            uri.vhost = "/".to_owned();
        }
        uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
        uri.query.connection_timeout = Some(TCP_TIMEOUT_MILLIS);
        let endpoint = Self { uri };
        match endpoint.uri.scheme {
            AMQPScheme::AMQP => Ok(endpoint),
            AMQPScheme::AMQPS => Err(BusError::TlsUnsupported {
                endpoint: endpoint.to_string(),
            }),
        }
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn invalid(reason: &str) -> BusError {
    BusError::InvalidUrl {
        reason: reason.to_owned(),
    }
}

/// The parser's complaint, unless it quotes the URL and so the password.
fn without_url(reason: &str, url: &str) -> String {
    if !url.is_empty() && reason.contains(url) {
        "it has no host".to_owned()
    } else {
        reason.to_lowercase()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn shows_host_and_port_but_never_the_password() {
        let endpoint = Endpoint::parse("amqp://me:s3cret@broker.example:5673/prod").unwrap();
        assert_eq!(endpoint.to_string(), "broker.example:5673");
        assert!(!format!("{endpoint:?}").contains("s3cret"));
        assert_eq!(endpoint.uri().query.heartbeat, Some(HEARTBEAT_SECONDS));
    }

    #[test]
    fn a_trailing_slash_is_the_default_virtual_host() {
        assert_eq!(Endpoint::parse("amqp://broker:5672/").unwrap().uri().vhost, "/");
        assert_eq!(Endpoint::parse("amqp://broker:5672").unwrap().uri().vhost, "/");
        assert_eq!(
            Endpoint::parse("amqp://broker:5672/a%2fb").unwrap().uri().vhost,
            "a/b"
        );
    }

    #[test]
    fn tls_is_refused_by_name() {
        let error = Endpoint::parse("amqps://me:s3cret@broker:5671").unwrap_err();
        assert_eq!(
            error,
            BusError::TlsUnsupported {
                endpoint: "broker:5671".to_owned()
            }
        );
        assert!(error.to_string().contains("amqp://"));
    }

    #[test]
    fn bad_urls_are_refused_without_quoting_them() {
        for url in [
            "",
            "amqp:me:s3cret",
            "http://me:s3cret@broker",
            "amqp://me:s3cret@broker:x",
            "amqp://u:s3cret@[::1]:5672",
        ] {
            let error = Endpoint::parse(url).unwrap_err();
            assert!(matches!(error, BusError::InvalidUrl { .. }), "{url}: {error:?}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
