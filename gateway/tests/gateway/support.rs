//! A gateway on a free port with everything around it in this process.

use std::sync::Arc;
use std::time::Duration;

use millstream_bus::{Bus, InprocBroker, Names};
use millstream_config::{GatewaySettings, Secret, Settings};
use millstream_gateway::Gateway;
use millstream_state::{MemoryState, StateStore};
use millstream_types::ClusterName;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

use crate::leader::FakeLeader;

pub(crate) const TOKEN: &str = "s3cret";

/// What workers' data planes want to see.
pub(crate) const CLUSTER_SECRET: &str = "of the cluster";

/// Longest wait for a condition.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct TestGateway {
    pub(crate) broker: InprocBroker,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) state: Arc<MemoryState>,
    pub(crate) url: String,
    pub(crate) http: Client,
    gateway: Gateway,
    leader: Option<FakeLeader>,
}

impl TestGateway {
    /// A gateway and a leader that answers it.
    pub(crate) async fn start() -> Self {
        let mut gateway = Self::start_with(|_| {}).await;
        gateway.elect(1).await;
        gateway
    }

    /// A gateway with changed settings and without a leader.
    pub(crate) async fn start_with(change: impl FnOnce(&mut GatewaySettings)) -> Self {
        let broker = InprocBroker::new();
        let bus: Arc<dyn Bus> = broker.bus(Names::new(ClusterName::default()));
        let state = Arc::new(MemoryState::new());
        let mut settings = Settings::default();
        settings.gateway.port = 0;
        settings.gateway.token = Some(Secret::new(TOKEN));
        settings.gateway.leader_timeout = Duration::from_secs(5);
        settings.cluster.secret = Some(Secret::new(CLUSTER_SECRET));
        change(&mut settings.gateway);
        let store: Arc<dyn StateStore> = state.clone();
        let gateway = Gateway::start(&settings, Arc::clone(&bus), store).await.unwrap();
        let url = format!("http://{}", gateway.address());
        Self {
            broker,
            bus,
            state,
            url,
            http: Client::new(),
            gateway,
            leader: None,
        }
    }

    /// Makes a leader of this term, and waits until the gateway follows it.
    pub(crate) async fn elect(&mut self, term: u32) {
        self.leader = Some(FakeLeader::start(&self.bus, self.state.clone(), term).await);
        self.until("the gateway is ready", async || {
            let ready = self.get("/readyz").await;
            ready.status() == 200 && body(ready).await["term"] == term
        })
        .await;
    }

    pub(crate) fn depose(&mut self) {
        self.leader = None;
    }

    pub(crate) fn leader(&self) -> &FakeLeader {
        self.leader.as_ref().unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(TOKEN)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, json: &Value) -> Response {
        self.request(Method::POST, path).json(json).send().await.unwrap()
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(
            tokio::time::timeout(LIMIT, waiting).await.is_ok(),
            "not in time: {what}"
        );
    }

    pub(crate) async fn stop(self) {
        self.gateway.stop().await;
    }
}

/// The answer's JSON.
pub(crate) async fn body(response: Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Status and code of a problem.
pub(crate) async fn problem(response: Response) -> (u16, String, Value) {
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body = body(response).await;
    assert_eq!(content_type, "application/problem+json", "{body}");
    (status, body["code"].as_str().unwrap().to_owned(), body)
}
