//! The dashboard: who gets in, and what its questions answer.

use std::time::Duration;

use millstream_protocol::graph::OpKind;
use millstream_protocol::wire::{
    HeartbeatMsg, LiveMsg, OpLabel, OpTotal, OutputLine, SpanColumns, SpanKind, TransferTotal, WorkMsg,
};
use millstream_types::{ByteSize, JobId, TaskIdx};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::leader::WORKER;
use crate::support::{TOKEN, TestGateway, body, problem};

/// A browser as far as this matters: it follows no redirect by itself, and shows the cookie it is told to.
struct Browser {
    http: Client,
    url: String,
    cookie: Option<String>,
}

impl Browser {
    fn new(gateway: &TestGateway) -> Self {
        Self {
            http: Client::builder().redirect(Policy::none()).build().unwrap(),
            url: gateway.url.clone(),
            cookie: None,
        }
    }

    async fn get(&mut self, path: &str) -> Response {
        let mut request = self.http.get(format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let response = request.send().await.unwrap();
        self.keep_cookie(&response);
        response
    }

    async fn sign_in(&mut self, shown: &Value) -> Response {
        let request = self.http.post(format!("{}/v1/sign-in", self.url)).json(shown);
        let response = request.send().await.unwrap();
        self.keep_cookie(&response);
        response
    }

    fn keep_cookie(&mut self, response: &Response) {
        if let Some(told) = response.headers().get("set-cookie") {
            let told = told.to_str().unwrap();
            assert!(
                told.contains("HttpOnly") && told.contains("SameSite=Strict"),
                "{told}"
            );
            self.cookie = told.split(';').next().map(str::to_owned);
        }
    }
}

async fn code_of(gateway: &TestGateway) -> String {
    let told = body(gateway.post("/v1/sign-in/codes", &json!({})).await).await;
    told["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_in_the_link_becomes_a_cookie_once() {
    let gateway = TestGateway::start().await;
    let code = code_of(&gateway).await;
    let mut browser = Browser::new(&gateway);
    assert_eq!(problem(browser.get("/v1/jobs").await).await.1, "no_token");
    let page = browser.get(&format!("/?code={code}")).await;
    assert_eq!(
        (
            page.status().as_u16(),
            page.headers()["location"].to_str().unwrap()
        ),
        (303, "./")
    );
    assert_eq!(browser.get("/v1/jobs").await.status(), 200);
    let mut other = Browser::new(&gateway);
    let page = other.get(&format!("/?code={code}")).await;
    assert_eq!(page.headers()["location"], "./#/sign-in");
    assert_eq!(problem(other.get("/v1/jobs").await).await.1, "no_token");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_signs_in_and_a_wrong_one_does_not() {
    let gateway = TestGateway::start().await;
    let mut browser = Browser::new(&gateway);
    for (shown, code) in [
        (json!({"token": "wrong"}), "wrong_token"),
        (json!({"code": "wrong"}), "wrong_code"),
        (json!({}), "no_token"),
    ] {
        assert_eq!(problem(browser.sign_in(&shown).await).await.1, code);
    }
    assert_eq!(browser.sign_in(&json!({"token": TOKEN})).await.status(), 204);
    assert_eq!(browser.get("/v1/system").await.status(), 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_gets_nothing_with_the_browsers_cookie() {
    let gateway = TestGateway::start().await;
    let mut browser = Browser::new(&gateway);
    browser.sign_in(&json!({"token": TOKEN})).await;
    let cookie = browser.cookie.clone().unwrap();
    let ask = |method: reqwest::Method, name: &'static str, value: &'static str| {
        let request = browser.http.request(method, format!("{}/v1/jobs", browser.url));
        request.header("cookie", &cookie).header(name, value).send()
    };
    // Reads of another port's page carry no origin, but the browser says from where they come.
    for site in ["cross-site", "same-site"] {
        let response = ask(reqwest::Method::GET, "sec-fetch-site", site).await.unwrap();
        assert_eq!(problem(response).await.1, "foreign_origin", "{site}");
    }
    let response = ask(reqwest::Method::POST, "origin", "http://localhost:1")
        .await
        .unwrap();
    assert_eq!(problem(response).await.1, "foreign_origin");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_is_served_with_a_policy_that_lets_nothing_else_in() {
    let gateway = TestGateway::start().await;
    let mut browser = Browser::new(&gateway);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/app.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
    ] {
        let response = browser.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], kind, "{path}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("default-src 'self'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(!response.bytes().await.unwrap().is_empty(), "{path}");
    }
    let missing = browser.get("/assets/other.js").await;
    assert_eq!(problem(missing).await.0, 404);
    gateway.stop().await;
}

/// A second of a worker that ran three tasks of one operation, and fetched from another worker.
pub(crate) fn work(job: JobId) -> LiveMsg {
    LiveMsg::Work(Box::new(WorkMsg {
        worker: WORKER,
        name: "worker-0".to_owned(),
        at_us: now_us(),
        covers_us: 1_000_000,
        slots: 2,
        memory_limit: ByteSize::from_mib(64),
        load: Some(HeartbeatMsg {
            stored: ByteSize::from_mib(8),
            spilled: ByteSize::new(0),
            process: ByteSize::from_mib(12),
            cpu_milli: 1_500,
            paused: false,
            queued: 4,
            executing: 2,
            fetched: ByteSize::new(0),
            served: ByteSize::new(0),
        }),
        jobs: vec![job],
        ops: vec![OpLabel {
            kind: OpKind::Native,
            name: "demo:f".to_owned(),
        }],
        totals: vec![OpTotal {
            job: 0,
            op: 0,
            finished: 3,
            failed: 0,
            busy_us: 900_000,
            bytes: ByteSize::new(300),
        }],
        spans: SpanColumns {
            kinds: vec![SpanKind::Run.code(); 3].into(),
            slots: vec![0, 1, 0].into(),
            jobs: vec![0; 3].into(),
            ops: vec![0; 3].into(),
            tasks: vec![0, 1, 2].into(),
            ended_ago_us: vec![500_000, 400_000, 100_000].into(),
            durations_us: vec![300_000; 3].into(),
            bytes: vec![100; 3].into(),
        },
        skipped: 0,
        transfers: vec![TransferTotal {
            from: WORKER,
            objects: 1,
            bytes: ByteSize::new(4_096),
            busy_us: 40,
        }],
        lines: vec![OutputLine {
            job: 0,
            task: TaskIdx(2),
            text: "<b>hello</b>".to_owned(),
        }],
    }))
}

fn now_us() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    since.as_micros() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workers_tell_is_shown_in_every_window() {
    let gateway = TestGateway::start().await;
    let job = JobId::from_u128(5);
    gateway
        .until("the gateway listens", async || {
            gateway.leader().tell(work(job)).await;
            let told = body(gateway.get("/v1/live/operations").await).await;
            !told["operations"].as_array().unwrap().is_empty()
        })
        .await;
    let operations = body(gateway.get(&format!("/v1/live/operations?job={job}")).await).await;
    let row = &operations["operations"][0];
    assert_eq!((&row["kind"], &row["name"]), (&json!("native"), &json!("demo:f")));
    assert_eq!(row["finished"].as_u64().unwrap() % 3, 0);

    let window = body(gateway.get("/v1/live/spans?width=1000").await).await;
    assert_eq!(window["workers"], json!([WORKER]));
    assert_eq!(window["ops"][0]["name"], "demo:f");
    assert!(
        window["blocks"]["task"].as_array().unwrap().len() >= 3,
        "{window}"
    );

    let flows = body(gateway.get("/v1/live/transfers").await).await;
    assert_eq!(flows["transfers"][0]["from"], json!(WORKER));
    let lines = body(gateway.get("/v1/live/lines?q=HELLO&worker=worker-0").await).await;
    assert_eq!(
        lines["lines"][0]["text"], "<b>hello</b>",
        "texts are shown as they are"
    );
    assert_eq!(lines["lines"][0]["index"], 2);

    gateway
        .until("a second has passed", async || {
            let workers = body(gateway.get("/v1/live/workers").await).await;
            workers["numbers"]["unmanaged"] == json!([4 << 20])
        })
        .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_brings_what_was_missed_and_then_each_second() {
    let gateway = TestGateway::start().await;
    let stream = gateway.get("/v1/live?topics=cluster,jobs,workers&pulses=2").await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let text = tokio::time::timeout(Duration::from_secs(20), stream.text())
        .await
        .unwrap()
        .unwrap();
    let events: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    let second = ["cluster", "jobs", "workers"];
    let expected = [&["history", "table"][..], &second, &second].concat();
    assert_eq!(events, expected, "{text}");

    let last: u64 = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap()
        .parse()
        .unwrap();
    gateway
        .until("two seconds have passed", async || {
            let history = body(gateway.get("/v1/live/history").await).await;
            history["points"].as_array().unwrap().last().unwrap()["seq"]
                .as_u64()
                .unwrap()
                >= last + 2
        })
        .await;
    let request = gateway.request(reqwest::Method::GET, "/v1/live?pulses=0");
    let resumed = request
        .header("last-event-id", last.to_string())
        .send()
        .await
        .unwrap();
    let text = resumed.text().await.unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let history: Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        history["points"][0]["seq"],
        last + 1,
        "nothing twice, nothing left out"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_topic_is_named() {
    let gateway = TestGateway::start().await;
    let (status, code, problem) = problem(gateway.get("/v1/live?topics=jbos").await).await;
    assert_eq!((status, code.as_str()), (400, "bad_parameter"));
    assert!(problem["detail"].as_str().unwrap().contains("jbos"), "{problem}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_are_counted_from_the_record_where_no_leader_counts() {
    let gateway = TestGateway::start().await;
    let tasks = json!({"tasks": [
        {"key": "a", "op": "native", "function": "demo:f", "args": [1]},
        {"key": "b", "op": "native", "function": "demo:g", "args": [{"task": "a"}]}
    ], "outputs": ["b"]});
    let job = body(gateway.post("/v1/jobs?wait=10s", &tasks).await).await;
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let layers = body(gateway.get(&format!("{path}/layers")).await).await;
    assert_eq!(layers["exact"], false);
    let ops: Vec<&str> = layers["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["op"].as_str().unwrap())
        .collect();
    assert_eq!(ops, ["native demo:f", "native demo:g"]);
    assert_eq!(layers["edges"], json!([{"from": 0, "to": 1, "inputs": 1}]));
    let graph = body(gateway.get(&format!("{path}/graph?from=1")).await).await;
    assert_eq!(
        graph["tasks"],
        json!([{"task": 1, "key": "b", "op": "native demo:g", "deps": [0], "more_deps": 0}])
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_run_again_is_a_new_one_that_names_the_old() {
    let gateway = TestGateway::start().await;
    let tasks = json!({"name": "nightly", "tasks": [{"key": "a", "op": "native", "function": "demo:f", "args": [1]}], "outputs": ["a"]});
    let job = body(gateway.post("/v1/jobs?wait=10s", &tasks).await).await;
    let first = job["id"].as_str().unwrap();
    let again = gateway.post(&format!("/v1/jobs/{first}/retry"), &json!({})).await;
    assert_eq!(again.status(), 202);
    let again = body(again).await;
    assert_ne!(again["id"], job["id"]);
    assert_eq!(
        (&again["name"], &again["labels"]["retry_of"]),
        (&job["name"], &job["id"])
    );
    let unknown = gateway
        .post(&format!("/v1/jobs/{}/retry", JobId::from_u128(1)), &json!({}))
        .await;
    assert_eq!(problem(unknown).await.1, "unknown_job");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_page_says_who_leads_and_what_answers() {
    let gateway = TestGateway::start().await;
    gateway
        .until("the leader is seen", async || {
            let system = body(gateway.get("/v1/system").await).await;
            system["broker"] == true && system["term"] == 1 && system["state_error"].is_null()
        })
        .await;
    let system = body(gateway.get("/v1/system").await).await;
    assert_eq!(system["lease"]["leader"], system["leader"]);
    gateway.stop().await;
}
