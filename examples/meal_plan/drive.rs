//! The users: each with habits of their own, and all of them over HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header;
use fastrand::Rng;
use futures::future::join_all;
use indicatif::ProgressBar;
use latchwork::Semaphore;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::report::Tally;

/// How often each user comes back.
const VISITS: usize = 5;

/// How many users are there at the same time; each has a few connections open.
const AT_A_TIME: usize = 32;

/// How long a key may take to become free after its holder's client hung up.
const HANG_UP: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
enum Habit {
    /// Clicks once and waits.
    Patient,
    DoubleClicks,
    /// Has several tabs open, and clicks in one after the other.
    OpensTabs,
    /// Closes the tab after a while, mostly before the plan is there.
    HangsUp,
    /// Meets with an error of the generator.
    Fails,
    /// Meets with a bug in the generator.
    Panics,
}

/// What user 0, 1, … does; then it starts again.
const HABITS: [Habit; 10] = [
    Habit::DoubleClicks,
    Habit::Patient,
    Habit::OpensTabs,
    Habit::HangsUp,
    Habit::DoubleClicks,
    Habit::Fails,
    Habit::OpensTabs,
    Habit::Panics,
    Habit::DoubleClicks,
    Habit::Patient,
];

/// Sends `users` users to the services at these addresses, and counts what they meet with. Each request of a user goes to the
/// next service.
pub(crate) async fn drive(services: &[String], users: usize, progress: &ProgressBar) -> Tally {
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    let mut tasks = JoinSet::new();
    for id in 0..users {
        let urls = services.iter().map(|url| format!("{url}/users/user-{id}/plan")).collect();
        let room = room.clone();
        tasks.spawn(async move {
            let _place = room.acquire().await;
            let mut browser = Browser::new(urls, id);
            for _ in 0..VISITS {
                browser.visit(HABITS[id % HABITS.len()]).await;
            }
            browser.tally
        });
    }
    let mut total = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        match tally {
            Ok(tally) => total.add(&tally),
            Err(panic) => total.broken.push(format!("a user's task panicked: {panic}")),
        }
        progress.inc(1);
    }
    total
}

struct Browser {
    client: Client,
    id: usize,
    /// The same plan, by service.
    urls: Vec<String>,
    requests: usize,
    rng: Rng,
    tally: Tally,
}

/// What came back for a click.
struct Answer {
    /// 0 if the connection broke.
    status: u16,
    /// Whether it says when to try again.
    retry_after: bool,
    body: Value,
    took: Duration,
}

impl Browser {
    fn new(urls: Vec<String>, id: usize) -> Self {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build();
        let client = client.expect("a client without TLS and proxy needs nothing");
        let rng = Rng::with_seed(id as u64);
        Self { client, id, urls, requests: 0, rng, tally: Tally::default() }
    }

    async fn visit(&mut self, habit: Habit) {
        self.pause(0, 60).await;
        match habit {
            Habit::Patient => {}
            Habit::DoubleClicks => self.clicks(2, 3).await,
            Habit::OpensTabs => {
                let tabs = self.rng.usize(3..=5);
                self.clicks(tabs, 12).await;
            }
            Habit::HangsUp => self.hang_up().await,
            Habit::Fails => self.one_click("?fail=true", 500).await,
            Habit::Panics => self.one_click("?panic=true", 500).await,
        }
        // Nothing of this user's is under way now.
        self.one_click("", 200).await;
    }

    /// One click alone, and what has to come of it.
    async fn one_click(&mut self, query: &str, expected: u16) {
        let sent = Instant::now();
        let answer = loop {
            let answer = send(self.request(query)).await;
            self.tally.count(answer.status, answer.took);
            // Another process can see the key held for a moment after the answer: the release is on its way.
            if answer.status != 409 || !self.has_several() || sent.elapsed() > HANG_UP {
                break answer;
            }
            self.pause(2, 4).await;
        };
        self.check(answer.status == expected, || {
            format!("{expected} was due for a single click{query}, not {}", answer.status)
        });
        if answer.status == 200 {
            let url = self.next_url();
            let saved = send(self.client.get(url)).await.body;
            self.check(saved == answer.body, || format!("{} was returned, {saved} saved", answer.body));
        }
    }

    /// Several clicks within so many milliseconds.
    async fn clicks(&mut self, count: usize, within: u64) {
        let clicks: Vec<_> = (0..count)
            .map(|nth| {
                let (request, delay) = (self.request(""), self.rng.u64(0..=within));
                async move {
                    tokio::time::sleep(Duration::from_millis(if nth == 0 { 0 } else { delay })).await;
                    send(request).await
                }
            })
            .collect();
        let answers = join_all(clicks).await;
        for answer in &answers {
            self.tally.count(answer.status, answer.took);
            self.check(matches!(answer.status, 200 | 409), || {
                format!("200 or 409 was due for one of {count} clicks, not {}", answer.status)
            });
            self.check(answer.status != 409 || answer.retry_after, || {
                "a 409 came without Retry-After".into()
            });
        }
        // See `one_click`.
        let served = self.has_several() || answers.iter().any(|answer| answer.status == 200);
        self.check(served, || format!("none of {count} clicks was served"));
        self.tally.crowds += 1;
    }

    /// Hangs up at any time before the plan is there, and clicks again until it works: the server has
    /// to notice first.
    async fn hang_up(&mut self) {
        let patience = Duration::from_millis(self.rng.u64(3..=40));
        let sent = Instant::now();
        match tokio::time::timeout(patience, send(self.request(""))).await {
            Ok(answer) => self.tally.count(answer.status, answer.took),
            Err(_) => self.tally.count_hung_up(),
        }
        loop {
            let answer = send(self.request("")).await;
            self.tally.count(answer.status, answer.took);
            if answer.status != 409 || sent.elapsed() > HANG_UP {
                return self.check(answer.status == 200, || {
                    format!("200 was due after the client hung up, not {}", answer.status)
                });
            }
            self.pause(2, 4).await;
        }
    }

    fn request(&mut self, query: &str) -> RequestBuilder {
        let days = self.rng.usize(1..=14);
        let url = self.next_url() + query;
        self.client.post(url).json(&json!({ "days": days }))
    }

    fn next_url(&mut self) -> String {
        let url = self.urls[self.requests % self.urls.len()].clone();
        self.requests += 1;
        url
    }

    fn has_several(&self) -> bool {
        self.urls.len() > 1
    }

    async fn pause(&mut self, least: u64, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(least..=most))).await;
    }

    fn check(&mut self, holds: bool, broken: impl FnOnce() -> String) {
        if !holds {
            self.tally.broken.push(format!("user-{}: {}", self.id, broken()));
        }
    }
}

async fn send(request: RequestBuilder) -> Answer {
    let start = Instant::now();
    let (status, retry_after, body) = match request.send().await {
        Ok(response) => {
            let retry_after = response.headers().contains_key(header::RETRY_AFTER);
            (response.status().as_u16(), retry_after, response.json().await.unwrap_or_default())
        }
        Err(_) => (0, false, Value::Null),
    };
    Answer { status, retry_after, body, took: start.elapsed() }
}
