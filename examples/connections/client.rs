//! One person at a browser: requests, and their answers.

use std::time::{Duration, Instant};

use axum::http::header;
use fastrand::Rng;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::drive::Now;
use crate::report::Tallies;
use crate::side::Phase;

/// After this time without an answer everybody gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// One person of this number hangs up before.
const IMPATIENT: usize = 8;

/// The answer to a request.
pub(crate) struct Answer {
    /// 0 if the connection broke.
    pub(crate) status: u16,
    pub(crate) body: Value,
    took: Duration,
}

pub(crate) struct Person {
    client: Client,
    url: String,
    pub(crate) name: String,
    pub(crate) password: String,
    /// Empty before the first login.
    pub(crate) token: String,
    pub(crate) rng: Rng,
    pub(crate) now: Now,
    pub(crate) tallies: Tallies,
}

impl Person {
    pub(crate) fn new(url: &str, (name, password): (String, String), seed: u64, now: Now) -> Self {
        let client = Client::builder().no_proxy().build();
        let client = client.expect("a client without TLS and proxy needs nothing");
        let (rng, tallies) = (Rng::with_seed(seed), Tallies::default());
        Self { client, url: url.to_owned(), name, password, token: String::new(), rng, now, tallies }
    }

    pub(crate) fn login(&self, password: &str) -> RequestBuilder {
        self.client
            .post(format!("{}/login", self.url))
            .json(&json!({ "name": self.name, "password": password }))
    }

    pub(crate) fn menu(&self) -> RequestBuilder {
        self.with_token(self.client.post(format!("{}/menu", self.url)))
    }

    pub(crate) fn set_preferences(&self, dish: &str) -> RequestBuilder {
        let request = self.client.put(format!("{}/preferences", self.url));
        self.with_token(request).json(&json!({ "dish": dish, "theme": "dark" }))
    }

    fn with_token(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(header::AUTHORIZATION, format!("Bearer {}", self.token))
    }

    /// Sends it, and counts the answer, which must have one of these statuses. `None`: this person has hung up.
    pub(crate) async fn send(&mut self, request: RequestBuilder, expected: &[u16]) -> Option<Answer> {
        let phase = self.now.phase();
        let patience = self.patience();
        let answer = tokio::time::timeout(patience, send(request)).await.ok();
        self.count(phase, answer, patience == PATIENCE, expected)
    }

    /// Sends it twice at the same time.
    pub(crate) async fn double_click(&mut self, requests: [RequestBuilder; 2], expected: &[u16]) {
        let phase = self.now.phase();
        let [first, second] = requests.map(|request| tokio::time::timeout(PATIENCE, send(request)));
        let (first, second) = tokio::join!(first, second);
        for answer in [first, second] {
            self.count(phase, answer.ok(), true, expected);
        }
    }

    /// Returns how long this person waits for an answer.
    fn patience(&mut self) -> Duration {
        if self.rng.usize(..IMPATIENT) > 0 {
            return PATIENCE;
        }
        // From 0.3 to 300 ms, so that it happens in every phase of a request, on slow machines and on fast ones.
        Duration::from_micros(300).mul_f64(10_f64.powf(3.0 * self.rng.f64()))
    }

    fn count(
        &mut self,
        phase: Phase,
        answer: Option<Answer>,
        is_patient: bool,
        expected: &[u16],
    ) -> Option<Answer> {
        let tally = self.tallies.of(phase);
        let Some(answer) = answer else {
            tally.hung_up += 1;
            if is_patient {
                tally.broken.push(format!("no answer within {PATIENCE:?}"));
            }
            return None;
        };
        tally.count(answer.status, &answer.body, answer.took);
        if !expected.contains(&answer.status) {
            tally.broken.push(format!("answered {}, not {expected:?}: {}", answer.status, answer.body));
        }
        Some(answer)
    }
}

async fn send(request: RequestBuilder) -> Answer {
    let start = Instant::now();
    let (status, body) = match request.send().await {
        Ok(response) => (response.status().as_u16(), response.json().await.unwrap_or_default()),
        Err(_) => (0, Value::Null),
    };
    Answer { status, body, took: start.elapsed() }
}
