//! One person at a browser: requests, and their answers.

use std::time::{Duration, Instant};

use axum::http::header;
use fastrand::Rng;
use futures::future::join_all;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::report::Tally;

/// The answer to a request.
pub(crate) struct Answer {
    /// 0 if the connection broke.
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

pub(crate) struct Person {
    client: Client,
    url: String,
    token: String,
    pub(crate) rng: Rng,
    pub(crate) tally: Tally,
}

impl Person {
    pub(crate) fn new(url: &str, seed: u64) -> Self {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build();
        let client = client.expect("a client without TLS and proxy needs nothing");
        let rng = Rng::with_seed(seed);
        Self { client, url: url.to_owned(), token: String::new(), rng, tally: Tally::default() }
    }

    pub(crate) fn with_token(mut self, token: String) -> Self {
        self.token = token;
        self
    }

    pub(crate) fn search(&self, name: &str) -> RequestBuilder {
        self.client.get(format!("{}/sweets?name={name}", self.url))
    }

    pub(crate) fn purchase(&self, sweet: i64, quantity: i64) -> RequestBuilder {
        self.change(sweet, "purchase", quantity)
    }

    pub(crate) fn restock(&self, sweet: i64, quantity: i64) -> RequestBuilder {
        self.change(sweet, "restock", quantity)
    }

    fn change(&self, sweet: i64, what: &str, quantity: i64) -> RequestBuilder {
        let request = self.client.post(format!("{}/sweets/{sweet}/{what}", self.url));
        let token = format!("Bearer {}", self.token);
        request.header(header::AUTHORIZATION, token).json(&json!({ "quantity": quantity }))
    }

    /// Sends it, and counts the answer.
    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Answer {
        let answer = send(request).await;
        self.count(answer)
    }

    /// Sends as many requests for this name at the same time, and counts the answers.
    pub(crate) async fn register(&mut self, name: &str, times: usize) -> Vec<Answer> {
        let url = format!("{}/users", self.url);
        let requests: Vec<_> =
            (0..times).map(|_| send(self.client.post(&url).json(&json!({ "name": name })))).collect();
        let answers = join_all(requests).await;
        answers
            .into_iter()
            .map(|answer| {
                self.tally.registrations_500 += u64::from(answer.status == 500);
                self.count(answer)
            })
            .collect()
    }

    /// Sends it and hangs up sooner or later. `None`: nobody knows whether it was done.
    pub(crate) async fn send_and_hang_up(&mut self, request: RequestBuilder) -> Option<Answer> {
        // From 0.3 to 300 ms, so that it happens in every phase of a request, on slow machines and on fast ones.
        let patience = Duration::from_micros(300).mul_f64(10_f64.powf(3.0 * self.rng.f64()));
        match tokio::time::timeout(patience, send(request)).await {
            Ok(answer) => Some(self.count(answer)),
            Err(_) => {
                self.tally.hung_up += 1;
                None
            }
        }
    }

    fn count(&mut self, answer: Answer) -> Answer {
        self.tally.count(answer.status);
        self.check(answer.status != 0, || "a connection broke".into());
        self.check(answer.status < 500, || format!("answered {}: {}", answer.status, answer.body));
        answer
    }

    pub(crate) async fn pause(&mut self, most: Duration) {
        tokio::time::sleep(most.mul_f64(self.rng.f64())).await;
    }

    pub(crate) fn check(&mut self, holds: bool, broken: impl FnOnce() -> String) {
        if !holds {
            self.tally.broken.push(broken());
        }
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
