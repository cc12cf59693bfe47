//! How many handlers run at once, though their clients hang up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::any;
use latchwork::layer::Outcome;
use tokio::sync::Semaphore;
use tower::limit::GlobalConcurrencyLimitLayer;

use super::client::{Line, ask};
use super::server::{Gate, layer, locks, run, run_each, serve, until};

/// Handlers that count how many of them run.
#[derive(Clone)]
struct Crowd {
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    go: Gate,
}

impl Crowd {
    fn new() -> Self {
        Self { running: Arc::default(), most: Arc::default(), go: Gate::new() }
    }

    fn router(&self) -> Router {
        let run = async |State(crowd): State<Self>, Path(_): Path<String>| {
            let running = crowd.running.fetch_add(1, Ordering::SeqCst) + 1;
            crowd.most.fetch_max(running, Ordering::SeqCst);
            crowd.go.pass().await;
            crowd.running.fetch_sub(1, Ordering::SeqCst);
        };
        Router::new().route("/{key}", any(run)).with_state(self.clone())
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

const REQUESTS: usize = 50;
const BOUND: usize = 2;

#[test]
fn of_fifty_requests_that_hang_up_no_more_run_than_the_bound_says() {
    run(async {
        let (crowd, locks) = (Crowd::new(), locks());
        let layer = layer(&locks).detached(true).max_running(BOUND);
        let served = serve(crowd.router().layer(layer.clone())).await;
        let stats = layer.stats();
        for number in 0..REQUESTS {
            let line = Line::asking(served.addr, "POST", &format!("/{number}")).await;
            until(|| stats.requests() == number as u64 + 1).await;
            drop(line);
        }
        until(|| crowd.running() == BOUND).await;
        let refused = REQUESTS - BOUND;
        let counted = [Outcome::Acquired, Outcome::Overloaded].map(|outcome| stats.of(outcome));
        assert_eq!((counted, locks.len()), ([BOUND as u64, refused as u64], BOUND), "the others keep no key");
        assert!(ask(served.addr, "POST", "/ada").await.refuses_with(503));
        crowd.go.open_wide();
        locks.drained().await;
        assert_eq!(ask(served.addr, "POST", "/ada").await.status, 200, "a place is free before its key is");
        assert_eq!((crowd.most.load(Ordering::SeqCst), crowd.running()), (BOUND, 0));
    });
}

#[test]
fn a_limit_around_the_layer_does_not_count_handlers_whose_clients_are_gone() {
    run_each([false, true], |is_bounded| async move {
        let (crowd, locks) = (Crowd::new(), locks());
        let lock = layer(&locks).detached(true);
        let lock = if is_bounded { lock.max_running(BOUND) } else { lock };
        let places = Arc::new(Semaphore::new(BOUND));
        let limit = GlobalConcurrencyLimitLayer::with_semaphore(places.clone());
        let served = serve(crowd.router().layer(lock.clone()).layer(limit)).await;
        for number in 0..REQUESTS {
            let line = Line::asking(served.addr, "POST", &format!("/{number}")).await;
            until(|| lock.stats().requests() == number as u64 + 1).await;
            drop(line);
            until(|| places.available_permits() == BOUND).await;
        }
        let most = if is_bounded { BOUND } else { REQUESTS };
        until(|| crowd.running() == most).await;
        crowd.go.open_wide();
        locks.drained().await;
        assert_eq!(crowd.most.load(Ordering::SeqCst), most);
    });
}
