//! Services in several processes behind the layer and the retry, with locks over the database.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use latchwork::layer::{KeyedLockLayer, OnLost, Outcome};
use latchwork::pg::PgKeyedLock;
use latchwork::provider::AnyLocks;
use latchwork::retry::RetryStats;
use latchwork::web::{Problem, ProblemKind};
use latchwork::{Fence, RetryPolicy, Versioned};
use sqlx::Pool;
use tokio::sync::{Notify, Semaphore};
use tower::{Layer, ServiceExt, service_fn};

use super::{Db, connect, database, pool};
use crate::proxy::Proxy;

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(60);
/// So short that a test can wait for its end, and long enough for a busy machine.
const SHORT: Duration = Duration::from_secs(1);

type ByPath = fn(&Parts) -> Option<String>;
type Locked = KeyedLockLayer<String, ByPath, AnyLocks<String>>;

async fn locks(pool: &Pool<Db>, lease: Duration) -> PgKeyedLock<String> {
    let builder = PgKeyedLock::builder(pool).lease(lease).poll_interval(Duration::from_millis(5));
    builder.create_table().await.expect("the role may create tables");
    builder.connect().await.expect("the table is there")
}

fn layer(locks: &PgKeyedLock<String>) -> Locked {
    fn by_path(parts: &Parts) -> Option<String> {
        Some(parts.uri.path()[1..].to_owned())
    }
    KeyedLockLayer::new(AnyLocks::new(locks.clone()), by_path)
}

/// A handler that says when it has begun, and ends when it may.
#[derive(Clone, Default)]
struct Handler(Arc<Stage>);

struct Stage {
    begun: Notify,
    go: Semaphore,
    fences: Mutex<Vec<Fence>>,
}

impl Default for Stage {
    fn default() -> Self {
        Self { begun: Notify::new(), go: Semaphore::new(0), fences: Mutex::default() }
    }
}

impl Handler {
    async fn run(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let fence = *request.extensions().get::<Fence>().expect("it has its key");
        self.0.fences.lock().expect("no panic").push(fence);
        self.0.begun.notify_one();
        self.0.go.acquire().await.expect("it is not closed").forget();
        Ok(Response::new(Body::empty()))
    }
}

/// Sends a request through the layer. Returns the status, and the kind of the problem if it is refused.
async fn ask(layer: Locked, handler: Handler, key: String) -> (u16, Option<ProblemKind>) {
    let service = layer.layer(service_fn(move |request| handler.clone().run(request)));
    let request = Request::post(format!("/{key}")).body(Body::empty()).expect("it is a request");
    let answer = service.oneshot(request).await.expect("it can't fail");
    (answer.status().as_u16(), answer.extensions().get::<Problem>().and_then(Problem::kind))
}

fn ada() -> String {
    "ada".to_owned()
}

#[tokio::test]
async fn a_request_waits_for_the_one_in_another_process_or_is_refused() {
    let pool = pool(1).await;
    let (one, other) = (locks(&pool, LONG).await, locks(&pool, LONG).await);
    let (handler, waits, no_wait) = (Handler::default(), layer(&other).wait(LONG), layer(&other));
    let first = tokio::spawn(ask(layer(&one), handler.clone(), ada()));
    handler.0.begun.notified().await;
    assert_eq!(ask(no_wait.clone(), handler.clone(), ada()).await, (409, Some(ProblemKind::Busy)));

    let second = tokio::spawn(ask(waits.clone(), handler.clone(), ada()));
    // Behind its local lock it asks the database.
    let asked = other.stats().counts().batches;
    while !other.local().is_locked("ada") || other.stats().counts().batches == asked {
        tokio::task::yield_now().await;
    }
    assert_eq!(handler.0.fences.lock().expect("no panic").len(), 1, "only one is in the handler");
    handler.0.go.add_permits(2);
    assert_eq!(first.await.expect("no panic"), (200, None));
    assert_eq!(second.await.expect("no panic"), (200, None));
    let fences = handler.0.fences.lock().expect("no panic").clone();
    assert!(fences[0] < fences[1], "{fences:?}");
    assert_eq!(
        [Outcome::Busy, Outcome::Waited].map(|it| (no_wait.stats().of(it), waits.stats().of(it))),
        [(1, 0), (0, 1)]
    );
}

#[tokio::test]
async fn a_key_that_is_too_long_for_the_database_is_a_bad_key() {
    let pool = pool(1).await;
    let layer = layer(&locks(&pool, LONG).await);
    let refused = ask(layer.clone(), Handler::default(), "k".repeat(2000)).await;
    assert_eq!(refused, (400, Some(ProblemKind::BadKey)));
    assert_eq!((layer.stats().of(Outcome::BadKey), layer.stats().requests()), (1, 1));
}

#[tokio::test]
async fn without_the_database_holders_lose_their_keys_and_others_get_none_until_it_is_back() {
    let proxy = Proxy::start().await;
    let pool = connect(1, proxy.options(&database().await)).await;
    let locks = locks(&pool, SHORT).await;
    let (handler, layer) = (Handler::default(), layer(&locks).on_lost(OnLost::Abort));
    let detached = tokio::spawn(ask(layer.clone().detached(true), handler.clone(), "grace".to_owned()));
    handler.0.begun.notified().await;
    let held = tokio::spawn(ask(layer.clone(), handler.clone(), ada()));
    handler.0.begun.notified().await;
    proxy.cut();
    let lost = (503, Some(ProblemKind::LockLost));
    assert_eq!((held.await.expect("no panic"), detached.await.expect("no panic")), (lost, lost));
    let refused = ask(layer.clone(), handler.clone(), ada()).await;
    assert_eq!(refused, (503, Some(ProblemKind::LockUnavailable)));
    proxy.open();
    handler.0.go.add_permits(1);
    assert_eq!(ask(layer.clone().wait(LONG), handler.clone(), ada()).await, (200, None));
    let stats = layer.stats();
    assert_eq!(
        [Outcome::Lost, Outcome::Unavailable, Outcome::Waited].map(|outcome| stats.of(outcome)),
        [2, 1, 1]
    );
    assert_eq!((stats.requests(), locks.stats().counts().lost), (4, 2));
}

/// The stamp protects the value, so a change is made although its lock can't be.
#[tokio::test]
async fn an_attempt_whose_lock_is_unavailable_goes_on_without_it() {
    let proxy = Proxy::start().await;
    let pool = connect(1, proxy.options(&database().await)).await;
    let locks = locks(&pool, LONG).await;
    let (row, stats) = (Versioned::new(0), Arc::new(RetryStats::new()));
    let policy = RetryPolicy::new().stats(&stats);
    let change = async |limit| {
        let change = policy.retry_on_conflict(
            async |_| Ok(row.snapshot()),
            |loaded| Ok((loaded.stamp(), *loaded + 1)),
            async |(stamp, number)| row.compare_and_set(stamp, number),
        );
        // While the database does not answer, a request for a key waits.
        let change = change.escalate_after(0, &locks, ada()).lock_timeout(limit);
        *change.run().await.expect("nobody else writes")
    };
    let without_lock = || {
        let counts = stats.counts();
        (counts.lock_timed_out, counts.lock_unavailable, counts.without_lock())
    };
    assert_eq!((change(LONG).await, without_lock()), (1, (0, 0, 0)));
    proxy.cut();
    assert_eq!((change(SHORT).await, without_lock()), (2, (1, 0, 1)));
    locks.leave().await;
    assert_eq!((change(LONG).await, without_lock()), (3, (1, 1, 2)));
}
