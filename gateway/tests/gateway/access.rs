//! Token, Host and Origin.

use millstream_config::Settings;
use millstream_gateway::{Gateway, StartError};
use reqwest::Method;

use crate::support::{TOKEN, TestGateway, problem};

#[tokio::test(flavor = "multi_thread")]
async fn every_route_needs_the_token_but_the_probes() {
    let gateway = TestGateway::start().await;
    for path in ["/v1/jobs", "/v1/workers", "/metrics", "/openapi.json", "/nothing"] {
        let response = gateway
            .http
            .get(format!("{}{path}", gateway.url))
            .send()
            .await
            .unwrap();
        assert_eq!(
            response.headers()["www-authenticate"],
            "Bearer realm=\"millstream\"",
            "{path}"
        );
        assert_eq!(problem(response).await.1, "no_token", "{path}");
        let wrong = gateway
            .http
            .get(format!("{}{path}", gateway.url))
            .bearer_auth("wrong");
        assert_eq!(
            problem(wrong.send().await.unwrap()).await.1,
            "wrong_token",
            "{path}"
        );
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            gateway
                .http
                .get(format!("{}{path}", gateway.url))
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_pages_are_refused_on_every_method() {
    let gateway = TestGateway::start().await;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let request = gateway
            .request(method.clone(), "/v1/jobs")
            .header("origin", "https://evil.example");
        assert_eq!(
            problem(request.send().await.unwrap()).await.1,
            "foreign_origin",
            "{method}"
        );
        let request = gateway
            .request(method.clone(), "/v1/jobs")
            .header("host", "evil.example:8787");
        assert_eq!(
            problem(request.send().await.unwrap()).await.1,
            "foreign_host",
            "{method}"
        );
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_token_does_not_start() {
    let gateway = TestGateway::start().await;
    let settings = Settings::default();
    let started = Gateway::start(&settings, gateway.bus.clone(), gateway.state.clone()).await;
    assert!(matches!(started, Err(StartError::NoToken)));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let gateway = TestGateway::start().await;
    let mut settings = Settings::default();
    settings.gateway.token = Some(millstream_config::Secret::new(TOKEN));
    settings.gateway.port = gateway.url.rsplit(':').next().unwrap().parse().unwrap();
    let error = Gateway::start(&settings, gateway.bus.clone(), gateway.state.clone())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains(&settings.gateway.port.to_string()),
        "{error}"
    );
    gateway.stop().await;
}
