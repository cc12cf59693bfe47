//! A thousand connections on ten keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing::any;
use latchwork::layer::Outcome;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::client::{Answer, Line};
use super::server::{ByPathLayer, Gate, LONG, Locks, SHORT, layer, locks, run, run_each, serve, until};

const CONNECTIONS: usize = 1000;
const KEYS: usize = 10;

/// What goes on inside of one key.
#[derive(Default)]
struct Room {
    writing: AtomicBool,
    reading: AtomicUsize,
    most_reading: AtomicUsize,
}

/// Handlers that look whether they are alone.
#[derive(Clone)]
struct Rooms {
    rooms: Arc<[Room; KEYS]>,
    broken: Arc<AtomicUsize>,
    visits: Arc<AtomicU64>,
    go: Gate,
}

impl Rooms {
    fn new() -> Self {
        Self { rooms: Arc::default(), broken: Arc::default(), visits: Arc::default(), go: Gate::new() }
    }

    async fn visit(&self, key: usize, reads: bool) {
        self.visits.fetch_add(1, Ordering::SeqCst);
        let room = &self.rooms[key];
        let is_alone = if reads {
            let reading = room.reading.fetch_add(1, Ordering::SeqCst) + 1;
            room.most_reading.fetch_max(reading, Ordering::SeqCst);
            !room.writing.load(Ordering::SeqCst)
        } else {
            !room.writing.swap(true, Ordering::SeqCst) && room.reading.load(Ordering::SeqCst) == 0
        };
        self.go.pass().await;
        tokio::task::yield_now().await;
        let is_still_alone = if reads {
            room.reading.fetch_sub(1, Ordering::SeqCst);
            !room.writing.load(Ordering::SeqCst)
        } else {
            room.writing.swap(false, Ordering::SeqCst) && room.reading.load(Ordering::SeqCst) == 0
        };
        if !(is_alone && is_still_alone) {
            self.broken.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A GET reads if `shares` says so; whatever else is alone.
    fn router(&self, shares: bool) -> Router {
        let visit = async move |State(rooms): State<Self>, Path(key): Path<usize>, method: Method| {
            rooms.visit(key, shares && method == Method::GET).await;
        };
        Router::new().route("/{key}", any(visit)).with_state(self.clone())
    }

    fn visits(&self) -> u64 {
        self.visits.load(Ordering::SeqCst)
    }

    fn broken(&self) -> usize {
        self.broken.load(Ordering::SeqCst)
    }
}

fn waiting(locks: &Locks) -> usize {
    locks.snapshot().iter().map(|view| view.waiters()).sum()
}

fn holding(locks: &Locks) -> usize {
    locks.snapshot().iter().map(|view| view.holders()).sum()
}

/// All connections ask, when all are there, `rounds` times each; the method by what `reads` says of a number.
async fn crowd(
    app: Router,
    rounds: usize,
    reads: fn(usize) -> bool,
    meanwhile: impl Future<Output = ()>,
) -> Vec<Answer> {
    let served = serve(app).await;
    let all_there = Arc::new(Barrier::new(CONNECTIONS));
    let mut clients = JoinSet::new();
    for client in 0..CONNECTIONS {
        let all_there = all_there.clone();
        let addr = served.addr;
        clients.spawn(async move {
            let mut line = Line::open(addr).await;
            all_there.wait().await;
            let mut answers = Vec::new();
            for round in 0..rounds {
                let method = if reads(client / KEYS + round) { "GET" } else { "POST" };
                let path = format!("/{}", (client + round * client / KEYS) % KEYS);
                line.ask(&[(method, &path)]).await;
                answers.push(line.answer().await.expect("every request is answered"));
            }
            answers
        });
    }
    meanwhile.await;
    let answers = clients.join_all().await.into_iter().flatten().collect();
    served.stop().await;
    answers
}

/// What was answered is what was counted, and nobody met anybody in a room.
fn check(answers: &[Answer], rooms: &Rooms, layer: &ByPathLayer, locks: &Locks) {
    let counts = layer.stats();
    let served = answers.iter().filter(|answer| answer.status == 200).count() as u64;
    let busy = answers.iter().filter(|answer| answer.refuses_with(409)).count() as u64;
    let late = answers.iter().filter(|answer| answer.refuses_with(503)).count() as u64;
    assert_eq!(served + busy + late, answers.len() as u64, "there is another status");
    assert_eq!(served, counts.of(Outcome::Acquired) + counts.of(Outcome::Waited));
    assert_eq!(busy, counts.of(Outcome::Busy));
    assert_eq!(late, counts.of(Outcome::TimedOut) + counts.of(Outcome::QueueFull));
    assert_eq!(counts.requests(), answers.len() as u64);
    assert_eq!(served, rooms.visits(), "who was refused was not in a handler");
    assert_eq!(rooms.broken(), 0, "two were in one key");
    assert!(locks.is_empty());
}

#[test]
fn of_a_thousand_one_has_each_key_a_queue_waits_and_the_rest_is_refused() {
    run(async {
        let (locks, rooms) = (locks(), Rooms::new());
        let layer = layer(&locks).wait(LONG).max_waiters(50);
        let counts = layer.stats();
        let app = rooms.router(false).layer(layer.clone());
        let answers = crowd(app, 1, |_| false, async {
            until(|| counts.of(Outcome::QueueFull) == 490 && waiting(&locks) == 500).await;
            assert_eq!((holding(&locks), rooms.visits()), (10, 10));
            rooms.go.open_wide();
        })
        .await;
        check(&answers, &rooms, &layer, &locks);
        assert_eq!((counts.of(Outcome::Acquired), counts.of(Outcome::Waited)), (10, 500));
    });
}

#[test]
fn of_a_thousand_that_do_not_wait_all_but_ten_are_refused() {
    run(async {
        let (locks, rooms) = (locks(), Rooms::new());
        let layer = layer(&locks);
        let counts = layer.stats();
        let answers = crowd(rooms.router(false).layer(layer.clone()), 1, |_| false, async {
            until(|| counts.of(Outcome::Busy) == 990).await;
            rooms.go.open_wide();
        })
        .await;
        check(&answers, &rooms, &layer, &locks);
        assert_eq!(counts.of(Outcome::Acquired), 10);
    });
}

#[test]
fn never_are_two_in_one_key_whatever_the_policy() {
    run_each(
        [
            |layer: ByPathLayer| layer,
            |layer: ByPathLayer| layer.wait(SHORT),
            |layer: ByPathLayer| layer.wait(LONG).max_waiters(20),
            |layer: ByPathLayer| layer.wait(LONG).hold_until_body_end(true).share_guard(true),
            |layer: ByPathLayer| layer.wait(LONG).detached(true),
        ],
        |policy| async move {
            let (locks, rooms) = (locks(), Rooms::new());
            rooms.go.open_wide();
            let layer = policy(layer(&locks));
            let answers = crowd(rooms.router(false).layer(layer.clone()), 3, |_| false, async {}).await;
            check(&answers, &rooms, &layer, &locks);
            assert!(layer.stats().of(Outcome::Acquired) > 0);
        },
    );
}

#[test]
fn a_thousand_readers_are_together_in_ten_keys() {
    run(async {
        let (locks, rooms) = (locks(), Rooms::new());
        let layer = layer(&locks).share_reads(true);
        let answers = crowd(rooms.router(true).layer(layer.clone()), 1, |_| true, async {
            until(|| rooms.visits() == CONNECTIONS as u64).await;
            assert_eq!(holding(&locks), CONNECTIONS);
            rooms.go.open_wide();
        })
        .await;
        check(&answers, &rooms, &layer, &locks);
        assert_eq!(layer.stats().of(Outcome::Acquired), CONNECTIONS as u64);
        for room in &*rooms.rooms {
            assert_eq!(room.most_reading.load(Ordering::SeqCst), CONNECTIONS / KEYS);
        }
    });
}

#[test]
fn readers_share_a_key_and_writers_are_alone_in_it() {
    run(async {
        let (locks, rooms) = (locks(), Rooms::new());
        let layer = layer(&locks).wait(LONG).share_reads(true);
        let app = rooms.router(true).layer(layer.clone());
        let answers = crowd(app, 3, |number| number % 4 != 0, async {
            // The first to come hold all keys and queue up all others.
            until(|| waiting(&locks) + holding(&locks) == CONNECTIONS).await;
            rooms.go.open_wide();
        })
        .await;
        check(&answers, &rooms, &layer, &locks);
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert!(rooms.rooms.iter().any(|room| room.most_reading.load(Ordering::SeqCst) > 1));
    });
}
