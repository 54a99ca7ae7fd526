//! Requests that the gateway answered, by route pattern and status.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::describe::Description;
use crate::series::{Counter, Gauge, Part, Timer};

/// Most distinct routes; the gateway has fewer. What comes beyond is counted as `other`.
const MAX_ROUTES: usize = 64;
const OTHER: &str = "other";

type Labels = [(&'static str, String); 3];

/// Counts and times requests. Routes are patterns (`/v1/jobs/{id}`), never paths.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: Family<Labels, Counter>,
    seconds: Timer,
    in_flight: Gauge,
    routes: Arc<Mutex<BTreeSet<String>>>,
}

const REQUESTS: (&str, &str) = (
    "requests",
    "Requests answered, by method, route and class of status.",
);
const SECONDS: (&str, &str) = (
    "request_duration_seconds",
    "How long requests took until their headers were sent.",
);
const IN_FLIGHT: (&str, &str) = ("requests_in_flight", "Requests being worked on.");

impl Part for HttpMetrics {
    fn register(registry: &mut Registry, name: &str, _: &str) -> Self {
        let registry = registry.sub_registry_with_prefix(name);
        let requests = Family::<Labels, Counter>::default();
        registry.register(REQUESTS.0, REQUESTS.1.trim_end_matches('.'), requests.clone());
        Self {
            requests,
            seconds: Part::register(registry, SECONDS.0, SECONDS.1),
            in_flight: Part::register(registry, IN_FLIGHT.0, IN_FLIGHT.1),
            routes: Arc::default(),
        }
    }

    fn describe(name: &str, _: &str) -> Vec<Description> {
        let named = |(part, help): (&str, &str)| (format!("{name}_{part}"), help.to_owned());
        let ((requests, about_requests), (seconds, about_seconds), (in_flight, about_in_flight)) =
            (named(REQUESTS), named(SECONDS), named(IN_FLIGHT));
        let requests = Description::of::<Counter>(&requests, &about_requests)
            .with("method", "the request's, `other` for invented ones")
            .with("route", "the pattern of its path, such as `/v1/jobs/{job}`")
            .with("status", "`2xx` to `5xx`");
        vec![
            requests,
            Description::of::<Timer>(&seconds, &about_seconds),
            Description::of::<Gauge>(&in_flight, &about_in_flight),
        ]
    }
}

impl HttpMetrics {
    /// Counts one answered request. `route` is the pattern that matched, `None` when none did.
    pub fn answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let labels = [
            ("method", known_method(method).to_owned()),
            ("route", self.bounded(route)),
            ("status", format!("{}xx", status / 100 % 10)),
        ];
        self.requests.get_or_create(&labels).inc();
        self.seconds.observe(took);
    }

    /// The gauge of requests being worked on.
    pub fn in_flight(&self) -> &Gauge {
        &self.in_flight
    }

    /// `route` if it is among the first [`MAX_ROUTES`] seen.
    fn bounded(&self, route: Option<&str>) -> String {
        let Some(route) = route else {
            return OTHER.to_owned();
        };
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if routes.contains(route) || routes.len() < MAX_ROUTES {
            routes.insert(route.to_owned());
            route.to_owned()
        } else {
            OTHER.to_owned()
        }
    }
}

/// A client may invent methods; a label may not.
fn known_method(method: &str) -> &str {
    match method {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => method,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_pattern_and_class() {
        let mut registry = Registry::default();
        let http = HttpMetrics::register(&mut registry, "http", "");
        http.answered("GET", Some("/v1/jobs/{id}"), 404, Duration::from_millis(3));
        let mut page = String::new();
        assert!(prometheus_client::encoding::text::encode(&mut page, &registry).is_ok());
        let line = "http_requests_total{method=\"GET\",route=\"/v1/jobs/{id}\",status=\"4xx\"} 1";
        assert!(page.contains(line), "{page}");
    }

    #[test]
    fn invented_routes_and_methods_do_not_multiply_series() {
        let mut registry = Registry::default();
        let http = HttpMetrics::register(&mut registry, "http", "");
        for n in 0..10 * MAX_ROUTES {
            http.answered(&format!("M{n}"), Some(&format!("/{n}")), 200, Duration::ZERO);
        }
        let mut page = String::new();
        assert!(prometheus_client::encoding::text::encode(&mut page, &registry).is_ok());
        let series = page
            .lines()
            .filter(|line| line.starts_with("http_requests_total"))
            .count();
        assert_eq!(series, MAX_ROUTES + 1);
    }
}
