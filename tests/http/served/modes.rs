//! A layer whose mode is switched while requests come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::extract::{Extension, Path, State};
use axum::routing::any;
use axum::{Json, Router};
use latchwork::Fence;
use latchwork::layer::{LayerStats, Mode, ModeSwitch, Outcome};
use tokio::task::JoinSet;

use super::client::{Line, ask, asked};
use super::server::{ByPathLayer, LONG, SHORT, Stage, layer, locks, run, run_each, serve, until, waiters};

const KEYS: usize = 3;
const CLIENTS: usize = 40;
const REQUESTS: usize = 30;

/// Who is in with which key. Every request that holds its key has a fence: all those that were called in `Enforce`,
/// and those in `Observe` that found it free.
#[derive(Clone, Default)]
struct Ledger {
    occupied: Arc<[AtomicBool; KEYS]>,
    latest: Arc<[AtomicU64; KEYS]>,
    broken: Arc<AtomicU64>,
    with_key: Arc<AtomicU64>,
    without: Arc<AtomicU64>,
}

impl Ledger {
    async fn enter(&self, key: usize, fence: Option<Fence>) -> bool {
        let Some(fence) = fence else {
            self.without.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            return false;
        };
        self.with_key.fetch_add(1, Ordering::SeqCst);
        let was_occupied = self.occupied[key].swap(true, Ordering::SeqCst);
        let is_later = self.latest[key].swap(fence.get(), Ordering::SeqCst) < fence.get();
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let is_occupied = self.occupied[key].swap(false, Ordering::SeqCst);
        if was_occupied || !is_later || !is_occupied {
            self.broken.fetch_add(1, Ordering::SeqCst);
        }
        true
    }

    /// Answers whether it had its key.
    fn router(&self) -> Router {
        let enter =
            async |State(ledger): State<Self>, Path(key): Path<usize>, fence: Option<Extension<Fence>>| {
                Json(ledger.enter(key, fence.map(|Extension(fence)| fence)).await)
            };
        Router::new().route("/{key}", any(enter)).with_state(self.clone())
    }
}

/// What the clients were answered.
#[derive(Default)]
struct Tally {
    with_key: u64,
    without: u64,
    busy: u64,
    late: u64,
}

/// Sends its requests, and does something before each.
async fn client(addr: std::net::SocketAddr, number: usize, mut before: impl FnMut()) -> Tally {
    let mut line = Line::open(addr).await;
    let mut tally = Tally::default();
    for request in 0..REQUESTS {
        before();
        line.ask(&[("POST", &format!("/{}", (number + request) % KEYS))]).await;
        let answer = line.answer().await.expect("every request is answered");
        match answer.body.as_str() {
            "true" if answer.status == 200 => tally.with_key += 1,
            "false" if answer.status == 200 => tally.without += 1,
            _ if answer.refuses_with(409) => tally.busy += 1,
            _ if answer.refuses_with(503) => tally.late += 1,
            _ => panic!("no documented answer: {answer:?}"),
        }
    }
    tally
}

fn sum(counts: &LayerStats, outcomes: &[Outcome]) -> u64 {
    outcomes.iter().map(|outcome| counts.of(*outcome)).sum()
}

#[test]
fn a_mode_that_is_switched_under_load_loses_nothing() {
    run_each(
        [
            |layer: ByPathLayer| layer,
            |layer: ByPathLayer| layer.wait(LONG),
            |layer: ByPathLayer| layer.wait(SHORT).max_waiters(3),
            |layer: ByPathLayer| layer.wait(LONG).detached(true).hold_until_body_end(true),
        ],
        |policy| async move {
            let (locks, ledger, switch) = (locks(), Ledger::default(), ModeSwitch::new(Mode::Off));
            let layer = policy(layer(&locks)).mode(&switch);
            let counts = layer.stats();
            let served = serve(ledger.router().layer(layer)).await;
            let mut clients = JoinSet::new();
            for number in 0..CLIENTS {
                // The clients switch it: another task could be too late, and meet the end of the load.
                let (switch, mut random) = (switch.clone(), fastrand::Rng::with_seed(number as u64));
                clients.spawn(client(served.addr, number, move || {
                    if random.usize(..CLIENTS) == 0 {
                        switch.set([Mode::Off, Mode::Observe, Mode::Enforce][random.usize(..3)]);
                    }
                }));
            }
            let total = (CLIENTS * REQUESTS) as u64;
            let mut seen = Tally::default();
            for tally in clients.join_all().await {
                seen.with_key += tally.with_key;
                seen.without += tally.without;
                seen.busy += tally.busy;
                seen.late += tally.late;
            }
            served.stop().await;
            assert!(locks.is_empty());
            assert_eq!(ledger.broken.load(Ordering::SeqCst), 0, "two were in one key, or out of order");
            assert_eq!(seen.with_key + seen.without + seen.busy + seen.late, total);
            assert_eq!(counts.requests(), total);
            assert_eq!(seen.busy, counts.of(Outcome::Busy));
            assert_eq!(seen.late, sum(&counts, &[Outcome::TimedOut, Outcome::QueueFull]));
            assert_eq!(seen.with_key, sum(&counts, &[Outcome::Acquired, Outcome::Waited]));
            let passed = [
                Outcome::Off,
                Outcome::WouldBeBusy,
                Outcome::WouldTimeOut,
                Outcome::WouldQueueFull,
                Outcome::WouldWait,
            ];
            assert_eq!(seen.without, sum(&counts, &passed));
            assert_eq!(seen.with_key, ledger.with_key.load(Ordering::SeqCst));
            assert_eq!(seen.without, ledger.without.load(Ordering::SeqCst));
            assert!(counts.of(Outcome::Off) > 0 && seen.with_key > 0, "{counts:?}");
        },
    );
}

#[test]
fn while_all_requests_are_enforced_all_have_their_key() {
    run(async {
        let (locks, ledger, switch) = (locks(), Ledger::default(), ModeSwitch::new(Mode::Off));
        let layer = layer(&locks).wait(LONG).mode(&switch);
        let counts = layer.stats();
        let served = serve(ledger.router().layer(layer)).await;
        for mode in [Mode::Enforce, Mode::Observe, Mode::Enforce, Mode::Off, Mode::Enforce] {
            switch.set(mode);
            let mut clients = JoinSet::new();
            for number in 0..CLIENTS {
                clients.spawn(client(served.addr, number, || ()));
            }
            let total = (CLIENTS * REQUESTS) as u64;
            for tally in clients.join_all().await {
                match mode {
                    Mode::Enforce => assert_eq!(tally.with_key, REQUESTS as u64),
                    Mode::Off => assert_eq!(tally.without, REQUESTS as u64),
                    _ => assert_eq!(tally.busy + tally.late, 0, "nobody is refused"),
                }
            }
            assert!(locks.is_empty());
            assert_eq!(counts.requests() % total, 0);
        }
        assert_eq!(ledger.broken.load(Ordering::SeqCst), 0);
        assert_eq!(counts.of(Outcome::Off), (CLIENTS * REQUESTS) as u64);
    });
}

#[test]
fn a_request_is_treated_by_the_mode_that_it_was_called_in() {
    run(async {
        let (stage, switch) = (Stage::new(), ModeSwitch::default());
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG).mode(&switch);
        let served = serve(stage.router().layer(layer.clone())).await;
        let held = locks.try_lock("ada").unwrap();
        let waits = asked(served.addr, "POST", "/ada");
        until(|| waiters(&locks, "ada") == 1).await;
        switch.set(Mode::Observe);
        let observed = asked(served.addr, "POST", "/ada");
        stage.begun.pass().await;
        assert_eq!(waiters(&locks, "ada"), 2, "it has begun, and a wait for it is watched");
        switch.set(Mode::Off);
        let off = asked(served.addr, "POST", "/ada");
        stage.begun.pass().await;
        for answer in [observed, off] {
            stage.go.open();
            stage.go.open();
            assert_eq!(answer.await.unwrap().status, 200);
        }
        until(|| waiters(&locks, "ada") == 1).await;
        assert_eq!(stage.held(), [true, true]);
        drop(held);
        assert_eq!(waits.await.unwrap().status, 200);
        assert!(locks.is_empty());
        switch.set(Mode::Enforce);
        stage.go.open();
        assert_eq!(ask(served.addr, "POST", "/ada").await.status, 200);
        let seen = [Outcome::Acquired, Outcome::Waited, Outcome::WouldWait, Outcome::Off];
        assert_eq!(seen.map(|outcome| layer.stats().of(outcome)), [1; 4]);
    });
}

#[test]
fn where_it_is_only_observed_nobody_is_refused_and_what_comes_free_is_held() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let terse = layer(&locks).mode(Mode::Observe);
        let patient = layer(&locks).wait(LONG).mode(Mode::Observe);
        let crowded = layer(&locks).wait(LONG).max_waiters(0).mode(Mode::Observe);
        let held = locks.try_lock("ada").unwrap();
        for (layer, outcome) in [(&terse, Outcome::WouldBeBusy), (&crowded, Outcome::WouldQueueFull)] {
            let served = serve(stage.router().layer(layer.clone())).await;
            let passes = asked(served.addr, "POST", "/ada");
            stage.begun.pass().await;
            stage.go.open();
            assert_eq!(passes.await.unwrap().status, 200);
            assert_eq!((layer.stats().of(outcome), layer.stats().requests()), (1, 1));
        }
        let served = serve(stage.router().layer(patient.clone())).await;
        let passes = asked(served.addr, "POST", "/ada");
        stage.begun.pass().await;
        until(|| waiters(&locks, "ada") == 1).await;
        drop(held);
        until(|| patient.stats().of(Outcome::WouldWait) == 1).await;
        assert!(locks.is_locked("ada"), "by the one that passed, as if it had waited");
        stage.go.open();
        assert_eq!(passes.await.unwrap().status, 200);
        assert!(locks.is_empty());
        assert_eq!(patient.stats().requests(), 1);
    });
}

#[test]
fn a_client_that_hangs_up_where_it_is_only_observed_leaves_nothing() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG).mode(Mode::Observe);
        let served = serve(stage.router().layer(layer.clone())).await;
        let holds = Line::asking(served.addr, "POST", "/ada").await;
        stage.begun.pass().await;
        let passes = Line::asking(served.addr, "POST", "/ada").await;
        stage.begun.pass().await;
        until(|| waiters(&locks, "ada") == 1).await;
        drop(passes);
        until(|| waiters(&locks, "ada") == 0).await;
        assert_eq!((layer.stats().of(Outcome::WouldWait), locks.is_locked("ada")), (1, true));
        drop(holds);
        until(|| locks.is_empty()).await;
        assert_eq!((stage.held(), layer.stats().requests()), (vec![true, true], 2));
    });
}
