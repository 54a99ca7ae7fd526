//! Who may ask: `Host`, `Origin` and the token, checked on every method before anything else happens.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use millstream_config::{GatewaySettings, Secret};

use crate::error::ApiError;

const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Paths that answer without a token: probes of the infrastructure.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// The rules of one gateway.
#[derive(Debug)]
pub(crate) struct Access {
    token: Secret,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Access {
    pub(crate) fn new(settings: &GatewaySettings, token: Secret) -> Self {
        let mut hosts: Vec<String> = LOOPBACK_NAMES.map(str::to_owned).to_vec();
        hosts.push(settings.host.to_ascii_lowercase());
        hosts.extend(
            settings
                .allowed_hosts
                .iter()
                .map(|host| host.to_ascii_lowercase()),
        );
        let origins = settings.allowed_origins.iter();
        Self {
            token,
            hosts,
            origins: origins
                .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
        }
    }

    /// Whether the request may go on.
    pub(crate) fn check(&self, request: &HttpRequest) -> Result<(), ApiError> {
        let host = header(request, &HOST)
            .map(str::to_owned)
            .or_else(|| request.uri().authority().map(ToString::to_string))
            .unwrap_or_default()
            .to_ascii_lowercase();
        let name = without_port(&host);
        // The name in the header, not the address connected to: a page may point its own name at this machine.
        if !self.hosts.iter().any(|known| known == name || known == &host) {
            return Err(ApiError::ForeignHost(host));
        }
        if let Some(origin) = header(request, &ORIGIN) {
            self.check_origin(&origin.to_ascii_lowercase(), &host)?;
        }
        if OPEN_PATHS.contains(&request.path()) {
            return Ok(());
        }
        self.check_token(request)
    }

    fn check_origin(&self, origin: &str, host: &str) -> Result<(), ApiError> {
        let own = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|authority| authority == host);
        if own || self.origins.iter().any(|known| known == origin) {
            Ok(())
        } else {
            Err(ApiError::ForeignOrigin(origin.to_owned()))
        }
    }

    fn check_token(&self, request: &HttpRequest) -> Result<(), ApiError> {
        let value = header(request, &AUTHORIZATION).ok_or(ApiError::NoToken)?;
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(ApiError::NoToken);
        }
        if self.token.matches(token.trim()) {
            Ok(())
        } else {
            Err(ApiError::WrongToken)
        }
    }
}

fn header<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The name of `name:port`, brackets of an IPv6 address kept.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn access() -> Access {
        let settings = GatewaySettings {
            allowed_hosts: vec!["Mill.example".to_owned()],
            allowed_origins: vec!["https://dash.example/".to_owned()],
            ..GatewaySettings::default()
        };
        Access::new(&settings, Secret::new("s3cret"))
    }

    fn check(headers: &[(&str, &str)]) -> Result<(), String> {
        let request = headers
            .iter()
            .fold(TestRequest::get().uri("/v1/jobs"), |request, header| {
                request.insert_header(*header)
            })
            .to_http_request();
        access()
            .check(&request)
            .map_err(|error| crate::problem::problem(&error).code)
    }

    const TOKEN: (&str, &str) = ("authorization", "Bearer s3cret");

    #[test]
    fn loopback_and_allowed_hosts_are_own_names() {
        for host in [
            "localhost:8787",
            "127.0.0.1:1",
            "[::1]:8787",
            "[::1]",
            "mill.EXAMPLE",
        ] {
            assert_eq!(check(&[("host", host), TOKEN]), Ok(()), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8787", ""] {
            assert_eq!(
                check(&[("host", host), TOKEN]),
                Err("foreign_host".to_owned()),
                "{host}"
            );
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused_even_with_the_token() {
        let host = ("host", "localhost:8787");
        for origin in ["http://localhost:8787", "https://dash.example"] {
            assert_eq!(check(&[host, ("origin", origin), TOKEN]), Ok(()), "{origin}");
        }
        for origin in ["null", "http://localhost:9999", "https://evil.example"] {
            let refused = Err("foreign_origin".to_owned());
            assert_eq!(check(&[host, ("origin", origin), TOKEN]), refused, "{origin}");
        }
    }

    #[test]
    fn the_token_is_always_needed() {
        let host = ("host", "localhost");
        assert_eq!(check(&[host]), Err("no_token".to_owned()));
        assert_eq!(
            check(&[host, ("authorization", "Basic s3cret")]),
            Err("no_token".to_owned())
        );
        assert_eq!(
            check(&[host, ("authorization", "Bearer wrong")]),
            Err("wrong_token".to_owned())
        );
    }
}
