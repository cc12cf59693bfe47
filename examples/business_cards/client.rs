//! One person at a browser: requests, and what came back for them.

use std::time::{Duration, Instant};

use axum::http::header;
use fastrand::Rng;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::report::Tally;

/// What came back for a request.
pub(crate) struct Answer {
    /// 0 if the connection broke.
    pub(crate) status: u16,
    etag: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_default().to_owned()
    }
}

/// How an editor says which version was read.
#[derive(Clone, Copy)]
pub(crate) enum Says {
    InTheBody,
    ByIfMatch,
}

pub(crate) struct Person {
    client: Client,
    url: String,
    pub(crate) rng: Rng,
    pub(crate) tally: Tally,
}

impl Person {
    pub(crate) fn new(url: &str, seed: u64) -> Self {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build();
        let client = client.expect("a client without TLS and proxy needs nothing");
        Self { client, url: url.to_owned(), rng: Rng::with_seed(seed), tally: Tally::default() }
    }

    /// Somebody else, with a connection of their own.
    pub(crate) fn other(&mut self) -> Self {
        Self::new(&self.url, self.rng.u64(..))
    }

    pub(crate) async fn create(&mut self, name: &str) -> Answer {
        let request = self.request(Method::POST, "/cards").json(&json!({ "name": name }));
        self.send(request).await
    }

    pub(crate) async fn read(&mut self, id: i64) -> Answer {
        let request = self.request(Method::GET, &format!("/cards/{id}"));
        self.send(request).await
    }

    /// Writes the note anew, as an edit of the card that was read.
    pub(crate) fn edit(&self, read: &Answer, note: &str, says: Says) -> RequestBuilder {
        let request = self.request(Method::PATCH, &format!("/cards/{}", read.body["id"]));
        match says {
            Says::InTheBody => request.json(&json!({ "note": note, "version": read.body["version"] })),
            Says::ByIfMatch => request.header(header::IF_MATCH, &read.etag).json(&json!({ "note": note })),
        }
    }

    pub(crate) fn view(&self, id: i64) -> RequestBuilder {
        self.request(Method::POST, &format!("/cards/{id}/views"))
    }

    pub(crate) fn register(&self, user: &str, about: &str) -> RequestBuilder {
        self.request(Method::PUT, &format!("/profiles/{user}")).json(&json!({ "about": about }))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Answer {
        let start = Instant::now();
        let answer = match request.send().await {
            Ok(response) => {
                let etag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
                let etag = etag.unwrap_or_default().to_owned();
                let status = response.status().as_u16();
                Answer { status, etag, body: response.json().await.unwrap_or_default() }
            }
            Err(_) => Answer { status: 0, etag: String::new(), body: Value::Null },
        };
        self.tally.count(answer.status, start.elapsed());
        self.check(answer.status != 0, || "a connection broke".into());
        self.check(answer.status < 500, || format!("answered {}: {}", answer.status, answer.body));
        answer
    }

    /// Sends it and hangs up within some milliseconds, so that nobody knows whether it was done.
    pub(crate) async fn send_and_hang_up(&mut self, request: RequestBuilder) -> Option<u16> {
        let patience = Duration::from_micros(self.rng.u64(300..=60_000));
        let start = Instant::now();
        match tokio::time::timeout(patience, request.send()).await {
            Ok(Ok(response)) => {
                let status = response.status().as_u16();
                self.tally.count(status, start.elapsed());
                Some(status)
            }
            Ok(Err(_)) | Err(_) => {
                self.tally.hung_up += 1;
                None
            }
        }
    }

    pub(crate) fn check(&mut self, holds: bool, broken: impl FnOnce() -> String) {
        if !holds {
            self.tally.broken.push(broken());
        }
    }
}
