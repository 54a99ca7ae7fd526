//! Who may ask: `Host`, `Origin` and the token or a signed-in browser's cookie, checked on every method before anything
//! else happens.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN};
use millstream_config::{GatewaySettings, Secret};

use crate::error::ApiError;
use crate::signin::SignIns;

const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Paths that answer without a token: probes of the infrastructure, the dashboard's program, which knows nothing of the
/// cluster, and the door where a token or a code is shown.
const OPEN_PATHS: [&str; 4] = ["/healthz", "/readyz", "/", "/v1/sign-in"];
/// What a token of its own may open, so that Prometheus needs none that starts programs.
const METRICS_PATH: &str = "/metrics";
/// Begins the paths of the dashboard's program.
const OPEN_PREFIX: &str = "/assets/";

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The rules of one gateway.
#[derive(Debug)]
pub(crate) struct Access {
    token: Secret,
    /// Opens [`METRICS_PATH`] and nothing else.
    metrics_token: Option<Secret>,
    sign_ins: SignIns,
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
            sign_ins: SignIns::new(&token),
            token,
            metrics_token: None,
            hosts,
            origins: origins
                .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
        }
    }

    /// The same rules, with a token for who only reads metrics.
    pub(crate) fn with_metrics_token(mut self, token: Option<Secret>) -> Self {
        self.metrics_token = token;
        self
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
        let path = request.path();
        if OPEN_PATHS.contains(&path) || path.starts_with(OPEN_PREFIX) {
            return Ok(());
        }
        match header(request, &AUTHORIZATION) {
            Some(value) => self.check_token(value, path),
            None => self.check_cookie(request, &host),
        }
    }

    /// The gateway's token.
    pub(crate) const fn token(&self) -> &Secret {
        &self.token
    }

    /// Codes and cookies of this gateway.
    pub(crate) const fn sign_ins(&self) -> &SignIns {
        &self.sign_ins
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

    fn check_token(&self, value: &str, path: &str) -> Result<(), ApiError> {
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(ApiError::NoToken);
        }
        let token = token.trim();
        let reads_metrics = path == METRICS_PATH
            && self
                .metrics_token
                .as_ref()
                .is_some_and(|known| known.matches(token));
        if reads_metrics || self.token.matches(token) {
            Ok(())
        } else {
            Err(ApiError::WrongToken)
        }
    }

    /// A browser sends its cookie along whatever page asks, so it counts only for our own pages: for the browser a page
    /// on another port of this host is of the same site.
    fn check_cookie(&self, request: &HttpRequest, host: &str) -> Result<(), ApiError> {
        let cookie = cookie_of(request, &cookie_name(host)).ok_or(ApiError::NoToken)?;
        let site = header(request, &SEC_FETCH_SITE);
        if site.is_some_and(|site| site != "same-origin" && site != "none") {
            return Err(ApiError::ForeignOrigin(site.unwrap_or_default().to_owned()));
        }
        // Browsers name the origin of whatever changes something; without it nobody knows who asks.
        if !request.method().is_safe() && header(request, &ORIGIN).is_none() {
            return Err(ApiError::ForeignOrigin("unknown".to_owned()));
        }
        if self.sign_ins.accepts_cookie(cookie) {
            Ok(())
        } else {
            Err(ApiError::SignInOver)
        }
    }
}

/// The name of the cookie for a gateway that is reached as `host`. Browsers do not part cookies by port, so the name
/// does: two gateways on one machine must not sign each other's users out.
pub(crate) fn cookie_name(host: &str) -> String {
    let port = host
        .rsplit_once(':')
        .map(|(_, port)| port)
        .filter(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    format!("millstream_{}", port.unwrap_or("web"))
}

fn cookie_of<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let mut pairs = header(request, &COOKIE)?.split(';').map(str::trim);
    pairs.find_map(|pair| {
        pair.split_once('=')
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value)
    })
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
    fn a_cookie_counts_only_for_the_pages_of_this_gateway() {
        let access = access();
        let cookie = format!("other=1; millstream_8787={}", access.sign_ins().cookie());
        let ask = |method: TestRequest, extra: &[(&'static str, &'static str)]| {
            let request = method
                .uri("/v1/jobs")
                .insert_header(("host", "localhost:8787"))
                .insert_header(("cookie", cookie.clone()));
            let request = extra
                .iter()
                .fold(request, |request, pair| request.insert_header(*pair));
            access
                .check(&request.to_http_request())
                .map_err(|error| crate::problem::problem(&error).code)
        };
        let foreign = || Err("foreign_origin".to_owned());
        let own = ("origin", "http://localhost:8787");
        assert_eq!(ask(TestRequest::get(), &[]), Ok(()));
        assert_eq!(
            ask(TestRequest::get(), &[("sec-fetch-site", "same-origin")]),
            Ok(())
        );
        // A page on another port is of the same site, and its reads carry no origin.
        assert_eq!(
            ask(TestRequest::get(), &[("sec-fetch-site", "same-site")]),
            foreign()
        );
        assert_eq!(
            ask(TestRequest::get(), &[("sec-fetch-site", "cross-site")]),
            foreign()
        );
        assert_eq!(ask(TestRequest::post(), &[own]), Ok(()));
        assert_eq!(ask(TestRequest::post(), &[]), foreign());
        assert_eq!(
            ask(TestRequest::delete(), &[("origin", "http://localhost:9000")]),
            foreign()
        );
    }

    #[test]
    fn cookies_of_two_gateways_on_one_host_have_two_names() {
        assert_eq!(cookie_name("localhost:8787"), "millstream_8787");
        assert_eq!(cookie_name("[::1]:9000"), "millstream_9000");
        assert_eq!(cookie_name("mill.example"), "millstream_web");
    }

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
    fn the_token_for_metrics_opens_nothing_else() {
        let access = access().with_metrics_token(Some(Secret::new("scrape")));
        let ask = |path: &str, token: &str| {
            let request = TestRequest::get()
                .uri(path)
                .insert_header(("host", "localhost"))
                .insert_header(("authorization", format!("Bearer {token}")));
            access.check(&request.to_http_request()).is_ok()
        };
        assert!(ask("/metrics", "scrape") && ask("/metrics", "s3cret"));
        assert!(!ask("/v1/jobs", "scrape") && !ask("/metrics/x", "scrape"));
        assert!(!ask("/metrics", "scrap"));
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
